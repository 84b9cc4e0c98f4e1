"""The load history in the warehouse: loads, months, objects, rejected rows, check results; and the star's tables.
Written in the transaction that publishes; what is published is decided elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scx_pipeline.engine.checks import CheckResult
from scx_pipeline.engine.ingest import Ingested, ObjectCount, Rejected
from scx_pipeline.engine.publish import month_rows
from scx_pipeline.engine.select import MonthState, Selection
from scx_pipeline.engine.sql import CompiledStar
from scx_pipeline.errors import WarehouseError
from scx_pipeline.spec import Column, Month, Span, Table
from scx_pipeline.warehouse.base import STATE_SCHEMA, Session, qualified, quote


def _state_table(name: str, key: Sequence[str], **columns: str) -> Table:
    """A table of the engine's own; a type that ends in ! is not null."""
    declared = [
        Column(name=column, type=kind.rstrip("!"), nullable=not kind.endswith("!"), description="")
        for column, kind in columns.items()
    ]
    return Table.model_construct(
        name=name,
        role="fact",
        description="",
        key=tuple(key),
        columns=tuple(declared),
        event_time="",
        latest_by=(),
    )


LOADS = _state_table(
    "loads", ["load_id"], load_id="varchar(64)!", star="varchar(64)!", first_month="varchar(7)!", last_month="varchar(7)!",
    run_id="varchar(64)", started_at="timestamp!", finished_at="timestamp!", objects="bigint!", bytes="bigint!",
    rows_read="bigint!", rows_loaded="bigint!", rows_rejected="bigint!", rows_deduplicated="bigint!", rows_filtered="bigint!",
)  # fmt: skip
MONTHS = _state_table(
    "months", ["star", "month"], star="varchar(64)!", month="varchar(7)!", load_id="varchar(64)!",
    fingerprint="varchar(64)!", code_version="varchar(64)!", loaded_at="timestamp!",
)  # fmt: skip
MONTH_ROWS = _state_table(
    "month_rows", ["star", "table_name", "month"], star="varchar(64)!", table_name="varchar(64)!", month="varchar(7)!",
    row_count="bigint!", load_id="varchar(64)!",
)  # fmt: skip
OBJECTS = _state_table(
    "objects", ["star", "source", "object_key"], star="varchar(64)!", source="varchar(64)!", object_key="varchar(1024)!",
    etag="varchar(256)!", size_bytes="bigint!", load_id="varchar(64)!", rows_read="bigint!", rows_loaded="bigint!",
    rows_rejected="bigint!", rows_deduplicated="bigint!", rows_filtered="bigint!",
)  # fmt: skip
REJECTED = _state_table(
    "rejected_rows", [], star="varchar(64)!", source="varchar(64)!", object_key="varchar(1024)!", line="bigint",
    column_name="varchar(64)", reason="varchar(max)!", raw="varchar(max)!", load_id="varchar(64)!",
)  # fmt: skip
CHECKS = _state_table(
    "check_results", ["load_id", "table_name", "check_name"], load_id="varchar(64)!", star="varchar(64)!",
    table_name="varchar(64)!", check_name="varchar(128)!", passed="boolean!", severity="varchar(16)!", message="varchar(max)!",
)  # fmt: skip
STATE_TABLES = (LOADS, MONTHS, MONTH_ROWS, OBJECTS, REJECTED, CHECKS)


@dataclass(frozen=True)
class LoadRecord:
    """What the history keeps of a load."""

    load_id: str
    span: Span
    run_id: str | None
    started_at: datetime
    counts: Sequence[ObjectCount]

    def total(self, name: str) -> int:
        return sum(getattr(count, name) for count in self.counts)


def prepare_tables(session: Session, compiled: CompiledStar, span: Span, names: Collection[str]) -> None:
    """Create what is missing, in the star's schema and the engine's own.

    Where a table stands with other columns than the star declares, all are made anew, if the load makes all of them
    (`names`) and the span covers every month that was loaded; otherwise WarehouseError says so, since rows would be lost.
    """
    star = compiled.star
    standing = session.rows(
        "SELECT schema_name FROM information_schema.schemata WHERE catalog_name = current_database()"
    )
    for schema in dict.fromkeys((star.schema_name, STATE_SCHEMA)):
        if (
            schema,
        ) not in standing:  # asked for one that stands, PostgreSQL would still want the right to create it
            session.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
    for table in STATE_TABLES:
        if not session.existing_columns(STATE_SCHEMA, table.name):
            session.create_table(STATE_SCHEMA, table)
    tables = _tables_of(compiled)
    changed = [(schema, table) for schema, table in tables if _differs(session, schema, table)]
    if changed:
        schema, table = changed[0]
        _refuse_unless_whole(session, compiled, f"{schema}.{table.name}", span, names)
        session.begin()
        for schema, table in tables:
            session.execute(f"DROP TABLE IF EXISTS {qualified(schema, table)}")
    for schema, table in tables:
        if not session.existing_columns(schema, table.name):
            session.create_table(schema, table)


def _tables_of(compiled: CompiledStar) -> list[tuple[str, Table]]:
    """The star's tables, and those that the engine keeps for them, by schema."""
    star = compiled.star
    kept = [(STATE_SCHEMA, month_rows(compiled, table)) for table in star.tables if not table.sliced]
    return [*((star.schema_name, table) for table in star.tables), *kept]


