"""The lake engine for many machines: Spark's workers parse objects and read and write files, Spark SQL builds the tables.

Spark distributes, sorts and joins. Bytes are parsed by the same parser and written by the same writer as on one machine, in Python
workers, so a lake has the same rows and files with either engine, and object stores need no Java drivers.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.lake.build.lake_engine import LakeEngine, LakeSession
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.manifest import DataFile
from scx_pipeline.lake.spark.spark_errors import translate_spark_errors
from scx_pipeline.lake.spark.spark_relations import SparkRelations
from scx_pipeline.lake.spark.spark_sql import SETTINGS, spark_type
from scx_pipeline.lake.spark.worker import RESULT_COLUMN, ParseTask, ReadTask, TaskResult, WriteTask
from scx_pipeline.loading.ingest.duplicate_keys import count_deduplicated, find_duplicate_keys
from scx_pipeline.loading.ingest.ingest_job import IngestJob
from scx_pipeline.loading.targets.target import StagingTarget
from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.model.column import Column
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import split_batches
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.parquet_files import Unload
from scx_pipeline.warehouse.sql_text import latest_per_key, names, quote, scope_condition
from scx_pipeline.warehouse.staging_buffer import OBJECT

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

SCHEMA = "global_temp"  # Spark's schema of views that last as long as the application
TASKS_PER_CORE = 3  # so that one slow task does not delay the others for long
MAX_SHARE_BYTES = 256 << 20  # of the objects that one task parses; a larger object is a task of its own
MIN_SHARE_BYTES = 256 << 10  # starting a task takes longer than parsing less
MAX_SHARE_FILES = 2_000
MAX_FILE_ROWS = 1 << 22  # four row groups, some hundreds of megabytes of a wide table
# For small inputs, Spark spends two thirds of the time on generating and compiling code for each query and on empty tasks, so
# both are switched off below this size of the objects.
SMALL_INPUT_BYTES = 64 << 20
_SMALL_INPUT_SETTINGS = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
_LARGE_INPUT_SETTINGS = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}
SMALL_FOLDER_ROWS = 1 << 17  # up to this, more tasks than cores do not pay off for a folder
MIN_SCAN_FILES = 16  # files of the lake that one task reads, at least
# The rows of a scan with at most so many bytes are read once and cached: Spark then knows their number before a join and does not
# repartition the other side.
MAX_CACHED_BYTES = 16 << 20


@dataclass(frozen=True)
class SparkLakeEngine(LakeEngine):
    """A running Spark application, whose workers keep within these limits each."""

    spark: SparkSession
    limits: Limits

    def schema_name(self, star: Star) -> str:
        return SCHEMA

    @contextmanager
    def open(self, schema: str, store: LakeStore) -> Iterator[LakeSession]:
        for name, value in SETTINGS.items():
            self.spark.conf.set(name, value)
        session = SparkLakeSession(self.spark, store, self.limits)
        try:
            with translate_spark_errors():
                yield session
        finally:
            session.close()


class SparkLakeSession(SparkRelations, LakeSession):
    """Tables as views of a Spark application; its workers read and write the files."""

    def __init__(self, spark: SparkSession, store: LakeStore, limits: Limits) -> None:
        super().__init__(spark)
        self.store, self.limits, self.batch_files = store, limits, limits.batch_files
        self.cores = spark.sparkContext.defaultParallelism
        self.scans = 0
        self.tune_for(0)

    def tune_for(self, size: int) -> None:
        """Tune Spark for objects of this total size in bytes."""
        for name, value in (
            _LARGE_INPUT_SETTINGS if size > SMALL_INPUT_BYTES else _SMALL_INPUT_SETTINGS
        ).items():
            self.spark.conf.set(name, value)
        tasks_per_core = TASKS_PER_CORE if size > SMALL_INPUT_BYTES else 1
        self.spark.conf.set("spark.sql.shuffle.partitions", self.cores * tasks_per_core)

    @contextmanager
    def stage(self, table: Table, scope: LoadScope, name: str) -> Iterator[StagingTarget]:
        yield SparkStaging(self, table, scope, name)

    def materialize(self, name: str, select: str) -> None:
        self._view(name, self.cache(self.spark.sql(select)))

    def create_view(self, name: str, select: str) -> None:
        self._view(name, self.spark.sql(select))

    def _view(self, name: str, frame: DataFrame) -> None:
        frame.createOrReplaceGlobalTempView(name)
        self.views.add(name)

    def scan(self, table: Table, files: Sequence[DataFile], columns: Sequence[Column]) -> str:
        self.scans += 1
        name = f"_scan{self.scans}"
        tasks = max(1, min(len(files) // MIN_SCAN_FILES, self.cores * TASKS_PER_CORE))
        shares = self.distribute([files[number::tasks] for number in range(tasks)])
        read = ReadTask(self.store.url, table, tuple(columns))
        frame = shares.mapInArrow(read, self.struct_type(columns))
        if sum(item.bytes for item in files) <= MAX_CACHED_BYTES:
            frame = self.cache(frame)
        frame.createOrReplaceTempView(name)
        return f"SELECT {names([column.name for column in columns])} FROM {quote(name)}"

    def distribute(self, shares: Sequence[Any]) -> DataFrame:
        """Return a frame with one partition per share, and the pickled share in its only column."""
        rows = [(bytearray(pickle.dumps(share)),) for share in shares]
        rdd = self.spark.sparkContext.parallelize(rows, max(1, len(rows)))
        return self.spark.createDataFrame(rdd, "share binary")

    def struct_type(self, columns: Sequence[Column]) -> StructType:
        """Return columns as a Spark schema."""
        listed = ", ".join(f"`{column.name}` {spark_type(column)}" for column in columns)
        return self.spark.createDataFrame([], listed).schema  # works with Spark 3.5, too

    def unload(self, unload: Unload) -> int:
        frame = self._repartition(self.spark.sql(unload.select), unload)
        order = [column.name for column in unload.folders]
        order += [name for name in unload.order if name in frame.columns]
        if order:
            frame = frame.sortWithinPartitions(*order)
        frame = frame.select(*(column.name for column in unload.selected_columns))
        written = frame.mapInArrow(WriteTask(unload, self.limits), "part string, rows bigint").collect()
        self._remove_duplicate_parts(unload.url, {row.part for row in written})
        return sum(row.rows for row in written)

    def _repartition(self, frame: DataFrame, unload: Unload) -> DataFrame:
        """Repartition rows so that each folder is written by as few tasks as give files of a sensible size."""
        from pyspark.sql import functions as F  # noqa: N812

        folders = [column.name for column in unload.folders]
        files = max(1, math.ceil(unload.largest / MAX_FILE_ROWS))
        if files == 1 and not folders:
            return frame.coalesce(1)
        salt = F.pmod(F.xxhash64(*frame.columns), F.lit(files)).alias("_salt")
        tasks_per_core = TASKS_PER_CORE if unload.largest > SMALL_FOLDER_ROWS else 1
        tasks = self.cores * tasks_per_core if folders else files
        return frame.repartition(max(tasks, files), *folders, salt)

    def _remove_duplicate_parts(self, url: str, parts: set[str]) -> None:
        """Remove the files of task attempts that failed and were repeated."""
        store = open_lake_store(url, "")
        store.remove([key for key in store.list() if key.split("/")[0] not in parts])


class SparkStaging(StagingTarget):
    """Stages a partition of a table from objects that Spark's workers parse."""

    def __init__(self, session: SparkLakeSession, table: Table, scope: LoadScope, name: str) -> None:
        self.session, self.table, self.scope, self.name = session, table, scope, name
        self.staged = f"_staged_{table.name}"
        self.duplicate_keys_table: str | None = None

    def ingest(self, jobs: Sequence[IngestJob]) -> IngestResult:
        from pyspark.sql import DataFrame

        ingest_result = IngestResult(self.table)
        total = sum(item.info.size for job in jobs for item in job.objects)
        self.session.tune_for(total)
        size = min(MAX_SHARE_BYTES, max(MIN_SHARE_BYTES, total // (self.session.cores * TASKS_PER_CORE)))
        frames, first = [], 0
        for job in jobs:
            frames.append(self._parsed(job, size, first))
            first += len(job.objects)
        frame = reduce(DataFrame.unionAll, frames)
        results = frame.select(RESULT_COLUMN).where(f"{RESULT_COLUMN} IS NOT NULL").collect()
        self._merge(ingest_result, [pickle.loads(row[0]) for row in results])
        frame.where(f"{RESULT_COLUMN} IS NULL").drop(RESULT_COLUMN).createOrReplaceTempView(self.staged)
        if self.table.key:
            rows = f"(SELECT * FROM {quote(self.staged)} WHERE {scope_condition(self.table, self.scope)}) AS staged"
            count_deduplicated(ingest_result, find_duplicate_keys(ingest_result, self.session, rows))
        self.duplicate_keys_table = ingest_result.duplicate_keys_table
        return ingest_result

    def _parsed(self, job: IngestJob, size: int, first: int) -> DataFrame:
        """Return the rows of a source's objects with their object numbers, and a task result per share of this size.

        The objects are numbered from `first`.
        """
        parse = ParseTask(
            job.bucket.url, job.source, job.table, job.scope, job.months, self.session.limits,
            job.bucket.options,
        )  # fmt: skip
        shares = []
        for batch in split_batches(job.objects, size, MAX_SHARE_FILES):
            shares.append((first, batch))
            first += len(batch)
        columns = [*self.table.columns, OBJECT]
        schema = self.session.struct_type(columns).add(RESULT_COLUMN, "binary")
        return self.session.cache(self.session.distribute(shares).mapInArrow(parse, schema))

    @staticmethod
    def _merge(ingest_result: IngestResult, results: Sequence[TaskResult]) -> None:
        """Add the task results in the order of the objects. Raises the error of a failed task."""
        for result in results:
            if result.error is not None:
                raise result.error
        for result in sorted(results, key=lambda result: result.first):
            ingest_result.counts += result.counts
            ingest_result.rejected += result.rejected
            ingest_result.undeclared_fields += result.undeclared_fields

    def finish(self) -> None:
        columns, staged = names(self.table.column_names), quote(self.staged)
        rows = f"SELECT * FROM {staged} WHERE {scope_condition(self.table, self.scope)}"
        if self.duplicate_keys_table:
            key = names(self.table.key)
            duplicate_keys = f"SELECT {key} FROM {self.duplicate_keys_table}"
            types = {column.name: column.type for column in self.table.columns}
            latest = latest_per_key(
                f"SELECT {columns} FROM ({rows}) AS r LEFT SEMI JOIN ({duplicate_keys}) AS d USING ({key})",
                self.table.key,
                self.session.ordering(self.table, types),
            )
            others = f"({rows}) AS r LEFT ANTI JOIN ({duplicate_keys}) AS d USING ({key})"
            single = f"SELECT {columns} FROM {others}"
            rows = f"{single} UNION ALL SELECT {columns} FROM ({latest}) AS n"
        self.session.create_view(self.name, f"SELECT {columns} FROM ({rows}) AS q")
