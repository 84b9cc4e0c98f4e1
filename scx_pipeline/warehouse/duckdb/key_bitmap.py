"""The uniqueness of integer keys, verified by a bitmap: a hundredth of the time and memory of grouping.

Other keys must be grouped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scx_pipeline.model.column import Column
from scx_pipeline.warehouse.sql_text import quote

if TYPE_CHECKING:
    import duckdb

MAX_BITMAP = 1 << 28  # bits: 32 MiB


def is_key_unique(con: duckdb.DuckDBPyConnection, relation: str, key: Sequence[Column]) -> bool:
    """Return whether the key is verified to be unique in the relation.

    False means that it must be grouped: it is not of integers, too widely spread, or not unique.
    """
    if any(column.type not in ("smallint", "integer", "bigint") for column in key):
        return False
    columns = [quote(column.name) for column in key]
    bounds = ", ".join(f"min({name})::HUGEINT, max({name})::HUGEINT" for name in columns)
    found = con.execute(f"SELECT count(*), {bounds} FROM {relation}").fetchone()
    assert found is not None
    count, *ends = found
    if not count:
        return True
    lows, widths = ends[::2], [high - low + 1 for low, high in zip(ends[::2], ends[1::2], strict=True)]
    size = math.prod(widths)
    if size > MAX_BITMAP:
        return False
    # Each key as one number: its columns are the digits, each of its own base.
    number = "0::BIGINT"
    for name, low, width in zip(columns, lows, widths, strict=True):
        number = f"({number}) * {width} + ({name}::BIGINT - {low})"
    bits = con.execute(f"SELECT bit_count(bitstring_agg({number}, 0, {size - 1})) FROM {relation}").fetchone()
    return bits is not None and bool(bits[0] == count)