def _differs(session: Session, schema: str, table: Table) -> bool:
    standing = session.existing_columns(schema, table.name)
    declared = [(column.name, session.engine_type(column).lower()) for column in table.columns]
    return bool(standing) and [(name, kind.lower()) for name, kind in standing] != declared


def _refuse_unless_whole(
    session: Session, compiled: CompiledStar, table: str, span: Span, names: Collection[str]
) -> None:
    others = sorted(str(month) for month in read_months(session, compiled.star.name) if month not in span)
    others += [other.name for other in compiled.star.tables if other.name not in names]
    if others:
        raise WarehouseError(
            f"the table {table} stands with other columns than the star {compiled.star.name} "
            f"declares, and {others[0]} is not part of this load: run `scx load {compiled.star.name} --all`, which rebuilds it"
        )


def read_months(session: Session, star: str) -> dict[Month, MonthState]:
    """The months that stand, and what they were made from; none where nothing was ever loaded."""
    if not session.existing_columns(STATE_SCHEMA, MONTHS.name):
        return {}
    mark = session.capabilities.placeholder
    rows = session.rows(
        f"SELECT month, fingerprint, code_version FROM {STATE_SCHEMA}.months WHERE star = {mark}", [star]
    )
    return {Month.parse(month): MonthState(fingerprint, version) for month, fingerprint, version in rows}


def record_load(session: Session, compiled: CompiledStar, record: LoadRecord, selection: Selection) -> None:
    """Note the load, its months' fingerprints and its objects, and forget objects that have gone."""
    star, now = compiled.star.name, datetime.now(UTC).replace(tzinfo=None)
    totals = [record.total(name) for name in ("read", "loaded", "rejected", "deduplicated", "filtered")]
    _insert(session, LOADS, [(
        record.load_id, star, str(record.span.first), str(record.span.last), record.run_id, record.started_at, now,
        len(record.counts), sum(count.object.info.size for count in record.counts), *totals,
    )])  # fmt: skip
    _delete_months(session, MONTHS, star, record.span)
    _insert(session, MONTHS, [
        (star, str(month), record.load_id, selection.fingerprint(month), compiled.version, now) for month in record.span
    ])  # fmt: skip
    _record_objects(session, star, record, selection)


def record_rows(session: Session, star: str, load_id: str, rows: dict[str, dict[Month, int]]) -> None:
    """Note how many rows each month gives to each table."""
    mark = session.capabilities.placeholder
    for table, months in rows.items():
        span = Span(min(months), max(months))
        session.execute(
            f"DELETE FROM {STATE_SCHEMA}.month_rows WHERE star = {mark} AND table_name = {mark} AND month BETWEEN {mark} AND {mark}",
            [star, table, str(span.first), str(span.last)],
        )
        _insert(
            session,
            MONTH_ROWS,
            [(star, table, str(month), count, load_id) for month, count in months.items()],
        )


def record_rejected(session: Session, star: str, load_id: str, ingested: Iterable[Ingested]) -> None:
    """Keep the rejected rows of the objects that were read; `record_load` has removed the earlier ones."""
    for item in ingested:
        rows = [_rejected_row(star, item, row, load_id) for row in item.rejected]
        _insert(session, REJECTED, rows)


def record_checks(session: Session, star: str, load_id: str, results: Sequence[CheckResult]) -> None:
    """Keep the results of the load's checks."""
    _insert(session, CHECKS, [
        (load_id, star, item.table, item.name, item.passed, item.severity, item.message) for item in results
    ])  # fmt: skip


def _rejected_row(star: str, ingested: Ingested, row: Rejected, load_id: str) -> tuple[object, ...]:
    return (star, ingested.table.source, row.key, row.line, row.column, row.reason, row.raw, load_id)


def _record_objects(session: Session, star: str, record: LoadRecord, selection: Selection) -> None:
    """Replace what is known of the objects that were read, and of those that are in no listing any more."""
    mark = session.capabilities.placeholder
    present = {(item.source, item.info.key) for item in selection.objects}
    known = session.rows(f"SELECT source, object_key FROM {STATE_SCHEMA}.objects WHERE star = {mark}", [star])
    read = {(count.object.source, count.object.info.key) for count in record.counts}
    stale = [key for key in known if tuple(key) in read or tuple(key) not in present]
    for start in range(0, len(stale), 200):
        chunk = stale[start : start + 200]
        listed = " OR ".join([f"(source = {mark} AND object_key = {mark})"] * len(chunk))
        for table in (OBJECTS, REJECTED):
            session.execute(
                f"DELETE FROM {qualified(STATE_SCHEMA, table)} WHERE star = {mark} AND ({listed})",
                [star, *(value for key in chunk for value in key)],
            )
    _insert(session, OBJECTS, [
        (star, count.object.source, count.object.info.key, count.object.info.etag, count.object.info.size, record.load_id,
         count.read, count.loaded, count.rejected, count.deduplicated, count.filtered)
        for count in record.counts
    ])  # fmt: skip


def _delete_months(session: Session, table: Table, star: str, span: Span) -> None:
    mark = session.capabilities.placeholder
    session.execute(
        f"DELETE FROM {qualified(STATE_SCHEMA, table)} WHERE star = {mark} AND month BETWEEN {mark} AND {mark}",
        [star, str(span.first), str(span.last)],
    )


def _insert(session: Session, table: Table, rows: Sequence[Sequence[object]]) -> None:
    session.insert_rows(qualified(STATE_SCHEMA, table), table.column_names, rows)
