"""The load history in the warehouse: loads, months, objects, rejected rows, check results; and the star's tables.
Written in the transaction that publishes; what is published is decided elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import BucketError
from scx_pipeline.history.check_result import CheckResult, Rows
from scx_pipeline.history.ingest_result import IngestResult, ObjectCount
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import MonthState, SelectedObject, Selection
from scx_pipeline.storage.listing import shown
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, qualified


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
        sequence_by=(),
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
WHOLES = _state_table(
    "unpartitioned", ["star"], star="varchar(64)!", load_id="varchar(64)!", fingerprint="varchar(64)!",
    code_version="varchar(64)!", loaded_at="timestamp!",
)  # fmt: skip
STALE = _state_table(
    "stale_months", ["star", "month"], star="varchar(64)!", month="varchar(7)!", load_id="varchar(64)!", reason="varchar(max)!",
)  # fmt: skip
TABLES = _state_table(
    "tables", ["schema_name", "table_name"], schema_name="varchar(64)!", table_name="varchar(160)!", star="varchar(64)!",
    column_list="varchar(max)!", key_columns="varchar(max)!", event_time="varchar(64)!", layout="varchar(max)!",
    made_at="timestamp!",
)  # fmt: skip
STATE_TABLES = (LOADS, MONTHS, MONTH_ROWS, OBJECTS, REJECTED, CHECKS, WHOLES, STALE, TABLES)
MAX_KEY_BYTES = 1024  # of an object's key, as in S3; the path of a file may be longer


@dataclass(frozen=True)
class LoadRecord:
    """What the history keeps of a load."""

    load_id: str
    scope: LoadScope
    run_id: str | None
    started_at: datetime
    counts: Sequence[ObjectCount]

    def total(self, name: str) -> int:
        return sum(getattr(count, name) for count in self.counts)


def read_months(session: Session, star: str) -> dict[Month, MonthState]:
    """The months that stand, and what they were made from; none where nothing was ever loaded."""
    if not session.table_exists(STATE_SCHEMA, MONTHS.name):
        return {}
    mark = session.capabilities.placeholder
    rows = session.rows(
        f"SELECT month, fingerprint, code_version FROM {STATE_SCHEMA}.months WHERE star = {mark}", [star]
    )
    return {Month.parse(month): MonthState(fingerprint, version) for month, fingerprint, version in rows}


def read_unpartitioned(session: Session, star: str) -> MonthState | None:
    """What the tables without months were made from; None where they never were."""
    if not session.table_exists(STATE_SCHEMA, WHOLES.name):
        return None
    mark = session.capabilities.placeholder
    rows = session.rows(
        f"SELECT fingerprint, code_version FROM {STATE_SCHEMA}.unpartitioned WHERE star = {mark}", [star]
    )
    return MonthState(*rows[0]) if rows else None


def read_stale(session: Session, star: str) -> dict[Month, tuple[str, str]]:
    """The months that stand, but whose rows another table's change has made wrong: why, and since which load."""
    if not session.table_exists(STATE_SCHEMA, STALE.name):
        return {}
    mark = session.capabilities.placeholder
    rows = session.rows(
        f"SELECT month, reason, load_id FROM {STATE_SCHEMA}.stale_months WHERE star = {mark}", [star]
    )
    return {Month.parse(month): (reason, load_id) for month, reason, load_id in rows}


def read_purged(session: Session, star: str, tables: Collection[str]) -> dict[str, set[Month]]:
    """Of staging tables, the months that stand but whose rows were removed since (`upkeep`): they have no count of rows."""
    standing, mark = set(read_months(session, star)), session.capabilities.placeholder
    if not standing or not tables:
        return {table: set() for table in tables}
    counted = session.rows(
        f"SELECT table_name, month FROM {STATE_SCHEMA}.month_rows WHERE star = {mark}"
        f" AND table_name IN ({', '.join([mark] * len(tables))})",
        [star, *tables],
    )
    kept = {table: {Month.parse(month) for name, month in counted if name == table} for table in tables}
    return {table: standing - months for table, months in kept.items()}


def forget_rows(session: Session, star: str, table: Table, scope: MonthRange) -> None:
    """Note that a table has no rows of the span any more; the months stand all the same."""
    mark = session.capabilities.placeholder
    session.execute(
        f"DELETE FROM {STATE_SCHEMA}.month_rows WHERE star = {mark} AND table_name = {mark} AND month BETWEEN {mark} AND {mark}",
        [star, table.name, str(scope.first), str(scope.last)],
    )


