"""The description of an ingestion: which objects of a source are read into which staging table, and for which months.

Reading does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from scx_pipeline.history.ingest_result import ObjectCount
from scx_pipeline.model.calendar import LoadScope, MonthRange
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import SelectedObject
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.storage.object_info import ObjectInfo


@dataclass(frozen=True)
class IngestJob:
    """The ingestion of a source's objects into a staging table, which may have other sources as well."""

    bucket: Bucket
    source: Source
    table: Table
    scope: LoadScope
    # The months of the star: rows outside are rejected.
    months: MonthRange
    objects: Sequence[SelectedObject]
    # Files read at a time; 0: the staging buffer decides.
    batch_files: int = 0
    # Returns the keys and ETags of the objects of which rows were rejected when they were last read.
    objects_with_rejects: Callable[[], Collection[tuple[str, str]]] = tuple
    progress: Callable[[str], None] = lambda message: None
    # The counts of the source's other objects of the months, which are not read again.
    earlier: Sequence[ObjectCount] = ()

    def uri(self, item: ObjectInfo) -> str:
        """Return the object's full address."""
        return self.bucket.uri(item.key)
