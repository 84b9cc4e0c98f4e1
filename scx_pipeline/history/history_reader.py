"""Queries of the load history in the warehouse: loaded months, stale months, objects.

Deciding from them what to load does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from scx_pipeline.history.check_result import Rows
from scx_pipeline.history.state_tables import MONTH_ROWS, MONTHS, OBJECTS, STALE_MONTHS, UNPARTITIONED_LOADS
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.planning.added_objects import RecordedObject
from scx_pipeline.planning.changed_months import MonthState
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA


def read_month_states(session: Session, star: str) -> dict[Month, MonthState]:
    """Return the loaded months and what they were built from; empty if nothing was ever loaded."""
    rows = read_state_rows(session, MONTHS, "month, fingerprint, code_version, declaration_version", star)
    return {Month.parse(month): MonthState(*state) for month, *state in rows}


def read_unpartitioned_state(session: Session, star: str) -> MonthState | None:
    """Return what the unpartitioned tables were built from; None if they were never loaded."""
    rows = read_state_rows(session, UNPARTITIONED_LOADS, "fingerprint, code_version", star)
    return MonthState(*rows[0]) if rows else None


def read_stale_months(session: Session, star: str) -> dict[Month, tuple[str, str]]:
    """Return the loaded months that a change of another table made stale, with the reason and the load ID of the change."""
    rows = read_state_rows(session, STALE_MONTHS, "month, reason, load_id", star)
    return {Month.parse(month): (reason, load_id) for month, reason, load_id in rows}


def read_state_rows(session: Session, table: Table, columns: str, star: str) -> list[tuple[Any, ...]]:
    """Return a star's rows of a state table; empty if the table does not exist."""
    return (
        select_rows(session, table, columns, star)
        if session.catalog.has_table(STATE_SCHEMA, table.name)
        else []
    )


def select_rows(
    session: Session, table: Table, columns: str, star: str, more: str = "", values: Sequence[object] = ()
) -> list[tuple[Any, ...]]:
    """Return a star's rows of a state table. `more` follows the condition on the star; each ? in it is the placeholder of a value."""
    mark = session.capabilities.placeholder
    return session.rows(
        f"SELECT {columns} FROM {STATE_SCHEMA}.{table.name} WHERE star = {mark}{more.replace('?', mark)}",
        [star, *values],
    )


def is_in(column: str, values: Collection[str]) -> str:
    """Return the condition `AND column IN (?, …)`; empty without values."""
    return f" AND {column} IN ({', '.join('?' * len(values))})" if values else ""


def is_not_in(column: str, values: Collection[str]) -> str:
    """Return the condition `AND column NOT IN (?, …)`; empty without values."""
    return f" AND {column} NOT IN ({', '.join('?' * len(values))})" if values else ""


def read_purged_months(session: Session, star: str, tables: Collection[str]) -> dict[str, set[Month]]:
    """Return, per staging table, the loaded months whose rows the retention policy has removed: they have no row count."""
    loaded = set(read_month_states(session, star))
    if not loaded or not tables:
        return {table: set() for table in tables}
    condition = is_in("table_name", tables)
    counted = select_rows(session, MONTH_ROWS, "table_name, month", star, condition, [*tables])
    kept = {table: {Month.parse(month) for name, month in counted if name == table} for table in tables}
    return {table: loaded - months for table, months in kept.items()}


def read_objects_with_rejects(session: Session, star: str, source: str) -> frozenset[tuple[str, str]]:
    """Return the keys and ETags of the objects of which rows were rejected when they were last read."""
    condition = " AND source = ? AND rows_rejected > 0"
    return frozenset(select_rows(session, OBJECTS, "object_key, etag", star, condition, [source]))


def read_recorded_objects(
    session: Session, star: str, sources: Sequence[str]
) -> list[tuple[str, str, str, int]]:
    """Return the source, key, ETag and size in bytes of each recorded object of these sources."""
    columns = "source, object_key, etag, size_bytes"
    return select_rows(session, OBJECTS, columns, star, is_in("source", sources), sources)


def read_loaded_objects(session: Session, star: str) -> dict[tuple[str, str], RecordedObject]:
    """Return the recorded objects of a star by source and key."""
    columns = "source, object_key, etag, size_bytes, rows_read, rows_rejected"
    found = select_rows(session, OBJECTS, columns, star)
    return {(source, key): RecordedObject._make(values) for source, key, *values in found}


def read_month_rows(session: Session, star: str, table: str, scope: MonthRange) -> Rows:
    """Return the recorded row counts of a table's months in a scope."""
    ends = [str(scope.first), str(scope.last)]
    condition = " AND table_name = ? AND month BETWEEN ? AND ?"
    found = select_rows(session, MONTH_ROWS, "month, row_count", star, condition, [table, *ends])
    counts = {Month.parse(month): int(count) for month, count in found}
    return {month: count for month, count in counts.items() if month in scope}
