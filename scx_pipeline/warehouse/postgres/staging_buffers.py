"""Staging buffers in front of PostgreSQL: rows in a scratch database or in memory, copied while more are parsed.

Where in the database they go, and which rows are valid, is not decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING

from scx_pipeline.model.calendar import UNPARTITIONED, Month, MonthRange
from scx_pipeline.warehouse.duckdb.arrow_row_buffer import RELATION, ArrowRowBuffer
from scx_pipeline.warehouse.duckdb.duckdb_session import DuckDBSession
from scx_pipeline.warehouse.duckdb.scratch_database import ScratchDatabase
from scx_pipeline.warehouse.parquet_files import check_arrived
from scx_pipeline.warehouse.postgres.binary_copy import COPY_BATCH_ROWS, EncodedRows
from scx_pipeline.warehouse.postgres.partition_targets import PartitionTarget
from scx_pipeline.warehouse.query_session import QuerySession
from scx_pipeline.warehouse.sql_text import month_of, names, quote
from scx_pipeline.warehouse.staging_buffer import OBJECT, StagingBuffer

if TYPE_CHECKING:
    import pyarrow as pa

SCRATCH_BATCH_BYTES = 96 << 20  # of source objects parsed before they are copied, while more are parsed
# The same for rows in memory, of which there are two batches at a time.
STREAMING_BATCH_BYTES, STREAMING_BATCH_FILES = 16 << 20, 96


class CopyStagingBuffer(StagingBuffer):
    """Stages in the scratch database's table of the same name, and copies each batch in the background."""

    batch_bytes = SCRATCH_BATCH_BYTES

    def __init__(self, scratch: ScratchDatabase, target: PartitionTarget) -> None:
        self.session, self.scratch, self.con = target.session, scratch, scratch.con
        self.target, self.table, self.rows = target, target.table, target.name
        self.next_object = 0  # the number of the first object that is not sent yet
        self.sent_rows = 0
        scratch.create_table(target.schema, target.table, OBJECT)
        self.session.jobs.add(target.begin)

    def flush(self) -> None:
        [(end,)] = self.scratch.rows(f"SELECT COALESCE(MAX(_object) + 1, 0) FROM {self.rows}")
        batch = f"_object >= {self.next_object} AND _object < {end}"
        self.next_object = max(end, self.next_object)
        self.session.jobs.add(lambda: self._send(batch))

    def finish(self, duplicate_keys: str | None) -> None:
        self.scratch.execute(f"DELETE FROM {self.rows} WHERE NOT {self.target.in_scope}")
        if duplicate_keys:
            self.session.jobs.wait()  # as they would send rows that are about to be replaced
            self.scratch.keep_latest(self.rows, self.table, duplicate_keys, self.target.in_scope)
            self._replace_sent(duplicate_keys)
        self.scratch.complete.add(self.rows)
        self.session.jobs.add(self._complete)

    def _send(self, condition: str) -> None:
        self.sent_rows += copy_scratch_rows(self.scratch, self.target, condition)

    def _replace_sent(self, duplicate_keys: str) -> None:
        """Replace all rows sent with these keys by those that the scratch database kept."""
        key = [self.table.column(name) for name in self.table.key]
        columns, found = names(self.table.key), "_duplicate_keys"
        self.session.execute(self.session.create_table_sql(found, key, "TEMPORARY "))
        keys = self.con.sql(f"SELECT {columns} FROM {duplicate_keys}").to_arrow_reader(COPY_BATCH_ROWS)
        self.session.jobs.copy(found, columns, self.session.jobs.encode(keys))
        self.session.analyze(found)
        self.sent_rows -= self.session.execute(
            f"DELETE FROM {self.rows} WHERE {self.target.in_scope} AND ({columns}) IN (SELECT {columns} FROM {found})"
        )
        self.session.drop_temporary(found)
        self._send("_object IS NULL")  # the rows that `keep_latest` inserted have no number

    def _complete(self) -> None:
        check_sent(self.scratch, self.rows, self.sent_rows)
        self.target.complete()


