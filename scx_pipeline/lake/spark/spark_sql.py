"""Spark SQL's differences from the other engines, as data.

Spark builds the tables of a lake, but stores none.
"""

from __future__ import annotations

from collections.abc import Sequence

from scx_pipeline.model.column import Column
from scx_pipeline.warehouse.capabilities import Capabilities
from scx_pipeline.warehouse.sql_text import names, quote

CAPABILITIES = Capabilities(
    name="spark",
    dialect="spark",
    types={"double": "DOUBLE", "timestamp": "TIMESTAMP_NTZ"},
    placeholder="?",
    collation="",  # texts are compared by their bytes
    unlimited_text_type="STRING",
    dow_of_sunday=1,
    unloads_all_months_at_once=True,
)

# Settings that give Spark SQL the semantics of the other engines.
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",  # TIMESTAMP has no zone, as in Redshift
    "spark.sql.ansi.enabled": "true",  # what does not fit is an error and no NULL, and "x" is a name
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.ansi.enforceReservedKeywords": "false",
}


def spark_type(column: Column) -> str:
    """Return Spark's type of a column: without a text's length, as readers have checked the bytes."""
    return (
        "STRING" if column.max_bytes is not None else CAPABILITIES.types.get(column.type, column.type.upper())
    )


def row_hash(columns: Sequence[Column]) -> str:
    """Return the expression of a row's hash: xxhash64 skips NULL, so each column's IS NULL is hashed too; sums are wider than a hash."""
    nulls = ", ".join(f"{quote(column.name)} IS NULL" for column in columns)
    return f"CAST(xxhash64({names([column.name for column in columns])}, {nulls}) AS DECIMAL(20, 0))"
