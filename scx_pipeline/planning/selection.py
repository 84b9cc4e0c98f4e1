"""The objects that a load needs: their months, the months' fingerprints, and batches of objects.

Listing a bucket does not belong here.
"""

from __future__ import annotations

import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import groupby
from operator import attrgetter

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.source import Source
from scx_pipeline.planning.key_patterns import match_key
from scx_pipeline.storage.object_info import ObjectInfo, printable_key

_ORDER = attrgetter("source", "info.key")


@dataclass(frozen=True, slots=True)
class SelectedObject:
    """An object of a source, the months that its rows may belong to (None: any month), and the day that its key names."""

    source: str
    info: ObjectInfo
    months: MonthRange | None
    day: date | None = None

    def may_contain(self, month: Month) -> bool:
        """Return whether the object may contain rows of the month."""
        return self.months is None or month in self.months


@dataclass(frozen=True)
class Selection:
    """A star's objects by month.

    `ignored` objects match no pattern of a source that lists them. Sources that are not in `listed_sources` were not listed.
    Objects of `unpartitioned_sources` belong to no month and have a fingerprint of their own.
    """

    objects: tuple[SelectedObject, ...]
    ignored: tuple[tuple[str, str], ...] = ()
    listed_sources: frozenset[str] = frozenset()
    unpartitioned_sources: frozenset[str] = frozenset()

    @cached_property
    def _by_month(self) -> Mapping[Month, list[SelectedObject]]:
        by_month: dict[Month, list[SelectedObject]] = defaultdict(list)
        # Neighbors have the same months: finding the list of a month for each object would take most of the time.
        for (source, months), found in groupby(self.objects, attrgetter("source", "months")):
            if source not in self.unpartitioned_sources:
                items = list(found)
                for month in months or ():
                    by_month[month] += items
        return by_month

    @cached_property
    def _of_any_month(self) -> list[SelectedObject]:
        return [
            item
            for item in self.objects
            if item.months is None and item.source not in self.unpartitioned_sources
        ]

    @cached_property
    def _digest_of_any_month(self) -> str:
        return _digest(self._of_any_month)

    @cached_property
    def _fingerprints(self) -> dict[Month, str]:
        """The fingerprints so far, each of which takes a while for a month of many objects."""
        return {}

    @cached_property
    def unpartitioned_objects(self) -> list[SelectedObject]:
        """The objects of the unpartitioned sources, in key order per source."""
        return [item for item in self.objects if item.source in self.unpartitioned_sources]

    @cached_property
    def unpartitioned_fingerprint(self) -> str:
        """A hash over the keys, ETags and sizes of the objects of the unpartitioned sources."""
        return _digest(self.unpartitioned_objects)[:32]

    def has_objects(self, month: Month) -> bool:
        """Return whether any object may contain rows of the month."""
        return bool(self._of_any_month or self._by_month.get(month))

    def fingerprint(self, month: Month) -> str:
        """Return a hash over the keys, ETags and sizes of the month's objects: equal hashes mean nothing to do."""
        if month not in self._fingerprints:
            of_month = _digest(self._by_month.get(month, []))
            text = f"{self._digest_of_any_month}\n{of_month}"
            self._fingerprints[month] = hashlib.sha256(text.encode()).hexdigest()[:32]
        return self._fingerprints[month]

    def objects_of(self, months: MonthRange, source: str | None = None) -> list[SelectedObject]:
        """Return the objects that a load of the months reads, optionally of one source, each once and in key order."""
        chosen = {id(item): item for item in self._of_any_month}
        for month in months:
            chosen.update({id(item): item for item in self._by_month.get(month, ())})
        return sorted((item for item in chosen.values() if source in (None, item.source)), key=_ORDER)


def select_objects(sources: Sequence[Source], listing: Mapping[str, Iterable[ObjectInfo]]) -> Selection:
    """Match every listed object to its months; the first matching pattern of its source decides.

    A source does not include what is below the longer prefix of another one.

    Args:
        sources: The star's sources.
        listing: The objects by source name. Sources that it lacks are left out.
    """
    chosen: list[SelectedObject] = []
    included: set[tuple[object, str]] = set()
    unmatched: dict[tuple[object, str], str] = {}  # the first source that lists a key, by bucket and key
    for source in sources:
        location = source.location
        same_bucket = [item for item in sources if item.location == location]
        inner = tuple(item.prefix for item in same_bucket if len(item.prefix) > len(source.prefix))
        # An S3 server may list a key twice while it is being written.
        for info in {item.key: item for item in listing.get(source.name, ())}.values():
            if info.key.startswith(inner):
                continue
            match = match_key(source, info.key)
            if match is None:
                unmatched.setdefault((location, info.key), source.name)
            else:
                chosen.append(SelectedObject(source.name, info, match.months, match.day))
                included.add((location, info.key))
    unpartitioned = frozenset(source.name for source in sources if source.event_time is None)
    ignored = tuple(
        (name, printable_key(place[1])) for place, name in unmatched.items() if place not in included
    )
    return Selection(tuple(chosen), ignored, frozenset(listing), unpartitioned)


def split_batches(
    objects: Sequence[SelectedObject], max_bytes: int, max_objects: int = sys.maxsize
) -> list[list[SelectedObject]]:
    """Split into batches of at most `max_bytes` (or one larger object) and `max_objects`, keeping the order."""
    batches: list[list[SelectedObject]] = []
    available = 0
    for item in objects:
        if not batches or item.info.size > available or len(batches[-1]) == max_objects:
            batches.append([])
            available = max_bytes
        batches[-1].append(item)
        available -= item.info.size
    return batches


def _digest(objects: Iterable[SelectedObject]) -> str:
    lines = []
    for item in sorted(objects, key=_ORDER):
        info = item.info
        # A weak ETag may stay the same while the bytes change.
        time = f"\0{info.last_modified.isoformat()}" if info.etag.startswith("W/") else ""
        lines.append(f"{item.source}\0{info.key}\0{info.etag}\0{info.size}{time}\n")
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
