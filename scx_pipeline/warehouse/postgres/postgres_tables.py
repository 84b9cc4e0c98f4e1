"""A star's tables in PostgreSQL: native partitions that are swapped in, and background copies.

Which rows a table gets is decided by the load.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scx_pipeline.model.calendar import LoadScope, MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.duckdb.arrow_row_buffer import open_arrow_buffer
from scx_pipeline.warehouse.duckdb.scratch_database import ScratchDatabase
from scx_pipeline.warehouse.parquet_files import ParquetFiles, check_arrived
from scx_pipeline.warehouse.postgres.partition_targets import (
    PartitionTarget,
    TableFill,
    lock_out_readers,
    open_partition_target,
)
from scx_pipeline.warehouse.postgres.postgres_catalog import (
    has_native_partitions,
    partition_month,
    partition_name,
)
from scx_pipeline.warehouse.postgres.postgres_session import PostgresSession
from scx_pipeline.warehouse.postgres.staging_buffers import (
    CopyStagingBuffer,
    StreamingStagingBuffer,
    check_sent,
    copy_part,
    copy_scratch_rows,
    months_of,
)
from scx_pipeline.warehouse.session import Session, StarTables
from scx_pipeline.warehouse.sql_text import names, qualified, qualified_name, quote
from scx_pipeline.warehouse.staging_buffer import OBJECT, StagingBuffer


class PostgresTables(StarTables):
    """The tables of a load's session; `publish` swaps in what was built."""

    session: PostgresSession

    def __init__(self, session: PostgresSession) -> None:
        super().__init__(session)
        self.pending_swaps: list[PartitionTarget] = []
        # Schema, the table under the name it was built with, and the table it replaces.
        self.rebuilt: list[tuple[str, Table, Table]] = []

    def publish(self) -> None:
        """Swap in what no query of the load reads, as the last statements of the transaction."""
        self.session.jobs.wait()
        for target in self.pending_swaps:
            target.swap()
        for schema, built, table in self.rebuilt:
            self._replace_table(schema, built, table)

    def swap_in(self, schema: str, built: Table, table: Table) -> None:
        self.rebuilt.append((schema, built, table))  # after the partitions that are swapped in

    def _replace_table(self, schema: str, built: Table, table: Table) -> None:
        partitions = self.session.catalog.list_partitions(schema, built)
        super().swap_in(schema, built, table)
        for old in partitions:
            new = partition_name(table, partition_month(old))
            self.session.execute(f"ALTER TABLE {qualified_name(schema, old)} RENAME TO {quote(new)}")
        if qualified(schema, built) in self.session.swapped:
            self.session.swapped.remove(qualified(schema, built))
            self.session.swapped.add(qualified(schema, table))

    def create_table(self, schema: str, table: Table) -> None:
        super().create_table(schema, table)
        self.session.created.add(qualified(schema, table))

    def drop_table(self, schema: str, name: str) -> None:
        lock_out_readers(self.session, qualified_name(schema, name))
        super().drop_table(schema, name)

    def insert(self, schema: str, table: Table, select: str) -> int:
        if has_native_partitions(table):  # which have no index to build, and many rows to analyze
            return super().insert(schema, table, select)
        fill = TableFill(self.session, schema, table)
        fill.begin()
        inserted = super().insert(schema, table, select)
        fill.finish()
        return inserted

    def clear_partition(self, schema: str, table: Table, scope: MonthRange) -> None:
        target = open_partition_target(self.session, schema, table, scope)
        target.begin()
        target.complete()

    def replace_partition(self, schema: str, table: Table, scope: MonthRange, select: str) -> None:
        if not has_native_partitions(table):
            super().replace_partition(schema, table, scope, select)
            return
        session, new_rows = self.session, "_new_rows"
        columns, target = names(table.column_names), open_partition_target(session, schema, table, scope)
        target.begin()
        count = session.create_temporary_table(new_rows, f"SELECT {columns} FROM ({select}) AS q")
        inserted = 0
        for month, condition in target.parts(months_of(session, new_rows, target)):
            name, _ = target.table_for(month)
            rows = f"SELECT {columns} FROM {new_rows} WHERE {condition}"
            inserted += session.execute(f"INSERT INTO {name} ({columns}) {rows}")
        check_arrived(target.name, count, inserted)
        session.drop_temporary(new_rows)
        target.complete()

    def copy_partition(self, scratch: Session, schema: str, table: Table, scope: MonthRange) -> None:
        if isinstance(scratch, ScratchDatabase):
            target = open_partition_target(self.session, schema, table, scope)
            self.session.jobs.add(lambda: self._copy_scratch_table(scratch, target))

    @staticmethod
    def _copy_scratch_table(scratch: ScratchDatabase, target: PartitionTarget) -> None:
        target.begin()
        check_sent(scratch, target.name, copy_scratch_rows(scratch, target, "TRUE"))
        target.complete()

    def load_parquet(self, schema: str, table: Table, scope: LoadScope, files: ParquetFiles) -> None:
        target = open_partition_target(self.session, schema, table, scope)
        target.begin()
        arrived = 0
        parts = {**files.by_month()} if target.by_month else {None: files}
        for month, part in parts.items():
            arrived += copy_part(target, month, self.session.jobs.encode(part.batches(table.columns)))
        check_arrived(target.name, files.rows, arrived, files)
        target.complete()

    @contextmanager
    def open_staging_buffer(self, schema: str, table: Table, scope: LoadScope) -> Iterator[StagingBuffer]:
        """Stage in the scratch database, and copy in the background."""
        target = open_partition_target(self.session, schema, table, scope)
        yield CopyStagingBuffer(self.session.open_scratch(), target)

    @contextmanager
    def open_streaming_buffer(self, schema: str, table: Table, scope: LoadScope) -> Iterator[StagingBuffer]:
        """Stage in memory, and copy each batch in the background while the next is read."""
        target = open_partition_target(self.session, schema, table, scope)
        with open_arrow_buffer(self.session.limits, [*table.columns, OBJECT]) as rows:
            yield StreamingStagingBuffer(rows, target, self.pending_swaps)
