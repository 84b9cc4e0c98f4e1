"""Which objects a month needs, what the months' fingerprints are, and which months changed: pure functions.
Listing objects and remembering what was loaded happen elsewhere."""

from __future__ import annotations

import hashlib
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property
from operator import attrgetter

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.storage.listing import ObjectInfo, shown

_FIELDS = {"year": r"[1-9]\d{3}", "month": r"(?:0[1-9]|1[0-2])", "day": r"(?:0[1-9]|[12]\d|3[01])"}
# Files beside the data that tools make: checksums, and what is not written to its end.
_SIDECAR = re.compile(
    r"(?:\.(?:md5|sha1|sha256|sha512|crc|tmp|part|partial|filepart|crdownload|swp)|~|_\$folder\$)$",
    re.IGNORECASE,
)
_SHOWN = "(?![._])"  # at the beginning of a name
_WILDCARDS = {
    "**/": f"(?:{_SHOWN}[^/]*/)*",
    "**": f"[^/]*(?:/{_SHOWN}[^/]*)*",
    "*": "[^/]*",
}
_TOKEN = re.compile(r"\{(year|month|day)\}|\*\*/|\*\*|\*|[^*{]+|\{")


@dataclass(frozen=True, slots=True)
class SelectedObject:
    """An object of a source, and the months its rows may belong to (None: the key names no month, so any)."""

    source: str
    info: ObjectInfo
    months: MonthRange | None

    def may_hold(self, month: Month) -> bool:
        """Whether a row of that month may be in it."""
        return self.months is None or month in self.months


@dataclass(frozen=True)
class Selection:
    """A star's objects, by the months they may hold; `ignored` match none of their source's patterns.

    Objects of the sources `whole` belong to no month: they have a fingerprint of their own.
    """

    objects: tuple[SelectedObject, ...]
    ignored: tuple[tuple[str, str], ...] = ()
    listed: frozenset[str] = frozenset()  # the sources that were looked at
    unpartitioned: frozenset[str] = frozenset()

    @cached_property
    def _by_month(self) -> Mapping[Month, list[SelectedObject]]:
        by_month: dict[Month, list[SelectedObject]] = defaultdict(list)
        for item in self.objects:
            for month in item.months or () if item.source not in self.unpartitioned else ():
                by_month[month].append(item)
        return by_month

    @cached_property
    def _unpartitioned(self) -> list[SelectedObject]:
        return [
            item for item in self.objects if item.months is None and item.source not in self.unpartitioned
        ]

    @cached_property
    def _unpartitioned_digest(self) -> str:
        return _digest(self._unpartitioned)

    @cached_property
    def unpartitioned_objects(self) -> list[SelectedObject]:
        """The objects of the sources without months, in key order of each."""
        return [item for item in self.objects if item.source in self.unpartitioned]

    @cached_property
    def unpartitioned_fingerprint(self) -> str:
        """A hash over the keys, ETags and sizes of the objects without months."""
        return _digest(self.unpartitioned_objects)[:32]

    def has_objects(self, month: Month) -> bool:
        """Whether any object may hold rows of the month."""
        return bool(self._unpartitioned or self._by_month.get(month))

    def fingerprint(self, month: Month) -> str:
        """A hash over the keys, ETags and sizes of the month's objects: equal means nothing to do."""
        own = _digest(self._by_month.get(month, []))
        return hashlib.sha256(f"{self._unpartitioned_digest}\n{own}".encode()).hexdigest()[:32]

    def of(self, scope: MonthRange, source: str | None = None) -> list[SelectedObject]:
        """The objects that a load of the span reads, each once, in key order."""
        chosen = {(item.source, item.info.key): item for item in self._unpartitioned}
        for month in scope:
            chosen.update({(item.source, item.info.key): item for item in self._by_month.get(month, ())})
        return [chosen[key] for key in sorted(chosen) if source in (None, key[0])]


