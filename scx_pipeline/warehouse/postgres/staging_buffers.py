"""Landings in front of PostgreSQL: rows that stay on a workbench, or only pass through, while batches go through COPY.
Where in the database they go is in `pgslices`; what may stay of them is the ingestion's."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING

from scx_pipeline.errors import WarehouseError
from scx_pipeline.model.calendar import UNPARTITIONED, Month, MonthRange
from scx_pipeline.warehouse import arrow_rows
from scx_pipeline.warehouse.postgres.binary_copy import COPY_BATCH_ROWS, Encoded
from scx_pipeline.warehouse.postgres.partitions import PartitionTarget
from scx_pipeline.warehouse.sql_text import names
from scx_pipeline.warehouse.staging_buffer import OBJECT, StagingBuffer

if TYPE_CHECKING:
    import pyarrow as pa

    from scx_pipeline.warehouse.arrow_rows import ArrowRowBuffer
    from scx_pipeline.warehouse.postgres.postgres_warehouse import PostgresSession
    from scx_pipeline.warehouse.scratch import ScratchDatabase

LANDING_BYTES = 96 << 20  # of source objects parsed before they go through COPY, while the next are parsed
# The same, of rows in memory, where there are two batches at a time.
PASSING_BYTES, PASSING_FILES = 16 << 20, 96


class CopyStagingBuffer(StagingBuffer):
    """Lands in the workbench's table of the same name, where the rows stay; each batch goes through COPY meanwhile."""

    batch_bytes = LANDING_BYTES

    def __init__(self, session: PostgresSession, scratch: ScratchDatabase, target: PartitionTarget) -> None:
        self.session, self.scratch, self.con = session, scratch, scratch.con
        self.target, self.table, self.rows = target, target.table, target.name
        self.sent_to = self.sent = 0
        scratch.make(target.schema, target.table, OBJECT)
        session.jobs.add(target.begin)

    def flush(self) -> None:
        [(end,)] = self.scratch.rows(f"SELECT COALESCE(MAX(_object) + 1, 0) FROM {self.rows}")
        batch = f"_object >= {self.sent_to} AND _object < {end}"
        self.sent_to = max(end, self.sent_to)
        self.session.jobs.add(lambda: self._send(batch))

    def finish(self, duplicate_keys: str | None) -> None:
        self.scratch.execute(f"DELETE FROM {self.rows} WHERE NOT {self.target.in_scope}")
        if duplicate_keys:
            self.session.jobs.wait()  # or else they would send what is about to be replaced
            self.scratch.keep_latest(self.rows, self.table, duplicate_keys, self.target.scope)
            self._replace(duplicate_keys)
        self.scratch.standing.add(self.rows)
        self.session.jobs.add(self._complete)

    def _send(self, condition: str) -> None:
        self.sent += self.session.send(self.scratch, self.target, condition)

    def _replace(self, duplicate_keys: str) -> None:
        """Of these keys, put the rows that the workbench kept in the place of all that were sent."""
        key = [self.table.column(name) for name in self.table.key]
        columns, found = names(self.table.key), "_doubled_keys"
        self.session.execute(self.session.create_table_sql(found, key, "TEMPORARY "))
        keys = self.con.sql(f"SELECT {columns} FROM {duplicate_keys}").to_arrow_reader(COPY_BATCH_ROWS)
        self.session.jobs.copy(found, columns, self.session.jobs.encode(keys))
        self.session.analyze(found)
        self.sent -= self.session.execute(
            f"DELETE FROM {self.rows} WHERE {self.target.in_scope} AND ({columns}) IN (SELECT {columns} FROM {found})"
        )
        self.session.execute(f"DROP TABLE {found}")
        self._send("_object IS NULL")  # what `keep_latest` puts back has no number

    def _complete(self) -> None:
        self.session.check_sent(self.scratch, self.rows, self.sent)
        self.target.stand()


class StreamingStagingBuffer(StagingBuffer):
    """Lands in memory. Each batch goes through COPY in a thread while the next are read, and nothing of it stays."""

    is_streaming = True
    batch_bytes, batch_files = PASSING_BYTES, PASSING_FILES

    def __init__(self, session: PostgresSession, held: ArrowRowBuffer, target: PartitionTarget) -> None:
        self.session, self.held, self.target = session, held, target
        self.con, self.rows = held.con, arrow_rows.NAME
        session.jobs.add(target.begin)

    def add(self, select: str) -> int:
        return self.held.add(select)

    def remove(self, condition: str) -> None:
        self.held.keep(f"({condition}) IS NOT TRUE")

    def full_columns(self) -> Collection[str]:
        return self.held.full_columns()

    def flush(self) -> None:
        """Send the batch, by the months that its rows are in, when those before it are through."""
        for month, rows in self._parts():
            if rows.num_rows:
                file = self.session.jobs.encode(rows.to_reader(COPY_BATCH_ROWS))
                self.session.jobs.wait()
                self.session.jobs.add(partial(self._send, month, file, rows.num_rows))
        self.held.clear()

    def _parts(self) -> Iterator[tuple[Month | None, pa.Table]]:
        """The batch's rows of the span, by month where months are kept apart."""
        columns, scope = self.target.table.column_names, self.target.scope
        if scope is UNPARTITIONED or not self.target.by_month:
            yield None, self.held.rows.select(columns)
            return
        bounds = self.held.bounds(self.target.table.event_time_column)
        months = MonthRange(*map(Month.of, bounds)).months if bounds else []
        if len(months) == 1 and months[0] in scope:
            yield months[0], self.held.rows.select(columns)
            return
        for month, condition in self.target.parts([month for month in months if month in scope]):
            yield month, self.held.select(columns, condition)

    def finish(self, duplicate_keys: str | None) -> None:
        self.session.jobs.add(self.target.end)
        self.session.passed.append(self.target)

    def _send(self, month: Month | None, rows: Encoded, count: int) -> None:
        check_count(self.target.name, count, self.session.copy(self.target, month, rows))


def check_count(name: str, made: int, sent: int) -> None:
    """Raise WarehouseError unless as many rows were sent as were made, and checked."""
    if made != sent:
        raise WarehouseError(f"{name}: {made:,} rows were made, but {sent:,} arrived; nothing was changed")
