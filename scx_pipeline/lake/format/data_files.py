"""Some of a table's files in the lake, as a warehouse takes them in, and what is said where one is gone or damaged.
How files are read is in `reading`; which of them a load takes is decided in `loading`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import FOLDERS, file_columns, part_of
from scx_pipeline.lake.format.manifest import DataFile
from scx_pipeline.lake.format.parquet_reader import local_scan, read_batches, read_footer, schema_of
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.parquet_files import ParquetFiles

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData

FOOTERS_AT_ONCE = 16  # that are read: each is a request or two


class GoneError(LakeError):
    """A file that the manifest lists is not there any more."""


class LakeFiles(ParquetFiles):
    """Some of a table's files in the lake."""

    def __init__(self, place: LakeStore, table: Table, files: Sequence[DataFile]) -> None:
        self.place, self.table, self.files = place, table, files
        self.rows = sum(item.rows for item in files)
        self.objects = [(f"{place.url}/{item.key}", item.bytes) for item in files]
        self.columns = file_columns(table)
        made = FOLDERS if table.partitioned else ()
        self.values = {item.name: part_of(table, item) for item in made if item.name in table.column_names}
        keys = [item.key for item in files]
        self.scan = local_scan(place, keys, table) if place.folder is not None and keys else None
        self.damaged: LakeError | None = None  # what a reader of the batches was told

    def batches(self, columns: Sequence[Column]) -> pa.RecordBatchReader:
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(schema_of(columns), self._read(columns))

    def _read(self, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
        try:
            yield from read_batches(self.place, self.files, self.table, columns)
        except LakeError as error:  # who reads it may tell of it in words of his own
            self.damaged = error
            raise

    def footers(self) -> Iterator[FileMetaData]:
        with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
            yield from pool.map(partial(read_footer, self.place), self.files)

    def by_month(self) -> Mapping[Month, LakeFiles]:
        parts: dict[Month, list[DataFile]] = {}
        for item in self.files:
            assert item.month is not None
            parts.setdefault(item.month, []).append(item)
        return {month: self._of(files) for month, files in sorted(parts.items())}

    def _of(self, files: Sequence[DataFile]) -> LakeFiles:
        return LakeFiles(self.place, self.table, files)

    def gone(self) -> str | None:
        """The key of a file that is not there any more."""
        standing: set[str] = set()
        for folder in {item.key.rpartition("/")[0] for item in self.files}:
            standing |= self.place.list(f"{folder}/").keys()
        return next((item.key for item in self.files if item.key not in standing), None)


@contextmanager
def told(files: LakeFiles) -> Iterator[None]:
    """What is wrong with files, in words of the lake, whoever has met it."""
    try:
        yield
    except Exception as error:
        gone = None
        with suppress(LakeError):
            gone = files.gone()
        if gone:
            raise GoneError(
                f"{files.place.url}/{gone} is gone: another run has replaced it, or it was removed; run again, or see `scx lake verify`"
            ) from error
        if files.damaged:
            raise files.damaged from error
        if files.scan and _is_of_reading(error):
            raise LakeError(f"cannot read the lake {files.place.url}: {first_line(error)}") from error
        raise


def _is_of_reading(error: Exception) -> bool:
    """Whether an error of a DuckDB tells of a file that is none, has not the columns, or has values of another type."""
    import duckdb

    return isinstance(
        error, duckdb.InvalidInputException | duckdb.BinderException | duckdb.ConversionException
    )
