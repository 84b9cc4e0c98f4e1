"""A load: one span of a star's months, or its tables without months, from the bucket to published tables, in one
transaction. Each step is a module of its own; Dagster, the settings and the command's output live elsewhere."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from scx_pipeline.engine import history, publish
from scx_pipeline.engine.accounts import Ingested
from scx_pipeline.engine.checks import CheckResult, RowScan, SliceChecks, check_ingested
from scx_pipeline.engine.ingest import Ingestion, may_pass
from scx_pipeline.engine.objects import Bucket
from scx_pipeline.engine.publish import Rows
from scx_pipeline.engine.select import (
    ChangedMonth,
    Selection,
    changed_months,
    select_objects,
    whole_change,
)
from scx_pipeline.engine.sql import CompiledStar
from scx_pipeline.errors import GateError, PipelineError
from scx_pipeline.spec import Month, Source, Span, Star, Table, contiguous_spans
from scx_pipeline.warehouse.base import Landing, Session, Warehouse, inside

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
    span: Span | None  # None: of the tables without months
    load_id: str
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
    whole: str | None = None  # why the tables without months must be made anew; None where they need not
    stale: Mapping[Month, str] = field(default_factory=dict)  # month → the load that made it stale


def plan_star(compiled: CompiledStar, bucket: Bucket, warehouse: Warehouse) -> Plan:
    """List the bucket and compare it with the load history; nothing is changed."""
    star = compiled.star
    selection = list_selection(star, bucket)
    with warehouse.reader() as session:
        standing = history.read_months(session, star.name) if session else {}
        state = history.read_whole(session, star.name) if session else None
        stale = history.read_stale(session, star.name) if session else {}
    reasons = {month: reason for month, (reason, _) in stale.items()}
    changed = changed_months(selection, star.months(), standing, compiled.version, reasons)
    whole = whole_change(selection, state, compiled.whole_version)
    return Plan(selection, changed, set(standing), whole, {month: load for month, (_, load) in stale.items()})


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


@dataclass(frozen=True)
class Loader:
    """Loads spans of one star from one bucket into one warehouse."""

    compiled: CompiledStar
    bucket: Bucket
    warehouse: Warehouse
    progress: Progress = lambda message: None

    def load(
        self, span: Span, tables: Collection[str] | None = None, run_id: str | None = None
    ) -> LoadReport:
        """Load a span of months and publish it, history included, in one transaction.

        `tables` names some of the star's tables: these and all that are made from them are made anew; without a staging
        table among them, from the staging rows that stand. Raises GateError, with the report, when a blocking check
        fails, and another PipelineError when the load cannot be done; nothing is changed then.
        """
        check_span(self.compiled.star, span)
        names = self._tables_to_make(tables)
        return self._run(lambda: _Run(self, span, names, run_id))

    def refresh(self, run_id: str | None = None) -> LoadReport:
        """Make the star's tables without months anew and publish them, history included, in one transaction.

        Months whose rows are not what they would be now are noted as stale. Where their rows would point to what is
        gone, they are made anew at once, from the staging rows that stand. Raises as `load`.
        """
        if not self.compiled.star.whole:
            raise PipelineError(
                f"{self.compiled.star.name} has no tables without months: load months instead"
            )
        names = {table.name for table in self.compiled.star.whole}
        return self._run(lambda: _Refresh(self, None, names, run_id))

    def _run(self, begin: Callable[[], _Run]) -> LoadReport:
        return self.warehouse.run(self.compiled.star.name, lambda session: begin().execute(session))

    def _tables_to_make(self, tables: Collection[str] | None) -> set[str]:
        star = self.compiled.star
        known = [table.name for table in star.monthly]
        for name in tables or ():
            if name in [table.name for table in star.whole]:
                raise PipelineError(f"{name} of {star.name} has no months: refresh it instead")
            if name not in known:
                raise PipelineError(f"{name} is no table of {star.name}, which has: {', '.join(known)}")
        return self.compiled.downstream(set(tables or known))


def check_span(star: Star, span: Span) -> None:
    """Raise PipelineError for a span that reaches outside the months the star may hold."""
    months = star.months()
    for month in (span.first, span.last):
        if month not in months:
            raise PipelineError(
                f"{month} is no month of {star.name}, which goes from {months.first} to {months.last} (this month, UTC)"
            )


class _Run:
    """One load while it runs."""

    def __init__(self, loader: Loader, span: Span | None, names: set[str], run_id: str | None) -> None:
        self.loader, self.compiled, self.span, self.names = loader, loader.compiled, span, names
        self.star = loader.compiled.star
        self.run_id, self.started = run_id, time.monotonic()
        self.started_at = datetime.now(UTC).replace(tzinfo=None)
        self.report = LoadReport(self.star.name, span, uuid.uuid4().hex)
        self.ingested: dict[str, Ingested] = {}
        self.scanned: dict[str, RowScan] = {}  # of tables whose rows do not stay to be looked at later
        self.seconds: dict[str, float] = {}

    def execute(self, session: Session) -> LoadReport:
        staging = [table for table in self.star.staging if table.name in self.names]
        # Listed under the lock, so that a load that waited does not publish an older state than the one before it.
        selection = list_selection(self.star, self.loader.bucket, staging) if staging else None
        if selection is None:
            self._check_standing(session)
        else:
            self._describe(selection)
        history.prepare_tables(session, self.compiled, self.span, self.names)
        with ExitStack() as stack:
            landings = [self._ingest(session, stack, table, selection) for table in staging if selection]
            session.begin()
            for table, landing in zip(staging, landings, strict=True):
                self._finish(session, table, landing)
        for table in self.compiled.order:
            if table.name in self.names:
                self._derive(session, table)
        self._check(session)
        self._record(session, selection)
        self._record_stale(session)
        self.report.seconds = time.monotonic() - self.started
        return self.report

    def _record_stale(self, session: Session) -> None:
        """The span's months are right, if all that could be stale was made."""
        if self.span is not None and self.names.issuperset(
            table.name for table in self.compiled.reading_whole()
        ):
            history.forget_stale(session, self.star.name, self.span)

    def _describe(self, selection: Selection) -> None:
        if self.span is None:
            objects = [item.info for item in selection.whole_objects]
            self.report.fingerprints = {None: selection.whole_fingerprint}
            self.report.objects_by_month = {None: (len(objects), sum(item.size for item in objects))}
            return
        of_month = {month: [item.info for item in selection.of(Span(month, month))] for month in self.span}
        self.report.fingerprints = {month: selection.fingerprint(month) for month in self.span}
        self.report.objects_by_month = {
            month: (len(items), sum(item.size for item in items)) for month, items in of_month.items()
        }

    def _check_standing(self, session: Session) -> None:
        assert self.span is not None
        standing = history.read_months(session, self.star.name)
        missing = [month for month in self.span if month not in standing]
        if missing:
            raise PipelineError(
                f"{missing[0]} of {self.star.name} was never loaded, so {', '.join(sorted(self.names))} cannot be made from it: "
                "load the whole star for that month first"
            )

    def _ingest(self, session: Session, stack: ExitStack, table: Table, selection: Selection) -> Landing:
        source = self.star.source(table.source or "")
        objects = selection.whole_objects if self.span is None else selection.of(self.span)
        objects = [item for item in objects if item.source == source.name]
        self.loader.progress(
            f"{table.name}: {len(objects):,} objects, {sum(item.info.size for item in objects) / 1e6:,.1f} MB"
        )
        begun = time.monotonic()
        landing = stack.enter_context(self._landing(session, source, table))
        job = Ingestion(
            self.loader.bucket, source, table, self.span, self.star.months(), self.loader.warehouse.limits.batch_files,
            partial(history.rejecting_objects, session, self.star.name, source.name), self._inspection(table, landing),
            self.loader.progress,
        )  # fmt: skip
        self.ingested[table.name] = ingested = job.run(objects, landing)
        self.seconds[table.name] = time.monotonic() - begun
        self._count(ingested)
        self.report.checks += check_ingested(source, ingested)
        self._stop_if_failed()
        return landing

    def _landing(self, session: Session, source: Source, table: Table) -> AbstractContextManager[Landing]:
        if may_pass(source) and self.compiled.stands_alone(table):
            return session.passing(self.star.schema_name, table, self.span)
        return session.landing(self.star.schema_name, table, self.span)

    def _inspection(self, table: Table, landing: Landing) -> Callable[[Landing], None]:
        """What is done with each batch before its flush: rows that leave then are checked now."""
        if not landing.passing:
            return lambda landing: None
        self.scanned[table.name] = scan = RowScan(table, self.span)
        part = f"(SELECT * FROM {landing.rows} WHERE {inside(table, self.span)})"
        return lambda landing: scan.add(
            landing.con.execute(scan.sql(part, landing.full_columns())).fetchall()
        )

    def _finish(self, session: Session, table: Table, landing: Landing) -> None:
        begun = time.monotonic() - self.seconds[table.name]
        landing.finish(self.ingested[table.name].superseded)
        self._table_done(table, begun)

    def _count(self, ingested: Ingested) -> None:
        self.report.objects += len(ingested.counts)
        self.report.bytes += sum(count.object.info.size for count in ingested.counts)
        for name in ("read", "loaded", "rejected", "deduplicated", "filtered"):
            setattr(self.report, name, getattr(self.report, name) + ingested.total(name))

    def _derive(self, session: Session, table: Table) -> None:
        begun = time.monotonic()
        self._derived(table, publish.publish_table(session, self.compiled, table, self.span))
        self._table_done(table, begun)

    def _derived(self, table: Table, written: int | None) -> None:
        """What more there is to do after a table was made."""

    def _table_done(self, table: Table, begun: float) -> None:
        self.seconds[table.name] = time.monotonic() - begun
        self.loader.progress(f"{table.name}: made in {self.seconds[table.name]:.1f} s")

    def _check(self, session: Session) -> None:
        begun = time.monotonic()
        checks = SliceChecks(session, self.compiled, self.span, lambda table: self._rows_of(session, table))
        tables = [table for table in self.star.tables if table.name in self.names]
        for table in tables:
            scanned = self.scanned.get(table.name)
            rows, results = checks.scanned(scanned) if scanned else checks.scan(table)
            self.report.tables[table.name] = TableReport(table.name, rows, self.seconds[table.name])
            self.report.checks += results
        for table in tables:
            ingested = self.ingested.get(table.name)
            loaded = ingested.total("loaded") if ingested else None
            self.report.checks += checks.run(table, self.report.tables[table.name].rows, loaded)
        self._check_others(session, checks)
        self.loader.progress(f"{len(self.report.checks)} checks in {time.monotonic() - begun:.1f} s")
        self._stop_if_failed()

    def _check_others(self, session: Session, checks: SliceChecks) -> None:
        """Check that the tables which the load did not make still find what they point to."""
        for table in self.star.tables:
            if table.name not in self.names:
                self.report.checks += checks.references(table, self.names, made=False)

    def _rows_of(self, session: Session, table: Table) -> Rows:
        if table.name in self.report.tables:
            return self.report.tables[table.name].rows
        if self.span is None or table.whole:
            return {}
        return publish.count_rows(session, self.compiled, table, self.span)

    def _stop_if_failed(self) -> None:
        failed = self.report.failed
        if failed:
            self.report.seconds = time.monotonic() - self.started
            told = "; ".join(f"{check.name} on {check.table}: {check.message}" for check in failed[:3])
            more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
            raise GateError(
                f"{self.star.name} {self.span or 'without months'} was not published, nothing was changed: {told}{more}",
                self.report,
            )

    def _record(self, session: Session, selection: Selection | None) -> None:
        name, load_id = self.star.name, self.report.load_id
        ingested: Sequence[Ingested] = list(self.ingested.values())
        counts = [count for item in ingested for count in item.counts]
        if selection is not None:
            record = history.LoadRecord(load_id, self.span, self.run_id, self.started_at, counts)
            history.record_load(session, self.compiled, record, selection)
            history.record_rejected(session, name, load_id, ingested)
        history.record_rows(
            session, name, load_id, {table: report.rows for table, report in self.report.tables.items()}
        )
        history.record_checks(session, name, load_id, self.report.checks)


