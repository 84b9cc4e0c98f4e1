"""The check of a table's key: no two rows have the same one.

Duplicates among rows that are not published yet do not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from scx_pipeline.history.check_result import CheckResult, format_month_pairs
from scx_pipeline.loading.checks.check_names import (
    MAX_EXAMPLES,
    PASSED,
    describe_duplicate,
    unique_check_name,
)
from scx_pipeline.loading.checks.loaded_rows import LoadedRows
from scx_pipeline.loading.ingest.duplicate_keys import select_month_pairs
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.sql_text import month_of, names, quote, scope_condition

Row: TypeAlias = tuple[Any, ...]


def check_key(loaded: LoadedRows, table: Table) -> CheckResult:
    """Check that no two rows have the same key: in the loaded months, and over all months."""
    name = unique_check_name(table)
    schema, stored = loaded.compiled.star.schema_name, loaded.compiled.stored_table(table)
    is_addition = bool(loaded.tables.rows_before(table))  # whose keys were compared with all others before
    if not is_addition and loaded.session.has_verified_key(schema, stored):
        return CheckResult(table.name, name, True, PASSED)
    can_repeat = table.is_partitioned and table.event_time not in table.key and not is_addition
    return (
        _find_duplicates_within(loaded, table)
        or (_find_duplicates_outside(loaded, table) if can_repeat else None)
        or CheckResult(table.name, name, True, PASSED)
    )


def _find_duplicates_within(loaded: LoadedRows, table: Table) -> CheckResult | None:
    """Return the failed check if a key occurs twice in the loaded rows."""
    key, rows = names(table.key), loaded.of(table)
    grouped = f"FROM {rows} AS s GROUP BY {key} HAVING COUNT(*) > 1"
    # Duplicates are rare: without the event times, the first query takes half the time and memory.
    if not loaded.session.rows(f"SELECT {key} {grouped} LIMIT 1"):
        return None
    time = quote(table.event_time_column) if table.is_partitioned else "NULL"
    examples = loaded.session.rows(
        f"SELECT {key}, MIN({time}), MAX({time}) {grouped} ORDER BY {key} LIMIT {MAX_EXAMPLES}"
    )
    if not table.is_partitioned:
        return _describe_duplicates(table, examples)
    month = month_of(table.event_time_column)
    duplicates = (
        f"(SELECT {key}, {month} AS _month FROM {rows} AS d WHERE ({key}) IN (SELECT {key} {grouped}))"
    )
    pairs = loaded.session.rows(select_month_pairs(duplicates, table.key))
    return _describe_duplicates(
        table, examples, loaded.count_by_month("_month", duplicates),
        format_month_pairs((Month.of(one), Month.of(other)) for one, other in pairs),
    )  # fmt: skip


def _find_duplicates_outside(loaded: LoadedRows, table: Table) -> CheckResult | None:
    """Return the failed check if other months have a key of the loaded rows, too."""
    joined = " AND ".join(f"o.{quote(name)} = s.{quote(name)}" for name in table.key)
    other, time = scope_condition(table, loaded.scope, "o"), quote(table.event_time_column)
    both = (
        f"FROM {loaded.of(table)} AS s JOIN {loaded.compiled.full_name(table)} AS o ON {joined}"
        f" WHERE NOT {other}"
    )
    key = ", ".join(f"s.{quote(name)}" for name in table.key)
    examples = loaded.session.rows(f"SELECT {key}, s.{time}, o.{time} {both} LIMIT {MAX_EXAMPLES}")
    if not examples:
        return None
    by_month = loaded.count_by_month(month_of(table.event_time_column), f"(SELECT s.{time} {both})")
    return _describe_duplicates(table, examples, by_month)


def _describe_duplicates(
    table: Table,
    examples: Sequence[Row],
    violations: Mapping[str, int] = {},
    conflicts: frozenset[tuple[str, str]] = frozenset(),
) -> CheckResult:
    """Return the failed check of a key; each example has the key's values and two event times."""
    message = "; ".join(_describe_duplicate_row(table, row) for row in examples)
    return CheckResult(
        table.name, unique_check_name(table), False, message, violations=violations, conflicts=conflicts
    )


def _describe_duplicate_row(table: Table, row: tuple[object, ...]) -> str:
    *values, first, last = row
    months = sorted(Month.parse(str(time)[:7]) for time in (first, last)) if table.is_partitioned else None
    return describe_duplicate(table, values, (months[0], months[-1]) if months else None)
