"""A load from the lake: a warehouse's tables filled from the files that the newest manifest lists, instead of from objects.
What a load checks and remembers is in `engine`; how an engine takes files in, in `warehouse`; how they lie, in `layout`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import LakeError, PipelineError
from scx_pipeline.history import load_history
from scx_pipeline.history.check_result import CheckResult
from scx_pipeline.history.ingest_result import IngestResult, ObjectCount, Rejected
from scx_pipeline.lake.format.data_files import GoneError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import months_in
from scx_pipeline.lake.format.manifest import Manifest
from scx_pipeline.lake.load.lake_source import NEVER, LakeSource
from scx_pipeline.lake.load.load_plan import WHOLE, check_made, check_unpartitioned, lake_of, state_of
from scx_pipeline.loading.checks import check_ingest_result
from scx_pipeline.loading.load_report import LoadReport, Progress
from scx_pipeline.loading.load_run import LoadRun, RefreshRun
from scx_pipeline.loading.loader import Loader
from scx_pipeline.loading.target import LoadTarget
from scx_pipeline.model.calendar import UNPARTITIONED, Month, MonthRange
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import MonthState, SelectedObject, Selection, select_objects
from scx_pipeline.storage.bucket import ObjectInfo
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.warehouse import Warehouse


class LakeLoader(Loader):
    """Loads spans of one star from the lake of a URL into one warehouse, with the gates and history of any other load.

    The tables with months come out of the lake's files, those kept by key by way of their month rows. Of the tables without
    months, the staging tables do; what is made from them is made anew in the warehouse, as only rows that differ are written
    then, and `songs` has a folder for every artist.
    """

    def __init__(
        self,
        compiled: CompiledStar,
        url: str,
        warehouse: Warehouse,
        progress: Progress = lambda message: None,
    ) -> None:
        self.compiled, self.url, self.warehouse, self.progress = compiled, url, warehouse, progress

    def load(
        self, scope: MonthRange, tables: Collection[str] | None = None, run_id: str | None = None
    ) -> LoadReport:
        """See `Loader.load`; raises PipelineError for some of the tables only, as all of a month must be of one make."""
        known = {table.name for table in self.compiled.star.monthly}
        if tables and not known.issubset(tables):
            raise PipelineError(
                f"a load from the lake makes all of the tables of {self.compiled.star.name} that have months: choose all of them"
            )
        return super().load(scope, tables, run_id)

    def publish(self, work: Callable[[LoadTarget], LoadReport]) -> LoadReport:
        """See `Loader.publish`. Where another run has replaced files since the manifest was read, it is begun anew, once."""
        try:
            return self._publish(work)
        except GoneError as error:
            self.progress(f"{error}; beginning anew")
            return self._publish(work)

    def _publish(self, work: Callable[[LoadTarget], LoadReport]) -> LoadReport:
        star = self.compiled.star

        def attempt(session: Session) -> LoadReport:
            # Read when it is this load's turn, as a bucket is listed.
            return work(LakeSource(self.compiled, session, *lake_of(star, self.url)))

        return self.warehouse.run(star.name, attempt)

    def _load_run(
        self, target: LoadTarget, scope: MonthRange, names: set[str], run_id: str | None
    ) -> LoadRun:
        return _MonthsFromLake(self, target, scope, names, run_id)

    def _refresh_run(self, target: LoadTarget, names: set[str], run_id: str | None) -> RefreshRun:
        return _UnpartitionedFromLake(self, target, UNPARTITIONED, names, run_id)


class _FromLake(LoadRun):
    """A load from the lake while it runs: objects are accounted for as the lake does, staging rows are its files'."""

    target: LakeSource

    def _list(self, staging: Sequence[Table]) -> Selection:
        manifest, place = self.target.manifest, self.target.place
        self._check_made(place, manifest)
        self.report.origin = {"rows_from": place.url, "manifest": manifest.number, "lake_run": manifest.run}
        self.loader.progress(f"from {place.url}, manifest {manifest.number}")
        return self._accounted([table.source or "" for table in staging], manifest)

    def _check_made(self, place: LakeStore, manifest: Manifest) -> None:
        """Raise LakeError for what cannot be loaded."""
        raise NotImplementedError

    def _accounted(self, sources: Sequence[str], manifest: Manifest) -> LakeSelection:
        """The objects that the lake's rows are from, by the months they may hold, with what became of each one's rows."""
        counts = ("rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered")
        rows = self.target.account(
            load_history.OBJECTS, ("object_key", "etag", "size_bytes", *counts), sources
        )
        listing: dict[str, list[ObjectInfo]] = {name: [] for name in sources}
        self.counts: dict[tuple[str, str], Sequence[int]] = {}
        for source, key, etag, size, *found in rows:
            listing[str(source)].append(ObjectInfo(str(key), int(str(size)), str(etag), NEVER))
            self.counts[str(source), str(key)] = [int(str(count)) for count in found]
        chosen = select_objects(self.star.sources, listing)
        states: dict[Month | None, MonthState] = dict(manifest.states.items())
        if manifest.unpartitioned:
            states[None] = manifest.unpartitioned.state
        return LakeSelection(chosen.objects, (), chosen.listed, chosen.unpartitioned, states)

    def _stage(self, staging: Sequence[Table], selection: Selection | None) -> None:
        assert selection is not None
        for table in staging:
            source, objects = self._objects_of(table, selection)
            ingest_result = self._ingested(table, source, objects)
            self._note(table, ingest_result, _as_was_checked(check_ingest_result(source, ingest_result)))
        self.target.begin()
        for table in staging:
            self._take(table)

    def _ingested(self, table: Table, source: Source, objects: Sequence[SelectedObject]) -> IngestResult:
        """What became of the objects' rows when the lake was built."""
        counts = [ObjectCount(item, *self.counts[item.source, item.info.key]) for item in objects]
        keys = {count.object.info.key for count in counts if count.rejected}
        rejected = []
        if keys:
            columns = ("object_key", "line", "column_name", "reason", "raw")
            for _, key, line, column, reason, raw in self.target.account(
                load_history.REJECTED, columns, [source.name]
            ):
                if key in keys:
                    rejected.append(Rejected(key, line, column, reason, raw))  # type: ignore[arg-type]
        return IngestResult(table, counts, rejected)

    def _take(self, table: Table) -> None:
        begun = time.monotonic()
        self.target.take(table, self.scope)
        self._table_done(table, begun)

    def _loaded(self, table: Table) -> int | None:
        """As many as the files have: what became of an object's rows is known of the months that it was read for last."""
        return sum(self._rows_in_lake(table).values()) if table.role == "staging" else None

    def _rows_in_lake(self, table: Table) -> Mapping[Month | None, int]:
        """How many rows the lake has of the table, by month where it has months."""
        rows: dict[Month | None, int] = dict.fromkeys(self.scope or [None], 0)
        for item in self.target.manifest.of(months_in(table), self.scope or None):
            rows[item.month] += item.rows
        return rows

    def _check(self) -> None:
        super()._check()
        for name, made in self.report.tables.items():
            wanted = self._rows_in_lake(self.star.table(name))
            for month, count in made.rows.items():
                if count != wanted[month]:
                    what = f"{month} of {name}" if month else name
                    raise LakeError(
                        f"{self.target.place.url}: {what} has {wanted[month]:,} rows by the manifest, but {count:,} stand in the "
                        f"warehouse; nothing was changed: see `scx lake verify {self.star.name}`"
                    )


