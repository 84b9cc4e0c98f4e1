"""What Spark's workers do: parse a share of the objects by the one parser, read a lake's files, and write some.
Each function takes and gives Arrow batches, as Spark's mapInArrow asks; who calls them is in `sparkmaker`."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from scx_pipeline.errors import PipelineError
from scx_pipeline.history.ingest_result import ObjectCount, Rejected
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.lake.format.layout import PART
from scx_pipeline.lake.format.parquet_reader import BATCH_ROWS, read_batches, schema_of
from scx_pipeline.loading.ingest import IngestJob
from scx_pipeline.model.calendar import LoadScope, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.parser import UndeclaredFields
from scx_pipeline.planning.selection import SelectedObject
from scx_pipeline.storage.bucket import DEFAULT_OPTIONS, BucketOptions, open_bucket
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import duckdb_type, in_memory_database
from scx_pipeline.warehouse.export import Unload, write_parquet
from scx_pipeline.warehouse.sql_text import in_scope, names, quote
from scx_pipeline.warehouse.staging_buffer import OBJECT, StagingBuffer

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    Batches = Iterator[pa.RecordBatch]

ACCOUNT = "_account"  # the column of what a task found; its row has no other value
FLUSH_BYTES = 64 << 20  # of objects between two flushes: bounds what a worker holds


@dataclass(frozen=True)
class Account:
    """What a task found in its objects, or why it could not read them."""

    first: int  # the number of the first object
    counts: Sequence[ObjectCount] = ()
    rejected: Sequence[Rejected] = ()
    undeclared_fields: Sequence[tuple[str, UndeclaredFields]] = ()
    error: PipelineError | None = None


@dataclass(frozen=True)
class Parse:
    """Objects of a source into rows of a staging table, those of the span, and an account for each share."""

    bucket: str
    source: Source
    table: Table
    scope: LoadScope
    months: MonthRange
    limits: Limits
    options: BucketOptions = DEFAULT_OPTIONS

    def schema(self) -> pa.Schema:
        import pyarrow as pa

        return schema_of([*self.table.columns, OBJECT]).append(pa.field(ACCOUNT, pa.binary()))

    def __call__(self, batches: Batches) -> Batches:
        for batch in batches:
            for share in batch.column(0).to_pylist():
                first, objects = pickle.loads(share)
                yield from self._share(first, objects)

    def _share(self, first: int, objects: Sequence[SelectedObject]) -> Batches:
        with in_memory_database(_alone(self.limits)) as con:
            buffer = _Spool(con, self.table, self.scope, first)
            try:
                found = self._job().run(objects, buffer)
                account = Account(first, found.counts, found.rejected, found.undeclared_fields)
            except PipelineError as error:
                account = Account(first, error=error)
            if account.error is None:
                yield from buffer.batches(self.schema())
            yield self._told(account)

    def _job(self) -> IngestJob:
        # Keys are compared by Spark, over all shares.
        table = self.table.model_copy(update={"key": (), "sequence_by": ()})
        files = self.limits.batch_files
        bucket = open_bucket(self.bucket, self.options)
        return IngestJob(bucket, self.source, table, self.scope, self.months, files)

    def _told(self, account: Account) -> pa.RecordBatch:
        import pyarrow as pa

        schema = self.schema()
        arrays = [pa.nulls(1, field.type) for field in schema][:-1]
        return pa.RecordBatch.from_arrays(
            [*arrays, pa.array([pickle.dumps(account)], pa.binary())], schema=schema
        )


def _alone(limits: Limits) -> Limits:
    """The limits of a task, which has one core."""
    return replace(limits, threads=1)


class _Spool(StagingBuffer):
    """Rows that go to a file at each flush, and on to Spark once all are known to be good."""

    batch_bytes = FLUSH_BYTES

    def __init__(self, con: duckdb.DuckDBPyConnection, table: Table, scope: LoadScope, first: int) -> None:
        self.con, self.table, self.scope, self.first = con, table, scope, first
        self.rows = quote("_landing")
        self.file = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the spool)
        self.writer: pa.RecordBatchFileWriter | None = None
        listed = ", ".join(f"{quote(c.name)} {duckdb_type(c)}" for c in (*table.columns, OBJECT))
        con.execute(f"CREATE TABLE {self.rows} ({listed})")

    def flush(self) -> None:
        import pyarrow as pa

        columns = names(self.table.column_names)
        number = f"CAST({quote(OBJECT.name)} + {self.first} AS INTEGER) AS {quote(OBJECT.name)}"
        select = f"SELECT {columns}, {number} FROM {self.rows} WHERE {in_scope(self.table, self.scope)}"
        for batch in self.con.sql(select).to_arrow_reader(BATCH_ROWS):
            if self.writer is None:
                self.writer = pa.ipc.new_stream(self.file, batch.schema)
            self.writer.write_batch(batch)
        self.con.execute(f"TRUNCATE {self.rows}")

    def finish(self, duplicate_keys: str | None) -> None:
        """Nothing to do: Spark makes the slice."""

    def batches(self, schema: pa.Schema) -> Batches:
        """All rows, in batches of a schema that has one more column."""
        import pyarrow as pa

        if self.writer is None:
            return
        self.writer.close()
        self.file.seek(0)
        for batch in pa.ipc.open_stream(self.file):
            arrays = [array.cast(field.type) for array, field in zip(batch.columns, schema, strict=False)]
            nothing = pa.nulls(batch.num_rows, schema.field(ACCOUNT).type)
            yield pa.RecordBatch.from_arrays([*arrays, nothing], schema=schema)


@dataclass(frozen=True)
class Read:
    """Shares of a table's files into these columns of them."""

    place: str
    table: Table
    columns: tuple[Column, ...]

    def __call__(self, batches: Batches) -> Batches:
        place = open_lake_store(self.place, "")
        for batch in batches:
            for share in batch.column(0).to_pylist():
                yield from read_batches(place, pickle.loads(share), self.table, self.columns)


@dataclass(frozen=True)
class Write:
    """Rows into Parquet files, in a folder of each task's own; gives the folder and its rows."""

    unload: Unload
    limits: Limits

    def __call__(self, batches: Batches) -> Batches:
        import pyarrow as pa

        first = next((batch for batch in batches if batch.num_rows), None)
        if first is None:
            return
        part = f"{PART}{uuid4().hex[:12]}"
        reader = pa.RecordBatchReader.from_batches(first.schema, _chained(first, batches))
        with in_memory_database(_alone(self.limits)) as con:
            con.register("given", reader)
            rows = write_parquet(
                con, "SELECT * FROM given", replace(self.unload, url=f"{self.unload.url}{part}/")
            )
        yield pa.record_batch({"part": pa.array([part]), "rows": pa.array([rows], pa.int64())})


def _chained(first: pa.RecordBatch, others: Batches) -> Batches:
    yield first
    yield from others
