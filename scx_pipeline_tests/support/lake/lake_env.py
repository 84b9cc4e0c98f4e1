"""A lake in a folder or in S3 that tests unload into and read again.

No tests belong here.
"""

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

from scx_pipeline.lake.build.unload import Unloader, UnloadReport
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.layout import WRITING_FOLDER
from scx_pipeline.lake.format.manifest import MANIFEST_FOLDER, Manifest, read_manifest
from scx_pipeline.model.calendar import MonthRange
from scx_pipeline_tests.support.load_env import LoadEnv, range_of_keys
from scx_pipeline_tests.support.snapshots import Row, in_order


@dataclass
class Lake:
    """A lake, and the warehouse that its star is unloaded from."""

    url: str
    load_env: LoadEnv
    folder: Path  # for downloaded files
    messages: list[str] = field(default_factory=list)

    def unload(
        self, first: str = "", last: str = "", progress: Callable[[str], None] | None = None
    ) -> UnloadReport:
        scope = range_of_keys(first, last) if first else None
        return self.unloader(scope, progress).run(self.url)

    def unloader(
        self, scope: MonthRange | None = None, progress: Callable[[str], None] | None = None
    ) -> Unloader:
        return Unloader(
            self.load_env.compiled, self.load_env.warehouse, scope, progress or self.messages.append
        )

    @property
    def store(self) -> LakeStore:
        return open_lake_store(self.url, self.load_env.compiled.star.name)

    def keys(self, table: str = "") -> list[str]:
        """Return the keys of a table's files, or of all files but the manifests."""
        listed = self.store.list(f"{table}/" if table else "")
        return sorted(key for key in listed if not key.startswith(MANIFEST_FOLDER))

    @property
    def manifest(self) -> Manifest:
        return read_manifest(self.store, self.load_env.compiled.star.name)

    def folders(self, table: str) -> list[str]:
        """Return the folders in which a table has files."""
        return sorted({key.rpartition("/")[0] for key in self.keys(table)})

    def unpublished_keys(self) -> list[str]:
        """Return the keys of unpublished files."""
        return [key for key in self.keys() if key.startswith(WRITING_FOLDER)]

    def files(self, table: str, keys: list[str] | None = None) -> list[Path]:
        """Download a table's files as the manifest lists them, or the files with these keys."""
        target = self.folder / f"download-{len(list(self.folder.glob('download-*')))}"
        found = []
        for key in keys if keys is not None else [item.key for item in self.manifest.select_files(table)]:
            path = target / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(obstore.get(self.store.store, key).bytes()))
            found.append(path)
        return found

    def schemas(self, table: str) -> list[pa.Schema]:
        """Return the columns of each file; Redshift may write timestamps of 96 bits, which Arrow would read as nanoseconds."""
        found = []
        for path in self.files(table):
            with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
                found.append(file.schema_arrow.remove_metadata())
        return found

    def rows(self, table: str) -> list[Row]:
        """Return a table's rows from the files in the manifest, with the columns as declared."""
        return self._read(table, self.files(table))

    def rows_in_folders(self, table: str) -> list[Row]:
        """Return a table's rows as an engine that reads its folders sees them."""
        return self._read(table, self.files(table, self.keys(table)))

    def _read(self, table: str, files: list[Path]) -> list[Row]:
        columns = ", ".join(f'"{name}"' for name in self.load_env.compiled.star.table(table).column_names)
        if not files:
            return []
        listed = ", ".join(f"'{path}'" for path in files)
        with duckdb.connect() as con:
            found = con.execute(f"SELECT {columns} FROM read_parquet([{listed}], hive_partitioning = true)")
            return in_order(found.fetchall())

    def contents(self) -> dict[str, list[Row]]:
        """Return all rows of the lake by table."""
        return {name: self.rows(name) for name in self.tables}

    @property
    def tables(self) -> list[str]:
        return [table.name for table in self.load_env.compiled.star.tables]


def read_tables(load_env: LoadEnv) -> dict[str, list[Row]]:
    """Return the rows of the warehouse by table."""
    return {table.name: load_env.table(table.name) for table in load_env.compiled.star.tables}


def lake_url(warehouse_url: str, folder: Path) -> str:
    """Return a URL where an engine can write: next to its staging location, or in a folder."""
    staging: list[Any] = parse_qs(urlsplit(warehouse_url).query).get("staging", [])
    return f"{staging[0]}-lake/{folder.name}" if staging else (folder / "lake").as_uri()