class _MonthsFromLake(_FromLake):
    """A load of months."""

    def _check_made(self, place: LakeStore, manifest: Manifest) -> None:
        assert self.scope is not UNPARTITIONED
        check_made(self.compiled, place, manifest, self.scope.months)
        standing = (
            load_history.read_unpartitioned(self.target.session, self.star.name)
            if self.star.unpartitioned
            else None
        )
        if self.compiled.reading_unpartitioned() and standing != state_of(manifest.unpartitioned):
            raise LakeError(
                f"{WHOLE} of {self.star.name} do not stand as those that the lake's months were made with: "
                f"load them from the lake first, as `scx load {self.star.name} --from lake` does"
            )

    def _derive(self, table: Table) -> None:
        self._take(table)

    def _record_stale(self) -> None:
        """What is stale in the lake is so here; the others are right."""
        assert self.scope is not UNPARTITIONED
        self.target.forget_stale(self.scope)
        standing = self.target.manifest.stale.items()
        self.report.stale = {month: why for month, (why, _) in sorted(standing) if month in self.scope}
        load_history.add_stale(self.target.session, self.star.name, self.report.load_id, self.report.stale)


class _UnpartitionedFromLake(_FromLake, RefreshRun):
    """A load of the tables without months; months that stand are compared with them, and mended, as by any other."""

    def _check_made(self, place: LakeStore, manifest: Manifest) -> None:
        check_unpartitioned(self.compiled, place, manifest)


@dataclass(frozen=True)
class LakeSelection(Selection):
    """The objects that a lake was made from, and of months and the rest the fingerprints that it was made by.

    These need not be those of the objects: one that changed may have been read again for some of its months only.
    """

    states: Mapping[Month | None, MonthState] = field(default_factory=dict)

    @property
    def unpartitioned_fingerprint(self) -> str:
        return self.states[None].fingerprint

    def fingerprint(self, month: Month) -> str:
        return self.states[month].fingerprint


def _as_was_checked(results: Sequence[CheckResult]) -> list[CheckResult]:
    """The results, but for what only who reads the objects can tell."""
    told = "not looked at: the rows are the lake's, and its build has looked"
    return [
        replace(item, passed=True, message=told) if item.name == "declared_fields" else item
        for item in results
    ]
