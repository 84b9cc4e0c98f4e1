"""Snapshots of a star's tables and of its part of the state tables, to compare before and after.

Whether two snapshots must be equal is for the tests to say.
"""

from __future__ import annotations

from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, qualified

Row = tuple[Any, ...]
Snapshot = dict[str, list[Row]]


def in_order(rows: list[Row], wanted: bool = True) -> list[Row]:
    """Return the rows ordered by their representation, so that NULL is comparable with values."""
    return sorted(rows, key=repr) if wanted else rows


def take_snapshot(session: Session, compiled: CompiledStar, load_ids: bool = True) -> Snapshot:
    """Return a star's tables and its part of the state tables. Missing tables are the same as empty ones."""
    state = (
        {name: f"{what}, load_id" for name, what in _OF_STATE.items()} | _OF_LOADS if load_ids else _OF_STATE
    )
    found: Snapshot = {}
    kept = {table.name: f"{compiled.star.name}__{table.name}" for table in compiled.star.tables}
    own = session.catalog.list_columns(compiled.star.schema_name, kept)
    engines = session.catalog.list_columns(STATE_SCHEMA, [*kept.values(), *state])
    for table in compiled.star.tables:
        if table.name in own:
            found[table.name] = session.rows(f"SELECT * FROM {qualified(compiled.star.schema_name, table)}")
        if kept[table.name] in engines:
            by_month = session.rows(f'SELECT * FROM {STATE_SCHEMA}."{kept[table.name]}"')
            found[f"{table.name} by month"] = by_month
    for name, what in state.items():
        if name in engines:
            found[name] = session.rows(f"SELECT {what} FROM {STATE_SCHEMA}.{name}")
    return {name: in_order(rows) for name, rows in found.items() if rows}


_OF_STATE = {
    "rejected_rows": 'source, object_key, line, column_name, reason, "raw"',
    "months": "month, fingerprint, code_version",
    "month_rows": "table_name, month, row_count",
    "objects": "source, object_key, etag, size_bytes, rows_read, rows_rejected",
    "unpartitioned": "fingerprint, code_version",
    "stale_months": "month, reason",
}
_OF_LOADS = {"loads": "*", "check_results": "*"}
