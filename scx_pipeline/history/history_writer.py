"""Changes to the load history in the warehouse, made in the transaction that publishes a load.

What is published, and when, does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import BucketError
from scx_pipeline.history.check_result import CheckResult, Rows
from scx_pipeline.history.history_reader import is_not_in, select_rows
from scx_pipeline.history.ingest_result import IngestResult, ObjectCount
from scx_pipeline.history.state_tables import (
    CHECK_RESULTS,
    LOADS,
    MONTH_ROWS,
    MONTHS,
    OBJECTS,
    REJECTED_ROWS,
    STALE_MONTHS,
    UNPARTITIONED_LOADS,
)
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange, contiguous_ranges
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import SelectedObject, Selection
from scx_pipeline.storage.object_info import printable_key
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, qualified

MAX_KEY_BYTES = 1024  # The limit of S3 for an object key; the path of a local file may be longer.


@dataclass(frozen=True)
class LoadRecord:
    """A load as the history records it."""

    load_id: str
    scope: LoadScope
    run_id: str | None
    started_at: datetime
    counts: Sequence[ObjectCount]


def delete_row_counts(session: Session, star: str, table: str, first: str, last: str) -> None:
    """Delete the row counts of a table for a range of months, such as those whose rows were purged."""
    delete_state_rows(
        session, MONTH_ROWS, star, " AND table_name = ? AND month BETWEEN ? AND ?", [table, first, last]
    )


def check_key_lengths(objects: Iterable[SelectedObject]) -> None:
    """Check, before anything is read, that the history can store the objects' keys. Raises BucketError."""
    for item in objects:
        key = item.info.key
        size = len(key.encode(errors="surrogateescape"))
        if size > MAX_KEY_BYTES:
            raise BucketError(
                f"cannot read {printable_key(key[:200])}…{printable_key(key[-100:])}: its key has {size:,} bytes, and at most {MAX_KEY_BYTES:,} are allowed, "
                "as in S3: shorten its path; nothing was changed"
            )


def record_stale_months(session: Session, star: str, load_id: str, stale: Mapping[Month, str]) -> None:
    """Replace the recorded stale months by these, each with its reason."""
    delete_state_rows(session, STALE_MONTHS, star)
    add_stale_months(session, star, load_id, stale)


def add_stale_months(session: Session, star: str, load_id: str, stale: Mapping[Month, str]) -> None:
    """Record more stale months, each with its reason; none of them may be recorded already."""
    insert_state_rows(
        session, STALE_MONTHS, [(star, str(month), load_id, reason) for month, reason in stale.items()]
    )


def delete_month_records(session: Session, star: Star) -> None:
    """Delete the records of a star's months and their objects, before a load of all months records them again."""
    delete_state_rows(session, MONTHS, star.name)
    delete_state_rows(session, STALE_MONTHS, star.name)
    delete_state_rows(session, MONTH_ROWS, star.name, " AND month <> ?", [UNPARTITIONED.value])
    kept = [source.name for source in star.sources if source.event_time is None]
    for table in (OBJECTS, REJECTED_ROWS):
        delete_state_rows(session, table, star.name, is_not_in("source", kept), kept)


def clear_stale(session: Session, star: str, scope: MonthRange) -> None:
    """Record that these months are no longer stale."""
    delete_state_months(session, STALE_MONTHS, star, scope)


def record_load(session: Session, compiled: CompiledStar, record: LoadRecord, selection: Selection) -> None:
    """Record the load, its months' fingerprints and its objects, and delete the records of removed objects.

    A load of some tables may not have listed all sources of its months. Their fingerprints stay: they are those of all sources,
    so the months are due if any of them differs.
    """
    star, scope, now = compiled.star.name, record.scope, datetime.now(UTC).replace(tzinfo=None)
    ends = [scope.value] * 2 if scope is UNPARTITIONED else [str(scope.first), str(scope.last)]
    names = ("read", "loaded", "rejected", "deduplicated", "filtered")
    insert_state_rows(session, LOADS, [(
        record.load_id, star, *ends, record.run_id, record.started_at, now,
        len(record.counts), sum(count.object.info.size for count in record.counts),
        *(sum(getattr(count, name) for count in record.counts) for name in names),
    )])  # fmt: skip
    if scope is UNPARTITIONED:
        delete_state_rows(session, UNPARTITIONED_LOADS, star)
        built_from = (selection.unpartitioned_fingerprint, compiled.unpartitioned_version)
        insert_state_rows(session, UNPARTITIONED_LOADS, [(star, record.load_id, *built_from, now)])
    elif selection.listed_sources >= {source.name for source in compiled.star.sources if source.event_time}:
        delete_state_months(session, MONTHS, star, scope)
        versions = (compiled.version, compiled.declaration_version)
        insert_state_rows(session, MONTHS, [
            (star, str(month), record.load_id, selection.fingerprint(month), *versions, now) for month in scope
        ])  # fmt: skip
    _record_objects(session, compiled, record, selection)


