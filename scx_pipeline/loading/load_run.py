"""One load while it runs: list objects, stage, transform, check, record.

Opening and committing the transaction do not belong here.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import CheckFailedError, PipelineError
from scx_pipeline.history.check_result import CheckResult, Rows
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading import publish
from scx_pipeline.loading.changes import list_selection
from scx_pipeline.loading.checks.ingest_checks import check_ingest_result
from scx_pipeline.loading.checks.partition_checks import PartitionChecks
from scx_pipeline.loading.ingest.ingest_job import IngestJob
from scx_pipeline.loading.load_report import LoadReport, Progress, TableReport
from scx_pipeline.loading.target import LoadTarget, StagingTarget
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange, contiguous_ranges
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import SelectedObject, Selection
from scx_pipeline.storage.bucket import Bucket


class LoadContext:
    """What a load run needs of its loader: the star, the bucket, and where progress messages go."""

    compiled: CompiledStar
    bucket: Bucket
    progress: Progress


class LoadRun:
    """One load while it runs. A load of rows that do not come from objects overrides `_list_objects`, `_stage` and `_derive`."""

    def __init__(
        self, loader: LoadContext, target: LoadTarget, scope: LoadScope, names: set[str], run_id: str | None
    ) -> None:
        self.loader, self.target, self.scope, self.names = loader, target, scope, names
        self.star = loader.compiled.star
        self.started = time.monotonic()
        self.report = LoadReport(self.star.name, scope, target.new_load_id(), run_id)
        self.ingest_results: dict[str, IngestResult] = {}
        self.stages: dict[str, StagingTarget] = {}
        self.seconds: dict[str, float] = {}
        # Unpartitioned derived tables of which rows were written or deleted.
        self.changed_tables: list[str] = []

    @property
    def compiled(self) -> CompiledStar:
        """The star with the current names of its tables."""
        return self.target.compiled

    def execute(self) -> LoadReport:
        """Run all steps of the load."""
        staging = [table for table in self.star.staging_tables if table.name in self.names]
        # Listed inside the transaction: a load that waited for another must not publish an older state of the bucket.
        selection = self._list_objects(staging) if staging else None
        if selection is None:
            self._check_loaded()
        else:
            self.report.add_selection(selection)
        self.target.prepare(self.scope, self.names)
        self._stage(staging, selection)
        for table in self.compiled.build_order:
            if table.name in self.names:
                self._derive(table)
        self._run_checks()
        self._record(selection)
        self._record_stale_months()
        self.target.swap_rebuilt()
        self.report.seconds = time.monotonic() - self.started
        return self.report

    def _list_objects(self, staging: Sequence[Table]) -> Selection:
        return list_selection(self.star, self.loader.bucket, staging)

    def _stage(self, staging: Sequence[Table], selection: Selection | None) -> None:
        """Stage the rows of the staging tables, and begin the transaction that replaces their partitions."""
        with ExitStack() as stack:
            for table in staging:
                self._ingest(stack, table, selection)
            self.target.begin()
            for table in staging:
                started = time.monotonic() - self.seconds[table.name]
                self.stages[table.name].finish()
                self._log_table(table, started)

    def _record_stale_months(self) -> None:
        """Clear the stale state of the loaded months if the load built all tables that can be stale."""
        if self.scope is not UNPARTITIONED and self.names.issuperset(
            table.name for table in self.compiled.unpartitioned_dependents()
        ):
            self.target.clear_stale(self.scope)

    def _check_loaded(self) -> None:
        """Check that the current staging rows of all months exist. Raises PipelineError."""
        assert self.scope is not UNPARTITIONED
        loaded = self.target.read_months()
        missing = [month for month in self.scope if month not in loaded]
        if missing:
            raise PipelineError(
                f"{missing[0]} of {self.star.name} was never loaded, so {', '.join(sorted(self.names))} cannot be built from it: "
                "load all tables of the star for that month first"
            )
        inputs = {
            name
            for table in self.compiled.build_order
            if table.name in self.names
            for name in self.compiled.inputs_of(table)
        }
        purged = self.target.read_purged_months(
            [table.name for table in self.star.staging_tables if table.name in inputs]
        )
        missing = [month for month in self.scope if month in purged]
        if missing:
            raise PipelineError(
                f"the staging rows of {missing[0]} of {self.star.name} have been purged (SCX_KEEP_STAGING_MONTHS), so "
                f"{', '.join(sorted(self.names))} cannot be built from them: load all tables of the star for that month instead"
            )

    def _ingest(self, stack: ExitStack, table: Table, selection: Selection | None) -> None:
        assert selection is not None
        source, objects = self._select_source_objects(table, selection)
        started = time.monotonic()
        stage = self.stages[table.name] = stack.enter_context(self.target.stage(source, table, self.scope))
        job = IngestJob(
            self.loader.bucket, source, table, self.scope, self.star.months(), self.target.batch_files,
            lambda: self.target.read_objects_with_rejects(source), self.loader.progress,
        )  # fmt: skip
        ingest_result = stage.ingest(job, objects)
        self.seconds[table.name] = time.monotonic() - started
        self._add_ingest_result(table, ingest_result, check_ingest_result(source, ingest_result))

    def _select_source_objects(
        self, table: Table, selection: Selection
    ) -> tuple[Source, list[SelectedObject]]:
        """Return a staging table's source, and its objects that the load reads."""
        source = self.star.source(table.source or "")
        objects = (
            selection.unpartitioned_objects
            if self.scope is UNPARTITIONED
            else selection.objects_of(self.scope)
        )
        found = [item for item in objects if item.source == source.name]
        size = sum(item.info.size for item in found)
        self.loader.progress(f"{table.name}: {len(found):,} objects, {size / 1e6:,.1f} MB")
        return source, found

    def _add_ingest_result(
        self, table: Table, ingest_result: IngestResult, checks: Sequence[CheckResult]
    ) -> None:
        """Add the row counts and checks of a staging table's objects, and stop if a check failed."""
        self.ingest_results[table.name] = ingest_result
        self.report.add_ingest_result(ingest_result)
        self.report.checks += checks
        self._stop_if_failed()

    def _derive(self, table: Table) -> None:
        started = time.monotonic()
        if self.target.derive(table, self.scope):
            self.changed_tables.append(table.name)
        self._log_table(table, started)

    def _log_table(self, table: Table, started: float) -> None:
        self.seconds[table.name] = time.monotonic() - started
        self.loader.progress(f"{table.name}: built in {self.seconds[table.name]:.1f} s")

    def _run_checks(self) -> None:
        started = time.monotonic()
        checks = PartitionChecks(
            self.target.relations, self.compiled, self.scope, self._rows_of, self._count_rows
        )
        tables = [table for table in self.star.tables if table.name in self.names]
        for table in tables:
            stage = self.stages.get(table.name)
            row_scan = stage.row_scan if stage else None
            rows, results = checks.evaluate_scan(row_scan) if row_scan else checks.scan_rows(table)
            self.report.tables[table.name] = TableReport(table.name, rows, self.seconds[table.name])
            self.report.checks += results
        for table in tables:
            rows = self.report.tables[table.name].rows
            self.report.checks += checks.check_table(table, rows, self._expected_row_count(table))
        self._check_other_tables(checks)
        self.loader.progress(f"{len(self.report.checks)} checks in {time.monotonic() - started:.1f} s")
        self._stop_if_failed()

    def _expected_row_count(self, table: Table) -> int | None:
        """Return the number of rows counted as loaded into a staging table; None for other tables."""
        ingest_result = self.ingest_results.get(table.name)
        return ingest_result.total("loaded") if ingest_result else None

    def _check_other_tables(self, checks: PartitionChecks) -> None:
        """Check the references of tables that the load did not build to those that it did."""
        self._check_references(checks, [table for table in self.star.tables if table.name not in self.names])

    def _check_references(self, checks: PartitionChecks, tables: Collection[Table]) -> None:
        for table in tables:
            self.report.checks += checks.check_references(table, self.names)

    def _rows_of(self, table: Table) -> Rows:
        if table.name in self.report.tables:
            return self.report.tables[table.name].rows
        return {} if self.scope is UNPARTITIONED or table.is_unpartitioned else self._count_rows(table)

    def _count_rows(self, table: Table) -> Rows:
        assert self.scope is not UNPARTITIONED
        return self.target.count_rows(table, self.scope)

    def _stop_if_failed(self) -> None:
        """Raise CheckFailedError if a blocking check failed."""
        failed = self.report.failed
        if failed:
            self.report.seconds = time.monotonic() - self.started
            messages = "; ".join(f"{check.name} on {check.table}: {check.message}" for check in failed[:3])
            more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
            scope = f"({self.scope})" if self.scope is UNPARTITIONED else self.scope
            raise CheckFailedError(
                f"{self.star.name} {scope} was not published, nothing was changed: {messages}{more}",
                self.report,
            )

    def _record(self, selection: Selection | None) -> None:
        self.target.record(self.report, list(self.ingest_results.values()), selection)


