"""Patterns of object keys, and the months that a key names.

Listing objects does not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import takewhile
from typing import NamedTuple

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.source import FilePattern, Source

_FIELDS = {"year": r"[1-9]\d{3}", "month": r"(?:0[1-9]|1[0-2])", "day": r"(?:0[1-9]|[12]\d|3[01])"}
# Files next to the data that tools create: checksums, and files whose upload is not complete.
_SIDECARS = (
    ".md5", ".sha1", ".sha256", ".sha512", ".crc", ".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~",
    "_$folder$",
)  # fmt: skip
# At the start of a name.
_NOT_HIDDEN = "(?![._])"
_WILDCARDS = {
    "**/": f"(?:{_NOT_HIDDEN}[^/]*/)*",
    "**": f"[^/]*(?:/{_NOT_HIDDEN}[^/]*)*",
    "*": "[^/]*",
}
_TOKEN = re.compile(r"\{(year|month|day)\}|\*\*/|\*\*|\*|[^*{]+|\{")


@dataclass(frozen=True)
class KeyMatch:
    """The months that a matching key names, and the day; None if it names none, so its rows may belong to any month.

    Keys that name the same months share one range, so that comparing them takes no time.
    """

    months: MonthRange | None
    day: date | None = None


class ListedFolder(NamedTuple):
    """A folder whose files are listed; if it is recursive, with those of all folders in it."""

    folder: str
    is_recursive: bool


def listed_folders(source: Source) -> list[ListedFolder]:
    """Return the folders to list for a source's objects.

    Below its prefix, everything is listed, so that objects which no pattern matches are reported. The bucket's root is not
    the source's: only the folders that its patterns spell out are listed.
    """
    if source.prefix:
        return [ListedFolder(source.prefix, True)]
    found = [_listed_folder(item.pattern) for item in source.files]
    recursive = tuple({item.folder for item in found if item.is_recursive})
    files = {item for item in found if not item.is_recursive and not item.folder.startswith(recursive)}
    return [*files, *(ListedFolder(folder, True) for folder in recursive)]


def _listed_folder(pattern: str) -> ListedFolder:
    *folders, name = pattern.split("/")
    literal = [*takewhile(lambda part: not set("*{").intersection(part), folders)]
    folder = "".join(f"{part}/" for part in literal)
    return ListedFolder(folder, len(literal) < len(folders) or "**" in name)


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a key pattern. Raises ValueError for unknown or incomplete fields.

    A field that occurs twice must have the same value twice. As in a shell, no wildcard matches a `.` at the start of a
    name; nor a `_`, as in Spark, Hive and Redshift.
    """
    fields = {match[1] for match in _TOKEN.finditer(pattern) if match[1]}
    unknown = re.search(r"\{(\w*)\}?", _TOKEN.sub(lambda match: "" if match[1] else match[0], pattern))
    if unknown:
        raise ValueError(
            f"the pattern {pattern!r} has {unknown[0]}: the fields are {{year}}, {{month}} and {{day}}"
        )
    if fields and not {"year", "month"} <= fields:
        raise ValueError(f"the pattern {pattern!r} must name both {{year}} and {{month}}, or neither")
    return _compile_part(pattern)


@cache
def _compile_part(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a part of a pattern, which may have a year without its month."""
    seen: set[str] = set()
    parts, previous = [], "/"
    for match in _TOKEN.finditer(pattern):
        text, name = match[0], match[1]
        if name:
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_FIELDS[name]})")
            seen.add(name)
        elif "*" in text:
            parts.append((_NOT_HIDDEN if previous.endswith("/") and text != "**/" else "") + _WILDCARDS[text])
        else:
            parts.append(re.escape(text))
        previous = text
    return re.compile("".join(parts), re.DOTALL)


def match_key(source: Source, key: str) -> KeyMatch | None:
    """Match an object's key, or that of a folder that cannot be opened; None if the source does not include it."""
    if not key.startswith(source.prefix):
        return None
    if key.endswith("/"):
        return _match_folder(source, key)
    match = _match_file(source, key)
    if match is None:
        return None
    try:
        return _match_fields(*match)
    except (ValueError, OverflowError):
        # No calendar has that day.
        return None


def month_of(source: Source, key: str) -> Month | None:
    """Return the month that the key of a selected object names, if it names one."""
    _, fields = _match_file(source, key) or (None, {})
    return Month(int(fields["year"]), int(fields["month"])) if "month" in fields else None


def _match_file(source: Source, key: str) -> tuple[FilePattern, dict[str, str]] | None:
    """Return the first of the source's patterns that matches a key, and the values of its fields."""
    below = key.removeprefix(source.prefix)
    for declared in source.files:
        match = compile_pattern(declared.pattern).fullmatch(below)
        if match and not _is_sidecar(declared.pattern, below):
            return declared, match.groupdict()
    return None


def _is_sidecar(pattern: str, key: str) -> bool:
    """Return whether a key has the suffix of a file next to the data, and the pattern does not ask for it."""
    key = key.lower()
    if not key.endswith(_SIDECARS):
        return False
    suffix = next(item for item in _SIDECARS if key.endswith(item))
    return not pattern.lower().endswith(suffix)


def _match_folder(source: Source, folder: str) -> KeyMatch | None:
    """Return the months of what may be in a folder; None if no pattern matches anything in it."""
    parts = folder.removeprefix(source.prefix).strip("/").split("/")
    for declared in source.files:
        wanted = declared.pattern.split("/")
        deep = next((position for position, part in enumerate(wanted) if "**" in part), len(wanted))
        if deep == len(wanted) and len(parts) >= len(wanted):
            continue
        level = min(deep, len(parts))
        match = _compile_part("/".join(wanted[:level])).fullmatch("/".join(parts[:level]))
        if match:
            return _match_fields(declared, match.groupdict())
    return None


def _match_fields(declared: FilePattern, fields: Mapping[str, str]) -> KeyMatch:
    """Return the match of a key with these fields."""
    days = declared.allowed_lateness_days, declared.allowed_earliness_days
    return _match_dates(*days, fields.get("year"), fields.get("month"), fields.get("day"))


@cache
def _match_dates(
    lateness_days: int, earliness_days: int, year: str | None, month_of_year: str | None, day: str | None
) -> KeyMatch:
    if year is None or month_of_year is None:
        return KeyMatch(None)
    month = Month(int(year), int(month_of_year))
    start, end = month.start, month.end
    if day is not None:
        start = month.start.replace(day=int(day))
        end = start + timedelta(days=1)
    after = timedelta(days=earliness_days, microseconds=-1)
    months = _shared_range(Month.of(start - timedelta(days=lateness_days)), Month.of(end + after))
    return KeyMatch(months, start.date() if day is not None else None)


@cache
def _shared_range(first: Month, last: Month) -> MonthRange:
    return MonthRange(first, last)
