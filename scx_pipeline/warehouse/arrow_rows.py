"""Rows held for a moment as Arrow, which SQL can look at: in memory while they are few, in a temporary file beyond that.
What they are, and where they go next, is decided by a landing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scx_pipeline.malloc import limit_malloc_arenas
from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import internal
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import configured, duckdb_type
from scx_pipeline.warehouse.sql_text import names, quote

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MEMORY = 64 << 20  # bytes of one SELECT's rows that are held in memory
BATCH_ROWS = 8192
NAME = internal("held_rows")


class ArrowRowBuffer:
    """A relation `NAME` on a DuckDB connection of its own, with these columns."""

    def __init__(self, con: duckdb.DuckDBPyConnection, folder: Path, columns: Sequence[Column]) -> None:
        self.con, self.folder, self.files = con, folder, 0
        listed = ", ".join(quote(column.name) for column in columns)
        typed = ", ".join(f"CAST({quote(c.name)} AS {duckdb_type(c)}) AS {quote(c.name)}" for c in columns)
        self._typed = f"SELECT {typed} FROM ({{}}) AS q({listed})"
        self._empty = con.sql(
            self._typed.format(f"SELECT {', '.join(['NULL'] * len(columns))} WHERE FALSE")
        ).to_arrow_table()
        self.clear()

    def add(self, select: str) -> int:
        """Hold what a SELECT gives, columns by position, as well; how many rows.

        Raises duckdb.Error, and then nothing of it is held.
        """
        import pyarrow as pa

        more = self._collect(self._typed.format(select))
        self._hold(pa.concat_tables([self.rows, more]) if self.rows.num_rows else more)
        return int(more.num_rows)

    def keep(self, condition: str) -> None:
        """Hold only the rows that meet a condition any longer."""
        self._hold(self._collect(f"SELECT * FROM {NAME} WHERE {condition}"))

    def clear(self) -> None:
        """Hold no rows any longer; those that were given away stay."""
        self._hold(self._empty)

    def select(self, columns: Sequence[str], condition: str) -> pa.Table:
        """These columns of the rows that meet a condition."""
        return self._collect(f"SELECT {names(columns)} FROM {NAME} WHERE {condition}")

    def full_columns(self) -> list[str]:
        """The columns without a NULL: Arrow has counted them."""
        return [name for name in self.rows.column_names if not self.rows.column(name).null_count]

    def bounds(self, column: str) -> tuple[Any, Any] | None:
        """The least and the greatest value of a column; None where there is none. No query: it is asked for often."""
        import pyarrow.compute as pc

        found = pc.min_max(self.rows.column(column)).as_py()
        return None if found["min"] is None else (found["min"], found["max"])

    def _hold(self, rows: pa.Table) -> None:
        self.rows = rows
        self.con.register(NAME.strip('"'), rows)

    def _collect(self, select: str) -> pa.Table:
        import duckdb
        import pyarrow as pa

        batches, size = [], 0
        reader = self.con.sql(select).to_arrow_reader(BATCH_ROWS)
        try:
            for batch in reader:
                batches.append(batch)
                size += batch.nbytes
                if size > MEMORY:
                    return self._spool(reader.schema, chain(batches, reader))
        except (OSError, pa.ArrowException) as error:
            # What DuckDB raises while Arrow reads from it comes as Arrow's own.
            kind = duckdb.OutOfMemoryException if "Out of Memory Error" in str(error) else duckdb.IOException
            raise kind(str(error)) from error
        return pa.Table.from_batches(batches, reader.schema)

    def _spool(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> pa.Table:
        """The batches as a table whose memory is a file, which the system reads again when it is needed."""
        import pyarrow as pa

        self.files += 1
        path = self.folder / f"{self.files}.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        path.unlink()  # it lives as long as somebody holds its rows
        return table


@contextmanager
def open_arrow_buffer(limits: Limits, columns: Sequence[Column]) -> Iterator[ArrowRowBuffer]:
    """No rows yet, with a connection and a folder that are gone at the end."""
    import duckdb

    limit_malloc_arenas()
    with temporary_folder() as folder, duckdb.connect() as con:
        con.execute("SET temp_directory = ?", [str(folder)])
        # One thread reads twice what a server takes, and leaves it the processor's other cores.
        alone = replace(limits, threads=limits.threads or 1)
        yield ArrowRowBuffer(configured(con, alone), Path(folder), columns)