class StreamingStagingBuffer(StagingBuffer):
    """Stages in memory, copies each batch in the background while the next is read, and keeps no rows."""

    is_streaming = True
    batch_bytes, batch_files = STREAMING_BATCH_BYTES, STREAMING_BATCH_FILES

    def __init__(
        self, buffer: ArrowRowBuffer, target: PartitionTarget, pending_swaps: list[PartitionTarget]
    ) -> None:
        self.jobs, self.buffer, self.target = target.session.jobs, buffer, target
        self.pending_swaps = pending_swaps
        self.con, self.rows = buffer.con, RELATION
        self.jobs.add(target.begin)

    def add(self, select: str) -> int:
        return self.buffer.add(select)

    def remove(self, condition: str) -> None:
        self.buffer.keep_only(f"({condition}) IS NOT TRUE")

    def columns_without_nulls(self) -> Collection[str]:
        return self.buffer.columns_without_nulls()

    def flush(self) -> None:
        """Send the batch, split by month, after the batches before it."""
        for month, rows in self._split():
            if rows.num_rows:
                encoded = self.jobs.encode(rows.to_reader(COPY_BATCH_ROWS))
                self.jobs.wait()
                self.jobs.add(partial(self._send, month, encoded, rows.num_rows))
        self.buffer.clear()

    def _split(self) -> Iterator[tuple[Month | None, pa.Table]]:
        """Return the batch's rows in scope, by month if each month has a table of its own."""
        columns, scope = self.target.table.column_names, self.target.scope
        if scope is UNPARTITIONED or not self.target.by_month:
            yield None, self.buffer.rows.select(columns)
            return
        bounds = self.buffer.bounds(self.target.table.event_time_column)
        months = MonthRange(Month.of(bounds[0]), Month.of(bounds[1])).months if bounds else []
        if len(months) == 1 and months[0] in scope:
            yield months[0], self.buffer.rows.select(columns)
            return
        for month, condition in self.target.parts([month for month in months if month in scope]):
            yield month, self.buffer.select(columns, condition)

    def finish(self, duplicate_keys: str | None) -> None:
        self.jobs.add(self.target.end)
        self.pending_swaps.append(self.target)

    def _send(self, month: Month | None, rows: EncodedRows, count: int) -> None:
        check_arrived(self.target.name, count, copy_part(self.target, month, rows))


def copy_part(target: PartitionTarget, month: Month | None, rows: EncodedRows) -> int:
    """Copy the rows of a month, or of a table that is not split, and return how many the server took."""
    name, is_new = target.table_for(month)
    # Frozen, as otherwise the first reader after the commit would have to rewrite the whole table.
    options = ", FREEZE" if is_new else ""
    return target.session.jobs.copy(name, names(target.table.column_names), rows, options)


def copy_scratch_rows(scratch: ScratchDatabase, target: PartitionTarget, condition: str) -> int:
    """Copy the rows of a scratch table that meet a condition to the target of the same name, and return how many."""
    with scratch.con.cursor() as con:
        rows = f"(SELECT * FROM {target.name} WHERE {target.in_scope} AND {condition})"
        columns, sent = names(target.table.column_names), 0
        for month, part in target.parts(months_of(DuckDBSession(con), rows, target)):
            found = con.sql(f"SELECT {columns} FROM {rows} WHERE {part}").to_arrow_reader(COPY_BATCH_ROWS)
            sent += copy_part(target, month, target.session.jobs.encode(found))
        return sent


def months_of(session: QuerySession, relation: str, target: PartitionTarget) -> list[Month]:
    """Return the months of a relation's rows; none if the target does not split them."""
    if not target.by_month:
        return []
    time = quote(target.table.event_time_column)
    found = session.rows(
        f"SELECT DISTINCT {month_of(target.table.event_time_column)} FROM {relation} AS r WHERE {time} IS NOT NULL"
    )
    return [Month.of(start) for (start,) in found]


def check_sent(scratch: ScratchDatabase, name: str, sent: int) -> None:
    """Raise WarehouseError unless the server took as many rows as the scratch table, which is checked, has."""
    with scratch.con.cursor() as con:
        found = con.execute(f"SELECT count(*) FROM {name}").fetchone()
    assert found is not None
    check_arrived(name, found[0], sent)
