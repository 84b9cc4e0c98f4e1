"""What is in a bucket: every object of a folder or of an S3 bucket, with those whose keys or entries cannot be read.
What objects are for is decided by their keys elsewhere; their content is not looked at."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any

from scx_pipeline.storage.s3 import busy

if TYPE_CHECKING:
    from obstore.store import ObjectStore

LIST_WORKERS = 16
UNTAGGED = "@"  # begins what takes an ETag's place where a store has none: when the object was modified
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|(?:^|/)\.{0,2}(?=/)|(?:^|/)\.{1,2}$")


@dataclass(frozen=True, slots=True, order=True)
class ObjectInfo:
    """An object as the listing shows it; `key` is relative to the bucket URL.

    One with a reason in `refused` cannot be read: a load that needs it fails with that reason. If its key ends in a slash, it is a
    folder that cannot be opened, whose content is unknown.
    """

    key: str
    size: int
    etag: str
    last_modified: datetime
    refused: str = ""


def shown(key: str) -> str:
    """A key as it can be printed on a line: control characters, and bytes that are not UTF-8, as escapes."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", _escaped, key)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return named or f"\\x{code & 0xFF if code >= 0xD800 else code:02x}"


def refusal(key: str) -> str:
    """Why an object of this key is not read; nothing for the keys that are."""
    # Nearly all keys are told by the two quick questions.
    if key.isprintable() and "/." not in f"/{key}" and "//" not in f"/{key}":
        return ""
    found = _UNREADABLE.search(key)
    if found is None:
        return ""
    mark = found[0].strip("/")
    if mark in ("", ".", ".."):
        return f"a part of its key is {mark or 'empty'}: rename it"
    what = "bytes that are not UTF-8" if mark >= "\ud800" else f"the control character {shown(mark)}"
    return f"its key has {what}: rename it"


# Folders


def list_folder(folder: Path, prefix: str, notify: Callable[[str], None]) -> Iterator[ObjectInfo]:
    """Every file below a prefix of a folder, links followed, by what the file system says of them.

    There are none where the folder has no such prefix. Raises OSError where that cannot be told: where it is away itself,
    may not be opened, or a link on the way leads to nothing, as of a disk that is not mounted.
    """
    start = _folder_of(folder, prefix)
    if start is None:
        return
    os.scandir(start).close()
    left = [(start, prefix.strip("/") and f"{prefix.strip('/')}/", frozenset[tuple[int, int]]())]
    while left:
        path, key, above = left.pop()
        try:
            # A Path for each of some hundred thousand entries would cost more than all of this.
            own = os.stat(path)  # noqa: PTH116
            entries = list(os.scandir(path))
        except OSError as error:
            yield _refused(
                key, f"the folder cannot be opened: {error.strerror}; let this user read it, or move it away"
            )
            continue
        inside = above | {(own.st_dev, own.st_ino)}
        for entry in entries:
            try:
                facts = entry.stat()
            except FileNotFoundError:
                if entry.is_symlink():  # which may have led to a file or to a folder
                    for name in (key + entry.name, f"{key}{entry.name}/"):
                        yield _refused(
                            name, "it is a link to nothing: restore what it leads to, or remove it"
                        )
                continue  # or gone meanwhile
            except OSError as error:
                yield _refused(
                    key + entry.name,
                    f"it cannot be looked at: {error.strerror}; let this user read it, or move it away",
                )
                continue
            if S_ISREG(facts.st_mode):
                yield _file(key + entry.name, facts)
            elif S_ISDIR(facts.st_mode) and (facts.st_dev, facts.st_ino) not in inside:
                left.append((entry.path, f"{key}{entry.name}/", inside))
            elif S_ISDIR(facts.st_mode):
                notify(
                    f"{shown(key + entry.name)} is a link to a folder that contains it: it is not followed"
                )


def _folder_of(folder: Path, prefix: str) -> str | None:
    """The path of a prefix in a folder; None where there is none. Raises OSError where that cannot be told."""
    path = str(folder)
    os.stat(path)  # noqa: PTH116
    for name in filter(None, prefix.split("/")):
        path = f"{path}/{name}"
        try:
            os.lstat(path)
        except FileNotFoundError:
            return None
        if not S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    return path


def _file(key: str, facts: os.stat_result) -> ObjectInfo:
    modified = facts.st_mtime_ns // 1000
    # As object stores' libraries write it, so that fingerprints of before stay what they are.
    etag = f'"{facts.st_ino:x}-{max(0, modified):x}-{facts.st_size:x}"'
    return ObjectInfo(key, facts.st_size, etag, EPOCH + timedelta(microseconds=modified), refusal(key))


def _refused(key: str, why: str) -> ObjectInfo:
    return ObjectInfo(key, 0, "", EPOCH, why)


# Stores


def list_store(
    store: ObjectStore, prefix: str, exactly: Callable[[str], Iterator[dict[str, Any]]]
) -> list[ObjectInfo]:
    """Every object below a prefix of a store, all listing pages, without the markers that some tools make for folders.

    `exactly` is another way to list them, which is slower and takes every key there can be.
    """
    from obstore.exceptions import InvalidPathError

    try:
        return _without_markers(store, _list(store, prefix))
    except InvalidPathError:
        found = (item for item in exactly(prefix) if not item["path"].endswith("/"))
        return [_info(item) for item in found]


def _list(store: ObjectStore, prefix: str) -> list[ObjectInfo]:
    top = store.list_with_delimiter(prefix or None)
    # Folder by folder, many at a time: a page of a listing says only where the next one begins.
    with ThreadPoolExecutor(LIST_WORKERS) as pool:
        below = pool.map(lambda folder: _list_below(store, folder), top["common_prefixes"])
        return [info for part in ([*map(_info, top["objects"])], *below) for info in part]


def _list_below(store: ObjectStore, prefix: str) -> list[ObjectInfo]:
    return [_info(meta) for page in store.list(prefix=prefix, chunk_size=5000) for meta in page]


def _without_markers(store: ObjectStore, found: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    """Leave out what has no bytes and is no object: the library takes the slash from the end of a marker's key."""
    empty = {info.key: info for info in found if not info.size}
    if not empty:
        return list(found)
    named = {info.key for info in found if info.size}
    folders = {info.key[:place] for info in found for place in _slashes(info.key)}
    unsure = [info for key, info in empty.items() if key not in named and key not in folders]
    with ThreadPoolExecutor(LIST_WORKERS) as pool:
        exist = pool.map(lambda info: _exists(store, info.key), unsure)
        kept = {info.key for info, is_one in zip(unsure, exist, strict=True) if is_one}
    return [info for info in found if info.size] + [empty[key] for key in sorted(kept)]


def _slashes(key: str) -> Iterator[int]:
    return (place for place, letter in enumerate(key) if letter == "/")


def _exists(store: ObjectStore, key: str) -> bool:
    try:
        store.head(key)
    except FileNotFoundError:
        return False
    except Exception as error:  # an object that may not be read hides no other: it fails when it is read
        if busy(error):
            raise
    return True


def _info(meta: Any) -> ObjectInfo:
    etag = meta["e_tag"] or f"{UNTAGGED}{meta['last_modified'].isoformat()}"
    return ObjectInfo(meta["path"], meta["size"], etag, meta["last_modified"], refusal(meta["path"]))


def in_order(found: Iterable[ObjectInfo]) -> list[ObjectInfo]:
    """Objects by key, each once."""
    return sorted({info.key: info for info in found}.values(), key=attrgetter("key"))
