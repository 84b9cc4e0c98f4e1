"""The load source of objects: lists the objects of a bucket, and reads their rows into a target's staging tables.

Reading a single object does not belong here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from scx_pipeline.errors import PipelineError
from scx_pipeline.history.ingest_result import ObjectCount
from scx_pipeline.loading.changes import list_selection
from scx_pipeline.loading.ingest.ingest_job import IngestJob
from scx_pipeline.loading.load_plan import LoadPlan
from scx_pipeline.loading.load_report import Progress
from scx_pipeline.loading.sources.load_source import LoadSource, StagedTable
from scx_pipeline.loading.targets.target import LoadTarget
from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.model.source import Source
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import Selection
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.storage.source_bucket import bucket_of


@dataclass(frozen=True)
class ObjectSource(LoadSource):
    """The objects of a star in a bucket."""

    star: Star
    bucket: Bucket
    target: LoadTarget
    progress: Progress

    def select(self, scope: LoadScope, tables: Sequence[Table]) -> Selection:
        selection = list_selection(self.star, self.bucket, tables)
        for table in tables:
            self._check_overlaps(table, selection)
        return selection

    def _check_overlaps(self, table: Table, selection: Selection) -> None:
        """Raise PipelineError for an object that two sources of a table include: its rows would be loaded twice."""
        sources = {source.name: source for source in self.star.sources_of(table)}
        if len(sources) == 1:
            return
        included: dict[str, str] = {}
        for item in (item for item in selection.objects if item.source in sources):
            address = _address(bucket_of(self.bucket, sources[item.source]), item.info.key)
            other = included.setdefault(address, item.source)
            if other != item.source:
                first, second = sorted((other, item.source))
                raise PipelineError(
                    f"{item.info.key} is included by {first} and by {second}, which both feed {table.name}: "
                    "narrow the file patterns of one of them"
                )

    @contextmanager
    def stage(self, plan: LoadPlan, table: Table) -> Iterator[StagedTable]:
        sources, target = self.star.sources_of(table), self.target
        jobs = [
            IngestJob(
                bucket_of(self.bucket, source), source, table, plan.scope, self.star.months(), plan.objects_of([source.name]),
                target.batch_files, partial(target.read_objects_with_rejects, source), self.progress,
                _earlier_counts(plan, source),
            )
            for source in sources
        ]  # fmt: skip
        with target.stage(sources, table, plan.scope) as partition:
            result = partition.ingest(jobs)
            yield StagedTable(result, partition, result.total("loaded"))


def _earlier_counts(plan: LoadPlan, source: Source) -> list[ObjectCount]:
    """Return the recorded counts of the source's objects that a load of additions does not read again."""
    unchanged = plan.additions.unchanged if plan.additions else ()
    return [
        ObjectCount(item, read=recorded.rows_read, rejected=recorded.rows_rejected)
        for item, recorded in unchanged
        if item.source == source.name
    ]


def _address(bucket: Bucket, key: str) -> str:
    """Return an object's address, by whatever way its source's bucket leads there."""
    return os.path.realpath(bucket.folder / key) if bucket.folder else f"{bucket.url.rstrip('/')}/{key}"
