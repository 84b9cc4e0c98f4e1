"""What a lake holds, by table, as its manifest lists it.

No tests belong here.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from scx_pipeline.history.state_tables import OBJECTS, REJECTED_ROWS
from scx_pipeline.lake.format.layout import HISTORY_FOLDER, folder_tables
from scx_pipeline.lake.format.parquet_reader import local_scan
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.sql_text import names
from scx_pipeline_tests.support.lake.lake_loads import LakeLoadEnv
from scx_pipeline_tests.support.snapshots import Row, in_order

# The columns of the history that do not depend on load IDs.
_HISTORY_COLUMNS = {
    OBJECTS: "source, object_key, etag, size_bytes, rows_read, rows_loaded, rows_rejected, rows_deduplicated, rows_filtered",
    REJECTED_ROWS: 'source, object_key, line, column_name, reason, "raw"',
}


def contents(loads: LakeLoadEnv) -> Mapping[str, list[Row]]:
    """Return all rows of a lake in a folder by table."""
    compiled = loads.load_env.compiled
    found: dict[str, list[Row]] = {}
    for table in compiled.star.tables:
        for folder, stored in folder_tables(compiled, table).items():
            found[folder] = _rows(loads, folder, stored, names(stored.column_names))
    for history_table, columns in _HISTORY_COLUMNS.items():
        folder = f"{HISTORY_FOLDER}/{history_table.name}"
        found[folder] = _rows(loads, folder, history_table, columns)
    return found


def _rows(loads: LakeLoadEnv, folder: str, table: Table, columns: str) -> list[Row]:
    keys = [item.key for item in loads.manifest.select_files(folder)]
    if not keys:
        return []
    with duckdb.connect() as con:
        return in_order(
            con.execute(f"SELECT {columns} FROM {local_scan(loads.store, keys, table)}").fetchall()
        )


def counts(loads: LakeLoadEnv) -> Mapping[str, Mapping[str, int]]:
    """Return the rows by month and table according to the manifest, without empty months."""
    by_month = {str(month): dict(found.rows) for month, found in loads.manifest.months.items()}
    return {month: rows for month, rows in by_month.items() if any(rows.values())}
