"""A lake's tables made by an embedded DuckDB, in a scratch file: for one machine, without a server or Java.
What is made, and in which order, is decided in `tables`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scx_pipeline.engine.tables import LandingStage
from scx_pipeline.engine.target import Stage
from scx_pipeline.lake.maker import Engine, Maker
from scx_pipeline.lake.manifest import DataFile
from scx_pipeline.lake.place import Place
from scx_pipeline.lake.reading import local_scan, read_batches, schema_of
from scx_pipeline.spec import Column, Source, Span, Star, Table
from scx_pipeline.warehouse.base import Limits, names, quote
from scx_pipeline.warehouse.duckdb import CAPABILITIES, DuckDBSession, configured, translated
from scx_pipeline.warehouse.unloading import Unload

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class DuckEngine(Engine):
    """DuckDB in this process, within these limits."""

    limits: Limits

    def schema_of(self, star: Star) -> str:
        return star.schema_name

    @contextmanager
    def open(self, schema: str, place: Place) -> Iterator[Maker]:
        import duckdb

        with tempfile.TemporaryDirectory(prefix="scx-") as folder:
            path = Path(folder) / "dev.duckdb"
            with translated(f"the scratch file {path} (TMPDIR)", self.limits), duckdb.connect(path) as con:
                yield DuckMaker(configured(con, self.limits), schema, place, self.limits.batch_files)


class DuckMaker(Maker):
    """Relations in a scratch file, as tables and views of one schema."""

    capabilities = CAPABILITIES

    def __init__(self, con: duckdb.DuckDBPyConnection, schema: str, place: Place, batch_files: int) -> None:
        self.con, self.schema, self.place, self.batch_files = con, schema, place, batch_files
        self.session = DuckDBSession(con)
        self.scans = 0
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self.session.rows(sql, parameters)

    def create_temporary(self, name: str, select: str) -> None:
        self.session.create_temporary(name, select)

    def drop_temporary(self, name: str) -> None:
        self.session.drop_temporary(name)

    def row_hash(self, columns: Sequence[Column]) -> str:
        return self.session.row_hash(columns)

    def engine_type(self, column: Column) -> str:
        return self.session.engine_type(column)

    def unload(self, unload: Unload) -> int:
        return self.session.unload(unload)

    @contextmanager
    def stage(self, source: Source, table: Table, span: Span | None, name: str) -> Iterator[Stage]:
        made = table.model_copy(update={"name": name})
        self.session.create_table(self.schema, made)
        with self.session.landing(self.schema, made, span) as landing:
            yield LandingStage(landing, made, span)

    def keep(self, name: str, select: str) -> None:
        self.con.execute(f"CREATE OR REPLACE TABLE {self._own(name)} AS {select}")

    def define(self, name: str, select: str) -> None:
        self.con.execute(f"CREATE OR REPLACE VIEW {self._own(name)} AS {select}")

    def scan(self, table: Table, files: Sequence[DataFile], columns: Sequence[Column]) -> str:
        keys, listed = [item.key for item in files], names([column.name for column in columns])
        if self.place.folder is not None:
            return f"SELECT {listed} FROM {local_scan(self.place, keys, table)}"
        self.scans += 1
        return f"SELECT {listed} FROM {self._fetched(f'scan {self.scans}', table, keys, columns)}"

    def _fetched(self, name: str, table: Table, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """A table of these columns of files that DuckDB cannot reach itself."""
        import pyarrow as pa

        batches = read_batches(self.place, keys, table, columns)
        self.con.register("fetched", pa.RecordBatchReader.from_batches(schema_of(columns), batches))
        self.con.execute(f"CREATE TABLE {self._own(name)} AS FROM fetched")
        self.con.unregister("fetched")
        return self._own(name)

    def _own(self, name: str) -> str:
        return f"{quote(self.schema)}.{quote(name)}"
