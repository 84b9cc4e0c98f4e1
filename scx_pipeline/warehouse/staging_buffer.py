"""The buffer that stages parsed rows on their way to a warehouse.

How rows reach an engine belongs to its package.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from scx_pipeline.model.column import Column
from scx_pipeline.warehouse.object_reader import ObjectReader

if TYPE_CHECKING:
    import duckdb


OBJECT = Column(name="_object", type="integer", description="the number of the source object")


class StagingBuffer(ABC):
    """Parsed rows in a DuckDB table `rows` on `con`, from which they go to the warehouse's own table.

    `rows` has the table's columns and `_object`, the number of the source object. The parser fills it batch by batch and
    removes invalid rows; `flush` follows each batch, and the rows stay until `finish` publishes the partition. If
    `is_streaming`, the rows leave with the flush: before it they can only be queried, and only changed by `add` and `remove`.
    """

    con: duckdb.DuckDBPyConnection
    rows: str
    is_streaming: bool = False
    batch_bytes: int | None  # of source objects between two flushes; None: no limit
    batch_files: int = 2_000  # per scan at most: more files take more memory, and no less time
    reader: ObjectReader | None = None  # if the warehouse can read objects itself

    @property
    def in_transaction(self) -> bool:
        """Return whether a failed statement aborts a transaction, and with it all rows staged so far."""
        return False

    def add(self, select: str) -> int:
        """Stage the result of a SELECT and return its row count.

        Args:
            select: The table's columns in order, then the object's number.

        Raises:
            duckdb.Error: Nothing of the result was staged.
        """
        inserted = self.con.execute(f"INSERT INTO {self.rows} {select}").fetchone()
        assert inserted is not None
        return int(inserted[0])

    def remove(self, condition: str) -> None:
        """Remove staged rows."""
        self.con.execute(f"DELETE FROM {self.rows} WHERE {condition}")

    def consolidate(self) -> str:
        """Bring all staged rows into one table, also those that the warehouse parsed, and return the table that `query` can read."""
        return self.rows

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement, in SQL common to all engines, where `consolidate` brought the rows; return its result."""
        return self.con.execute(sql).fetchall()

    def replace_temporary(self, name: str, select: str) -> None:
        """Create a temporary table there from a SELECT, replacing one of the same name."""
        self.query(f"DROP TABLE IF EXISTS {name}")
        self.query(f"CREATE TEMPORARY TABLE {name} AS {select}")

    def columns_without_nulls(self) -> Collection[str]:
        """Return columns known, without reading each value, to hold no NULL since the last flush."""
        return ()

    @abstractmethod
    def flush(self) -> None:
        """Process the rows staged since the last flush."""

    @abstractmethod
    def finish(self, duplicate_keys: str | None) -> None:
        """Replace the partition by the staged rows, keeping the newest row of the keys in the table `duplicate_keys`."""
