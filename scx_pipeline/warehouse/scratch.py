"""A DuckDB file beside an engine's connection, for the length of a load: slices are parsed, made and checked there.
Which engine wants one, and how it takes the slices over, is decided in the engine's own file."""

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
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import DuckDBSession, configured, translated
from scx_pipeline.warehouse.sql_text import qualified, quote

if TYPE_CHECKING:
    import duckdb


class ScratchDatabase(DuckDBSession):
    """A session on the file. Tables have the warehouse's names and hold the load's span only."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        super().__init__(con)
        self.standing: set[str] = set()  # tables whose slices are complete

    def make(self, schema: str, table: Table, *others: Column) -> None:
        """Create a table, empty, with more columns than its own where `others` says so."""
        self.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
        self.execute(self.create_table_sql(qualified(schema, table), [*table.columns, *others]))

    def replace_partition(self, schema: str, table: Table, scope: MonthRange, select: str) -> None:
        self.make(schema, table)
        self.insert(schema, table, select)
        self.standing.add(qualified(schema, table))


@contextmanager
def open_scratch_database(limits: Limits) -> Iterator[ScratchDatabase]:
    """An empty workbench in the system's folder for temporary files, which is removed at the end."""
    import duckdb

    with temporary_folder() as folder, duckdb.connect(folder / "workbench.duckdb") as con:
        # To be read once or twice and thrown away: packing it would take a sixth of the parser's time.
        con.execute("SET force_compression = 'uncompressed'")
        yield ScratchDatabase(configured(con, limits))


def told(limits: Limits) -> AbstractContextManager[None]:
    """What goes wrong on a workbench as a WarehouseError: no room in the folder for temporary files, or in memory."""
    return translated(f"the temporary folder {tempfile.gettempdir()} (TMPDIR)", limits)
