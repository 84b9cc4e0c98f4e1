"""One load of a scope: list, stage, transform, check, record.

Opening and committing the transaction belong to the loader.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import CheckFailedError, PipelineError
from scx_pipeline.history.check_result import CheckResult, Rows
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading import publish
from scx_pipeline.loading.changes import list_selection
from scx_pipeline.loading.checks import PartitionChecks, check_ingest_result
from scx_pipeline.loading.ingest import IngestJob
from scx_pipeline.loading.load_report import LoadReport, TableReport
from scx_pipeline.loading.target import LoadTarget, StagingTarget
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange, contiguous_ranges
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import (
    SelectedObject,
    Selection,
)

if TYPE_CHECKING:
    from scx_pipeline.loading.loader import Loader


class LoadRun:
    """One load while it runs. Where its rows come from something else than objects, `_list`, `_stage` and `_derive` do it."""

    def __init__(
        self, loader: Loader, target: LoadTarget, scope: LoadScope, names: set[str], run_id: str | None
    ) -> None:
        self.loader, self.target, self.scope, self.names = loader, target, scope, names
        self.star = loader.compiled.star
        self.started = time.monotonic()
        self.report = LoadReport(self.star.name, scope, target.new_load_id(), run_id)
        self.ingest_result: dict[str, IngestResult] = {}
        self.stages: dict[str, StagingTarget] = {}
        self.seconds: dict[str, float] = {}

    @property
    def compiled(self) -> CompiledStar:
        """The star, as its tables are named for now where they are made."""
        return self.target.compiled

    def execute(self) -> LoadReport:
        staging = [table for table in self.star.staging if table.name in self.names]
        # Listed when it is this load's turn, so that one that waited does not publish an older state than the one before it.
        selection = self._list(staging) if staging else None
        if selection is None:
            self._check_standing()
        else:
            self._describe(selection)
        self.target.prepare(self.scope, self.names)
        self._stage(staging, selection)
        for table in self.compiled.order:
            if table.name in self.names:
                self._derive(table)
        self._check()
        self._record(selection)
        self._record_stale()
        self.target.swap()
        self.report.seconds = time.monotonic() - self.started
        return self.report

    def _list(self, staging: Sequence[Table]) -> Selection:
        return list_selection(self.star, self.loader.bucket, staging)

    def _stage(self, staging: Sequence[Table], selection: Selection | None) -> None:
        """Have the staging tables' slices stand; from there on all is part of the load."""
        with ExitStack() as stack:
            for table in staging:
                self._ingest(stack, table, selection)
            self.target.begin()
            for table in staging:
                self._finish(table)

    def _record_stale(self) -> None:
        """The span's months are right, if all that could be stale was made."""
        if self.scope is not UNPARTITIONED and self.names.issuperset(
            table.name for table in self.compiled.reading_unpartitioned()
        ):
            self.target.forget_stale(self.scope)

    def _describe(self, selection: Selection) -> None:
        if self.scope is UNPARTITIONED:
            objects = [item.info for item in selection.unpartitioned_objects]
            self.report.fingerprints = {None: selection.unpartitioned_fingerprint}
            self.report.objects_by_month = {None: (len(objects), sum(item.size for item in objects))}
            return
        of_month = {
            month: [item.info for item in selection.of(MonthRange(month, month))] for month in self.scope
        }
        self.report.fingerprints = {month: selection.fingerprint(month) for month in self.scope}
        self.report.objects_by_month = {
            month: (len(items), sum(item.size for item in items)) for month, items in of_month.items()
        }

    def _check_standing(self) -> None:
        assert self.scope is not UNPARTITIONED
        standing = self.target.months()
        missing = [month for month in self.scope if month not in standing]
        if missing:
            raise PipelineError(
                f"{missing[0]} of {self.star.name} was never loaded, so {', '.join(sorted(self.names))} cannot be made from it: "
                "load the whole star for that month first"
            )
        read = {
            name
            for table in self.compiled.order
            if table.name in self.names
            for name in self.compiled.reads(table)
        }
        purged = self.target.purged([table.name for table in self.star.staging if table.name in read])
        gone = [month for month in self.scope if month in purged]
        if gone:
            raise PipelineError(
                f"the staging rows of {gone[0]} of {self.star.name} are not kept any more (SCX_KEEP_STAGING_MONTHS), so "
                f"{', '.join(sorted(self.names))} cannot be made from them: load the whole star for that month instead"
            )

    def _ingest(self, stack: ExitStack, table: Table, selection: Selection | None) -> None:
        assert selection is not None
        source, objects = self._objects_of(table, selection)
        begun = time.monotonic()
        stage = self.stages[table.name] = stack.enter_context(self.target.stage(source, table, self.scope))
        job = IngestJob(
            self.loader.bucket, source, table, self.scope, self.star.months(), self.target.batch_files,
            lambda: self.target.rejecting(source), progress=self.loader.progress,
        )  # fmt: skip
        ingest_result = stage.ingest(job, objects)
        self.seconds[table.name] = time.monotonic() - begun
        self._note(table, ingest_result, check_ingest_result(source, ingest_result))

    def _objects_of(self, table: Table, selection: Selection) -> tuple[Source, list[SelectedObject]]:
        """A staging table's source, and the objects of it that the load reads."""
        source = self.star.source(table.source or "")
        objects = selection.unpartitioned_objects if self.scope is UNPARTITIONED else selection.of(self.scope)
        found = [item for item in objects if item.source == source.name]
        size = sum(item.info.size for item in found)
        self.loader.progress(f"{table.name}: {len(found):,} objects, {size / 1e6:,.1f} MB")
        return source, found

    def _note(self, table: Table, ingest_result: IngestResult, checks: Sequence[CheckResult]) -> None:
        """Count a staging table's objects in, and go no further where a check of them has failed."""
        self.ingest_result[table.name] = ingest_result
        self._count(ingest_result)
        self.report.checks += checks
        self._stop_if_failed()

    def _finish(self, table: Table) -> None:
        begun = time.monotonic() - self.seconds[table.name]
        self.stages[table.name].finish()
        self._table_done(table, begun)

    def _count(self, ingest_result: IngestResult) -> None:
        self.report.objects += len(ingest_result.counts)
        self.report.bytes += sum(count.object.info.size for count in ingest_result.counts)
        for name in ("read", "loaded", "rejected", "deduplicated", "filtered"):
            setattr(self.report, name, getattr(self.report, name) + ingest_result.total(name))

    def _derive(self, table: Table) -> None:
        begun = time.monotonic()
        self._derived(table, self.target.derive(table, self.scope))
        self._table_done(table, begun)

    def _derived(self, table: Table, written: int | None) -> None:
        """What more there is to do after a table was made."""

    def _table_done(self, table: Table, begun: float) -> None:
        self.seconds[table.name] = time.monotonic() - begun
        self.loader.progress(f"{table.name}: made in {self.seconds[table.name]:.1f} s")

    def _check(self) -> None:
        begun = time.monotonic()
        checks = PartitionChecks(
            self.target.relations, self.compiled, self.scope, self._rows_of, self._counted
        )
        tables = [table for table in self.star.tables if table.name in self.names]
        for table in tables:
            stage = self.stages.get(table.name)
            scanned = stage.scanned if stage else None
            rows, results = checks.scanned(scanned) if scanned else checks.scan(table)
            self.report.tables[table.name] = TableReport(table.name, rows, self.seconds[table.name])
            self.report.checks += results
        for table in tables:
            rows = self.report.tables[table.name].rows
            self.report.checks += checks.run(table, rows, self._loaded(table))
        self._check_others(checks)
        self.loader.progress(f"{len(self.report.checks)} checks in {time.monotonic() - begun:.1f} s")
        self._stop_if_failed()

    def _loaded(self, table: Table) -> int | None:
        """How many rows of a staging table that was read were loaded; None of others."""
        ingest_result = self.ingest_result.get(table.name)
        return ingest_result.total("loaded") if ingest_result else None

    def _check_others(self, checks: PartitionChecks) -> None:
        """Check that the tables which the load did not make still find what they point to."""
        for table in self.star.tables:
            if table.name not in self.names:
                self.report.checks += checks.references(table, self.names, made=False)

    def _rows_of(self, table: Table) -> Rows:
        if table.name in self.report.tables:
            return self.report.tables[table.name].rows
        return {} if self.scope is UNPARTITIONED or table.unpartitioned else self._counted(table)

    def _counted(self, table: Table) -> Rows:
        assert self.scope is not UNPARTITIONED
        return self.target.count_rows(table, self.scope)

    def _stop_if_failed(self) -> None:
        failed = self.report.failed
        if failed:
            self.report.seconds = time.monotonic() - self.started
            told = "; ".join(f"{check.name} on {check.table}: {check.message}" for check in failed[:3])
            more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
            raise CheckFailedError(
                f"{self.star.name} {self.scope or 'without months'} was not published, nothing was changed: {told}{more}",
                self.report,
            )

    def _record(self, selection: Selection | None) -> None:
        self.target.record(self.report, list(self.ingest_result.values()), selection)


