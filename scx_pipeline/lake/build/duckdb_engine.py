"""A lake's tables made by an embedded DuckDB, in a scratch file: for one machine, without a server or Java.
What is made, and in which order, is decided in `tables`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scx_pipeline.loading.warehouse_target import BufferStaging
from scx_pipeline.loading.target import StagingTarget
from scx_pipeline.lake.build.lake_engine import LakeEngine, LakeSession
from scx_pipeline.lake.format.manifest import DataFile
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.parquet_reader import local_scan, read_batches, schema_of
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.model.source import Source
from scx_pipeline.model.column import Column
from scx_pipeline.model.calendar import LoadScope, MonthRange
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.sql_text import names, quote
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import DuckDBSession, configured, translated

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class DuckDBLakeEngine(LakeEngine):
    """DuckDB in this process, within these limits."""

    limits: Limits

    def schema_of(self, star: Star) -> str:
        return star.schema_name

    @contextmanager
    def open(self, schema: str, place: LakeStore) -> Iterator[LakeSession]:
        import duckdb

        with temporary_folder() as folder:
            path = Path(folder) / "dev.duckdb"
            with translated(f"the scratch file {path} (TMPDIR)", self.limits), duckdb.connect(path) as con:
                yield DuckDBLakeSession(configured(con, self.limits), schema, place, self.limits.batch_files)


class DuckDBLakeSession(DuckDBSession, LakeSession):
    """Relations in a scratch file, as tables and views of one schema."""

    def __init__(self, con: duckdb.DuckDBPyConnection, schema: str, place: LakeStore, batch_files: int) -> None:
        super().__init__(con)
        self.schema, self.place, self.batch_files = schema, place, batch_files
        self.scans = 0
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")

    @contextmanager
    def stage(self, source: Source, table: Table, scope: LoadScope, name: str) -> Iterator[StagingTarget]:
        made = table.model_copy(update={"name": name})
        self.create_table(self.schema, made)
        with self.staging_buffer(self.schema, made, scope) as buffer:
            yield BufferStaging(buffer, made, scope)

    def keep(self, name: str, select: str) -> None:
        self.con.execute(f"CREATE OR REPLACE TABLE {self._own(name)} AS {select}")

    def define(self, name: str, select: str) -> None:
        self.con.execute(f"CREATE OR REPLACE VIEW {self._own(name)} AS {select}")

    def scan(self, table: Table, files: Sequence[DataFile], columns: Sequence[Column]) -> str:
        listed = names([column.name for column in columns])
        if self.place.folder is not None:
            return f"SELECT {listed} FROM {local_scan(self.place, [item.key for item in files], table)}"
        self.scans += 1
        return f"SELECT {listed} FROM {self._fetched(f'scan {self.scans}', table, files, columns)}"

    def _fetched(self, name: str, table: Table, files: Sequence[DataFile], columns: Sequence[Column]) -> str:
        """A table of these columns of files that DuckDB cannot reach itself."""
        import pyarrow as pa

        batches = read_batches(self.place, files, table, columns)
        self.con.register("fetched", pa.RecordBatchReader.from_batches(schema_of(columns), batches))
        self.con.execute(f"CREATE TABLE {self._own(name)} AS FROM fetched")
        self.con.unregister("fetched")
        return self._own(name)

    def _own(self, name: str) -> str:
        return f"{quote(self.schema)}.{quote(name)}"
