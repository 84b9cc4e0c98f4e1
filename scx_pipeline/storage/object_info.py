"""Objects as a listing shows them, and the keys that cannot be read.

How objects are listed depends on the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter

NO_ETAG = "@"  # the prefix of the modification time that replaces a missing ETag
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|(?:^|/)\.{0,2}(?=/)|(?:^|/)\.{1,2}$")


@dataclass(frozen=True, slots=True, order=True)
class ObjectInfo:
    """An object as the listing shows it; `key` is relative to the bucket URL.

    An object with an `unreadable_reason` cannot be read: a load that needs it fails with that reason. If its key ends
    in a slash, it is a folder that cannot be opened, whose content is unknown.
    """

    key: str
    size: int
    etag: str
    last_modified: datetime
    unreadable_reason: str = ""


def sort_objects(found: Iterable[ObjectInfo]) -> list[ObjectInfo]:
    """Return the objects sorted by key, each key once."""
    return sorted({info.key: info for info in found}.values(), key=attrgetter("key"))


def printable_key(key: str) -> str:
    """Return a key that fits on one line: control characters, and bytes that are not UTF-8, become escapes."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", _escape, key)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return named or f"\\x{code & 0xFF if code >= 0xD800 else code:02x}"


def unreadable_key_reason(key: str) -> str:
    """Return why an object with this key cannot be read, or an empty text if it can."""
    # Two quick tests decide for nearly all keys.
    if key.isprintable() and "/." not in f"/{key}" and "//" not in f"/{key}":
        return ""
    found = _UNREADABLE.search(key)
    if found is None:
        return ""
    part = found[0].strip("/")
    if part in ("", ".", ".."):
        return f"a part of its key is {part or 'empty'}: rename it"
    what = "bytes that are not UTF-8" if part >= "\ud800" else f"the control character {printable_key(part)}"
    return f"its key has {what}: rename it"
