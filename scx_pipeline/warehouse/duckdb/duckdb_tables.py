"""A star's tables in a DuckDB file, and the buffers that stage their rows in the same file.

Which rows a table gets is decided by the load.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.duckdb.duckdb_connection import DuckDBTransaction
from scx_pipeline.warehouse.parquet_files import ParquetFiles, check_arrived
from scx_pipeline.warehouse.session import Session, StarTables
from scx_pipeline.warehouse.sql_text import names, qualified, qualified_name, quote, scope_condition
from scx_pipeline.warehouse.staging_buffer import OBJECT, StagingBuffer

# The comment of a staging table, by which a later load finds and removes those that a crash left.
STAGING_COMMENT = "scx_pipeline: rows of a load that has not ended"


class DuckDBTables(StarTables):
    """The tables, and the staging tables of the present load."""

    def __init__(self, session: Session, transaction: DuckDBTransaction) -> None:
        super().__init__(session)
        self.transaction = transaction
        self.staging_tables: list[str] = []

    def load_parquet(self, schema: str, table: Table, scope: LoadScope, files: ParquetFiles) -> None:
        self.delete_scope(schema, table, scope)
        if not files.objects:
            return
        target, listed, con = qualified(schema, table), names(table.column_names), self.transaction.con
        if files.scan is None:
            con.register("_files", files.batches(table.columns))
        relation = files.scan or "_files"
        arrived = self.session.execute(f"INSERT INTO {target} ({listed}) SELECT {listed} FROM {relation}")
        if files.scan is None:
            con.unregister("_files")
        check_arrived(target, files.rows, arrived, files)

    @contextmanager
    def open_staging_buffer(self, schema: str, table: Table, scope: LoadScope) -> Iterator[StagingBuffer]:
        """Stage in a table to swap in, if the scope covers all rows; otherwise in a temporary table."""
        target = qualified(schema, table)
        self._drop_leftover_staging_tables(schema, table)
        other_rows = self.session.rows(
            f"SELECT 1 FROM {target} WHERE NOT {scope_condition(table, scope)} LIMIT 1"
        )
        kind = _PartitionStagingBuffer if other_rows else _SwapStagingBuffer
        yield kind(self, schema, table, scope)

    def drop_staging_tables(self) -> None:
        """Drop the staging tables of a failed load; a successful one has left none."""
        for name in self.staging_tables:
            self.session.execute(f"DROP TABLE IF EXISTS {name}")

    def _drop_leftover_staging_tables(self, schema: str, table: Table) -> None:
        """Drop staging tables that a crash left; a table of that name without the comment belongs to someone else."""
        left = self.session.rows(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND lower(schema_name) = lower(?)"
            " AND starts_with(table_name, ?) AND comment = ?",
            [schema, _staging_name(table), STAGING_COMMENT],
        )
        for (name,) in left:
            self.drop_table(schema, name)


class _PartitionStagingBuffer(StagingBuffer):
    """Stages in a temporary table, from which the partition is replaced."""

    batch_bytes = None

    def __init__(self, tables: DuckDBTables, schema: str, table: Table, scope: LoadScope) -> None:
        self.tables, self.session, self.con = tables, tables.session, tables.transaction.con
        self.schema, self.table = schema, table
        self.in_scope = scope_condition(table, scope)
        self.rows = self._create()

    @property
    def in_transaction(self) -> bool:
        return self.tables.transaction.is_open

    def _create(self) -> str:
        name = quote(f"_staging_{self.table.name}")
        self._create_table(name, "TEMPORARY ")
        return name

    def _create_table(self, name: str, kind: str = "") -> None:
        self.session.execute(self.session.create_table_sql(name, [*self.table.columns, OBJECT], kind))

    def flush(self) -> None:
        """Do nothing: the rows are published together."""

    def finish(self, duplicate_keys: str | None) -> None:
        if duplicate_keys:
            self.session.keep_latest(self.rows, self.table, duplicate_keys, self.in_scope)
        self._publish()

    def _publish(self) -> None:
        target = qualified(self.schema, self.table)
        columns = names(self.table.column_names)
        self.session.execute(f"DELETE FROM {target} WHERE {self.in_scope}")
        self.session.execute(
            f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {self.rows} WHERE {self.in_scope}"
        )
        self.session.execute(f"DROP TABLE {self.rows}")


class _SwapStagingBuffer(_PartitionStagingBuffer):
    """Stages in a table that then replaces the real one: wide rows are written once, not twice.

    It is created before the transaction begins, since deleting uncommitted rows makes DuckDB write all of them again. A
    later load removes what a crash leaves of it.
    """

    def _create(self) -> str:
        own = _staging_name(self.table)
        if self.session.catalog.find_relations(self.schema, [own]):
            own = f"{own}_{uuid.uuid4().hex[:8]}"
        name = qualified_name(self.schema, own)
        with self.tables.transaction.atomic():
            self._create_table(name)
            self.session.execute(f"COMMENT ON TABLE {name} IS '{STAGING_COMMENT}'")
        self.tables.staging_tables.append(name)
        return name

    def _publish(self) -> None:
        for statement in (
            f"DELETE FROM {self.rows} WHERE NOT {self.in_scope}",
            f"ALTER TABLE {self.rows} DROP COLUMN _object",
            f"DROP TABLE {qualified(self.schema, self.table)}",
            f"COMMENT ON TABLE {self.rows} IS NULL",
            f"ALTER TABLE {self.rows} RENAME TO {quote(self.table.name)}",
        ):
            self.session.execute(statement)


def _staging_name(table: Table) -> str:
    """Return the name of the staging table that is to replace the table."""
    return f"{table.name}__staging"
