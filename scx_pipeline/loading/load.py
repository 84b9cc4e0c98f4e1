"""A load: one span of a star's months, or its tables without months, from the bucket to where they stand, all at once.
Each step is a module of its own; Dagster, the settings and the command's output live elsewhere."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import CheckFailedError, PipelineError
from scx_pipeline.history import load_history
from scx_pipeline.history.check_result import CheckResult, Rows
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading import publish
from scx_pipeline.loading.checks import PartitionChecks, check_ingest_result
from scx_pipeline.loading.ingest import IngestJob
from scx_pipeline.loading.prepare import Readiness, read_readiness
from scx_pipeline.loading.target import LoadTarget, StagingTarget
from scx_pipeline.loading.warehouse_target import WarehouseTables
from scx_pipeline.model.star import (
    UNPARTITIONED,
    LoadScope,
    Month,
    MonthRange,
    Source,
    Star,
    Table,
    contiguous_ranges,
)
from scx_pipeline.planning.selection import (
    ChangedMonth,
    MonthState,
    SelectedObject,
    Selection,
    changed_months,
    rebuilt_months,
    select_objects,
    unpartitioned_change,
)
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.warehouse.protocol import Warehouse

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TableReport:
    """What a load did to a table."""

    name: str
    rows: Rows  # by month, of the months loaded
    seconds: float


@dataclass
class LoadReport:
    """What a load did: the numbers that are shown, recorded and attached to the assets."""

    star: str
    scope: LoadScope
    load_id: str
    run_id: str | None = None  # Dagster's
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))
    objects: int = 0
    bytes: int = 0
    read: int = 0
    loaded: int = 0
    rejected: int = 0
    deduplicated: int = 0
    filtered: int = 0
    seconds: float = 0.0
    fingerprints: Mapping[Month | None, str] = field(default_factory=dict)
    objects_by_month: Mapping[Month | None, tuple[int, int]] = field(default_factory=dict)  # objects, bytes
    stale: Mapping[Month, str] = field(
        default_factory=dict
    )  # months whose rows this load has made wrong, and why
    origin: Mapping[str, str | int] = field(
        default_factory=dict
    )  # where its rows are from, if not from objects
    remade: list[LoadReport] = field(default_factory=list)  # of months whose rows it had to make anew itself
    tables: dict[str, TableReport] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def failed(self) -> list[CheckResult]:
        """The checks that keep the load from being published."""
        return [check for check in self.checks if check.blocking]

    @property
    def warnings(self) -> list[CheckResult]:
        return [check for check in self.checks if not check.passed and not check.blocking]


@dataclass(frozen=True)
class Plan:
    """What a star's bucket holds, and what of it a load is due for: months, and the tables without months."""

    selection: Selection
    changed: list[ChangedMonth]
    loaded: Collection[Month]
    unpartitioned: str | None = (
        None  # why the tables without months must be made anew; None where they need not
    )
    stale: Mapping[Month, str] = field(default_factory=dict)  # month → the load that made it stale
    readiness: Readiness = field(default_factory=Readiness)

    @property
    def together(self) -> bool:
        """Whether all months that are due must be loaded at once, as the tables are rebuilt."""
        return bool(self.readiness.rebuild and self.loaded)


@dataclass(frozen=True)
class LoadedState:
    """What stands of a star, somewhere, and what it was made from."""

    months: Mapping[Month, MonthState]
    unpartitioned: MonthState | None
    stale: Mapping[Month, tuple[str, str]]  # why, and since which load
    readiness: Readiness = field(default_factory=Readiness)


def read_loaded_state(compiled: CompiledStar, warehouse: Warehouse) -> LoadedState:
    """Read what is loaded in a warehouse, from its load history, and how its tables compare with the declaration."""
    star = compiled.star
    with warehouse.inspecting() as session:
        if session is None:
            return LoadedState({}, None, {})
        ready = read_readiness(session, compiled)  # first: it refuses a load history of another application
        return LoadedState(
            load_history.read_months(session, star.name),
            load_history.read_unpartitioned(session, star.name),
            load_history.read_stale(session, star.name),
            ready,
        )


def plan_star(compiled: CompiledStar, bucket: Bucket, warehouse: Warehouse) -> Plan:
    """List the bucket and compare it with the load history; nothing is changed."""
    selection = list_selection(compiled.star, bucket)
    return compare(compiled, selection, read_loaded_state(compiled, warehouse))