@dataclass(frozen=True)
class MonthState:
    """What the load history says of a month, or of the tables without months: what its rows were made from."""

    fingerprint: str
    code_version: str


@dataclass(frozen=True)
class ChangedMonth:
    """A month that a load is due for, and why."""

    month: Month
    reason: str


def select_objects(sources: Sequence[Source], listing: Mapping[str, Iterable[ObjectInfo]]) -> Selection:
    """Match every listed object (by source name) to its months; the first matching pattern of the source decides.

    Sources that the listing does not have are left out.
    """
    chosen: list[SelectedObject] = []
    ignored: list[tuple[str, str]] = []
    for source in sources:
        if source.name not in listing:
            continue
        for info in listing[source.name]:
            months = (
                _months_below(source, info.key) if info.key.endswith("/") else _months_of(source, info.key)
            )
            if months is _NO_MATCH:
                ignored.append((source.name, shown(info.key)))
            else:
                assert months is None or isinstance(months, MonthRange)
                chosen.append(SelectedObject(source.name, info, months))
    unpartitioned = frozenset(source.name for source in sources if source.event_time is None)
    return Selection(tuple(chosen), tuple(ignored), frozenset(listing), unpartitioned)


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression of a key pattern; a field that is named twice must have the same value twice.

    As in a shell, no wildcard matches a `.` at the beginning of a name; nor a `_`, as in Spark, Hive and Redshift.
    """
    fields = {match[1] for match in _TOKEN.finditer(pattern) if match[1]}
    unknown = re.search(r"\{(\w*)\}?", _TOKEN.sub(lambda match: "" if match[1] else match[0], pattern))
    if unknown:
        raise ValueError(
            f"the pattern {pattern!r} has {unknown[0]}: the fields are {{year}}, {{month}} and {{day}}"
        )
    if fields and not {"year", "month"} <= fields:
        raise ValueError(f"the pattern {pattern!r} must name both {{year}} and {{month}}, or neither")
    return _expression(pattern)


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """The same of a part of a pattern, which may have a year without its month."""
    seen: set[str] = set()
    parts, before = [], "/"
    for match in _TOKEN.finditer(pattern):
        text, name = match[0], match[1]
        if name:
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_FIELDS[name]})")
            seen.add(name)
        elif "*" in text:
            parts.append((_SHOWN if before.endswith("/") and text != "**/" else "") + _WILDCARDS[text])
        else:
            parts.append(re.escape(text))
        before = text
    return re.compile("".join(parts), re.DOTALL)


def changed_months(
    selection: Selection,
    months: MonthRange,
    history: Mapping[Month, MonthState],
    code_version: str,
    stale: Mapping[Month, str] = {},
) -> list[ChangedMonth]:
    """The months whose tables a build from nothing would make differently, in order, each with the reason.

    `stale` are those that stand, and whose rows other tables' changes have made wrong: month → reason.
    """
    found = []
    for month in months:
        reason = _change(selection, month, history.get(month), code_version) or stale.get(month)
        if reason:
            found.append(ChangedMonth(month, reason))
    return found


def rebuilt_months(
    selection: Selection, months: MonthRange, loaded: Iterable[Month], reason: str
) -> list[ChangedMonth]:
    """The months of a rebuild: one span, from the first to the last that has objects or was loaded."""
    wanted = [month for month in months if selection.has_objects(month) or month in loaded] or [months.first]
    return [ChangedMonth(month, reason) for month in MonthRange(wanted[0], wanted[-1])]


def unpartitioned_change(selection: Selection, state: MonthState | None, code_version: str) -> str | None:
    """Why the tables without months must be made anew; None where they need not."""
    if not selection.unpartitioned:
        return None
    if state is None:
        return "not loaded yet" if selection.unpartitioned_objects else None
    if state.fingerprint != selection.unpartitioned_fingerprint:
        return "objects changed" if selection.unpartitioned_objects else "its objects are gone"
    return "the star's tables or SQL changed" if state.code_version != code_version else None


def split_batches(
    objects: Sequence[SelectedObject], max_bytes: int, max_objects: int = sys.maxsize
) -> list[list[SelectedObject]]:
    """Cut into batches of at most `max_bytes` (or a single larger object) and `max_objects`, keeping the order."""
    batches: list[list[SelectedObject]] = []
    room = 0
    for item in objects:
        if not batches or item.info.size > room or len(batches[-1]) == max_objects:
            batches.append([])
            room = max_bytes
        batches[-1].append(item)
        room -= item.info.size
    return batches


_NO_MATCH = object()


def _named(source: Source, key: str) -> tuple[FilePattern, dict[str, str]] | None:
    """The first of the source's patterns that matches a key, and what the key names by it."""
    below = key.removeprefix(source.prefix)
    for declared in source.files:
        match = compile_pattern(declared.pattern).fullmatch(below)
        if match and not _is_sidecar(declared.pattern, below):
            return declared, match.groupdict()
    return None


