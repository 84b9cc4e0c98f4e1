"""The checks of the rows that a load has written to a table, evaluated inside its transaction.

What happens when a check fails does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history.check_result import (
    ALL_MONTHS,
    CheckResult,
    Rows,
    Severity,
    count_by_month,
)
from scx_pipeline.loading.checks.key_check import check_key
from scx_pipeline.loading.checks.loaded_rows import LoadedRows, LoadedTables
from scx_pipeline.loading.checks.reference_check import check_reference
from scx_pipeline.loading.checks.row_scan import RowScan
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope
from scx_pipeline.model.count_text import count_of
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.sql_text import in_month_range

Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class PartitionChecks:
    """The checks of a load's tables, evaluated inside the transaction."""

    loaded: LoadedRows
    rows: dict[str, Rows] = field(default_factory=dict)  # by table, of those that were scanned

    @property
    def scope(self) -> LoadScope:
        return self.loaded.scope

    @property
    def tables(self) -> LoadedTables:
        return self.loaded.tables

    @property
    def compiled(self) -> CompiledStar:
        return self.loaded.compiled

    def scan_table(self, table: Table) -> list[CheckResult]:
        """Count the rows of each month, and return the results of all row rules, in one scan of the loaded rows."""
        if self.scope is UNPARTITIONED or table.is_unpartitioned:
            scan, rows = RowScan(table, self.scope), self.loaded.of(table)
        else:
            found = self.tables.month_rows(table)
            scan = RowScan(table, self.scope, found.time)
            rows = f"(SELECT * FROM {found.relation} WHERE {in_month_range(found.time, self.scope)})"
        scan.add(self.loaded.scratch(table).rows(scan.sql(rows)))
        return self.evaluate_scan(scan)

    def evaluate_scan(self, scan: RowScan) -> list[CheckResult]:
        """Evaluate a scan that is complete, like `scan_table`."""
        counted = scan.rows()
        before = self.tables.rows_before(scan.table)
        months = [None] if self.scope is UNPARTITIONED else self.scope
        self.rows[scan.table.name] = {month: before.get(month, 0) + counted.get(month, 0) for month in months}
        return scan.results()

    def check_table(self, table: Table, loaded: int | None) -> list[CheckResult]:
        """Return the results of the other checks of a table that was scanned.

        Args:
            loaded: the number of rows counted as loaded, of a staging table.
        """
        rows = self.rows[table.name]
        results = [self._row_count(table, rows) if loaded is None else _staged_row_count(table, rows, loaded)]
        if table.key:
            results.append(check_key(self.loaded, table))
        loaded_rows = self.loaded.of(table)
        return results + [
            check_reference(self.loaded, table, column, loaded_rows)
            for column in table.columns
            if column.references
        ]

    def check_references(self, table: Table, built: Collection[str]) -> list[CheckResult]:
        """Return the results of the references of a table that the load did not build to the tables that it built."""
        rows = self.loaded.of(table) if table.is_partitioned else self.compiled.full_name(table)
        return [
            check_reference(self.loaded, table, column, rows)
            for column in table.columns
            if column.references in built
        ]

    def _row_count(self, table: Table, rows: Rows) -> CheckResult:
        wrong = (
            self._differing_months(table, rows) if table.equal_row_count else self._short_months(table, rows)
        )
        if table.equal_row_count:
            problem = f"not as many rows as in {table.equal_row_count}"
        else:
            few = "no rows" if table.min_rows < 2 else f"fewer than {table.min_rows:,} rows"
            problem = f"{few}, although its inputs have rows"
        months = ", ".join("the table" if month == ALL_MONTHS else month for month in wrong)
        message = f"{months}: {problem}" if wrong else count_of(sum(rows.values()), "row")
        severity: Severity = "warn" if table.min_rows == 0 else "error"
        return CheckResult(table.name, "row_count", not wrong, message, severity, violations=wrong)

    def _differing_months(self, table: Table, rows: Rows) -> dict[str, int]:
        """Return the months whose row count differs from that of the table in `equal_row_count`, with the difference."""
        expected = self._rows_of(self.compiled.star.table(table.equal_row_count or ""))
        return count_by_month(
            {
                month: abs(expected[month] - count)
                for month, count in rows.items()
                if month in expected and expected[month] != count
            }
        )

    def _short_months(self, table: Table, rows: Rows) -> dict[str, int]:
        """Return the months that have too few rows, although all inputs have rows."""
        short = [month for month, count in rows.items() if count < max(1, table.min_rows)]
        inputs = [self._rows_of(item) for item in self._inputs(table)] if short else []
        empty = [month for month in short if inputs and all(item.get(month) for item in inputs)]
        return count_by_month(dict.fromkeys(empty, 1))

    def _rows_of(self, table: Table) -> Rows:
        if table.name in self.rows:
            return self.rows[table.name]
        if self.scope is UNPARTITIONED or table.is_unpartitioned:
            return {}
        return self.tables.count_rows(table, self.scope)

    def _inputs(self, table: Table) -> list[Table]:
        """Return the tables that the table is built from; of a monthly table, only monthly ones."""
        inputs = [self.compiled.star.table(name) for name in self.compiled.inputs_of(table)]
        return [other for other in inputs if table.is_unpartitioned or not other.is_unpartitioned]


def _staged_row_count(table: Table, rows: Rows, loaded: int) -> CheckResult:
    total = sum(rows.values())
    message = (
        count_of(total, "row")
        if total == loaded
        else f"the table has {count_of(total, 'row')}, but {loaded:,} were loaded"
    )
    return CheckResult(table.name, "row_count", total == loaded, message)
