"""A query's rows out of PostgreSQL into DuckDB: COPY's text goes through a pipe, so that memory stays bounded.
How they are written from there is in `unloading`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scx_pipeline.warehouse.duckdb.duckdb_warehouse import duckdb_type
from scx_pipeline.warehouse.export import Unload

if TYPE_CHECKING:
    from psycopg2.extensions import connection

BUFFER = 1 << 20  # bytes on their way into the pipe
LONGEST_ROW = 16 << 20  # bytes
# A text is quoted wherever it would be mistaken for a NULL, and a NULL never is.
_WRITTEN = r"FORMAT csv, NULL '\N'"
_READ = (
    r"""auto_detect = false, header = false, delim = ',', quote = '"', escape = '"', nullstr = '\N', """
    rf"allow_quoted_nulls = false, new_line = '\n', max_line_size = {LONGEST_ROW}, buffer_size = {LONGEST_ROW}"
)


@contextmanager
def rows_of(con: connection, unload: Unload) -> Iterator[str]:
    """The query by which DuckDB reads, once, what an unload's SELECT gives; at its end, an error of the COPY is raised."""
    import psycopg2

    reading, writing = os.pipe()
    typed = ", ".join(f"'{column.name}': '{duckdb_type(column)}'" for column in unload.given)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(_send, con, unload.select, writing)
        try:
            yield f"SELECT * FROM read_csv('/dev/fd/{reading}', columns = {{{typed}}}, {_READ})"
        except BaseException:
            os.close(reading)  # nobody reads any more, so the COPY ends
            if isinstance(
                sent.exception(), psycopg2.Error
            ):  # whose text was cut off, which the reader stumbled over
                sent.result()
            raise
        sent.result()
        os.close(reading)


def _send(con: connection, select: str, writing: int) -> None:
    """COPY the rows into the pipe."""
    with os.fdopen(writing, "wb", buffering=BUFFER) as pipe, con.cursor() as cursor:
        cursor.copy_expert(f"COPY ({select}) TO STDOUT ({_WRITTEN})", pipe)