def _months_of(source: Source, key: str) -> object:
    found = _named(source, key)
    try:
        if not found:
            return _NO_MATCH
        declared, named = found
        return _named_months(declared, *(named.get(field) for field in _FIELDS))
    except (ValueError, OverflowError):  # no calendar has that day
        return _NO_MATCH


def _is_sidecar(pattern: str, key: str) -> bool:
    """Whether a key's ending is that of a file beside the data, and the pattern does not ask for it."""
    ending = _SIDECAR.search(key)
    return ending is not None and not pattern.lower().endswith(ending[0].lower())


def _months_below(source: Source, folder: str) -> object:
    """The months of what may be in a folder that cannot be opened; _NO_MATCH where no pattern matches anything in it."""
    parts = folder.removeprefix(source.prefix).strip("/").split("/")
    for declared in source.files:
        wanted = declared.pattern.split("/")
        deep = next((place for place, part in enumerate(wanted) if "**" in part), len(wanted))
        if deep == len(wanted) and len(parts) >= len(wanted):
            continue
        level = min(deep, len(parts))
        match = _expression("/".join(wanted[:level])).fullmatch("/".join(parts[:level]))
        if match:
            named = match.groupdict()
            return _named_months(declared, *(named.get(field) for field in _FIELDS))
    return _NO_MATCH


def day_of(source: Source, key: str) -> date | None:
    """The day that the key of a selected object names, if it names one."""
    _, named = _named(source, key) or (None, {})
    return date(int(named["year"]), int(named["month"]), int(named["day"])) if "day" in named else None


@cache
def _named_months(
    declared: FilePattern, year: str | None, month_of_year: str | None, day: str | None
) -> MonthRange | None:
    if year is None or month_of_year is None:
        return None
    month = Month(int(year), int(month_of_year))
    first, last = month.start, month.end
    if day is not None:
        first = month.start.replace(day=int(day))
        last = first + timedelta(days=1)
    before, after = (
        timedelta(days=declared.allowed_lateness_days),
        timedelta(days=declared.allowed_earliness_days, microseconds=-1),
    )
    return MonthRange(Month.of(first - before), Month.of(last + after))


def _digest(objects: Iterable[SelectedObject]) -> str:
    digest = hashlib.sha256()
    for item in sorted(objects, key=attrgetter("source", "info.key")):
        # A weak ETag may stay as it is while the bytes change.
        time = f"\0{item.info.last_modified.isoformat()}" if item.info.etag.startswith("W/") else ""
        facts = f"{item.source}\0{item.info.key}\0{item.info.etag}\0{item.info.size}{time}\n"
        digest.update(facts.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _change(selection: Selection, month: Month, state: MonthState | None, code_version: str) -> str | None:
    if state is None:
        return "not loaded yet" if selection.has_objects(month) else None
    if state.fingerprint != selection.fingerprint(month):
        return "objects changed" if selection.has_objects(month) else "its objects are gone"
    return "the star's tables or SQL changed" if state.code_version != code_version else None