class RefreshRun(LoadRun):
    """A load of the tables without months, and what follows from it for the months that stand."""

    def __init__(
        self, loader: Loader, target: LoadTarget, scope: LoadScope, names: set[str], run_id: str | None
    ) -> None:
        super().__init__(loader, target, scope, names, run_id)
        self.changed: list[str] = []  # derived tables of which rows were written or removed
        self.compares = False  # whether which months are stale is found out anew

    def _derived(self, table: Table, written: int | None) -> None:
        if written:
            self.changed.append(table.name)

    def _check_others(self, checks: PartitionChecks) -> None:
        """Find the months that are stale now, mend those that cannot wait, and check that nothing points to nothing."""
        standing = self.target.months()
        self.compares = bool(self.changed) or self._reads_staging()
        if not self.target.matches_declaration(self.compiled.star.monthly):
            standing = {}  # all of them are due, as the star has changed
        if standing and self.compares:
            self.loader.progress(f"comparing {len(standing)} months with what they would be now")
            self._find_stale(MonthRange(min(standing), max(standing)), standing)
        for table in self.star.monthly if standing else ():
            self.report.checks += checks.references(table, self.names, made=False)

    def _reads_staging(self) -> bool:
        """Whether a table kept by month reads a staging table without months, whose changes are not known one by one."""
        unpartitioned = {table.name for table in self.star.unpartitioned if table.role == "staging"}
        return any(
            self.compiled.reads(table) & unpartitioned for table in self.compiled.reading_unpartitioned()
        )

    def _find_stale(self, scope: MonthRange, standing: Collection[Month]) -> None:
        relations = self.target.relations
        stale: dict[Month, str] = {}
        for table in self.compiled.reading_unpartitioned():
            reads = ", ".join(sorted(self.compiled.reads(table) & self.names))
            for month in publish.stale_months(relations, self.compiled, table, scope):
                if month in standing:
                    stale.setdefault(month, f"{reads} changed")
        urgent = {
            month
            for table in self.compiled.reading_unpartitioned()
            for month in publish.months_with_orphans(relations, self.compiled, table, scope)
        }
        for part in contiguous_ranges(sorted(urgent & set(stale))):
            self._remake(part)
        self.report.stale = {month: why for month, why in sorted(stale.items()) if month not in urgent}

    def _remake(self, scope: MonthRange) -> None:
        """Make the span's rows that depend on the tables without months anew, from the staging rows that stand."""
        names = self.compiled.downstream({table.name for table in self.compiled.reading_unpartitioned()})
        run = LoadRun(self.loader, self.target, scope, names, self.report.run_id)
        for table in self.compiled.order:
            if table.name in names:
                run._derive(table)
        run._check()
        run._record(None)
        self.report.remade.append(run.report)

    def _record_stale(self) -> None:
        if self.compares:
            self.target.record_stale(self.report.load_id, self.report.stale)
