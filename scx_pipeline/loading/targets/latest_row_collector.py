"""The latest rows by month of an SCD type 1 table, collected from the batches of a staging buffer that keeps no rows.

Merging them into the table does not belong here.
"""

from __future__ import annotations

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.latest_rows import latest_rows_table, select_by_month, shorten
from scx_pipeline.model.calendar import MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.duckdb.scratch_database import ScratchDatabase
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import names
from scx_pipeline.warehouse.staging_buffer import StagingBuffer

MIN_ROWS = 10_000  # rows that are collected before those that are not the latest are removed
BATCH = "_batch"  # a view of the buffer's rows


class LatestRowCollector:
    """Collects the rows on the buffer's own connection.

    Whenever there are more than `MIN_ROWS`, and more than twice as many as the last time, those that are not the latest are
    removed.

    The table's SELECT must work row by row (`AddedRows.LATEST`), so the latest of the batches' latest rows are those of all rows.
    """

    def __init__(
        self, compiled: CompiledStar, table: Table, scope: MonthRange, buffer: StagingBuffer
    ) -> None:
        self.session, self.stored = ScratchDatabase(buffer.con), latest_rows_table(compiled, table)
        self.name, self.columns = shorten(f"_collected_{table.name}"), names(self.stored.column_names)
        self.newest_first = self.session.ordering(table, compiled.output_types(table))
        self.count, self.max_count = 0, MIN_ROWS
        [staging] = compiled.inputs_of(table)
        engine = self.session.capabilities
        select = compiled.select_added_sql(table, scope, engine, {staging: BATCH})
        self.batch = select_by_month(self.session, self.stored, table, select)
        self.session.execute(f"CREATE OR REPLACE TEMPORARY VIEW {BATCH} AS SELECT * FROM {buffer.rows}")
        self.session.execute(self.session.create_table_sql(self.name, self.stored.columns, "TEMPORARY "))

    def add_batch(self) -> None:
        """Collect the latest rows of the rows that are in the buffer."""
        latest = self.session.select_latest(self.batch, self.stored.key, self.newest_first)
        self.count += self.session.execute(
            f"INSERT INTO {self.name} ({self.columns}) SELECT {self.columns} FROM ({latest}) AS q"
        )
        if self.count > self.max_count:
            self._keep_latest()

    def copy_to(self, session: Session) -> str:
        """Copy the latest rows of all batches to a temporary table of a session, and return its name."""
        self._keep_latest()
        session.copy_rows(self.session, self.name, self.stored.columns)
        return self.name

    def _keep_latest(self) -> None:
        """Remove the rows that are not the latest of their key and month."""
        kept = f"{self.name}_kept"
        select = f"SELECT {self.columns} FROM {self.name}"
        self.session.create_latest(kept, select, self.stored.key, self.newest_first)
        self.session.execute(f"DELETE FROM {self.name}")
        insert = f"INSERT INTO {self.name} ({self.columns}) SELECT {self.columns} FROM {kept}"
        self.count = self.session.execute(insert)
        self.session.drop_temporary(kept)
        self.max_count = max(MIN_ROWS, 2 * self.count)
