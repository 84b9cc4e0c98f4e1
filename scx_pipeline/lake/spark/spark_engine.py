"""A lake's tables made by Spark: objects parsed by its workers, the same SQL in its dialect, files written by its workers.
What is made, and in which order, is decided in `tables`; what a worker does, in `worker`; how a job starts, in `job`.

Spark is used for what it is good at: sharing work out, sorting, joining. Bytes come in by the one parser and go out by the one
writer, in Python beside it, so that a lake has the same rows and files whoever made it, and an object store needs no driver in Java.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import LakeError
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.lake.build.lake_engine import LakeEngine, LakeSession
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.manifest import DataFile
from scx_pipeline.lake.spark.worker import ACCOUNT, Account, Parse, Read, Write
from scx_pipeline.loading.ingest import IngestJob, count_deduplicated, find_duplicate_keys
from scx_pipeline.loading.target import StagingTarget
from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.model.column import Column
from scx_pipeline.model.source import Source
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import SelectedObject, split_batches
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.export import Unload
from scx_pipeline.warehouse.session import Relations
from scx_pipeline.warehouse.spark import CAPABILITIES, SETTINGS, row_hash, spark_type
from scx_pipeline.warehouse.sql_text import in_scope, latest_per_key, names, quote
from scx_pipeline.warehouse.staging_buffer import OBJECT

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

SCHEMA = (
    "global_temp"  # Spark's own, of views that have a name of two parts and last as long as the application
)
SHARES = 3  # tasks a core, so that a slow one keeps nobody waiting for long
SHARE_BYTES = 256 << 20  # of objects, at most, that a task parses; a single larger one is one task
LEAST_BYTES = 256 << 10  # of a share: a task takes longer to begin than to parse less
SHARE_FILES = 2_000
FILE_ROWS = 1 << 22  # of a file at most: four row groups, some hundreds of megabytes of a wide table
# Of a little, Spark's time goes into making and compiling code for each query, and into empty tasks: a third of it all is left
# without them. Names and values of settings, for less and for more than so many bytes of objects.
LITTLE = 64 << 20
_FOR_LITTLE = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
_FOR_MUCH = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}
GROUP_ROWS = 1 << 17  # of a folder, below which more tasks than cores are not worth their start
SCAN_FILES = 16  # of the lake that a task reads, at least
# Of a scan's files, up to which its rows are read once and kept: Spark then knows before a join how few they are, and does not
# share out what they are joined with.
KEPT_BYTES = 16 << 20


@dataclass(frozen=True)
class SparkLakeEngine(LakeEngine):
    """An application that runs, whose workers keep within these limits each."""

    spark: SparkSession
    limits: Limits

    def schema_of(self, star: Star) -> str:
        return SCHEMA

    @contextmanager
    def open(self, schema: str, place: LakeStore) -> Iterator[LakeSession]:
        for name, value in SETTINGS.items():
            self.spark.conf.set(name, value)
        session = SparkLakeSession(self.spark, place, self.limits)
        try:
            with told():
                yield session
        finally:
            session.forget()


class SparkRelations(Relations):
    """Views of a Spark application."""

    capabilities = CAPABILITIES

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark
        self.kept: list[DataFrame] = []
        self.views: set[str] = set()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.spark.sql(sql).collect()]

    def row_hash(self, columns: Sequence[Column]) -> str:
        return row_hash(columns)

    def engine_type(self, column: Column) -> str:
        return spark_type(column)

    def create_temporary(self, name: str, select: str) -> None:
        self._kept(self.spark.sql(select)).createOrReplaceTempView(name.strip('"'))

    def drop_temporary(self, name: str) -> None:
        self.spark.catalog.dropTempView(name.strip('"'))

    # What `find_duplicate_keys` asks

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return self.rows(sql)

    def note(self, name: str, select: str) -> None:
        self.create_temporary(name, select)

    def _kept(self, frame: DataFrame) -> DataFrame:
        """The frame, whose rows are made once, and again only where a worker that had them is lost."""
        self.kept.append(frame.persist())
        return frame

    def forget(self) -> None:
        """Let the rows go that were kept."""
        for frame in self.kept:
            frame.unpersist()
        for name in self.views:
            self.spark.catalog.dropGlobalTempView(name)


class SparkLakeSession(SparkRelations, LakeSession):
    """Views of Spark's for tables, and files by its workers."""

    def __init__(self, spark: SparkSession, place: LakeStore, limits: Limits) -> None:
        super().__init__(spark)
        self.place, self.limits, self.batch_files = place, limits, limits.batch_files
        self.cores = spark.sparkContext.defaultParallelism
        self.scans = 0
        self.expect(0)

    def expect(self, size: int) -> None:
        """Have Spark suit itself to so many bytes of objects."""
        for name, value in (_FOR_MUCH if size > LITTLE else _FOR_LITTLE).items():
            self.spark.conf.set(name, value)
        self.spark.conf.set("spark.sql.shuffle.partitions", self.cores * (SHARES if size > LITTLE else 1))

    @contextmanager
    def stage(self, source: Source, table: Table, scope: LoadScope, name: str) -> Iterator[StagingTarget]:
        yield SparkStage(self, table, scope, name)

    def keep(self, name: str, select: str) -> None:
        self._view(name, self._kept(self.spark.sql(select)))

    def define(self, name: str, select: str) -> None:
        self._view(name, self.spark.sql(select))

    def _view(self, name: str, frame: DataFrame) -> None:
        frame.createOrReplaceGlobalTempView(name)
        self.views.add(name)

    def scan(self, table: Table, files: Sequence[DataFile], columns: Sequence[Column]) -> str:
        self.scans += 1
        name, shares = f"_scan{self.scans}", max(1, min(len(files) // SCAN_FILES, self.cores * SHARES))
        read = Read(self.place.url, table, tuple(columns))
        spread = self.spread([files[number::shares] for number in range(shares)])
        frame = spread.mapInArrow(read, self.struct(columns))
        if sum(item.bytes for item in files) <= KEPT_BYTES:
            frame = self._kept(frame)
        frame.createOrReplaceTempView(name)
        return f"SELECT {names([column.name for column in columns])} FROM {quote(name)}"

    def spread(self, shares: Sequence[Any]) -> DataFrame:
        """A frame with a partition for each share, which is in its only column, pickled."""
        rows = [(bytearray(pickle.dumps(share)),) for share in shares]
        rdd = self.spark.sparkContext.parallelize(rows, max(1, len(rows)))
        return self.spark.createDataFrame(rdd, "share binary")

    def struct(self, columns: Sequence[Column]) -> StructType:
        """Columns as Spark's."""
        listed = ", ".join(f"`{column.name}` {spark_type(column)}" for column in columns)
        return self.spark.createDataFrame([], listed).schema  # which Spark 3.5 has, too

    def unload(self, unload: Unload) -> int:
        frame = self._shared_out(self.spark.sql(unload.select), unload)
        by = [
            *(column.name for column in unload.folders),
            *(name for name in unload.order if name in frame.columns),
        ]
        if by:
            frame = frame.sortWithinPartitions(*by)
        frame = frame.select(*(column.name for column in unload.given))
        written = frame.mapInArrow(Write(unload, self.limits), "part string, rows bigint").collect()
        self._remove_others(unload.url, {row.part for row in written})
        return sum(row.rows for row in written)

    def _shared_out(self, frame: DataFrame, unload: Unload) -> DataFrame:
        """The rows of a folder in as few tasks as make files of a sensible size."""
        from pyspark.sql import functions as F  # noqa: N812

        folders = [column.name for column in unload.folders]
        files = max(1, math.ceil(unload.largest / FILE_ROWS))
        if files == 1 and not folders:
            return frame.coalesce(1)
        salt = F.pmod(F.xxhash64(*frame.columns), F.lit(files)).alias("_salt")
        tasks = files if not folders else self.cores * (SHARES if unload.largest > GROUP_ROWS else 1)
        return frame.repartition(max(tasks, files), *folders, salt)

    def _remove_others(self, url: str, parts: set[str]) -> None:
        """Remove what tasks have written that were broken off, and done again."""
        place = open_lake_store(url, "")
        place.remove([key for key in place.list() if key.split("/")[0] not in parts])


class SparkStage(StagingTarget):
    """A staging table's slice out of objects that Spark's workers parse."""

    def __init__(self, session: SparkLakeSession, table: Table, scope: LoadScope, name: str) -> None:
        self.session, self.table, self.scope, self.name = session, table, scope, name
        self.landed = f"_landed_{table.name}"
        self.superseded: str | None = None

    def ingest(self, job: IngestJob, objects: Sequence[SelectedObject]) -> IngestResult:
        parse = Parse(
            job.bucket.url, job.source, job.table, job.scope, job.months, self.session.limits,
            job.bucket.options,
        )  # fmt: skip
        ingest_result = IngestResult(self.table)
        frame = self._parsed(parse, objects)
        self._gather(
            ingest_result,
            [pickle.loads(row[0]) for row in frame.select(ACCOUNT).where(f"{ACCOUNT} IS NOT NULL").collect()],
        )
        frame.where(f"{ACCOUNT} IS NULL").drop(ACCOUNT).createOrReplaceTempView(self.landed)
        if self.table.key:
            rows = f"(SELECT * FROM {quote(self.landed)} WHERE {in_scope(self.table, self.scope)}) AS landed"
            count_deduplicated(ingest_result, find_duplicate_keys(ingest_result, self.session, rows))
        self.superseded = ingest_result.superseded
        return ingest_result

    def _parsed(self, parse: Parse, objects: Sequence[SelectedObject]) -> DataFrame:
        """The rows of all objects, under their numbers, and an account of each share."""
        total = sum(item.info.size for item in objects)
        self.session.expect(total)
        size = min(SHARE_BYTES, max(LEAST_BYTES, total // (self.session.cores * SHARES)))
        shares, first = [], 0
        for batch in split_batches(objects, size, SHARE_FILES):
            shares.append((first, batch))
            first += len(batch)
        columns = [*self.table.columns, OBJECT]
        schema = self.session.struct(columns).add(ACCOUNT, "binary")
        return self.session._kept(self.session.spread(shares).mapInArrow(parse, schema))

    @staticmethod
    def _gather(ingest_result: IngestResult, accounts: Sequence[Account]) -> None:
        """Bring the accounts of all shares together, in the order of the objects. Raises what a worker could not do."""
        for account in accounts:
            if account.error is not None:
                raise account.error
        for account in sorted(accounts, key=lambda account: account.first):
            ingest_result.counts += account.counts
            ingest_result.rejected += account.rejected
            ingest_result.undeclared_fields += account.undeclared_fields

    def finish(self) -> None:
        columns, landed = names(self.table.column_names), quote(self.landed)
        rows = f"SELECT * FROM {landed} WHERE {in_scope(self.table, self.scope)}"
        if self.superseded:
            key = names(self.table.key)
            duplicate_keys = f"SELECT {key} FROM {self.superseded}"
            types = {column.name: column.type for column in self.table.columns}
            newest = latest_per_key(
                f"SELECT {columns} FROM ({rows}) AS r LEFT SEMI JOIN ({duplicate_keys}) AS d USING ({key})",
                self.table.key,
                self.session.ordering(self.table, types),
            )
            single = (
                f"SELECT {columns} FROM ({rows}) AS r LEFT ANTI JOIN ({duplicate_keys}) AS d USING ({key})"
            )
            rows = f"{single} UNION ALL SELECT {columns} FROM ({newest}) AS n"
        self.session.define(self.name, f"SELECT {columns} FROM ({rows}) AS q")


@contextmanager
def told() -> Iterator[None]:
    """What Spark could not do as a LakeError of one line."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise LakeError(f"Spark: {reason_of(str(error))}; nothing was changed") from error


def reason_of(text: str) -> str:
    """What of a Spark error's many lines says what happened, and what to do where that is known."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = next(
        (line for line in lines if any(sign in line for sign, _ in _ADVICE)),
        lines[0] if lines else "no reason",
    )
    advice = next((f" ({advice})" for sign, advice in _ADVICE if sign in found), "")
    return found[:400] + advice


# What Spark says → what to do.
_ADVICE = (
    ("ExecutorLostFailure", "an executor was lost: give executors more memory, spark.executor.memory and spark.executor.memoryOverhead"),
    ("OutOfMemoryError", "give the driver and the executors more memory, spark.driver.memory and spark.executor.memory"),
    ("No space left on device", "free some disk where spark.local.dir and TMPDIR point to"),
    ("No module named", "the workers need the same packages as the driver: see docs/emr.md"),
    ("Python in worker has different version", "set PYSPARK_PYTHON to the driver's Python"),
)  # fmt: skip
