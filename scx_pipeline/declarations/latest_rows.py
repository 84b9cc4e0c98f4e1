"""The table that stores the latest row per key and month of a keyed (SCD type 1) table.

Filling it does not belong here.
"""

from __future__ import annotations

import hashlib

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import MONTH_COLUMN
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.query_session import QuerySession
from scx_pipeline.warehouse.sql_text import month_of


def latest_rows_table(compiled: CompiledStar, table: Table) -> Table:
    """Return the internal table that holds each month's latest row of every key of a keyed table.

    It restores a key's latest row when the month that had it is reloaded, without reading the history. Its columns are
    those of the SELECT, and the month.
    """
    columns = [
        Column(name=name, type=kind, nullable=name not in table.key, description="")
        for name, kind in compiled.output_types(table).items()
    ]
    month = Column(name=MONTH_COLUMN, type="timestamp", nullable=False, description="The month.")
    return Table(
        name=shorten(f"{compiled.star.name}__{compiled.stored_table(table).name}"),
        role="fact",
        description=f"The latest row per key and month of {table.name}.",
        key=(month.name, *table.key),
        event_time=month.name,
        columns=(*columns, month),
    )


def select_by_month(session: QuerySession, stored: Table, table: Table, select: str) -> str:
    """Return a SELECT of what a keyed table's SELECT returns, and the month of each row, with the types of the stored rows.

    The types come first because two values may differ before a cast only, and the order of the rows must not depend on that.
    """
    by_month = f"SELECT m.*, {month_of(table.event_time_column)} AS {MONTH_COLUMN} FROM ({select}) AS m"
    return f"SELECT {session.typed_columns(stored.columns)} FROM ({by_month}) AS t"


def shorten(name: str) -> str:
    """Return the name, or a unique substitute if it is longer than every engine supports."""
    return name if len(name) <= 63 else f"{name[:54]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def touched_keys_table(table: Table) -> str:
    """Return the name of the temporary table of the keys that a load may have changed in a keyed table."""
    return shorten(f"_touched_{table.name}")
