"""A load: one span of a star's months, from the bucket to published tables, in one transaction.
Each step is a module of its own; Dagster, the settings and the command's output live elsewhere."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from scx_pipeline.engine import history, publish
from scx_pipeline.engine.checks import CheckResult, SliceChecks, check_ingested
from scx_pipeline.engine.ingest import Ingested, Ingestion
from scx_pipeline.engine.objects import Bucket
from scx_pipeline.engine.select import ChangedMonth, Selection, changed_months, select_objects
from scx_pipeline.engine.sql import CompiledStar
from scx_pipeline.errors import GateError, PipelineError
from scx_pipeline.spec import Month, Span, Star, Table
from scx_pipeline.warehouse.base import Landing, Session, Warehouse

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TableReport:
    """What a load did to a table."""

    name: str
    rows: Mapping[Month, int]  # by month, of the months loaded
    seconds: float


@dataclass
class LoadReport:
    """What a load did: the numbers that are shown, recorded and attached to the assets."""

    star: str
    span: Span
    load_id: str
    objects: int = 0
    bytes: int = 0
    read: int = 0
    loaded: int = 0
    rejected: int = 0
    deduplicated: int = 0
    filtered: int = 0
    seconds: float = 0.0
    fingerprints: Mapping[Month, str] = field(default_factory=dict)
    objects_by_month: Mapping[Month, tuple[int, int]] = field(default_factory=dict)  # objects, bytes
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
    """What a star's bucket holds, and which of its months a load is due for."""

    selection: Selection
    changed: list[ChangedMonth]
    loaded: Collection[Month]


def plan_star(compiled: CompiledStar, bucket: Bucket, warehouse: Warehouse) -> Plan:
    """List the bucket and compare it with the load history; nothing is changed."""
    selection = list_selection(compiled.star, bucket)
    with warehouse.reader() as session:
        standing = history.read_months(session, compiled.star.name) if session else {}
    changed = changed_months(selection, compiled.star.months(), standing, compiled.version)
    return Plan(selection, changed, set(standing))


def list_selection(star: Star, bucket: Bucket) -> Selection:
    """List the objects of the star's sources and match them to months. Raises BucketError."""
    return select_objects(
        star.sources, {source.name: bucket.list_objects(source.prefix) for source in star.sources}
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
        run = _Run(self, span, self._tables_to_make(tables), run_id)
        with self.warehouse.transaction(self.compiled.star.name) as session:
            return run.execute(session)

    def _tables_to_make(self, tables: Collection[str] | None) -> set[str]:
        star = self.compiled.star
        known = [table.name for table in star.tables]
        for name in tables or ():
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

    def __init__(self, loader: Loader, span: Span, names: set[str], run_id: str | None) -> None:
        self.loader, self.compiled, self.span, self.names = loader, loader.compiled, span, names
        self.star = loader.compiled.star
        self.run_id, self.started = run_id, time.monotonic()
        self.started_at = datetime.now(UTC).replace(tzinfo=None)
        self.report = LoadReport(self.star.name, span, uuid.uuid4().hex)
        self.ingested: dict[str, Ingested] = {}
        self.seconds: dict[str, float] = {}

    def execute(self, session: Session) -> LoadReport:
        staging = [table for table in self.star.staging if table.name in self.names]
        # Listed under the lock, so that a load that waited does not publish an older state than the one before it.
        selection = list_selection(self.star, self.loader.bucket) if staging else None
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
        self.report.seconds = time.monotonic() - self.started
        return self.report

    def _describe(self, selection: Selection) -> None:
        of_month = {month: [item.info for item in selection.of(Span(month, month))] for month in self.span}
        self.report.fingerprints = {month: selection.fingerprint(month) for month in self.span}
        self.report.objects_by_month = {
            month: (len(items), sum(item.size for item in items)) for month, items in of_month.items()
        }

    def _check_standing(self, session: Session) -> None:
        standing = history.read_months(session, self.star.name)
        missing = [month for month in self.span if month not in standing]
        if missing:
            raise PipelineError(
                f"{missing[0]} of {self.star.name} was never loaded, so {', '.join(sorted(self.names))} cannot be made from it: "
                "load the whole star for that month first"
            )

    def _ingest(self, session: Session, stack: ExitStack, table: Table, selection: Selection) -> Landing:
        source = self.star.source(table.source or "")
        objects = selection.of(self.span, source.name)
        self.loader.progress(
            f"{table.name}: {len(objects):,} objects, {sum(item.info.size for item in objects) / 1e6:,.1f} MB"
        )
        begun = time.monotonic()
        landing = stack.enter_context(session.landing(self.star.schema_name, table, self.span))
        job = Ingestion(
            self.loader.bucket, source, table, self.span, self.star.months(), self.loader.progress
        )
        self.ingested[table.name] = ingested = job.run(objects, landing)
        self.seconds[table.name] = time.monotonic() - begun
        self._count(ingested)
        self.report.checks += check_ingested(source, ingested)
        self._stop_if_failed()
        return landing

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
        publish.publish_table(session, self.compiled, table, self.span)
        self._table_done(table, begun)

    def _table_done(self, table: Table, begun: float) -> None:
        self.seconds[table.name] = time.monotonic() - begun
        self.loader.progress(f"{table.name}: made in {self.seconds[table.name]:.1f} s")

    def _check(self, session: Session) -> None:
        begun = time.monotonic()
        checks = SliceChecks(session, self.compiled, self.span, lambda table: self._rows_of(session, table))
        tables = [table for table in self.star.tables if table.name in self.names]
        for table in tables:
            rows, results = checks.scan(table)
            self.report.tables[table.name] = TableReport(table.name, rows, self.seconds[table.name])
            self.report.checks += results
        for table in tables:
            ingested = self.ingested.get(table.name)
            loaded = ingested.total("loaded") if ingested else None
            self.report.checks += checks.run(table, self.report.tables[table.name].rows, loaded)
        for table in self.star.tables:
            if table not in tables:  # it stands, and must still find what it points to
                self.report.checks += checks.references(table, self.names, made=False)
        self.loader.progress(f"{len(self.report.checks)} checks in {time.monotonic() - begun:.1f} s")
        self._stop_if_failed()

    def _rows_of(self, session: Session, table: Table) -> Mapping[Month, int]:
        if table.name not in self.report.tables:
            return publish.count_rows(session, self.compiled, table, self.span)
        return self.report.tables[table.name].rows

    def _stop_if_failed(self) -> None:
        failed = self.report.failed
        if failed:
            self.report.seconds = time.monotonic() - self.started
            told = "; ".join(f"{check.name} on {check.table}: {check.message}" for check in failed[:3])
            more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
            raise GateError(
                f"{self.star.name} {self.span} was not published, nothing was changed: {told}{more}",
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
            session, name, load_id, {table: dict(report.rows) for table, report in self.report.tables.items()}
        )
        history.record_checks(session, name, load_id, self.report.checks)