class RefreshRun(LoadRun):
    """A load of the unpartitioned tables, which also finds the months that have become stale."""

    # Whether the loaded months were compared with what their SELECT returns now.
    has_compared = False

    def _check_other_tables(self, checks: PartitionChecks) -> None:
        """Find stale months, rebuild those that cannot wait, and check that no reference is broken."""
        loaded: Collection[Month] = self.target.read_months()
        self.has_compared = bool(self.changed_tables) or self._reads_staging()
        if not self.target.matches_declaration(self.compiled.star.monthly_tables):
            loaded = ()  # The star has changed, so all months are due anyway.
        if loaded and self.has_compared:
            self.loader.progress(f"comparing {len(loaded)} months with their current SELECT results")
            self._find_stale(MonthRange(min(loaded), max(loaded)), loaded)
        self._check_references(checks, self.star.monthly_tables if loaded else ())

    def _reads_staging(self) -> bool:
        """Return whether a partitioned table reads an unpartitioned staging table, whose changed rows are not counted."""
        staging = {table.name for table in self.star.unpartitioned_tables if table.role == "staging"}
        return any(
            self.compiled.inputs_of(table) & staging for table in self.compiled.unpartitioned_dependents()
        )

    def _find_stale(self, scope: MonthRange, loaded: Collection[Month]) -> None:
        relations, tables = self.target.relations, self.compiled.unpartitioned_dependents()
        stale: dict[Month, str] = {}
        for table in tables:
            inputs = ", ".join(sorted(self.compiled.inputs_of(table) & self.names))
            for month in publish.find_stale_months(relations, self.compiled, table, scope):
                if month in loaded:
                    stale.setdefault(month, f"{inputs} changed")
        urgent = {
            month
            for table in tables
            for month in publish.find_months_with_broken_references(relations, self.compiled, table, scope)
        }
        for part in contiguous_ranges(sorted(urgent & set(stale))):
            self._rebuild(part)
        self.report.stale = {month: why for month, why in sorted(stale.items()) if month not in urgent}

    def _rebuild(self, scope: MonthRange) -> None:
        """Rebuild the months' rows that depend on unpartitioned tables from the current staging rows."""
        names = self.compiled.downstream({table.name for table in self.compiled.unpartitioned_dependents()})
        run = LoadRun(self.loader, self.target, scope, names, self.report.run_id)
        for table in self.compiled.build_order:
            if table.name in names:
                run._derive(table)
        run._run_checks()
        run._record(None)
        self.report.rebuilds.append(run.report)

    def _record_stale_months(self) -> None:
        if self.has_compared:
            self.target.record_stale_months(self.report.load_id, self.report.stale)
