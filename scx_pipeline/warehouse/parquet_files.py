"""Parquet files with the rows of one table, as a warehouse reads or writes them.

Which files a table has is decided in the lake package.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scx_pipeline.errors import WarehouseError
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.column import Column

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData


@dataclass(frozen=True)
class Unload:
    """A SELECT to write as Parquet: its columns, then those whose values name folders and are not in the files."""

    select: str
    columns: tuple[Column, ...]
    folders: tuple[Column, ...]
    url: str  # of an empty folder, with a / at its end
    largest: int = 0  # rows of the largest month, or of an unpartitioned table, as far as counted
    order: tuple[str, ...] = ()  # columns to sort a file by, if the engine has no order of its own

    @property
    def selected_columns(self) -> tuple[Column, ...]:
        """Return the columns of the SELECT, in order."""
        return (*self.columns, *self.folders)


class ParquetFiles(ABC):
    """Files that hold rows of one table, of exactly the declared types."""

    rows: int  # in all files
    objects: Sequence[tuple[str, int]]  # URL and bytes of each
    columns: Sequence[Column]  # in each file, in order
    values: Mapping[str, str]  # expressions of the columns that are not in the files, by name
    scan: str | None = None  # the relation by which a local DuckDB reads them; None: it cannot

    @abstractmethod
    def batches(self, columns: Sequence[Column]) -> pa.RecordBatchReader:
        """Read these columns of all rows, in batches. Raises LakeError while it is consumed."""

    @abstractmethod
    def footers(self) -> Iterator[FileMetaData]:
        """Read the footer of each file. Raises LakeError while it is consumed."""

    @abstractmethod
    def by_month(self) -> Mapping[Month, ParquetFiles]:
        """Return the files of each month that has any."""


def check_arrived(name: str, expected: int, arrived: int, files: ParquetFiles | None = None) -> None:
    """Raise WarehouseError unless as many rows arrived in a table as were sent, or are in files."""
    if expected != arrived:
        source = f"in {len(files.objects):,} files, such as {files.objects[0][0]}," if files else "sent,"
        raise WarehouseError(
            f"{name}: {expected:,} rows were {source} but {arrived:,} arrived; nothing was changed"
        )


def arrow_type(column: Column) -> pa.DataType:
    """Return the Arrow type of a column in a Parquet file."""
    import pyarrow as pa

    simple: dict[str, Callable[[], pa.DataType]] = {
        "smallint": pa.int16, "integer": pa.int32, "bigint": pa.int64, "double": pa.float64, "boolean": pa.bool_,
        "date": pa.date32,
    }  # fmt: skip
    if column.max_bytes is not None:
        return pa.string()
    if column.type == "timestamp":
        return pa.timestamp("us")
    if column.type in simple:
        return simple[column.type]()
    digits, scale = column.type.removeprefix("decimal(").removesuffix(")").split(",")
    return pa.decimal128(int(digits), int(scale))
