"""Parquet files with a table's rows, which a warehouse takes in by its own quickest way.
Whose files they are, and which of them hold which rows, is decided by whoever hands them over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from scx_pipeline.errors import WarehouseError
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.column import Column

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData


class ParquetFiles(ABC):
    """Files that hold rows of one table, of exactly the declared types."""

    rows: int  # in all of them
    objects: Sequence[tuple[str, int]]  # URL and bytes of each
    columns: Sequence[Column]  # that stand in each file, in their order
    values: Mapping[str, str]  # of columns that do not, the expressions that give them out of those that do
    scan: str | None = None  # the relation by which a DuckDB on this machine reads them; None: it cannot

    @abstractmethod
    def batches(self, columns: Sequence[Column]) -> pa.RecordBatchReader:
        """These columns of all rows, some rows at a time. Raises LakeError while it is read."""

    @abstractmethod
    def footers(self) -> Iterator[FileMetaData]:
        """What the end of each file tells, one after the other. Raises LakeError while they are read."""

    @abstractmethod
    def by_month(self) -> Mapping[Month, ParquetFiles]:
        """The files of each month that has any."""


def check_arrived(name: str, files: ParquetFiles, arrived: int) -> None:
    """Raise WarehouseError unless all rows of the files are in the table."""
    if arrived != files.rows:
        raise WarehouseError(
            f"{name}: {files.rows:,} rows should be in {len(files.objects):,} files, such as {files.objects[0][0]}, "
            f"but {arrived:,} arrived; nothing was changed"
        )