def compare(compiled: CompiledStar, selection: Selection, standing: LoadedState) -> Plan:
    """What must be made anew of what stands, now that the bucket holds these objects."""
    reasons = {month: reason for month, (reason, _) in standing.stale.items()}
    months, ready = compiled.star.months(), standing.readiness
    if ready.rebuild and standing.months:
        changed = rebuilt_months(selection, months, standing.months, f"{ready.rebuild}: all are rebuilt")
    else:
        changed = changed_months(selection, months, standing.months, compiled.version, reasons)
    rebuild_unpartitioned = ready.rebuild_unpartitioned if standing.unpartitioned else ""
    unpartitioned = rebuild_unpartitioned or unpartitioned_change(
        selection, standing.unpartitioned, compiled.unpartitioned_version
    )
    stale = {month: load for month, (_, load) in standing.stale.items()}
    return Plan(selection, changed, set(standing.months), unpartitioned, stale, ready)


def list_selection(star: Star, bucket: Bucket, tables: Collection[Table] | None = None) -> Selection:
    """List the objects of the star's sources, or of those that these tables read, and match them to months.

    Raises BucketError.
    """
    wanted = None if tables is None else {table.source for table in tables}
    listed = [source for source in star.sources if wanted is None or source.name in wanted]
    with ThreadPoolExecutor(max(1, len(listed))) as pool:
        found = list(pool.map(lambda source: bucket.list_objects(source.prefix), listed))
    return select_objects(
        star.sources, {source.name: items for source, items in zip(listed, found, strict=True)}
    )


class Loader(ABC):
    """The way of one star's objects from one bucket to where its tables stand."""

    compiled: CompiledStar
    bucket: Bucket
    progress: Progress

    @abstractmethod
    def publish(self, work: Callable[[LoadTarget], LoadReport]) -> LoadReport:
        """Do the work where the tables stand; what it did there becomes visible at its end, all of it or nothing."""

    def load(
        self, scope: MonthRange, tables: Collection[str] | None = None, run_id: str | None = None
    ) -> LoadReport:
        """Load a span of months and publish it, history included, in one transaction.

        `tables` names some of the star's tables: these and all that are made from them are made anew; without a staging
        table among them, from the staging rows that stand. Raises CheckFailedError, with the report, when a blocking check
        fails, and another PipelineError when the load cannot be done; nothing is changed then.
        """
        check_range(self.compiled.star, scope)
        names = self._tables_to_make(tables)
        return self.publish(lambda target: self._load_run(target, scope, names, run_id).execute())

    def refresh(self, run_id: str | None = None) -> LoadReport:
        """Make the star's tables without months anew and publish them, history included, in one transaction.

        Months whose rows are not what they would be now are noted as stale. Where their rows would point to what is
        gone, they are made anew at once, from the staging rows that stand. Raises as `load`.
        """
        if not self.compiled.star.unpartitioned:
            raise PipelineError(
                f"{self.compiled.star.name} has no tables without months: load months instead"
            )
        names = {table.name for table in self.compiled.star.unpartitioned}
        return self.publish(lambda target: self._refresh_run(target, names, run_id).execute())

    def _load_run(
        self, target: LoadTarget, scope: MonthRange, names: set[str], run_id: str | None
    ) -> LoadRun:
        return LoadRun(self, target, scope, names, run_id)

    def _refresh_run(self, target: LoadTarget, names: set[str], run_id: str | None) -> RefreshRun:
        return RefreshRun(self, target, UNPARTITIONED, names, run_id)

    def _tables_to_make(self, tables: Collection[str] | None) -> set[str]:
        star = self.compiled.star
        known = [table.name for table in star.monthly]
        for name in tables or ():
            if name in [table.name for table in star.unpartitioned]:
                raise PipelineError(f"{name} of {star.name} has no months: refresh it instead")
            if name not in known:
                raise PipelineError(f"{name} is no table of {star.name}, which has: {', '.join(known)}")
        return self.compiled.downstream(set(tables or known))


@dataclass(frozen=True)
class BucketLoader(Loader):
    """Loads spans of one star from one bucket into one warehouse."""

    compiled: CompiledStar
    bucket: Bucket
    warehouse: Warehouse
    progress: Progress = lambda message: None

    def publish(self, work: Callable[[LoadTarget], LoadReport]) -> LoadReport:
        files = self.warehouse.limits.batch_files
        return self.warehouse.run(
            self.compiled.star.name, lambda session: work(WarehouseTables(self.compiled, session, files))
        )


def check_range(star: Star, scope: MonthRange) -> None:
    """Raise PipelineError for a span that reaches outside the months the star may hold."""
    months = star.months()
    for month in (scope.first, scope.last):
        if month not in months:
            raise PipelineError(
                f"{month} is no month of {star.name}, which goes from {months.first} to {months.last} (this month, UTC)"
            )


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
