"""A query's result read from PostgreSQL into DuckDB: COPY's text goes through a pipe, so that memory stays bounded.

Where DuckDB writes the rows is not decided here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scx_pipeline.warehouse.duckdb.duckdb_connection import duckdb_type
from scx_pipeline.warehouse.parquet_files import Unload

if TYPE_CHECKING:
    from psycopg2.extensions import connection

PIPE_BUFFER_BYTES = 1 << 20
MAX_ROW_BYTES = 16 << 20
# COPY quotes a text that looks like NULL, and never quotes NULL.
_COPY_OPTIONS = r"FORMAT csv, NULL '\N'"
_READ_CSV_OPTIONS = (
    r"""auto_detect = false, header = false, delim = ',', quote = '"', escape = '"', nullstr = '\N', """
    rf"allow_quoted_nulls = false, new_line = '\n', max_line_size = {MAX_ROW_BYTES}, buffer_size = {MAX_ROW_BYTES}"
)


@contextmanager
def read_by_copy(con: connection, unload: Unload) -> Iterator[str]:
    """Return the query by which DuckDB reads the result of an unload's SELECT once; an error of the COPY is raised at the end."""
    import psycopg2

    read_end, write_end = os.pipe()
    typed = ", ".join(f"'{column.name}': '{duckdb_type(column)}'" for column in unload.selected_columns)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(_send, con, unload.select, write_end)
        try:
            yield f"SELECT * FROM read_csv('/dev/fd/{read_end}', columns = {{{typed}}}, {_READ_CSV_OPTIONS})"
        except BaseException:
            os.close(read_end)  # which ends the COPY
            # If the COPY failed, DuckDB's error is only about the truncated text.
            if isinstance(sent.exception(), psycopg2.Error):
                sent.result()
            raise
        sent.result()
        os.close(read_end)


def _send(con: connection, select: str, write_end: int) -> None:
    """Copy the rows into the pipe."""
    with os.fdopen(write_end, "wb", buffering=PIPE_BUFFER_BYTES) as pipe, con.cursor() as cursor:
        cursor.copy_expert(f"COPY ({select}) TO STDOUT ({_COPY_OPTIONS})", pipe)
