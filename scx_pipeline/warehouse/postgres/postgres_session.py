"""A session on a PostgreSQL database, with the background copies and the scratch database of a load.

How a star's tables are filled is not decided here.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.capabilities import Capabilities, Engine, Limits
from scx_pipeline.warehouse.duckdb.duckdb_connection import in_memory_database
from scx_pipeline.warehouse.duckdb.parquet_export import write_parquet
from scx_pipeline.warehouse.duckdb.scratch_database import ScratchDatabase
from scx_pipeline.warehouse.parquet_files import Unload
from scx_pipeline.warehouse.postgres import session_settings
from scx_pipeline.warehouse.postgres.binary_copy import COPY_BATCH_ROWS, CopyJobs
from scx_pipeline.warehouse.postgres.postgres_catalog import PostgresCatalog, PostgresTableSql
from scx_pipeline.warehouse.postgres.postgres_export import read_by_copy
from scx_pipeline.warehouse.postgres.postgres_maintenance import PostgresMaintenance
from scx_pipeline.warehouse.psycopg import PostgresProtocolSession
from scx_pipeline.warehouse.query_session import QuerySession
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import names, quote
from scx_pipeline.warehouse.warehouse import Notify

if TYPE_CHECKING:
    from psycopg2.extensions import connection

CAPABILITIES = Capabilities(
    name=Engine.POSTGRESQL,
    dialect="postgres",
    types={"double": "double precision"},
    placeholder="%s",
    collation="C",  # the database's collation would break ties differently than the other engines
    unlimited_text_type="text",
    drop_blocks_readers=True,
)
TABLE_SQL = PostgresTableSql(CAPABILITIES)
_COPY_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


class PostgresSession(PostgresProtocolSession):
    """A connection to a PostgreSQL database, and the scratch database of its load."""

    capabilities = CAPABILITIES
    table_sql = TABLE_SQL
    catalog: PostgresCatalog

    def __init__(
        self,
        con: connection,
        limits: Limits,
        notify: Notify,
        open_shared: Callable[[], AbstractContextManager[Session]],
    ) -> None:
        super().__init__(con, limits)
        self._open_shared = open_shared
        self.catalog = PostgresCatalog(self)
        self.maintenance = PostgresMaintenance(self)
        self.created: set[str] = set()  # tables that no other session can see before the commit
        self.swapped: set[str] = set()  # tables with swapped-in partitions, to analyze after the commit
        self.jobs = CopyJobs(con, notify)

    def close(self) -> None:
        """Cancel pending copies, and remove temporary files."""
        self.jobs.stop()
        self.resources.close()

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        self.jobs.wait()
        with super()._cursor() as cursor:
            yield cursor

    def open_shared(self) -> AbstractContextManager[Session]:
        return self._open_shared()

    def unload(self, unload: Unload) -> int:
        with in_memory_database(self.limits) as con, read_by_copy(self.con, unload) as query:
            return write_parquet(con, query, unload)

    def scratch_session(self, tables: Collection[str]) -> Session:
        if self.scratch is not None and self.scratch.complete.issuperset(tables):
            return self.scratch
        return self

    def create_temporary(self, name: str, select: str) -> None:
        self.create_temporary_table(name, select)

    def create_temporary_table(self, name: str, select: str) -> int:
        """Store the result of a SELECT until the transaction ends, and return its row count.

        A pooler gives the connection to other clients then.
        """
        return self.execute(f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {select}")

    def copy_rows(self, scratch: QuerySession, name: str, columns: Sequence[Column]) -> None:
        if isinstance(scratch, ScratchDatabase):
            self.execute(self.create_table_sql(name, columns, "TEMPORARY "))
            relation = scratch.con.sql(f"SELECT {scratch.typed_columns(columns)} FROM {name}")
            rows = self.jobs.encode(relation.to_arrow_reader(COPY_BATCH_ROWS))
            self.jobs.copy(name, names([column.name for column in columns]), rows)
            scratch.drop_temporary(name)
            self.analyze(name)

    def analyze(self, table: str) -> None:
        self.execute(f"ANALYZE {table}")

    def analyze_swapped(self) -> None:
        """Collect the statistics of partitioned tables, which the server does for their partitions only.

        It follows the commit, as it would make readers wait before; the load stays published if it fails.
        """
        import psycopg2

        with suppress(psycopg2.Error):
            for name in sorted(self.swapped):
                session_settings.apply(self.con, session_settings.of_load(self.limits))
                self.analyze(name)
                self.con.commit()

    def _insert_many(self, table: str, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        listed = names([column.name for column in columns])
        lines = ("\t".join(map(_format_copy_text, row)) for row in rows)
        with self._cursor() as cursor:
            cursor.copy_expert(f"COPY {table} ({listed}) FROM STDIN", io.StringIO("\n".join(lines)))

    def row_hash(self, columns: Sequence[Column]) -> str:
        return f"hash_record_extended(ROW({names([column.name for column in columns])}), 0)"

    def has_verified_key(self, schema: str, table: Table) -> bool:
        key = self.catalog.find_key(schema, table)
        if key is None or set(key.columns) != set(table.key):
            return False
        return not key.deferrable or self.execute_unless_duplicate(
            f"SET CONSTRAINTS {quote(schema)}.{key.name} IMMEDIATE"
        )

    def execute_unless_duplicate(self, *statements: str) -> bool:
        """Run statements, or roll them back and return False if the table has duplicate keys."""
        import psycopg2

        self.execute("SAVEPOINT keys")
        try:
            for statement in statements:
                self.execute(statement)
        except psycopg2.errors.UniqueViolation:
            self.execute("ROLLBACK TO SAVEPOINT keys")
            return False
        self.execute("RELEASE SAVEPOINT keys")
        return True


class PooledSession(PostgresSession):
    """A session behind a pooler whose statements commit one by one: settings last for a transaction, so queries have one."""

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self.con.autocommit = False
        try:
            session_settings.apply(self.con, session_settings.of_load(self.limits))
            return super().rows(sql, parameters)
        finally:
            self.con.rollback()
            self.con.autocommit = True


def _format_copy_text(value: object) -> str:
    """Return a value in COPY's text format."""
    return r"\N" if value is None else str(value).translate(_COPY_ESCAPES)
