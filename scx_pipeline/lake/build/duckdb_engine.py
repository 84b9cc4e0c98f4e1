"""The lake engine for one machine: an embedded DuckDB with a scratch file, without a server or Java.

Which tables are built, and in which order, is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scx_pipeline.lake.build.lake_engine import LakeEngine, LakeSession
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.manifest import DataFile
from scx_pipeline.lake.format.parquet_reader import arrow_schema, local_scan, read_batches
from scx_pipeline.loading.targets.target import StagingTarget
from scx_pipeline.loading.targets.warehouse_target import BufferStagingTarget
from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.model.column import Column
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.duckdb_connection import configure, translate_io_errors
from scx_pipeline.warehouse.duckdb.duckdb_session import DuckDBSession
from scx_pipeline.warehouse.sql_text import names, quote

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class DuckDBLakeEngine(LakeEngine):
    """DuckDB in this process, within these limits."""

    limits: Limits

    def schema_name(self, star: Star) -> str:
        return star.schema_name

    @contextmanager
    def open(self, schema: str, store: LakeStore) -> Iterator[LakeSession]:
        import duckdb

        with temporary_folder() as folder:
            path = Path(folder) / "dev.duckdb"
            with (
                translate_io_errors(f"the scratch file {path} (TMPDIR)", self.limits),
                duckdb.connect(path) as con,
            ):
                yield DuckDBLakeSession(configure(con, self.limits), schema, store, self.limits.batch_files)


class DuckDBLakeSession(DuckDBSession, LakeSession):
    """Tables and views of one schema in a scratch file."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, schema: str, store: LakeStore, batch_files: int
    ) -> None:
        super().__init__(con)
        self.schema, self.store, self.batch_files = schema, store, batch_files
        self.scans = 0
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")

    @contextmanager
    def stage(self, table: Table, scope: LoadScope, name: str) -> Iterator[StagingTarget]:
        partition = table.model_copy(update={"name": name})
        self.tables.create_table(self.schema, partition)
        with self.tables.open_staging_buffer(self.schema, partition, scope) as buffer:
            yield BufferStagingTarget(buffer, partition, scope)

    def materialize(self, name: str, select: str) -> None:
        self.con.execute(f"CREATE OR REPLACE TABLE {self._qualified(name)} AS {select}")

    def create_view(self, name: str, select: str) -> None:
        self.con.execute(f"CREATE OR REPLACE VIEW {self._qualified(name)} AS {select}")

    def scan(self, table: Table, files: Sequence[DataFile], columns: Sequence[Column]) -> str:
        listed = names([column.name for column in columns])
        if self.store.folder is not None:
            return f"SELECT {listed} FROM {local_scan(self.store, [item.key for item in files], table)}"
        self.scans += 1
        return f"SELECT {listed} FROM {self._fetch(f'scan {self.scans}', table, files, columns)}"

    def _fetch(self, name: str, table: Table, files: Sequence[DataFile], columns: Sequence[Column]) -> str:
        """Copy these columns of files that DuckDB cannot read directly into a table; return its name."""
        import pyarrow as pa

        batches = read_batches(self.store, files, table, columns)
        self.con.register("fetched", pa.RecordBatchReader.from_batches(arrow_schema(columns), batches))
        self.con.execute(f"CREATE TABLE {self._qualified(name)} AS FROM fetched")
        self.con.unregister("fetched")
        return self._qualified(name)

    def _qualified(self, name: str) -> str:
        return f"{quote(self.schema)}.{quote(name)}"
