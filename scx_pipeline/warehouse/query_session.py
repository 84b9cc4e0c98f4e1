"""Queries on the tables of a warehouse or of a lake that is being built.

Checks and comparisons need no more than this; what a load writes with is a session.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.capabilities import Capabilities
from scx_pipeline.warehouse.sql_text import latest_per_key, quote

if TYPE_CHECKING:
    from scx_pipeline.warehouse.parquet_files import Unload


class QuerySession(ABC):
    """A connection that runs queries, with temporary tables, and writes their results as Parquet."""

    capabilities: Capabilities

    @abstractmethod
    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return all its rows: for small results."""

    @abstractmethod
    def create_temporary(self, name: str, select: str) -> None:
        """Store the result of a SELECT in a temporary table of this connection."""

    @abstractmethod
    def drop_temporary(self, name: str) -> None:
        """Drop a temporary table."""

    @abstractmethod
    def unload(self, unload: Unload) -> int:
        """Write the result of a SELECT as Parquet files and return its row count.

        Raises:
            LakeError: The files cannot be written.
        """

    @abstractmethod
    def row_hash(self, columns: Sequence[Column]) -> str:
        """Return the expression of a row's 64-bit hash over these columns; it is specific to the engine."""

    def scratch_session(self, tables: Collection[str]) -> QuerySession:
        """Return the session that holds the loaded partitions of these tables (qualified names).

        It is this one, or on engines that stage loads in a scratch database, that database if it holds all of them.
        """
        return self

    def copy_rows(self, scratch: QuerySession, name: str, columns: Sequence[Column]) -> None:  # noqa: B027
        """Copy a temporary table of a scratch database to this connection, under the same name."""

    def has_verified_key(self, schema: str, table: Table) -> bool:
        """Return whether the engine itself has verified that the table's key is unique; False: a query has to."""
        return False

    @abstractmethod
    def engine_type(self, column: Column) -> str:
        """Return the engine's type of a column."""

    def typed_columns(self, columns: Sequence[Column]) -> str:
        """Return the SELECT list of these columns, cast to their declared types as storing them does."""
        return ", ".join(
            f"CAST({quote(column.name)} AS {self.engine_type(column)}) AS {quote(column.name)}"
            for column in columns
        )

    def ordering(self, table: Table, types: Mapping[str, str]) -> list[str]:
        """Return the terms that order a table's rows newest first.

        Args:
            table: Its `sequence_by` comes first; every other column breaks ties.
            types: The neutral types of the columns that are available to order by.
        """
        others = [name for name in types if name not in (*table.key, *table.sequence_by)]
        return [self._ordering_term(name, types[name]) for name in (*table.sequence_by, *others)]

    def select_latest(self, select: str, keys: Sequence[str], newest_first: Sequence[str]) -> str:
        """Return a SELECT of one row per key of `select`: the first by the ordering terms.

        Terms order descending, NULL last; they must order all rows, so that every engine picks the same one. Columns that are
        neither keys nor terms may be left out.
        """
        return latest_per_key(select, keys, newest_first)

    def _ordering_term(self, name: str, kind: str) -> str:
        collation = self.capabilities.collation
        suffix = f" COLLATE {quote(collation)}" if collation and kind.startswith("varchar") else ""
        return quote(name) + suffix
