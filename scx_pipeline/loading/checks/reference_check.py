"""The check of a reference: every value of a column exists in the table that it references.

Which references a load has to check does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping

from scx_pipeline.history.check_result import ALL_MONTHS, CheckResult
from scx_pipeline.loading.checks.check_names import MAX_EXAMPLES, PASSED, reference_check_name
from scx_pipeline.loading.checks.loaded_rows import LoadedRows
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.column import Column
from scx_pipeline.model.count_text import count_of
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.sql_text import in_month_range, month_of, quote, scope_condition


def check_reference(loaded: LoadedRows, table: Table, column: Column, rows: str) -> CheckResult:
    """Check that every value of a column exists in the table that it references.

    Args:
        loaded: the rows of the load.
        table: the table with the column.
        column: it references the key of another table.
        rows: the relation of the rows to check.
    """
    target = loaded.compiled.star.table(column.references or "")
    key, name = quote(target.key[0]), quote(column.name)
    # The keys of a dimension that is partitioned by its key are in the months of the rows that reference them.
    by_month = target.is_partitioned and target.key[0] == target.event_time
    if by_month:
        session, within = loaded.scratch(table, target), f" WHERE {scope_condition(target, loaded.scope)}"
        values = f"(SELECT {name}, 1 AS _rows FROM {rows} AS a WHERE {name} IS NOT NULL)"
    else:
        session, within, values = loaded.session, "", _create_values(loaded, table, column, rows)
    broken = (
        f"FROM {values} AS s"
        f" LEFT JOIN (SELECT {key} FROM {loaded.compiled.full_name(target)}{within}) AS t"
        f" ON t.{key} = s.{name} WHERE t.{key} IS NULL"
    )
    count = int(session.rows(f"SELECT COALESCE(SUM(s._rows), 0) {broken}")[0][0])
    message = PASSED
    violations: Mapping[str, int] = {}
    if count:
        found = session.rows(f"SELECT DISTINCT s.{name} {broken} ORDER BY 1 LIMIT {MAX_EXAMPLES}")
        listed = ", ".join(str(row[0]) for row in found)
        message = f"{column.name} is missing in {target.name} in {count_of(count, 'row')}: {listed}"
        violations = _broken_by_month(loaded, table, column, f"SELECT s.{name} {broken}") or {
            ALL_MONTHS: count
        }
    if not by_month:
        loaded.session.drop_temporary(values)
    return CheckResult(
        table.name, reference_check_name(table, column), not count, message, violations=violations
    )


def _broken_by_month(loaded: LoadedRows, table: Table, column: Column, values: str) -> Mapping[str, int]:
    """Return how many rows of each month have one of these values; empty for an unpartitioned table."""
    if loaded.scope is UNPARTITIONED or table.is_unpartitioned:
        return {}
    found = loaded.tables.month_rows(table)
    rows = (
        f"(SELECT {quote(found.time)} FROM {found.relation} AS r"
        f" WHERE {in_month_range(found.time, loaded.scope)} AND {quote(column.name)} IN ({values}))"
    )
    return loaded.count_by_month(month_of(found.time), rows)


def _create_values(loaded: LoadedRows, table: Table, column: Column, rows: str) -> str:
    """Create a temporary table of the column's distinct values and their counts, which is much smaller than the rows."""
    scratch, name = loaded.scratch(table), quote(column.name)
    scratch.create_temporary(
        "_values",
        f"SELECT {name}, COUNT(*) AS _rows FROM {rows} AS a WHERE {name} IS NOT NULL GROUP BY {name}",
    )
    counted = Column(name="_rows", type="bigint", description="how many rows have the value")
    loaded.session.copy_rows(scratch, "_values", [column, counted])
    return "_values"
