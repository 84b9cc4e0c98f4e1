"""The buffer that parsed rows are staged in on their way to a warehouse.

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
    """Where parsed rows arrive: a DuckDB table `rows` on `con`, from which they go to the warehouse's own table.

    `rows` has the table's columns plus `_object` (the number of the source object). The reader fills it batch by batch
    and removes what must not go on; after each batch comes `flush`, and the rows stay until `finish` makes the slice
    stand. Where they do not (`is_streaming`), they can only be looked at before the flush, and only `add` and `remove` change
    them.
    """

    con: duckdb.DuckDBPyConnection
    rows: str
    is_streaming: bool = False  # whether the rows have left with the flush
    batch_bytes: int | None  # of source objects between two flushes; None: as many as there are
    batch_files: int = 2_000  # at most: one scan of many more takes more memory, and no less time
    reader: ObjectReader | None = None  # where the warehouse can read objects itself

    @property
    def in_transaction(self) -> bool:
        """Whether a statement that fails ends a transaction, with all that landed before."""
        return False

    def add(self, select: str) -> int:
        """Land what the SELECT gives, the table's columns in order and the object's number; how many rows.

        Raises duckdb.Error, and then nothing of it has landed.
        """
        landed = self.con.execute(f"INSERT INTO {self.rows} {select}").fetchone()
        assert landed is not None
        return int(landed[0])

    def remove(self, condition: str) -> None:
        """Take rows away again."""
        self.con.execute(f"DELETE FROM {self.rows} WHERE {condition}")

    def gather(self) -> str:
        """Bring the rows that landed together, whoever read them; the table that they are in, which `ask` is asked of."""
        return self.rows

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement where `gather` brought them, in SQL that every engine has; its rows, if it gives any."""
        return self.con.execute(sql).fetchall()

    def note(self, name: str, select: str) -> None:
        """Make a temporary table there of what a SELECT gives, in place of one of the same name."""
        self.ask(f"DROP TABLE IF EXISTS {name}")
        self.ask(f"CREATE TEMPORARY TABLE {name} AS {select}")

    def full_columns(self) -> Collection[str]:
        """Columns known, without a look at each value, to hold no NULL since the last flush."""
        return ()

    @abstractmethod
    def flush(self) -> None:
        """Take the rows that landed since the last flush."""

    @abstractmethod
    def finish(self, duplicate_keys: str | None) -> None:
        """Replace the slice by what landed; of the keys in the table `duplicate_keys` on `con`, the newest row stays."""
