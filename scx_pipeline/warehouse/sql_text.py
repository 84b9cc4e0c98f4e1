"""SQL that is the same on every engine: quoted names, literals, conditions on months, and the statements that create tables.

Statements of a single engine belong to its package.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.capabilities import Capabilities

# The schema of the pipeline's own state: load history, objects, rejected rows, latest rows by month.
STATE_SCHEMA = "scx_pipeline"


def latest_per_key(select: str, keys: Sequence[str], newest_first: Sequence[str]) -> str:
    """Return a SELECT of one row per key out of `select`: the first by the terms, descending, NULL last."""
    terms = ", ".join(f"{term} DESC NULLS LAST" for term in newest_first)
    numbered = f"SELECT q.*, ROW_NUMBER() OVER (PARTITION BY {names(keys)} ORDER BY {terms}) AS _n FROM ({select}) AS q"
    return f"SELECT * FROM ({numbered}) AS numbered WHERE _n = 1"


def quote(name: str) -> str:
    """Return the identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def names(columns: Sequence[str]) -> str:
    """Return a list of quoted identifiers."""
    return ", ".join(quote(column) for column in columns)


def qualified(schema: str, table: Table) -> str:
    """Return the table's full name, quoted."""
    return qualified_name(schema, table.name)


def qualified_name(schema: str, name: str) -> str:
    """Return the full name of a relation, quoted."""
    return f"{quote(schema)}.{quote(name)}"


def timestamp_literal(value: datetime) -> str:
    """Return the timestamp as a SQL literal."""
    return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S}'"


def in_month_range(column: str, scope: MonthRange, alias: str = "") -> str:
    """Return the condition that an event time lies in the month range; `alias` qualifies the column."""
    time = f"{alias}.{quote(column)}" if alias else quote(column)
    parts = [
        f"({time} >= {timestamp_literal(part.start)} AND {time} < {timestamp_literal(part.end)})"
        for part in scope.contiguous
    ]
    return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"


def scope_condition(table: Table, scope: LoadScope, alias: str = "") -> str:
    """Return the condition that a row is in the scope of a load, TRUE for an unpartitioned table; `alias` qualifies the column."""
    if scope is UNPARTITIONED or table.is_unpartitioned:
        return "TRUE"
    return in_month_range(table.event_time_column, scope, alias)


def month_of(column: str) -> str:
    """Return the expression of an event time's month, as the timestamp of its start."""
    return f"CAST(DATE_TRUNC('month', {quote(column)}) AS TIMESTAMP)"


def month_within(column: str, scope: MonthRange) -> str:
    """Return the month of an event time within a month range: a literal if the range is one month."""
    return timestamp_literal(scope.start) if scope.first == scope.last else month_of(column)


def string_literal(text: str) -> str:
    """Return the text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


class TableSql:
    """The statements that create schemas and tables, without a connection; engines override what they do differently."""

    def __init__(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities

    def engine_type(self, column: Column) -> str:
        """Return the engine's type of a column."""
        if column.type == "varchar(max)":
            return self.capabilities.unlimited_text_type
        return self.capabilities.types.get(column.type, column.type)

    def create_schema(self, name: str) -> str:
        """Return the statement that creates a schema, unless it exists."""
        return f"CREATE SCHEMA IF NOT EXISTS {quote(name)}"

    def create(self, target: str, columns: Sequence[Column], kind: str = "") -> str:
        """Return the CREATE TABLE statement of these columns; `kind` may be "TEMPORARY "."""
        lines = [f"{quote(column.name)} {self.engine_type(column)}" for column in columns]
        return f"CREATE {kind}TABLE {target} ({', '.join(lines)})"

    def create_stored(self, schema: str, table: Table) -> list[str]:
        """Return the statements that create a table of a star or of the state, with its key where the engine has keys."""
        return [self.create(qualified(schema, table), table.columns)]
