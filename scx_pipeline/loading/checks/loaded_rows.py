"""The rows that a load has written, as its checks read them.

Evaluating a check does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.latest_rows import touched_keys_table
from scx_pipeline.history.check_result import Rows, count_by_month
from scx_pipeline.model.calendar import LoadScope, Month, MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.query_session import QuerySession
from scx_pipeline.warehouse.sql_text import names, scope_condition


@dataclass(frozen=True)
class MonthRows:
    """A relation with the rows that each month contributes to a table, and the column that decides a row's month."""

    relation: str
    time: str


class LoadedTables(Protocol):
    """The tables of a load, as far as its checks read them."""

    @property
    def compiled(self) -> CompiledStar:
        """The star with the current names of its tables."""

    @property
    def relations(self) -> QuerySession:
        """The connection that queries the tables."""

    def loaded_rows(self, table: Table, scope: LoadScope) -> str:
        """Return a relation of the rows of a table that the load may have changed."""

    def rows_before(self, table: Table) -> Rows:
        """Return the rows that each month had already, if `loaded_rows` has only those that were added to them."""

    def month_rows(self, table: Table) -> MonthRows:
        """Return the relation of the rows that each month contributes to a monthly table."""

    def count_rows(self, table: Table, scope: MonthRange) -> Rows:
        """Return how many rows each month contributes to the table, including months without rows."""


def select_loaded(compiled: CompiledStar, table: Table, scope: LoadScope) -> str:
    """Return a relation of the rows of a table that a load of all rows of a scope may have changed."""
    target = compiled.full_name(table)
    if table.is_partitioned or table.is_unpartitioned:
        return f"(SELECT * FROM {target} WHERE {scope_condition(table, scope)})"
    key = names(table.key)
    return f"(SELECT * FROM {target} WHERE ({key}) IN (SELECT {key} FROM {touched_keys_table(table)}))"


@dataclass(frozen=True)
class LoadedRows:
    """The rows of a load's tables in its scope."""

    tables: LoadedTables
    scope: LoadScope

    @property
    def session(self) -> QuerySession:
        """The connection that queries the tables."""
        return self.tables.relations

    @property
    def compiled(self) -> CompiledStar:
        """The star with the current names of its tables."""
        return self.tables.compiled

    def scratch(self, *tables: Table) -> QuerySession:
        """Return the session for queries over the loaded rows of these tables alone."""
        return self.session.scratch_session([self.compiled.full_name(table) for table in tables])

    def of(self, table: Table) -> str:
        """Return a relation of the rows that the load may have changed."""
        return self.tables.loaded_rows(table, self.scope)

    def count_by_month(self, month: str, rows: str) -> Mapping[str, int]:
        """Return the rows of a relation by month, as the violations of a check have them.

        Args:
            month: the expression of a row's month.
            rows: the relation.
        """
        found = self.session.rows(f"SELECT {month}, COUNT(*) FROM {rows} AS d GROUP BY 1")
        return count_by_month({Month.of(start): count for start, count in found})