def rejecting_objects(session: Session, star: str, source: str) -> frozenset[tuple[str, str]]:
    """The keys and ETags of a source's objects of which rows were rejected when they were read last."""
    mark = session.capabilities.placeholder
    rows = session.rows(
        f"SELECT object_key, etag FROM {STATE_SCHEMA}.objects WHERE star = {mark} AND source = {mark} AND rows_rejected > 0",
        [star, source],
    )
    return frozenset((key, etag) for key, etag in rows)


def known_objects(session: Session, star: str, sources: Sequence[str]) -> list[tuple[str, str, str, int]]:
    """What is known of the sources' objects: the source, the key, the ETag and the bytes of each."""
    mark = session.capabilities.placeholder
    return session.rows(
        f"SELECT source, object_key, etag, size_bytes FROM {STATE_SCHEMA}.objects WHERE star = {mark}"
        f" AND source IN ({', '.join([mark] * len(sources))})",
        [star, *sources],
    )


def check_keys(objects: Iterable[SelectedObject]) -> None:
    """Raise BucketError for an object whose key is longer than the history keeps, before anything is read."""
    for item in objects:
        key = item.info.key
        size = len(key.encode(errors="surrogateescape"))
        if size > MAX_KEY_BYTES:
            raise BucketError(
                f"cannot read {shown(key[:200])}…{shown(key[-100:])}: its key has {size:,} bytes, and at most {MAX_KEY_BYTES:,} are allowed, "
                "as in S3: shorten its path; nothing was changed"
            )


def record_stale(session: Session, star: str, load_id: str, stale: Mapping[Month, str]) -> None:
    """Note which months are stale, and why; no others are."""
    mark = session.capabilities.placeholder
    session.execute(f"DELETE FROM {STATE_SCHEMA}.stale_months WHERE star = {mark}", [star])
    add_stale(session, star, load_id, stale)


def add_stale(session: Session, star: str, load_id: str, stale: Mapping[Month, str]) -> None:
    """Note that these months, none of which is noted, are stale as well, and why."""
    _insert(session, STALE, [(star, str(month), load_id, reason) for month, reason in stale.items()])


def forget_months(session: Session, star: Star) -> None:
    """Forget all that is known of a star's months and their objects, to be recorded again by a load of all of them."""
    mark = session.capabilities.placeholder
    for table in (MONTHS, STALE):
        session.execute(f"DELETE FROM {qualified(STATE_SCHEMA, table)} WHERE star = {mark}", [star.name])
    session.execute(
        f"DELETE FROM {qualified(STATE_SCHEMA, MONTH_ROWS)} WHERE star = {mark} AND month <> '{UNPARTITIONED.value}'",
        [star.name],
    )
    kept = [source.name for source in star.sources if source.event_time is None]
    others = f" AND source NOT IN ({', '.join([mark] * len(kept))})" if kept else ""
    for table in (OBJECTS, REJECTED):
        session.execute(
            f"DELETE FROM {qualified(STATE_SCHEMA, table)} WHERE star = {mark}{others}", [star.name, *kept]
        )


def forget_stale(session: Session, star: str, scope: MonthRange) -> None:
    """Note that the span's months are right again."""
    _delete_months(session, STALE, star, scope)


def record_load(session: Session, compiled: CompiledStar, record: LoadRecord, selection: Selection) -> None:
    """Note the load, its months' fingerprints and its objects, and forget objects that have gone."""
    star, now = compiled.star.name, datetime.now(UTC).replace(tzinfo=None)
    declared = [source.name for source in compiled.star.sources]
    totals = [record.total(name) for name in ("read", "loaded", "rejected", "deduplicated", "filtered")]
    _insert(session, LOADS, [(
        record.load_id, star, *_ends(record.scope), record.run_id, record.started_at, now,
        len(record.counts), sum(count.object.info.size for count in record.counts), *totals,
    )])  # fmt: skip
    if record.scope is UNPARTITIONED:
        mark = session.capabilities.placeholder
        session.execute(f"DELETE FROM {STATE_SCHEMA}.unpartitioned WHERE star = {mark}", [star])
        made_from = (selection.unpartitioned_fingerprint, compiled.unpartitioned_version)
        _insert(session, WHOLES, [(star, record.load_id, *made_from, now)])
    else:
        _delete_months(session, MONTHS, star, record.scope)
        _insert(session, MONTHS, [
            (star, str(month), record.load_id, selection.fingerprint(month), compiled.version, now) for month in record.scope
        ])  # fmt: skip
    _record_objects(session, star, declared, record, selection)


