"""One load while it runs: the stages of its plan, one after the other, inside the transaction of its target.

Opening and committing the transaction do not belong here, nor does deciding what to load.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import CheckFailedError, SourceFileError
from scx_pipeline.history.check_result import Rows
from scx_pipeline.loading.checks.ingest_checks import check_ingest_result
from scx_pipeline.loading.checks.loaded_rows import LoadedRows
from scx_pipeline.loading.checks.partition_checks import PartitionChecks
from scx_pipeline.loading.load_plan import LoadPlan, Stage
from scx_pipeline.loading.load_report import (
    LoadReport,
    Progress,
    TableReport,
    advise,
    describe_failed,
)
from scx_pipeline.loading.plan_load import plan_rebuild
from scx_pipeline.loading.sources.load_source import LoadSource, StagedTable
from scx_pipeline.loading.targets import publish
from scx_pipeline.loading.targets.target import LoadTarget
from scx_pipeline.model.calendar import UNPARTITIONED, Month, MonthRange, contiguous_ranges
from scx_pipeline.model.table import Table


@dataclass
class Load:
    """A load while it runs: its plan, where its rows come from and go to, and what its stages have found."""

    plan: LoadPlan
    source: LoadSource
    target: LoadTarget
    progress: Progress
    report: LoadReport
    staged: dict[str, StagedTable] = field(default_factory=dict)  # by staging table
    seconds: dict[str, float] = field(default_factory=dict)  # by table
    # Unpartitioned derived tables of which rows were written or deleted.
    changed_tables: list[str] = field(default_factory=list)
    # Of a refresh: the loaded months, if their tables are as declared; and whether these months were compared with what
    # their SELECTs return now.
    comparable: Collection[Month] = ()
    has_compared: bool = False

    @property
    def compiled(self) -> CompiledStar:
        """The star with the current names of its tables."""
        return self.target.compiled

    def tables(self) -> list[Table]:
        """Return the tables that the load builds, in the order of their declaration."""
        return [table for table in self.compiled.star.tables if table.name in self.plan.tables]


def start_load(plan: LoadPlan, source: LoadSource, target: LoadTarget, progress: Progress) -> Load:
    """Return a load whose stages have not run yet."""
    report = LoadReport(
        target.compiled.star.name, plan.scope, target.new_load_id(), plan.request.run_id, origin=source.origin
    )
    report.is_addition = plan.additions is not None
    if plan.selection is not None:
        report.add_selection(plan.selection)
    return Load(plan, source, target, progress, report)


def run_load(load: Load) -> LoadReport:
    """Run the stages of a load's plan, and return its report.

    Raises:
        CheckFailedError: a blocking check failed; the error has the report.
        PipelineError: the load is not possible.
    """
    started = time.monotonic()
    try:
        for stage in load.plan.stages:
            _STAGES[stage](load)
    except SourceFileError as error:
        error.report = load.report
        raise
    finally:
        load.report.seconds = time.monotonic() - started
    return load.report


def _prepare(load: Load) -> None:
    load.target.prepare(load.plan.scope, load.plan.tables)


def _stage(load: Load) -> None:
    """Stage the rows of the staging tables, and begin the transaction that replaces their partitions."""
    tables = [table for table in load.tables() if table.role == "staging"]
    with ExitStack() as stack:
        for table in tables:
            started = time.monotonic()
            load.staged[table.name] = stack.enter_context(_read_rows(load, table))
            load.seconds[table.name] = time.monotonic() - started
        _stop_if_failed(load)
        load.target.begin()
        for table in tables:
            started = time.monotonic() - load.seconds[table.name]
            load.target.publish_staged(table, load.plan.scope, load.staged[table.name].partition)
            _log_table(load, table, started)


@contextmanager
def _read_rows(load: Load, table: Table) -> Iterator[StagedTable]:
    """Read the rows of a staging table, add their counts to the report, and check them."""
    objects = load.plan.objects_of(table.source_names)
    size = sum(item.info.size for item in objects)
    load.progress(f"{table.name}: {len(objects):,} objects, {size / 1e6:,.1f} MB")
    with load.source.stage(load.plan, table) as staged:
        load.report.add_ingest_result(staged.result)
        results = check_ingest_result(load.compiled.star.sources_of(table), staged.result, load.plan.scope)
        unchecked = load.source.unchecked
        load.report.add_checks(
            replace(item, passed=True, message=unchecked[item.name]) if item.name in unchecked else item
            for item in results
        )
        yield staged


def _transform(load: Load) -> None:
    load.target.begin()  # a load from the current staging rows has not started it yet
    for table in load.compiled.build_order:
        if table.name in load.plan.tables:
            started = time.monotonic()
            if load.source.fills(table, load.plan.scope):
                load.source.fill(table, load.plan.scope)
            elif load.target.derive(table, load.plan.scope):
                load.changed_tables.append(table.name)
            _log_table(load, table, started)


def _log_table(load: Load, table: Table, started: float) -> None:
    load.seconds[table.name] = time.monotonic() - started
    load.progress(f"{table.name}: built in {load.seconds[table.name]:.1f} s")


def _check(load: Load) -> None:
    """Check the rows of the tables that the load has built."""
    started, report = time.monotonic(), load.report
    checks = PartitionChecks(LoadedRows(load.target, load.plan.scope))
    for table in load.tables():
        staged = load.staged.get(table.name)
        scan = staged.partition.row_scan if staged else None
        report.add_checks(checks.evaluate_scan(scan) if scan else checks.scan_table(table))
        report.tables[table.name] = _report_table(load, table, checks.rows[table.name])
    for table in load.tables():
        staged = load.staged.get(table.name)
        before = sum(load.target.rows_before(table).values())
        report.add_checks(checks.check_table(table, before + staged.rows if staged else None))
    load.progress(f"{len(report.checks)} checks in {time.monotonic() - started:.1f} s")
    _stop_if_failed(load)
    load.source.check_counts(report)


def _report_table(load: Load, table: Table, rows: Rows) -> TableReport:
    """Return the report of a table that the load has built."""
    total = sum(rows.values()) if table.is_unpartitioned else None
    if not (table.is_unpartitioned or table.is_partitioned):  # SCD type 1: its rows belong to no month
        [(total,)] = load.target.relations.rows(f"SELECT COUNT(*) FROM {load.compiled.full_name(table)}")
    report = TableReport(table.name, rows, load.seconds[table.name], total)
    if table.name not in load.staged:
        return report
    counts = load.staged[table.name].result.counts
    return report.with_objects(load.compiled.star.sources_of(table), counts)


def _check_references(load: Load) -> None:
    """Check the references of tables that the load did not build to those that it did."""
    if load.plan.scope is UNPARTITIONED and not load.comparable:
        return
    checks = PartitionChecks(LoadedRows(load.target, load.plan.scope))
    for table in load.compiled.star.tables:
        if table.name not in load.plan.tables:
            load.report.add_checks(checks.check_references(table, load.plan.tables))
    _stop_if_failed(load)


def _find_stale(load: Load) -> None:
    """Find the months that a refresh makes stale, and rebuild those whose rows would reference missing rows."""
    target, compiled = load.target, load.compiled
    load.has_compared = bool(load.changed_tables) or _reads_staging(compiled)
    # If the star has changed, all months are due anyway.
    if target.matches_declaration(compiled.star.monthly_tables):
        load.comparable = target.read_months()
    if not (load.comparable and load.has_compared):
        return
    load.progress(f"comparing {len(load.comparable)} months with their current SELECT results")
    scope = MonthRange(min(load.comparable), max(load.comparable))
    stale = _stale_months(load, scope)
    urgent = {
        month
        for table in compiled.unpartitioned_dependents()
        for month in publish.find_months_with_broken_references(target.relations, compiled, table, scope)
    }
    for part in contiguous_ranges(urgent & set(stale)):
        rebuild = start_load(plan_rebuild(load.plan, part, compiled), load.source, target, load.progress)
        load.report.rebuilds.append(run_load(rebuild))
    load.report.stale = {month: why for month, why in sorted(stale.items()) if month not in urgent}


def _stale_months(load: Load, scope: MonthRange) -> dict[Month, str]:
    """Return the loaded months whose rows would be different now, each with the reason."""
    stale: dict[Month, str] = {}
    for table in load.compiled.unpartitioned_dependents():
        inputs = ", ".join(sorted(load.compiled.inputs_of(table) & load.plan.tables))
        for month in publish.find_stale_months(load.target.relations, load.compiled, table, scope):
            if month in load.comparable:
                stale.setdefault(month, f"{inputs} changed")
    return stale


def _reads_staging(compiled: CompiledStar) -> bool:
    """Return whether a partitioned table reads an unpartitioned staging table, whose changed rows are not counted."""
    staging = {table.name for table in compiled.star.unpartitioned_tables if table.role == "staging"}
    return any(compiled.inputs_of(table) & staging for table in compiled.unpartitioned_dependents())


def _record(load: Load) -> None:
    """Write the load history, and which months are stale now."""
    target, scope, report = load.target, load.plan.scope, load.report
    target.record(report, load.source.recorded_selection(load.plan))
    if Stage.STAGE in load.plan.stages and scope is not UNPARTITIONED:
        target.record_held(report, scope, load.plan.request.held)
    if scope is UNPARTITIONED:
        if load.has_compared:
            target.record_stale_months(report.load_id, report.stale)
    elif load.plan.tables.issuperset(table.name for table in load.compiled.unpartitioned_dependents()):
        target.clear_stale(scope)
        report.stale = load.source.stale_months(scope)
        target.add_stale_months(report.load_id, report.stale)


def _swap(load: Load) -> None:
    load.target.swap_rebuilt()


def _stop_if_failed(load: Load) -> None:
    """Raise CheckFailedError if a blocking check failed."""
    if load.report.failed:
        scope = f"({load.plan.scope})" if load.plan.scope is UNPARTITIONED else load.plan.scope
        raise CheckFailedError(
            f"{load.report.star} {scope} was not published, nothing was changed: {describe_failed(load.report.failed)}"
            f"{advise(load.compiled, load.report.failed)}",
            load.report,
        )


_STAGES: Mapping[Stage, Callable[[Load], None]] = {
    Stage.PREPARE: _prepare,
    Stage.STAGE: _stage,
    Stage.TRANSFORM: _transform,
    Stage.CHECK: _check,
    Stage.FIND_STALE: _find_stale,
    Stage.CHECK_REFERENCES: _check_references,
    Stage.RECORD: _record,
    Stage.SWAP: _swap,
}
