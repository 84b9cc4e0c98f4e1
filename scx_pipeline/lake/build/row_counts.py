"""What the lake knows of each object and of the rows that were rejected, brought up to date by a build.
The counts themselves are the ingestion's; the columns are those of the warehouse's load history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from scx_pipeline.history import load_history
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.planning.selection import Selection
from scx_pipeline.lake.format.commit import NewFiles, LakeTransaction
from scx_pipeline.lake.format.layout import ACCOUNTS, shape_of
from scx_pipeline.lake.format.parquet_reader import read_batches, schema_of
from scx_pipeline.lake.format.table_writer import look
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.sql_text import names
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import in_memory_database
from scx_pipeline.warehouse.export import Unload, write_parquet

if TYPE_CHECKING:
    import duckdb


def write_accounts(
    transaction: LakeTransaction, star: str, load_id: str, ingest_result: Sequence[IngestResult], selection: Selection
) -> list[NewFiles]:
    """Write what is known now: of objects read again, what this build found; of objects that have gone, nothing."""
    counts = [count for item in ingest_result for count in item.counts]
    read = {(count.object.source, count.object.info.key) for count in counts}
    present = {(item.source, item.info.key) for item in selection.objects}
    objects = load_history.object_rows(star, load_id, counts)
    rejected = load_history.rejected_rows(star, load_id, ingest_result)
    with in_memory_database(Limits()) as con:
        _register(con, "read", read)
        _register(con, "present", present)
        con.execute(
            "CREATE TABLE listed AS SELECT unnest(?::VARCHAR[]) AS source", [sorted(selection.listed)]
        )
        return [
            _write(con, transaction, load_history.OBJECTS, objects),
            _write(con, transaction, load_history.REJECTED, rejected),
        ]


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
    con: duckdb.DuckDBPyConnection, transaction: LakeTransaction, account: Table, rows: Sequence[Sequence[Any]]
) -> NewFiles:
    import pyarrow as pa

    name = f"{ACCOUNTS}/{account.name}"
    schema, columns = schema_of(account.columns), names(account.column_names)
    files = transaction.before.of(name)
    con.register(
        "before", pa.Table.from_batches(read_batches(transaction.place, files, account, account.columns), schema)
    )
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
        unload = Unload("", account.columns, (), transaction.url_of(name))
        write_parquet(con, f"SELECT * FROM (SELECT {columns} FROM kept {order})", unload)
    return NewFiles(name, None, look(transaction, name, account.columns, {None: int(count)}), shape_of(account))
