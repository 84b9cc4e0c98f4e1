"""Reading a table's data files as Arrow batches, including the column values that only their folder names hold.

Which files belong to a table is not decided here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.layout import MONTH_COLUMNS, partition_columns
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.storage.store_errors import describe_store_error
from scx_pipeline.warehouse.parquet_files import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa
    from obstore.store import ObjectStore
    from pyarrow.parquet import FileMetaData, ParquetFile

    from scx_pipeline.lake.format.lake_store import LakeStore
    from scx_pipeline.lake.format.manifest import DataFile

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
BATCH_ROWS = 65_536


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the Arrow schema of columns."""
    import pyarrow as pa

    return pa.schema([(column.name, arrow_type(column)) for column in columns])


def read_batches(
    store: LakeStore, files: Sequence[DataFile], table: Table, columns: Sequence[Column]
) -> Iterator[pa.RecordBatch]:
    """Yield these columns of a table's files, in this order and with the declared types. Raises LakeError if a file is missing."""
    partitions = {column.name for column in partition_columns(table)}
    stored = [column.name for column in columns if column.name not in partitions]
    for item in files:
        with _open_file(store, item) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=stored):
                yield _add_partition_values(batch, columns, partition_values(item.key))


def read_footer(store: LakeStore, item: DataFile) -> FileMetaData:
    """Read a file's footer. Raises LakeError if the file is missing."""
    with _open_file(store, item) as file:
        return file.metadata


@contextmanager
def _open_file(store: LakeStore, item: DataFile) -> Iterator[ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Arrow requests what it needs of a file in few ranges, so nothing is read ahead. Redshift and Spark may write timestamps
        # of 96 bits, whose years exceed the range of nanoseconds.
        content = _RangeReader(store.store, item.key, item.bytes)
        with pq.ParquetFile(content, pre_buffer=True, coerce_int96_timestamp_unit="us") as file:
            yield file
    except FileNotFoundError:
        raise LakeError(f"{store.url}/{item.key} is missing: another run replaced it; run again") from None
    except (OSError, pa.ArrowException) as error:
        raise LakeError(f"cannot read {store.url}/{item.key}: {describe_store_error(error)}") from error


def _add_partition_values(
    batch: pa.RecordBatch, columns: Sequence[Column], values: dict[str, str | None]
) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for column in columns:
        kind = arrow_type(column)
        if column.name in batch.schema.names:
            arrays.append(batch.column(column.name).cast(kind))
        else:
            value = pa.scalar(values.get(column.name), pa.string()).cast(kind)
            arrays.append(pa.repeat(value, batch.num_rows))
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns))


def partition_values(key: str) -> dict[str, str | None]:
    """Return the values of the partition columns that a key's folders name."""
    pairs = [folder.split("=", 1) for folder in key.split("/")[:-1] if "=" in folder]
    return {name: None if value == NULL_PARTITION else unquote(value) for name, value in pairs}


def local_scan(store: LakeStore, keys: Sequence[str], table: Table) -> str:
    """Return the DuckDB relation that reads a table's files from a local folder."""
    from scx_pipeline.warehouse.sql_text import string_literal

    assert store.folder is not None
    paths = ", ".join(string_literal(str(store.folder / key)) for key in keys)
    folders = partition_columns(table)
    types = ", ".join(f"{string_literal(column.name)}: {_partition_value_type(column)}" for column in folders)
    hive = f"true, hive_types = {{{types}}}" if folders else "false"
    return f"read_parquet([{paths}], hive_partitioning = {hive})"


def _partition_value_type(column: Column) -> str:
    """Return DuckDB's type of the values that name folders."""
    return "INTEGER" if column in MONTH_COLUMNS else "VARCHAR" if column.max_bytes else column.type.upper()


class _RangeReader(io.RawIOBase):
    """A seekable file over an object of known size that reads byte ranges."""

    def __init__(self, store: ObjectStore, key: str, size: int) -> None:
        self.store, self.key, self.size, self.position = store, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, origin: int = io.SEEK_SET) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[origin]
        return self.position

    def tell(self) -> int:  # named by io.RawIOBase: codespell:ignore
        return self.position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        import obstore

        end = min(self.position + len(buffer), self.size)
        if self.position >= end:
            return 0
        response = obstore.get(self.store, self.key, options={"range": (self.position, end)})
        if response.meta["size"] != self.size:
            raise OSError(f"it has {response.meta['size']:,} bytes, but the manifest says {self.size:,}")
        content = bytes(response.bytes())
        buffer[: len(content)] = content
        self.position += len(content)
        return len(content)