def record_rows(session: Session, star: str, load_id: str, rows: Mapping[str, Rows]) -> None:
    """Record how many rows each month contributes to each table."""
    for table, counts in rows.items():
        ends = [(str(part.first), str(part.last)) for part in contiguous_ranges(filter(None, counts))]
        for first, last in ends or [(UNPARTITIONED.value, UNPARTITIONED.value)]:
            delete_row_counts(session, star, table, first, last)
        insert_state_rows(session, MONTH_ROWS, [
            (star, table, str(month) if month else UNPARTITIONED.value, count, load_id) for month, count in counts.items()
        ])  # fmt: skip


def record_rejected(
    session: Session, star: str, load_id: str, ingest_results: Iterable[IngestResult]
) -> None:
    """Store the rejected rows of the objects that were read; `record_load` has deleted the previous ones."""
    insert_state_rows(session, REJECTED_ROWS, rejected_rows(star, load_id, ingest_results))


def rejected_rows(
    star: str, load_id: str, ingest_results: Iterable[IngestResult]
) -> list[tuple[object, ...]]:
    """Return the rejected rows as records of REJECTED_ROWS."""
    return [
        (star, row.source, row.key, row.line, row.column, row.reason, row.raw, load_id)
        for item in ingest_results
        for row in item.rejected
    ]


def object_rows(star: str, load_id: str, counts: Iterable[ObjectCount]) -> list[tuple[object, ...]]:
    """Return the objects' row counts as records of OBJECTS."""
    return [
        (star, count.object.source, count.object.info.key, count.object.info.etag, count.object.info.size, load_id,
         count.read, count.loaded, count.rejected, count.deduplicated, count.filtered)
        for count in counts
    ]  # fmt: skip


def record_checks(session: Session, star: str, load_id: str, results: Sequence[CheckResult]) -> None:
    """Store the results of the load's checks."""
    insert_state_rows(session, CHECK_RESULTS, [
        (load_id, star, item.table, item.name, item.passed, item.severity, item.message) for item in results
    ])  # fmt: skip


def _record_objects(
    session: Session, compiled: CompiledStar, record: LoadRecord, selection: Selection
) -> None:
    """Replace the records of the objects that were read, and delete those of objects that are no longer listed.

    The objects of a source that is no longer declared, such as a renamed one, are never listed.
    """
    star = compiled.star.name
    present = {(item.source, item.info.key) for item in selection.objects}
    # Declared sources that were not listed keep their records.
    unlisted = sorted({source.name for source in compiled.star.sources} - selection.listed_sources)
    condition = is_not_in("source", unlisted)
    recorded = select_rows(session, OBJECTS, "source, object_key", star, condition, unlisted)
    read = {(count.object.source, count.object.info.key) for count in record.counts}
    outdated = [key for key in recorded if tuple(key) in read or tuple(key) not in present]
    if outdated:
        delete_object_records(session, star, (OBJECTS, REJECTED_ROWS), outdated)
    insert_state_rows(session, OBJECTS, object_rows(star, record.load_id, record.counts))


def delete_object_records(
    session: Session, star: str, tables: Iterable[Table], keys: Sequence[tuple[object, ...]]
) -> None:
    """Delete the rows of objects, given by source and key, from state tables."""
    columns = [OBJECTS.column("source"), OBJECTS.column("object_key")]
    session.execute(session.create_table_sql("_removed", columns, "TEMPORARY "))
    session.insert_rows("_removed", columns, keys)
    for table in tables:
        delete_state_rows(
            session, table, star, " AND (source, object_key) IN (SELECT source, object_key FROM _removed)"
        )
    session.execute("DROP TABLE _removed")


def delete_state_months(session: Session, table: Table, star: str, scope: MonthRange) -> None:
    """Delete a star's rows of these months from a state table."""
    for part in scope.contiguous:
        delete_state_rows(
            session, table, star, " AND month BETWEEN ? AND ?", [str(part.first), str(part.last)]
        )


def delete_state_rows(
    session: Session, table: Table, star: str, condition: str = "", values: Sequence[object] = ()
) -> None:
    """Delete a star's rows of a state table; each ? in the condition is the placeholder of a value."""
    mark = session.capabilities.placeholder
    session.execute(
        f"DELETE FROM {qualified(STATE_SCHEMA, table)} WHERE star = {mark}{condition.replace('?', mark)}",
        [star, *values],
    )


def insert_state_rows(session: Session, table: Table, rows: Sequence[Sequence[object]]) -> None:
    """Insert rows into a state table."""
    session.insert_rows(qualified(STATE_SCHEMA, table), table.columns, rows)
