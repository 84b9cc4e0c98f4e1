"""SQL fragments that read the same on every engine: quoted names, literals, conditions on months.

Statements of a single engine belong to its package.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, MonthRange
from scx_pipeline.model.table import Table

if TYPE_CHECKING:
    pass


STATE_SCHEMA = (
    "scx_pipeline"  # the engine's own schema: load history, objects, rejected rows, months' newest rows
)


def latest_per_key(select: str, keys: Sequence[str], newest_first: Sequence[str]) -> str:
    """A SELECT of one row per key out of `select`: the first by the terms, descending, NULL last."""
    terms = ", ".join(f"{term} DESC NULLS LAST" for term in newest_first)
    numbered = f"SELECT q.*, ROW_NUMBER() OVER (PARTITION BY {names(keys)} ORDER BY {terms}) AS _n FROM ({select}) AS q"
    return f"SELECT * FROM ({numbered}) AS numbered WHERE _n = 1"


def quote(name: str) -> str:
    """The identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def names(columns: Sequence[str]) -> str:
    """A list of quoted identifiers."""
    return ", ".join(quote(column) for column in columns)


def qualified(schema: str, table: Table) -> str:
    """The table's full name, quoted."""
    return f"{quote(schema)}.{quote(table.name)}"


def timestamp_literal(value: datetime) -> str:
    """The moment as a SQL literal."""
    return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S}'"


def in_month_range(column: str, scope: MonthRange) -> str:
    """The condition that an event time lies in the span."""
    return f"({quote(column)} >= {timestamp_literal(scope.start)} AND {quote(column)} < {timestamp_literal(scope.end)})"


def in_scope(table: Table, scope: LoadScope) -> str:
    """The condition that a row belongs to what a load of the span makes of the table: all of it, if it has no months."""
    return (
        in_month_range(table.event_time_column, scope)
        if scope is not UNPARTITIONED and not table.unpartitioned
        else "TRUE"
    )


def month_of(column: str) -> str:
    """The expression of an event time's month, as the timestamp it begins at."""
    return f"CAST(DATE_TRUNC('month', {quote(column)}) AS TIMESTAMP)"


def month_within(column: str, scope: MonthRange) -> str:
    """The same of rows that are of the span: a literal where that is one month, which nobody need work out row by row."""
    return timestamp_literal(scope.start) if scope.first == scope.last else month_of(column)
