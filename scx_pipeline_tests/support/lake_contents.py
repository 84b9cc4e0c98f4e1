"""What a lake holds, table by table, as its manifest lists it.
No test lives here."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from scx_pipeline.history import load_history
from scx_pipeline.lake.format.layout import ACCOUNTS, all_in
from scx_pipeline.lake.format.parquet_reader import local_scan
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.sql_text import names
from scx_pipeline_tests.support.lake_loads import Loads
from scx_pipeline_tests.support.load_env import Row, in_order

# What accounts say, but for who made them.
_OF_ACCOUNTS = {
    load_history.OBJECTS: "source, object_key, etag, size_bytes, rows_read, rows_loaded, rows_rejected, rows_deduplicated, rows_filtered",
    load_history.REJECTED: 'source, object_key, line, column_name, reason, "raw"',
}


def contents(loads: Loads) -> Mapping[str, list[Row]]:
    """All rows of a lake in a folder."""
    compiled = loads.world.compiled
    found: dict[str, list[Row]] = {}
    for table in compiled.star.tables:
        for folder, held in all_in(compiled, table).items():
            found[folder] = _rows(loads, folder, held, names(held.column_names))
    for account, what in _OF_ACCOUNTS.items():
        folder = f"{ACCOUNTS}/{account.name}"
        found[folder] = _rows(loads, folder, account, what)
    return found


def _rows(loads: Loads, folder: str, table: Table, what: str) -> list[Row]:
    keys = [item.key for item in loads.manifest.of(folder)]
    if not keys:
        return []
    with duckdb.connect() as con:
        return in_order(con.execute(f"SELECT {what} FROM {local_scan(loads.place, keys, table)}").fetchall())


def counts(loads: Loads) -> Mapping[str, Mapping[str, int]]:
    """How many rows the manifest says that each month gives to each table; months without any left out."""
    made = {str(month): dict(found.rows) for month, found in loads.manifest.months.items()}
    return {month: rows for month, rows in made.items() if any(rows.values())}
