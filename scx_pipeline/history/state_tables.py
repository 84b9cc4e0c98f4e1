"""The declarations of the state tables that hold the load history.

Reading and writing their rows does not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence

from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table


def _state_table(name: str, key: Sequence[str], **columns: str) -> Table:
    """Declare a state table; a column type that ends in ! is not nullable."""
    declared = [
        Column(name=column, type=kind.rstrip("!"), nullable=not kind.endswith("!"), description="")
        for column, kind in columns.items()
    ]
    return Table.model_construct(
        name=name,
        role="fact",
        description="",
        key=tuple(key),
        columns=tuple(declared),
        event_time="",
        sequence_by=(),
    )


LOADS = _state_table(
    "loads", ["load_id"], load_id="varchar(64)!", star="varchar(64)!", first_month="varchar(7)!", last_month="varchar(7)!",
    run_id="varchar(64)", started_at="timestamp!", finished_at="timestamp!", objects="bigint!", bytes="bigint!",
    rows_read="bigint!", rows_loaded="bigint!", rows_rejected="bigint!", rows_deduplicated="bigint!", rows_filtered="bigint!",
)  # fmt: skip
MONTHS = _state_table(
    "months", ["star", "month"], star="varchar(64)!", month="varchar(7)!", load_id="varchar(64)!",
    fingerprint="varchar(64)!", code_version="varchar(64)!", declaration_version="varchar(64)!", loaded_at="timestamp!",
)  # fmt: skip
MONTH_ROWS = _state_table(
    "month_rows", ["star", "table_name", "month"], star="varchar(64)!", table_name="varchar(64)!", month="varchar(7)!",
    row_count="bigint!", load_id="varchar(64)!",
)  # fmt: skip
OBJECTS = _state_table(
    "objects", ["star", "source", "object_key"], star="varchar(64)!", source="varchar(64)!", object_key="varchar(1024)!",
    etag="varchar(256)!", size_bytes="bigint!", load_id="varchar(64)!", rows_read="bigint!", rows_loaded="bigint!",
    rows_rejected="bigint!", rows_deduplicated="bigint!", rows_filtered="bigint!",
)  # fmt: skip
REJECTED_ROWS = _state_table(
    "rejected_rows", [], star="varchar(64)!", source="varchar(64)!", object_key="varchar(1024)!", line="bigint",
    column_name="varchar(64)", reason="varchar(max)!", raw="varchar(max)!", load_id="varchar(64)!",
)  # fmt: skip
CHECK_RESULTS = _state_table(
    "check_results", ["load_id", "table_name", "check_name"], load_id="varchar(64)!", star="varchar(64)!",
    table_name="varchar(64)!", check_name="varchar(128)!", passed="boolean!", severity="varchar(16)!", message="varchar(max)!",
)  # fmt: skip
UNPARTITIONED_LOADS = _state_table(
    "unpartitioned", ["star"], star="varchar(64)!", load_id="varchar(64)!", fingerprint="varchar(64)!",
    code_version="varchar(64)!", loaded_at="timestamp!",
)  # fmt: skip
STALE_MONTHS = _state_table(
    "stale_months", ["star", "month"], star="varchar(64)!", month="varchar(7)!", load_id="varchar(64)!", reason="varchar(max)!",
)  # fmt: skip
HELD_MONTHS = _state_table(
    "held_months", ["star", "month"], star="varchar(64)!", month="varchar(7)!", load_id="varchar(64)!",
    fingerprint="varchar(64)!", code_version="varchar(64)!", reason="varchar(max)!", conflicts="varchar(max)!",
    held_at="timestamp!",
)  # fmt: skip
HELD_REJECTED_ROWS = _state_table(
    "held_rejected_rows", [], star="varchar(64)!", source="varchar(64)!", object_key="varchar(1024)!", line="bigint",
    column_name="varchar(64)", reason="varchar(max)!", raw="varchar(max)!", load_id="varchar(64)!",
)  # fmt: skip
TABLES = _state_table(
    "tables", ["schema_name", "table_name"], schema_name="varchar(64)!", table_name="varchar(160)!", star="varchar(64)!",
    column_list="varchar(max)!", key_columns="varchar(max)!", event_time="varchar(64)!", layout="varchar(max)!",
    created_at="timestamp!",
)  # fmt: skip
STATE_TABLES = (
    LOADS,
    MONTHS,
    MONTH_ROWS,
    OBJECTS,
    REJECTED_ROWS,
    CHECK_RESULTS,
    UNPARTITIONED_LOADS,
    STALE_MONTHS,
    HELD_MONTHS,
    HELD_REJECTED_ROWS,
    TABLES,
)
