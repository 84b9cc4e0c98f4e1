"""The load history in the lake, brought up to date by a build: row counts of each object, and rejected rows.

Counting the rows does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from scx_pipeline.history.history_writer import object_rows, rejected_rows
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.history.state_tables import OBJECTS, REJECTED_ROWS
from scx_pipeline.lake.format.layout import HISTORY_FOLDER, lake_schema
from scx_pipeline.lake.format.parquet_reader import arrow_schema, read_batches
from scx_pipeline.lake.format.table_writer import list_written_files
from scx_pipeline.lake.format.transaction import LakeTransaction, NewFiles
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import Selection
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.duckdb_connection import in_memory_database
from scx_pipeline.warehouse.duckdb.parquet_export import write_parquet
from scx_pipeline.warehouse.parquet_files import Unload
from scx_pipeline.warehouse.sql_text import names

if TYPE_CHECKING:
    import duckdb


def write_row_counts(
    transaction: LakeTransaction,
    star: str,
    load_id: str,
    ingest_result: Sequence[IngestResult],
    selection: Selection,
) -> list[NewFiles]:
    """Write the history of all objects: for objects read by this build, its counts; deleted objects are left out."""
    counts = [count for item in ingest_result for count in item.counts]
    read = {(count.object.source, count.object.info.key) for count in counts}
    present = {(item.source, item.info.key) for item in selection.objects}
    objects = object_rows(star, load_id, counts)
    rejected = rejected_rows(star, load_id, ingest_result)
    with in_memory_database(Limits()) as con:
        _register(con, "read", read)
        _register(con, "present", present)
        con.execute(
            "CREATE TABLE listed AS SELECT unnest(?::VARCHAR[]) AS source", [sorted(selection.listed_sources)]
        )
        tables = ((OBJECTS, objects), (REJECTED_ROWS, rejected))
        return [_write(con, transaction, table, rows) for table, rows in tables]


def _register(con: duckdb.DuckDBPyConnection, name: str, keys: Iterable[tuple[str, str]]) -> None:
    import pyarrow as pa

    listed = list(keys)
    con.register(
        name,
        pa.table(
            {
                "source": pa.array([source for source, _ in listed], pa.string()),
                "object_key": pa.array([key for _, key in listed], pa.string()),
            }
        ),
    )


def _write(
    con: duckdb.DuckDBPyConnection, transaction: LakeTransaction, table: Table, rows: Sequence[Sequence[Any]]
) -> NewFiles:
    import pyarrow as pa

    name = f"{HISTORY_FOLDER}/{table.name}"
    schema, columns = arrow_schema(table.columns), names(table.column_names)
    files = transaction.before.select_files(name)
    before = read_batches(transaction.store, files, table, table.columns)
    con.register("before", pa.Table.from_batches(before, schema))
    arrays = [pa.array([row[index] for row in rows], field.type) for index, field in enumerate(schema)]
    con.register("now", pa.Table.from_arrays(arrays, schema=schema))
    con.execute(
        f"CREATE OR REPLACE TABLE kept AS SELECT {columns} FROM before ANTI JOIN read USING (source, object_key)"
        " WHERE source NOT IN (FROM listed) OR (source, object_key) IN (FROM present)"
        f" UNION ALL SELECT {columns} FROM now"
    )
    [count] = con.execute("SELECT count(*) FROM kept").fetchone() or (0,)
    if count:
        order = "ORDER BY source, object_key"
        unload = Unload("", table.columns, (), transaction.url_of(name))
        write_parquet(con, f"SELECT * FROM (SELECT {columns} FROM kept {order})", unload)
    written = list_written_files(transaction, name, table.columns, {None: int(count)})
    return NewFiles(name, None, written, lake_schema(table))
