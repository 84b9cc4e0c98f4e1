"""Temporary views of a Spark application, as relations that a load can query.

Reading objects and writing files do not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scx_pipeline.lake.spark.spark_sql import CAPABILITIES, row_hash, spark_type
from scx_pipeline.model.column import Column
from scx_pipeline.warehouse.query_session import QuerySession

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class SparkRelations(QuerySession):
    """Temporary views of a Spark application."""

    capabilities = CAPABILITIES

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark
        self.cached: list[DataFrame] = []
        self.views: set[str] = set()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.spark.sql(sql).collect()]

    def row_hash(self, columns: Sequence[Column]) -> str:
        return row_hash(columns)

    def engine_type(self, column: Column) -> str:
        return spark_type(column)

    def create_temporary(self, name: str, select: str) -> None:
        self.cache(self.spark.sql(select)).createOrReplaceTempView(name.strip('"'))

    def drop_temporary(self, name: str) -> None:
        self.spark.catalog.dropTempView(name.strip('"'))

    # Used by `find_duplicate_keys`

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.rows(sql)

    def replace_temporary(self, name: str, select: str) -> None:
        self.create_temporary(name, select)

    def cache(self, frame: DataFrame) -> DataFrame:
        """Compute a frame's rows once, and again only if the worker that holds them is lost."""
        self.cached.append(frame.persist())
        return frame

    def close(self) -> None:
        """Release the cached rows and drop the views."""
        for frame in self.cached:
            frame.unpersist()
        for name in self.views:
            self.spark.catalog.dropGlobalTempView(name)
