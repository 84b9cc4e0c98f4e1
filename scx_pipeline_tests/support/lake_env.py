"""A lake that tests unload into and read again, in a folder or in S3.
No test lives here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import obstore
import pyarrow as pa
import pyarrow.parquet as pq

from scx_pipeline.lake.build.unload import Unloaded, Unloader
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.layout import WRITING
from scx_pipeline.lake.format.manifest import MANIFESTS, Manifest, read_manifest
from scx_pipeline.model.calendar import MonthRange
from scx_pipeline_tests.support.load_env import Row, World, in_order, range_of_keys


@dataclass
class Lake:
    """A lake, and the world whose star goes there."""

    url: str
    world: World
    folder: Path  # for files that are looked at
    told: list[str] = field(default_factory=list)

    def unload(
        self, first: str = "", last: str = "", progress: Callable[[str], None] | None = None
    ) -> Unloaded:
        span = range_of_keys(first, last) if first else None
        return self.unloader(span, progress).run(self.url)

    def unloader(
        self, span: MonthRange | None = None, progress: Callable[[str], None] | None = None
    ) -> Unloader:
        return Unloader(self.world.compiled, self.world.warehouse, span, progress or self.told.append)

    @property
    def place(self) -> LakeStore:
        return open_lake_store(self.url, self.world.compiled.star.name)

    def keys(self, table: str = "") -> list[str]:
        """The keys of a table's files, or of all but the manifests."""
        listed = self.place.list(f"{table}/" if table else "")
        return sorted(key for key in listed if not key.startswith(MANIFESTS))

    @property
    def manifest(self) -> Manifest:
        return read_manifest(self.place, self.world.compiled.star.name)

    def folders(self, table: str) -> list[str]:
        """The folders in which a table has files."""
        return sorted({key.rpartition("/")[0] for key in self.keys(table)})

    def left(self) -> list[str]:
        """What is not in its place."""
        return [key for key in self.keys() if key.startswith(WRITING)]

    def files(self, table: str, keys: list[str] | None = None) -> list[Path]:
        """A table's files as the manifest lists them, or others, brought here."""
        target = self.folder / f"look-{len(list(self.folder.glob('look-*')))}"
        found = []
        for key in keys if keys is not None else [item.key for item in self.manifest.of(table)]:
            path = target / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(obstore.get(self.place.store, key).bytes()))
            found.append(path)
        return found

    def schemas(self, table: str) -> list[pa.Schema]:
        """The columns of each file; Redshift's moments may be 96 bits wide, which Arrow would take for nanoseconds."""
        found = []
        for path in self.files(table):
            with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
                found.append(file.schema_arrow.remove_metadata())
        return found

    def rows(self, table: str) -> list[Row]:
        """A table's rows as the manifest lists its files, read by DuckDB, in the order of the declared columns."""
        return self._read(table, self.files(table))

    def listed(self, table: str) -> list[Row]:
        """A table's rows as whoever reads its folders sees them."""
        return self._read(table, self.files(table, self.keys(table)))

    def _read(self, table: str, files: list[Path]) -> list[Row]:
        columns = ", ".join(f'"{name}"' for name in self.world.compiled.star.table(table).column_names)
        if not files:
            return []
        listed = ", ".join(f"'{path}'" for path in files)
        with duckdb.connect() as con:
            found = con.execute(f"SELECT {columns} FROM read_parquet([{listed}], hive_partitioning = true)")
            return in_order(found.fetchall())

    def contents(self) -> dict[str, list[Row]]:
        """All that is in the lake, table by table."""
        return {name: self.rows(name) for name in self.tables}

    @property
    def tables(self) -> list[str]:
        return [table.name for table in self.world.compiled.star.tables]


def standing(world: World) -> dict[str, list[Row]]:
    """What the lake should hold of the warehouse."""
    return {table.name: world.table(table.name) for table in world.compiled.star.tables}


def lake_url(warehouse_url: str, folder: Path) -> str:
    """Where an engine can write: beside where it stages, or in a folder."""
    staging: list[Any] = parse_qs(urlsplit(warehouse_url).query).get("staging", [])
    return f"{staging[0]}-lake/{folder.name}" if staging else (folder / "lake").as_uri()
