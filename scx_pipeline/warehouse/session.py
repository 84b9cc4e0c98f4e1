"""A connection to a warehouse that reads and, inside a transaction, writes the tables of a star.

What is published, and when, is decided by the load.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from scx_pipeline.model.calendar import LoadScope, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.catalog import Catalog
from scx_pipeline.warehouse.maintenance import Maintenance
from scx_pipeline.warehouse.parquet_files import ParquetFiles
from scx_pipeline.warehouse.query_session import QuerySession
from scx_pipeline.warehouse.sql_text import (
    TableSql,
    names,
    qualified,
    qualified_name,
    quote,
    scope_condition,
)
from scx_pipeline.warehouse.staging_buffer import StagingBuffer

if TYPE_CHECKING:
    import pandas as pd

BULK_INSERT_ROWS = 2000  # more rows are inserted in bulk
ROWS_PER_INSERT = 200


class Session(QuerySession):
    """A connection that reads, and inside `Warehouse.transaction` also writes.

    It has the database's `catalog`, the stars' `tables`, the SQL that creates them, and their `maintenance`.
    """

    table_sql: TableSql
    catalog: Catalog
    tables: StarTables
    maintenance: Maintenance

    def begin(self) -> None:
        """Start the transaction, unless it has started; before it, statements may not change published rows.

        Engines whose connections are always in a transaction roll back earlier statements as well.
        """

    def open_shared(self) -> AbstractContextManager[Session]:
        """Open the session that writes what all stars share, such as the state tables.

        It is this one, or on engines that run loads concurrently, one that commits on exit, before the load continues.
        """
        return nullcontext(self)

    def atomic(self) -> AbstractContextManager[None]:
        """Commit the statements within together, or with the load's transaction if that has started."""
        return nullcontext()

    def scratch_session(self, tables: Collection[str]) -> Session:
        """Return a session that also writes; `copy_partition` and `copy_rows` copy its results to this one."""
        return self

    def copy_rows(self, scratch: QuerySession, name: str, columns: Sequence[Column]) -> None:
        if scratch is not self:
            self.execute(self.create_table_sql(name, columns, "TEMPORARY "))
            listed = names([column.name for column in columns])
            self.insert_rows(name, columns, scratch.rows(f"SELECT {listed} FROM {name}"))

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement and return how many rows it changed; -1 if the engine does not report it."""

    def create_temporary(self, name: str, select: str) -> None:
        self.execute(f"CREATE TEMPORARY TABLE {name} AS {select}")

    def drop_temporary(self, name: str) -> None:
        self.execute(f"DROP TABLE {name}")

    @abstractmethod
    def read_frame(self, sql: str) -> pd.DataFrame:
        """Run a query and return a pandas frame."""

    def create_schema(self, name: str) -> None:
        """Create a schema, unless it exists. Raises WarehouseError if the user may not."""
        self.execute(self.table_sql.create_schema(name))

    def engine_type(self, column: Column) -> str:
        return self.table_sql.engine_type(column)

    def insert_rows(self, table: str, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        """Insert rows of plain values: by parameters, some hundreds per statement, or in bulk if there are many."""
        if len(rows) > BULK_INSERT_ROWS:
            self._insert_many(table, columns, rows)
            return
        listed = names([column.name for column in columns])
        row = f"({', '.join([self.capabilities.placeholder] * len(columns))})"
        for start in range(0, len(rows), ROWS_PER_INSERT):
            chunk = rows[start : start + ROWS_PER_INSERT]
            self.execute(
                f"INSERT INTO {table} ({listed}) VALUES {', '.join([row] * len(chunk))}",
                [value for item in chunk for value in item],
            )

    @abstractmethod
    def _insert_many(self, table: str, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        """Insert many rows of plain values in the engine's fastest way."""

    def create_latest(
        self, target: str, select: str, keys: Sequence[str], newest_first: Sequence[str]
    ) -> None:
        """Create the temporary table `target` with the rows of `select_latest`."""
        self.create_temporary(target, self.select_latest(select, keys, newest_first))

    def keep_latest(self, target: str, table: Table, duplicate_keys: str, condition: str) -> None:
        """Delete all rows of `target` but the newest per key.

        Args:
            target: The table to change, with the columns of `table`.
            duplicate_keys: A table of the keys to look at.
            condition: The rows to look at, such as those in the scope of a load.
        """
        columns, key = names(table.column_names), names(table.key)
        condition = f"{condition} AND ({key}) IN (SELECT {key} FROM {duplicate_keys})"
        self.create_latest(
            "_latest_rows",
            f"SELECT {columns} FROM {target} WHERE {condition}",
            table.key,
            self.ordering(table, {column.name: column.type for column in table.columns}),
        )
        self.execute(f"DELETE FROM {target} WHERE {condition}")
        self.execute(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM _latest_rows")
        self.execute("DROP TABLE _latest_rows")

    def analyze(self, table: str) -> None:
        """Collect a temporary table's statistics, where the planner would guess; wrong guesses cost hours."""

    def create_table_sql(self, target: str, columns: Sequence[Column], kind: str = "") -> str:
        """Return the CREATE TABLE statement of these columns; `kind` may be "TEMPORARY "."""
        return self.table_sql.create(target, columns, kind)

    def equality(self, left: str, right: str, column: Column) -> str:
        """Return the condition that two terms have exactly the same value of a column, and neither is NULL."""
        return f"{left} = {right}"


class StarTables(ABC):
    """The tables that a session writes; each engine overrides what it does differently."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def physical_layout(self, table: Table) -> str:
        """Describe how the engine stores the table, besides its columns; a table whose layout changes must be rebuilt."""
        return ""

    def create_table(self, schema: str, table: Table) -> None:
        """Create the empty table, with its key where the engine has keys."""
        for statement in self.session.table_sql.create_stored(schema, table):
            self.session.execute(statement)

    def drop_table(self, schema: str, name: str) -> None:
        """Drop a table of a star."""
        self.session.execute(f"DROP TABLE {qualified_name(schema, name)}")

    def swap_in(self, schema: str, built: Table, table: Table) -> None:
        """Replace the table by one that was built under another name, at the end of the transaction."""
        if self.session.catalog.has_table(schema, table.name):
            self.drop_table(schema, table.name)
        self.session.execute(f"ALTER TABLE {qualified(schema, built)} RENAME TO {quote(table.name)}")

    def insert(self, schema: str, table: Table, select: str) -> int:
        """Insert the result of a SELECT, columns by name, and return its row count."""
        columns = names(table.column_names)
        return self.session.execute(
            f"INSERT INTO {qualified(schema, table)} ({columns}) SELECT {columns} FROM ({select}) AS q"
        )

    def clear_partition(self, schema: str, table: Table, scope: MonthRange) -> None:
        """Delete the rows of a month range from a partitioned table."""
        self.delete_scope(schema, table, scope)

    def replace_partition(self, schema: str, table: Table, scope: MonthRange, select: str) -> None:
        """Replace the table's rows of a month range by the result of a SELECT."""
        self.delete_scope(schema, table, scope)
        self.insert(schema, table, select)

    def copy_partition(  # noqa: B027
        self, scratch: Session, schema: str, table: Table, scope: MonthRange
    ) -> None:
        """Replace the table's rows of a month range by those in a scratch database, if the engine has one."""

    @abstractmethod
    def load_parquet(self, schema: str, table: Table, scope: LoadScope, files: ParquetFiles) -> None:
        """Replace the table's rows in a scope by those of files.

        The files are not checked for rows outside the scope.

        Raises:
            WarehouseError: Not all rows of the files arrived.
        """

    @abstractmethod
    def open_staging_buffer(
        self, schema: str, table: Table, scope: LoadScope
    ) -> AbstractContextManager[StagingBuffer]:
        """Open a buffer for a staging table's rows in a scope; only its `finish` needs `Session.begin`."""

    def open_streaming_buffer(
        self, schema: str, table: Table, scope: LoadScope
    ) -> AbstractContextManager[StagingBuffer]:
        """Open a buffer for a table whose rows a load need not keep: see `CompiledStar.can_derive_from_batches`.

        An engine that only passes its rows on need not keep them: see `StagingBuffer.is_streaming`.
        """
        return self.open_staging_buffer(schema, table, scope)

    def delete_scope(self, schema: str, table: Table, scope: LoadScope) -> None:
        """Delete the table's rows in a scope."""
        self.session.execute(f"DELETE FROM {qualified(schema, table)} WHERE {scope_condition(table, scope)}")
