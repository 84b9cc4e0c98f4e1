"""The functions that Spark's workers run: parse a share of the objects, read a lake's files, and write files.

Each one maps Arrow batches to Arrow batches, as Spark's `mapInArrow` requires.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from scx_pipeline.errors import PipelineError
from scx_pipeline.history.ingest_result import ObjectCount
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.lake.format.layout import PART_PREFIX
from scx_pipeline.lake.format.parquet_reader import BATCH_ROWS, arrow_schema, read_batches
from scx_pipeline.loading.ingest.ingest_job import IngestJob
from scx_pipeline.loading.ingest.ingest_objects import ingest_objects
from scx_pipeline.model.calendar import LoadScope, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.parser import UndeclaredFields
from scx_pipeline.planning.selection import SelectedObject
from scx_pipeline.storage.bucket import DEFAULT_OPTIONS, BucketOptions, open_bucket
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.duckdb_connection import duckdb_type, in_memory_database
from scx_pipeline.warehouse.duckdb.parquet_export import write_parquet
from scx_pipeline.warehouse.parquet_files import Unload
from scx_pipeline.warehouse.sql_text import names, quote, scope_condition
from scx_pipeline.warehouse.staging_buffer import OBJECT, StagingBuffer

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    Batches = Iterator[pa.RecordBatch]

RESULT_COLUMN = "_result"  # the column of a task's result, whose row has no other value
FLUSH_BYTES = 64 << 20  # of objects between two flushes, which bounds the memory of a worker


@dataclass(frozen=True)
class TaskResult:
    """The row counts and rejected rows of a task's objects, or the error that stopped it."""

    first: int  # the number of the first object
    counts: Sequence[ObjectCount] = ()
    rejected: Sequence[RejectedRow] = ()
    undeclared_fields: Sequence[tuple[str, UndeclaredFields]] = ()
    error: PipelineError | None = None


@dataclass(frozen=True)
class ParseTask:
    """Parses shares of a source's objects into a staging table's rows of the scope, and a result per share."""

    bucket: str
    source: Source
    table: Table
    scope: LoadScope
    months: MonthRange
    limits: Limits
    options: BucketOptions = DEFAULT_OPTIONS

    def schema(self) -> pa.Schema:
        import pyarrow as pa

        return arrow_schema([*self.table.columns, OBJECT]).append(pa.field(RESULT_COLUMN, pa.binary()))

    def __call__(self, batches: Batches) -> Batches:
        for batch in batches:
            for share in batch.column(0).to_pylist():
                first, objects = pickle.loads(share)
                yield from self._parse_share(first, objects)

    def _parse_share(self, first: int, objects: Sequence[SelectedObject]) -> Batches:
        with in_memory_database(_single_threaded(self.limits)) as con:
            buffer = _SpoolBuffer(con, self.table, self.scope, first)
            try:
                found = ingest_objects([self._job(objects)], buffer)
                result = TaskResult(first, found.counts, found.rejected, found.undeclared_fields)
            except PipelineError as error:
                result = TaskResult(first, error=error)
            if result.error is None:
                yield from buffer.batches(self.schema())
            yield self._result_batch(result)

    def _job(self, objects: Sequence[SelectedObject]) -> IngestJob:
        # Spark compares keys across all shares.
        table = self.table.model_copy(update={"key": (), "sequence_by": ()})
        files = self.limits.batch_files
        bucket = open_bucket(self.bucket, self.options)
        return IngestJob(bucket, self.source, table, self.scope, self.months, objects, files)

    def _result_batch(self, result: TaskResult) -> pa.RecordBatch:
        import pyarrow as pa

        schema = self.schema()
        arrays = [pa.nulls(1, field.type) for field in schema][:-1]
        arrays.append(pa.array([pickle.dumps(result)], pa.binary()))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _single_threaded(limits: Limits) -> Limits:
    """Return the limits of a task, which has one core."""
    return replace(limits, threads=1)


class _SpoolBuffer(StagingBuffer):
    """A staging buffer that writes rows to a file at each flush, and passes them to Spark once no error can occur."""

    batch_bytes = FLUSH_BYTES

    def __init__(self, con: duckdb.DuckDBPyConnection, table: Table, scope: LoadScope, first: int) -> None:
        self.con, self.table, self.scope, self.first = con, table, scope, first
        self.rows = quote("_staged")
        self.file = tempfile.TemporaryFile()  # noqa: SIM115  (it is open as long as the buffer)
        self.writer: pa.RecordBatchFileWriter | None = None
        listed = ", ".join(f"{quote(c.name)} {duckdb_type(c)}" for c in (*table.columns, OBJECT))
        con.execute(f"CREATE TABLE {self.rows} ({listed})")

    def flush(self) -> None:
        import pyarrow as pa

        columns = names(self.table.column_names)
        number = f"CAST({quote(OBJECT.name)} + {self.first} AS INTEGER) AS {quote(OBJECT.name)}"
        select = (
            f"SELECT {columns}, {number} FROM {self.rows} WHERE {scope_condition(self.table, self.scope)}"
        )
        for batch in self.con.sql(select).to_arrow_reader(BATCH_ROWS):
            if self.writer is None:
                self.writer = pa.ipc.new_stream(self.file, batch.schema)
            self.writer.write_batch(batch)
        self.con.execute(f"TRUNCATE {self.rows}")

    def finish(self, duplicate_keys: str | None) -> None:
        """Do nothing: Spark builds the partition."""

    def batches(self, schema: pa.Schema) -> Batches:
        """Yield all rows in batches of a schema with the result column added."""
        import pyarrow as pa

        if self.writer is None:
            return
        self.writer.close()
        self.file.seek(0)
        for batch in pa.ipc.open_stream(self.file):
            arrays = [array.cast(field.type) for array, field in zip(batch.columns, schema, strict=False)]
            nulls = pa.nulls(batch.num_rows, schema.field(RESULT_COLUMN).type)
            yield pa.RecordBatch.from_arrays([*arrays, nulls], schema=schema)


@dataclass(frozen=True)
class ReadTask:
    """Reads these columns of shares of a table's files."""

    url: str  # of the lake store
    table: Table
    columns: tuple[Column, ...]

    def __call__(self, batches: Batches) -> Batches:
        store = open_lake_store(self.url, "")
        for batch in batches:
            for share in batch.column(0).to_pylist():
                yield from read_batches(store, pickle.loads(share), self.table, self.columns)


@dataclass(frozen=True)
class WriteTask:
    """Writes rows to Parquet files in a folder per task; returns the folder and its row count."""

    unload: Unload
    limits: Limits

    def __call__(self, batches: Batches) -> Batches:
        import pyarrow as pa

        first = next((batch for batch in batches if batch.num_rows), None)
        if first is None:
            return
        part = f"{PART_PREFIX}{uuid4().hex[:12]}"
        reader = pa.RecordBatchReader.from_batches(first.schema, _chain(first, batches))
        with in_memory_database(_single_threaded(self.limits)) as con:
            con.register("given", reader)
            unload = replace(self.unload, url=f"{self.unload.url}{part}/")
            rows = write_parquet(con, "SELECT * FROM given", unload)
        yield pa.record_batch({"part": pa.array([part]), "rows": pa.array([rows], pa.int64())})


def _chain(first: pa.RecordBatch, others: Batches) -> Batches:
    yield first
    yield from others
