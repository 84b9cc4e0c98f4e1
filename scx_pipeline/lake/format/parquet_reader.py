"""A table's files out of the lake as Arrow batches, with the values that only their folders name.
Which files a table has is in the manifest; who reads them, and what for, is decided by the makers and `loading`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.layout import FOLDERS, folders_of
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.storage.s3 import reason_of
from scx_pipeline.warehouse.redshift.copy_command import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa
    from obstore.store import ObjectStore
    from pyarrow.parquet import FileMetaData, ParquetFile

    from scx_pipeline.lake.format.lake_store import LakeStore
    from scx_pipeline.lake.format.manifest import DataFile

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
BATCH_ROWS = 65_536


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """The columns as Arrow's."""
    import pyarrow as pa

    return pa.schema([(column.name, arrow_type(column)) for column in columns])


def read_batches(
    place: LakeStore, files: Sequence[DataFile], table: Table, columns: Sequence[Column]
) -> Iterator[pa.RecordBatch]:
    """These columns of a table's files, in this order and of the declared types. Raises LakeError for a file that is gone."""
    named = {column.name for column in folders_of(table)}
    inside = [column.name for column in columns if column.name not in named]
    for item in files:
        with _opened(place, item) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=inside):
                yield _completed(batch, columns, folder_values(item.key))


def read_footer(place: LakeStore, item: DataFile) -> FileMetaData:
    """What the end of a file tells. Raises LakeError for a file that is gone."""
    with _opened(place, item) as file:
        return file.metadata


@contextmanager
def _opened(place: LakeStore, item: DataFile) -> Iterator[ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Arrow asks for what it needs of a file in few pieces, so nothing is read ahead. Redshift and Spark may write moments of
        # 96 bits, whose years nanoseconds do not reach.
        content = _Object(place.store, item.key, item.bytes)
        with pq.ParquetFile(content, pre_buffer=True, coerce_int96_timestamp_unit="us") as file:
            yield file
    except FileNotFoundError:
        raise LakeError(f"{place.url}/{item.key} is gone: another run has replaced it; run again") from None
    except (OSError, pa.ArrowException) as error:
        raise LakeError(f"cannot read {place.url}/{item.key}: {reason_of(error)}") from error


def _completed(
    batch: pa.RecordBatch, columns: Sequence[Column], folders: dict[str, str | None]
) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for column in columns:
        kind = arrow_type(column)
        if column.name in batch.schema.names:
            arrays.append(batch.column(column.name).cast(kind))
        else:
            value = pa.scalar(folders.get(column.name), pa.string()).cast(kind)
            arrays.append(pa.repeat(value, batch.num_rows))
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(columns))


def folder_values(key: str) -> dict[str, str | None]:
    """What the folders of a key say of the columns that they are named by."""
    pairs = [folder.split("=", 1) for folder in key.split("/")[:-1] if "=" in folder]
    return {name: None if value == NO_VALUE else unquote(value) for name, value in pairs}


def local_scan(place: LakeStore, keys: Sequence[str], table: Table) -> str:
    """The query by which DuckDB reads a table's files where they are in a local folder."""
    from scx_pipeline.parsing.values import literal

    assert place.folder is not None
    paths = ", ".join(literal(str(place.folder / key)) for key in keys)
    folders = folders_of(table)
    types = ", ".join(f"{literal(column.name)}: {_hive_type(column)}" for column in folders)
    hive = (
        f", hive_partitioning = true, hive_types = {{{types}}}" if folders else ", hive_partitioning = false"
    )
    return f"read_parquet([{paths}]{hive})"


def _hive_type(column: Column) -> str:
    return "INTEGER" if column in FOLDERS else "VARCHAR" if column.max_bytes else column.type.upper()


class _Object(io.RawIOBase):
    """An object of a known size as a file that can be read anywhere, which is what Arrow asks for."""

    def __init__(self, store: ObjectStore, key: str, size: int) -> None:
        self.store, self.key, self.size, self.position = store, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        import obstore

        end = min(self.position + len(buffer), self.size)
        if self.position >= end:
            return 0
        got = obstore.get(self.store, self.key, options={"range": (self.position, end)})
        if got.meta["size"] != self.size:
            raise OSError(f"it has {got.meta['size']:,} bytes, and {self.size:,} in the lake's manifest")
        found = bytes(got.bytes())
        buffer[: len(found)] = found
        self.position += len(found)
        return len(found)
