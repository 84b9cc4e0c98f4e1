"""The objects that were added to months since they were loaded, if nothing else of these months has changed.

Reading the load history does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.planning.changed_months import MonthState
from scx_pipeline.planning.selection import SelectedObject, Selection

# Above this share of the bytes that were loaded before, reading everything is as fast; and above this size, reading everything
# takes less memory.
MAX_SHARE, MAX_BYTES = 0.5, 256 << 20


class RecordedObject(NamedTuple):
    """An object as the load history records it: a tuple, as there may be tens of thousands."""

    etag: str
    size: int  # bytes
    rows_read: int
    rows_rejected: int


@dataclass(frozen=True)
class AddedObjects:
    """The objects that were added to months, and those that these months were built from, with what is recorded of them."""

    added: Sequence[SelectedObject]
    unchanged: Sequence[tuple[SelectedObject, RecordedObject]]


def find_added_objects(
    selection: Selection,
    scope: MonthRange,
    loaded: Mapping[Month, MonthState],
    code_version: str,
    recorded: Mapping[tuple[str, str], RecordedObject],
) -> AddedObjects | None:
    """Return the objects that were added to the months of a scope; None if all of their objects must be read.

    Args:
        selection: The current objects.
        scope: The months to load.
        loaded: What the loaded months were built from.
        code_version: The current version of the tables that are loaded by month.
        recorded: The recorded objects by source and key.
    """
    added: list[SelectedObject] = []
    unchanged: list[tuple[SelectedObject, RecordedObject]] = []
    for item in selection.objects_of(scope):
        info, record = item.info, recorded.get((item.source, item.info.key))
        if record is None:
            added.append(item)
        elif (record.etag, record.size) == (info.etag, info.size):
            unchanged.append((item, record))
        else:
            return None
    size = sum(item.info.size for item in added)
    if not added or size > min(MAX_BYTES, MAX_SHARE * sum(record.size for _, record in unchanged)):
        return None
    # An object may have been read again for some of its months only: its fingerprint shows whether a month was built from it.
    objects = tuple(item for item, _ in unchanged)
    before = Selection(objects, unpartitioned_sources=selection.unpartitioned_sources)
    if all(loaded.get(month) == MonthState(before.fingerprint(month), code_version) for month in scope):
        return AddedObjects(added, unchanged)
    return None
