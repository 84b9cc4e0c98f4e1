"""The table that keeps the latest row per key and month for a table kept by key.

Filling it belongs to loading.
"""

from __future__ import annotations

import hashlib

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import MONTH
from scx_pipeline.model.table import Table


def latest_rows_table(compiled: CompiledStar, table: Table) -> Table:
    """The engine's own table that holds, for a table kept by key, each month's newest row of every key.

    From it a key's newest row is found again when the month that had it is reloaded, without reading any history. Its
    columns are the SELECT's, and the month.
    """
    columns = [
        Column(name=name, type=kind, nullable=name not in table.key, description="")
        for name, kind in compiled.output_types(table).items()
    ]
    month = Column(name=MONTH, type="timestamp", nullable=False, description="The month.")
    return Table(
        name=_short(f"{compiled.star.name}__{compiled.stored(table).name}"),
        role="fact",
        description=f"Each month's newest row of every key of {table.name}.",
        key=(month.name, *table.key),
        event_time=month.name,
        columns=(*columns, month),
    )


def _short(name: str) -> str:
    """The name, or one that stands for it, no longer than every engine takes it as it is."""
    return name if len(name) <= 63 else f"{name[:54]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def touched_keys_table(table: Table) -> str:
    """The temporary table of the keys that a load may have changed in a table kept by key."""
    return f"_touched_{table.name}"