class _Refresh(_Run):
    """A load of the tables without months, and what follows from it for the months that stand."""

    def __init__(self, loader: Loader, span: Span | None, names: set[str], run_id: str | None) -> None:
        super().__init__(loader, span, names, run_id)
        self.changed: list[str] = []  # derived tables of which rows were written or removed
        self.compares = False  # whether which months are stale is found out anew

    def _derived(self, table: Table, written: int | None) -> None:
        if written:
            self.changed.append(table.name)

    def _check_others(self, session: Session, checks: SliceChecks) -> None:
        """Find the months that are stale now, mend those that cannot wait, and check that nothing points to nothing."""
        standing = history.read_months(session, self.star.name)
        self.compares = bool(self.changed) or self._reads_staging()
        if not history.stands_as_declared(session, self.compiled, self.star.monthly):
            standing = {}  # all of them are due, as the star has changed
        if standing and self.compares:
            self.loader.progress(f"comparing {len(standing)} months with what they would be now")
            self._find_stale(session, Span(min(standing), max(standing)), standing)
        for table in self.star.monthly if standing else ():
            self.report.checks += checks.references(table, self.names, made=False)

    def _reads_staging(self) -> bool:
        """Whether a table kept by month reads a staging table without months, whose changes are not known one by one."""
        whole = {table.name for table in self.star.whole if table.role == "staging"}
        return any(self.compiled.reads(table) & whole for table in self.compiled.reading_whole())

    def _find_stale(self, session: Session, span: Span, standing: Collection[Month]) -> None:
        stale: dict[Month, str] = {}
        for table in self.compiled.reading_whole():
            reads = ", ".join(sorted(self.compiled.reads(table) & self.names))
            for month in publish.differing_months(session, self.compiled, table, span):
                if month in standing:
                    stale.setdefault(month, f"{reads} changed")
        urgent = {
            month
            for table in self.compiled.reading_whole()
            for month in publish.dangling_months(session, self.compiled, table, span)
        }
        for part in contiguous_spans(sorted(urgent & set(stale))):
            self._remake(session, part)
        self.report.stale = {month: why for month, why in sorted(stale.items()) if month not in urgent}

    def _remake(self, session: Session, span: Span) -> None:
        """Make the span's rows that depend on the tables without months anew, from the staging rows that stand."""
        names = self.compiled.downstream({table.name for table in self.compiled.reading_whole()})
        run = _Run(self.loader, span, names, self.run_id)
        for table in self.compiled.order:
            if table.name in names:
                run._derive(session, table)
        run._check(session)
        run._record(session, None)
        self.report.remade.append(run.report)

    def _record_stale(self, session: Session) -> None:
        if self.compares:
            history.record_stale(session, self.star.name, self.report.load_id, self.report.stale)
