"""Data files of a table, as a warehouse loads them, and errors about files that are missing or damaged.

Which files a load takes is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import MONTH_COLUMNS, event_time_part, file_columns
from scx_pipeline.lake.format.manifest import DataFile
from scx_pipeline.lake.format.parquet_reader import arrow_schema, local_scan, read_batches, read_footer
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.parquet_files import ParquetFiles

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData

PARALLEL_FOOTERS = 16  # footers read at a time, with one or two requests each


class MissingFileError(LakeError):
    """A file that the manifest lists does not exist anymore."""


class LakeFiles(ParquetFiles):
    """Some of a table's files in the lake."""

    def __init__(self, store: LakeStore, table: Table, files: Sequence[DataFile]) -> None:
        self.store, self.table, self.files = store, table, files
        self.rows = sum(item.rows for item in files)
        self.objects = [(f"{store.url}/{item.key}", item.bytes) for item in files]
        self.columns = file_columns(table)
        computed = MONTH_COLUMNS if table.is_partitioned else ()
        self.values = {
            item.name: event_time_part(table, item) for item in computed if item.name in table.column_names
        }
        keys = [item.key for item in files]
        self.scan = local_scan(store, keys, table) if store.folder is not None and keys else None
        self.read_error: LakeError | None = None  # raised while the batches were read

    def batches(self, columns: Sequence[Column]) -> pa.RecordBatchReader:
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(arrow_schema(columns), self._read(columns))

    def _read(self, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
        try:
            yield from read_batches(self.store, self.files, self.table, columns)
        except LakeError as error:  # the engine that reads the batches may raise its own error instead
            self.read_error = error
            raise

    def footers(self) -> Iterator[FileMetaData]:
        with ThreadPoolExecutor(PARALLEL_FOOTERS) as pool:
            yield from pool.map(partial(read_footer, self.store), self.files)

    def by_month(self) -> Mapping[Month, LakeFiles]:
        parts: dict[Month, list[DataFile]] = {}
        for item in self.files:
            assert item.month is not None
            parts.setdefault(item.month, []).append(item)
        return {month: LakeFiles(self.store, self.table, files) for month, files in sorted(parts.items())}

    def find_missing(self) -> str | None:
        """Return the key of a file that does not exist anymore, or None."""
        existing: set[str] = set()
        for folder in {item.key.rpartition("/")[0] for item in self.files}:
            existing |= self.store.list(f"{folder}/").keys()
        return next((item.key for item in self.files if item.key not in existing), None)


@contextmanager
def translate_read_errors(files: LakeFiles) -> Iterator[None]:
    """Raise LakeError if reading the files fails because one is missing or damaged, whatever the engine raised."""
    try:
        yield
    except Exception as error:
        missing = None
        with suppress(LakeError):
            missing = files.find_missing()
        if missing:
            raise MissingFileError(
                f"{files.store.url}/{missing} is missing: another run replaced it, or it was deleted; "
                "run the load again, or check the lake with `scx lake verify`"
            ) from error
        if files.read_error:
            raise files.read_error from error
        if files.scan and _is_read_error(error):
            raise LakeError(f"cannot read the lake {files.store.url}: {first_line(error)}") from error
        raise


def _is_read_error(error: Exception) -> bool:
    """Whether a DuckDB error means a file that is not Parquet, lacks columns, or has values of another type."""
    import duckdb

    return isinstance(
        error, duckdb.InvalidInputException | duckdb.BinderException | duckdb.ConversionException
    )
