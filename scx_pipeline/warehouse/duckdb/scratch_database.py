"""A temporary DuckDB file in which a server's load parses, transforms and checks its partitions.

How a server takes its tables over is not decided here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from scx_pipeline.model.calendar import MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.duckdb_connection import configure, translate_io_errors
from scx_pipeline.warehouse.duckdb.duckdb_session import DuckDBSession
from scx_pipeline.warehouse.duckdb.duckdb_tables import DuckDBTables
from scx_pipeline.warehouse.sql_text import qualified, quote

if TYPE_CHECKING:
    import duckdb


class ScratchDatabase(DuckDBSession):
    """A session on the file. Tables have the warehouse's names, and only the rows in the load's scope."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        super().__init__(con)
        self.tables = ScratchTables(self, self.transaction)
        self.complete: set[str] = set()  # tables whose partitions have all their rows

    def create_table(self, schema: str, table: Table, *others: Column) -> None:
        """Create an empty table, with these additional columns."""
        self.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
        self.execute(self.create_table_sql(qualified(schema, table), [*table.columns, *others]))


class ScratchTables(DuckDBTables):
    """Tables that are created when a load first fills them."""

    session: ScratchDatabase

    def replace_partition(self, schema: str, table: Table, scope: MonthRange, select: str) -> None:
        self.session.create_table(schema, table)
        self.insert(schema, table, select)
        self.session.complete.add(qualified(schema, table))


@contextmanager
def open_scratch_database(limits: Limits) -> Iterator[ScratchDatabase]:
    """Open an empty scratch database in the system's temporary folder, and remove it at the end."""
    import duckdb

    with temporary_folder() as folder, duckdb.connect(folder / "scratch.duckdb") as con:
        # Compressing what is read once or twice would take a sixth of the parser's time.
        con.execute("SET force_compression = 'uncompressed'")
        yield ScratchDatabase(configure(con, limits))


def translate_scratch_errors(limits: Limits) -> AbstractContextManager[None]:
    """Translate a scratch database's errors to WarehouseErrors: no room in the temporary folder, or in memory."""
    return translate_io_errors(f"the temporary folder {tempfile.gettempdir()} (TMPDIR)", limits)
