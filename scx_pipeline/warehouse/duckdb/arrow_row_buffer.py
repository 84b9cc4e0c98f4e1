"""Arrow rows that DuckDB can query: in memory while they are few, in a temporary file beyond that.

Where they go next is decided by a staging buffer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scx_pipeline.malloc import limit_malloc_arenas
from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import internal_column
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.duckdb_connection import configure, duckdb_type
from scx_pipeline.warehouse.sql_text import names, quote

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MAX_MEMORY_BYTES = 64 << 20  # of the rows of one SELECT; more go to a file
BATCH_ROWS = 8192
RELATION = internal_column("buffered_rows")


class ArrowRowBuffer:
    """Rows with these columns, which are the relation `RELATION` on the buffer's own DuckDB connection."""

    def __init__(self, con: duckdb.DuckDBPyConnection, folder: Path, columns: Sequence[Column]) -> None:
        self.con, self.folder, self.file_count = con, folder, 0
        listed = ", ".join(quote(column.name) for column in columns)
        typed = ", ".join(f"CAST({quote(c.name)} AS {duckdb_type(c)}) AS {quote(c.name)}" for c in columns)
        self._typed = f"SELECT {typed} FROM ({{}}) AS q({listed})"
        self._empty = con.sql(
            self._typed.format(f"SELECT {', '.join(['NULL'] * len(columns))} WHERE FALSE")
        ).to_arrow_table()
        self.clear()

    def add(self, select: str) -> int:
        """Add the result of a SELECT, columns by position, and return its row count.

        Raises:
            duckdb.Error: Nothing of the result was added.
        """
        import pyarrow as pa

        more = self._collect(self._typed.format(select))
        self._replace_rows(pa.concat_tables([self.rows, more]) if self.rows.num_rows else more)
        return int(more.num_rows)

    def keep_only(self, condition: str) -> None:
        """Remove the rows that do not meet a condition."""
        self._replace_rows(self._collect(f"SELECT * FROM {RELATION} WHERE {condition}"))

    def clear(self) -> None:
        """Remove all rows; tables selected before stay valid."""
        self._replace_rows(self._empty)

    def select(self, columns: Sequence[str], condition: str) -> pa.Table:
        """Return these columns of the rows that meet a condition."""
        return self._collect(f"SELECT {names(columns)} FROM {RELATION} WHERE {condition}")

    def columns_without_nulls(self) -> list[str]:
        """Return the columns without a NULL; Arrow has counted them."""
        return [name for name in self.rows.column_names if not self.rows.column(name).null_count]

    def bounds(self, column: str) -> tuple[Any, Any] | None:
        """Return the smallest and the largest value of a column, without a query; None if it has no value."""
        import pyarrow.compute as pc

        found = pc.min_max(self.rows.column(column)).as_py()
        return None if found["min"] is None else (found["min"], found["max"])

    def _replace_rows(self, rows: pa.Table) -> None:
        self.rows = rows
        self.con.register(RELATION.strip('"'), rows)

    def _collect(self, select: str) -> pa.Table:
        import duckdb
        import pyarrow as pa

        batches, size = [], 0
        reader = self.con.sql(select).to_arrow_reader(BATCH_ROWS)
        try:
            for batch in reader:
                batches.append(batch)
                size += batch.nbytes
                if size > MAX_MEMORY_BYTES:
                    return self._write_to_file(reader.schema, chain(batches, reader))
        except (OSError, pa.ArrowException) as error:
            # Arrow raises its own errors for those of DuckDB while it reads.
            kind = duckdb.OutOfMemoryException if "Out of Memory Error" in str(error) else duckdb.IOException
            raise kind(str(error)) from error
        return pa.Table.from_batches(batches, reader.schema)

    def _write_to_file(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> pa.Table:
        """Return the batches as a table that is mapped to a file, which the system reads when needed."""
        import pyarrow as pa

        self.file_count += 1
        path = self.folder / f"{self.file_count}.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        path.unlink()  # the system keeps it as long as the table exists
        return table


@contextmanager
def open_arrow_buffer(limits: Limits, columns: Sequence[Column]) -> Iterator[ArrowRowBuffer]:
    """Open an empty buffer, and remove its connection and folder at the end."""
    import duckdb

    limit_malloc_arenas()
    with temporary_folder() as folder, duckdb.connect() as con:
        con.execute("SET temp_directory = ?", [str(folder)])
        # One thread reads twice as fast as a server writes, and leaves it the processor's other cores.
        one_thread = replace(limits, threads=limits.threads or 1)
        yield ArrowRowBuffer(configure(con, one_thread), Path(folder), columns)
