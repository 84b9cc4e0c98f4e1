"""Duplicate keys among staged rows: finding them and counting the rows to deduplicate.

Removing these rows does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from scx_pipeline.history.ingest_result import ConflictingKey, IngestResult
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.sql_text import month_of, names, quote
from scx_pipeline.warehouse.staging_buffer import OBJECT

MAX_NAMED_KEYS = 5


class Queryable(Protocol):
    """A connection on which staged rows can be queried."""

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""

    def replace_temporary(self, name: str, select: str) -> None:
        """Create a temporary table from a SELECT, in place of one of the same name."""


def find_duplicate_keys(ingest_result: IngestResult, connection: Queryable, staged: str) -> dict[int, int]:
    """Find the keys that occur more than once, and count the rows other than the newest one of each key.

    The keys are stored in the table `ingest_result.duplicate_keys_table`. A key that occurs in two months, or twice in a
    table without `sequence_by`, is added to `ingest_result.conflicting_keys` instead, and its rows to `conflicting_rows`.

    Args:
        staged: a relation of the staged rows that are in scope.

    Returns:
        The number of deduplicated rows by object number.
    """
    table = ingest_result.table
    key, duplicates = names(table.key), quote(f"_duplicate_keys_{table.name}")
    month = "CAST(NULL AS TIMESTAMP)" if table.is_unpartitioned else month_of(table.event_time_column)
    connection.replace_temporary(
        duplicates,
        f"SELECT {key}, MIN({month}) AS _first, MAX({month}) AS _last FROM {staged} GROUP BY {key} HAVING COUNT(*) > 1",
    )
    conflicting = "_first <> _last" if table.sequence_by else "TRUE"
    found = connection.query(
        f"SELECT * FROM {duplicates} WHERE {conflicting} ORDER BY {key} LIMIT {MAX_NAMED_KEYS}"
    )
    ingest_result.conflicting_keys = [
        ConflictingKey(tuple(values), None if first is None else (Month.of(first), Month.of(last)))
        for *values, first, last in found
    ]
    if found:
        conflicts = f"SELECT {key} FROM {duplicates} WHERE {conflicting}"
        rows = f"(SELECT {key}, {month} AS _month FROM {staged} WHERE ({key}) IN ({conflicts}))"
        counted = connection.query(f"SELECT _month, COUNT(*) FROM {rows} AS r GROUP BY 1")
        ingest_result.conflicting_rows = {start and Month.of(start): count for start, count in counted}
        pairs = connection.query(select_month_pairs(rows, table.key))
        ingest_result.conflicting_months = [(Month.of(one), Month.of(other)) for one, other in pairs]
    deduplicated = _count_deduplicated(table, connection, staged, duplicates)
    ingest_result.duplicate_keys_table = duplicates if deduplicated else None
    return deduplicated


def select_month_pairs(rows: str, key: Sequence[str]) -> str:
    """Return the SELECT of the pairs of months that have a key in common, both ways.

    Args:
        rows: a relation with the key and `_month`.
        key: the columns of the key.
    """
    columns = names(key)
    return (
        f"SELECT DISTINCT a._month, b._month FROM {rows} AS a"
        f" JOIN (SELECT {columns}, _month FROM {rows} AS r) AS b USING ({columns}) WHERE a._month <> b._month"
    )


def _count_deduplicated(table: Table, connection: Queryable, staged: str, duplicates: str) -> dict[int, int]:
    key = names(table.key)
    order = ", ".join([*(f"{quote(name)} DESC NULLS LAST" for name in table.sequence_by), quote(OBJECT.name)])
    return dict(
        connection.query(
            f"SELECT number, COUNT(*) FROM (SELECT {quote(OBJECT.name)} AS number,"
            f" ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {order}) AS n"
            f" FROM {staged} WHERE ({key}) IN (SELECT {key} FROM {duplicates})) AS numbered WHERE n > 1 GROUP BY number"
        )
    )


def count_deduplicated(ingest_result: IngestResult, deduplicated: Mapping[int, int]) -> None:
    """Count these rows, given by object number, as deduplicated instead of loaded."""
    for number, rows in deduplicated.items():
        ingest_result.counts[number].deduplicated = rows
        ingest_result.counts[number].loaded -= rows