def _ends(scope: LoadScope) -> tuple[str, str]:
    return (
        (UNPARTITIONED.value, UNPARTITIONED.value)
        if scope is UNPARTITIONED
        else (str(scope.first), str(scope.last))
    )


def record_rows(session: Session, star: str, load_id: str, rows: Mapping[str, Rows]) -> None:
    """Note how many rows each month gives to each table."""
    mark = session.capabilities.placeholder
    for table, counts in rows.items():
        months = {str(month) if month else UNPARTITIONED.value: count for month, count in counts.items()}
        session.execute(
            f"DELETE FROM {STATE_SCHEMA}.month_rows WHERE star = {mark} AND table_name = {mark} AND month BETWEEN {mark} AND {mark}",
            [star, table, min(months), max(months)],
        )
        _insert(
            session, MONTH_ROWS, [(star, table, month, count, load_id) for month, count in months.items()]
        )


def record_rejected(session: Session, star: str, load_id: str, ingest_result: Iterable[IngestResult]) -> None:
    """Keep the rejected rows of the objects that were read; `record_load` has removed the earlier ones."""
    _insert(session, REJECTED, rejected_rows(star, load_id, ingest_result))


def rejected_rows(star: str, load_id: str, ingest_result: Iterable[IngestResult]) -> list[tuple[object, ...]]:
    """The rejected rows as REJECTED keeps them."""
    return [
        (star, item.table.source, row.key, row.line, row.column, row.reason, row.raw, load_id)
        for item in ingest_result
        for row in item.rejected
    ]


def object_rows(star: str, load_id: str, counts: Iterable[ObjectCount]) -> list[tuple[object, ...]]:
    """What became of the objects' rows, as OBJECTS keeps it."""
    return [
        (star, count.object.source, count.object.info.key, count.object.info.etag, count.object.info.size, load_id,
         count.read, count.loaded, count.rejected, count.deduplicated, count.filtered)
        for count in counts
    ]  # fmt: skip


def record_checks(session: Session, star: str, load_id: str, results: Sequence[CheckResult]) -> None:
    """Keep the results of the load's checks."""
    _insert(session, CHECKS, [
        (load_id, star, item.table, item.name, item.passed, item.severity, item.message) for item in results
    ])  # fmt: skip


def _record_objects(
    session: Session, star: str, declared: Sequence[str], record: LoadRecord, selection: Selection
) -> None:
    """Replace what is known of the objects that were read, and of those that are in no listing any more.

    The objects of a source that is not declared any more, such as one that was renamed, are in none.
    """
    mark = session.capabilities.placeholder
    present = {(item.source, item.info.key) for item in selection.objects}
    # Without those that are declared and were not listed: the load says nothing about their objects.
    others = sorted(set(declared) - selection.listed)
    condition = f" AND source NOT IN ({', '.join([mark] * len(others))})" if others else ""
    known = session.rows(
        f"SELECT source, object_key FROM {STATE_SCHEMA}.objects WHERE star = {mark}{condition}",
        [star, *others],
    )
    read = {(count.object.source, count.object.info.key) for count in record.counts}
    stale = [key for key in known if tuple(key) in read or tuple(key) not in present]
    if stale:
        _forget_objects(session, star, stale)
    _insert(session, OBJECTS, object_rows(star, record.load_id, record.counts))


def _forget_objects(session: Session, star: str, keys: Sequence[tuple[object, ...]]) -> None:
    mark = session.capabilities.placeholder
    columns = [OBJECTS.column("source"), OBJECTS.column("object_key")]
    session.execute(session.create_table_sql("_gone", columns, "TEMPORARY "))
    session.insert_rows("_gone", columns, keys)
    for table in (OBJECTS, REJECTED):
        session.execute(
            f"DELETE FROM {qualified(STATE_SCHEMA, table)} WHERE star = {mark}"
            " AND (source, object_key) IN (SELECT source, object_key FROM _gone)",
            [star],
        )
    session.execute("DROP TABLE _gone")


def _delete_months(session: Session, table: Table, star: str, scope: MonthRange) -> None:
    mark = session.capabilities.placeholder
    session.execute(
        f"DELETE FROM {qualified(STATE_SCHEMA, table)} WHERE star = {mark} AND month BETWEEN {mark} AND {mark}",
        [star, str(scope.first), str(scope.last)],
    )


def _insert(session: Session, table: Table, rows: Sequence[Sequence[object]]) -> None:
    session.insert_rows(qualified(STATE_SCHEMA, table), table.columns, rows)
