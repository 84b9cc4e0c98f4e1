"""The checks of the rows that a load has written to a table, evaluated inside its transaction.

What happens when a check fails does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.latest_rows import touched_keys_table
from scx_pipeline.history.check_result import CheckResult, Rows, Severity
from scx_pipeline.loading.checks.check_names import (
    MAX_EXAMPLES,
    PASSED,
    describe_duplicate,
    reference_check_name,
    unique_check_name,
)
from scx_pipeline.loading.checks.row_scan import RowScan
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.query_session import QuerySession
from scx_pipeline.warehouse.sql_text import names, quote, scope_condition


@dataclass(frozen=True)
class PartitionChecks:
    """The checks of a load's tables, evaluated inside the transaction."""

    session: QuerySession
    compiled: CompiledStar
    scope: LoadScope
    expected_rows: Callable[[Table], Rows]
    # Counts the current rows of the loaded months.
    count_rows: Callable[[Table], Rows]

    def scan_rows(self, table: Table) -> tuple[Rows, list[CheckResult]]:
        """Return the row count of each month and the results of all row rules, in one scan of the loaded rows."""
        scan = RowScan(table, self.scope)
        scan.add(self._scratch(table).rows(scan.sql(self._loaded_rows(table))))
        return self.evaluate_scan(scan)

    def evaluate_scan(self, scan: RowScan) -> tuple[Rows, list[CheckResult]]:
        """Evaluate a scan that is complete, like `scan_rows`."""
        counted, table = scan.rows(), scan.table
        if table.is_partitioned:
            assert self.scope is not UNPARTITIONED
            return {month: counted.get(month, 0) for month in self.scope}, scan.results()
        return {None: counted.get(None, 0)} if table.is_unpartitioned else self.count_rows(
            table
        ), scan.results()

    def check_table(self, table: Table, rows: Rows, loaded: int | None) -> list[CheckResult]:
        """Return the results of the table's other checks.

        Args:
            rows: the row counts of the table, by month.
            loaded: the number of rows counted as loaded, of a staging table.
        """
        results = [self._row_count(table, rows) if loaded is None else _staged_row_count(table, rows, loaded)]
        if table.key:
            results.append(self._unique(table))
        loaded_rows = self._loaded_rows(table)
        return results + [
            self._reference(table, column, loaded_rows) for column in table.columns if column.references
        ]

    def check_references(self, table: Table, built: Collection[str]) -> list[CheckResult]:
        """Return the results of the references of a table that the load did not build to the tables that it built."""
        rows = self._loaded_rows(table) if table.is_partitioned else self.compiled.full_name(table)
        return [
            self._reference(table, column, rows) for column in table.columns if column.references in built
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
        message = f"{', '.join(wrong)}: {problem}" if wrong else f"{sum(rows.values()):,} rows"
        severity: Severity = "warn" if table.min_rows == 0 else "error"
        return CheckResult(table.name, "row_count", not wrong, message, severity, violations=wrong)

    def _differing_months(self, table: Table, rows: Rows) -> dict[str, int]:
        """Return the months whose row count differs from that of the table in `equal_row_count`, with the difference."""
        expected = self.expected_rows(self.compiled.star.table(table.equal_row_count or ""))
        return {
            _format_month(month): abs(expected[month] - count)
            for month, count in rows.items()
            if month in expected and expected[month] != count
        }

    def _short_months(self, table: Table, rows: Rows) -> dict[str, int]:
        """Return the months that have too few rows, although all inputs have rows."""
        short = [month for month, count in rows.items() if count < max(1, table.min_rows)]
        inputs = [self.expected_rows(item) for item in self._inputs(table)] if short else []
        return {
            _format_month(month): 1 for month in short if inputs and all(item.get(month) for item in inputs)
        }

    def _inputs(self, table: Table) -> list[Table]:
        """Return the tables that the table is built from; of a monthly table, only monthly ones."""
        inputs = [self.compiled.star.table(name) for name in self.compiled.inputs_of(table)]
        return [other for other in inputs if table.is_unpartitioned or not other.is_unpartitioned]

    def _unique(self, table: Table) -> CheckResult:
        verified = self.session.has_verified_key(
            self.compiled.star.schema_name, self.compiled.stored_table(table)
        )
        duplicates = [] if verified else self._find_duplicates(table)
        message = "; ".join(duplicates) or PASSED
        return CheckResult(table.name, unique_check_name(table), not duplicates, message)

    def _find_duplicates(self, table: Table) -> list[str]:
        key, target = names(table.key), self.compiled.full_name(table)
        time = quote(table.event_time_column) if table.is_partitioned else "NULL"
        grouped = f"FROM {self._loaded_rows(table)} AS s GROUP BY {key} HAVING COUNT(*) > 1"
        # Duplicates are rare: without the event times, the first query takes half the time and memory.
        rows = self.session.rows(f"SELECT {key} {grouped} LIMIT 1") and self.session.rows(
            f"SELECT {key}, MIN({time}), MAX({time}) {grouped} ORDER BY {key} LIMIT {MAX_EXAMPLES}"
        )
        if not rows and table.is_partitioned and table.event_time not in table.key:
            joined = " AND ".join(f"o.{quote(name)} = s.{quote(name)}" for name in table.key)
            other = scope_condition(table, self.scope, "o")
            rows = self.session.rows(
                f"SELECT {', '.join(f's.{quote(name)}' for name in table.key)}, s.{time}, o.{time} FROM {self._loaded_rows(table)} AS s"
                f" JOIN {target} AS o ON {joined} WHERE NOT {other} LIMIT {MAX_EXAMPLES}"
            )
        return [_describe_duplicate_row(table, row) for row in rows]

    def _reference(self, table: Table, column: Column, rows: str) -> CheckResult:
        target = self.compiled.star.table(column.references or "")
        key, name = quote(target.key[0]), quote(column.name)
        # The keys of a dimension that is partitioned by its key are in the months of the rows that reference them.
        by_month = target.is_partitioned and target.key[0] == target.event_time
        if by_month:
            session, within = self._scratch(table, target), f" WHERE {scope_condition(target, self.scope)}"
            values = f"(SELECT {name}, 1 AS _rows FROM {rows} AS a WHERE {name} IS NOT NULL)"
        else:
            session, within, values = self.session, "", self._create_values(table, column, rows)
        broken = (
            f"FROM {values} AS s"
            f" LEFT JOIN (SELECT {key} FROM {self.compiled.full_name(target)}{within}) AS t"
            f" ON t.{key} = s.{name} WHERE t.{key} IS NULL"
        )
        count = int(session.rows(f"SELECT COALESCE(SUM(s._rows), 0) {broken}")[0][0])
        message = PASSED
        if count:
            found = session.rows(f"SELECT DISTINCT s.{name} {broken} ORDER BY 1 LIMIT {MAX_EXAMPLES}")
            listed = ", ".join(str(row[0]) for row in found)
            message = f"{count:,} rows have a {column.name} that is missing in {target.name}: {listed}"
        if not by_month:
            self.session.drop_temporary(values)
        violations = {"all": count} if count else {}
        return CheckResult(
            table.name, reference_check_name(table, column), not count, message, violations=violations
        )

    def _create_values(self, table: Table, column: Column, rows: str) -> str:
        """Create a temporary table of the column's distinct values and their counts, which is much smaller than the rows."""
        scratch, name = self._scratch(table), quote(column.name)
        scratch.create_temporary(
            "_values",
            f"SELECT {name}, COUNT(*) AS _rows FROM {rows} AS a WHERE {name} IS NOT NULL GROUP BY {name}",
        )
        counted = Column(name="_rows", type="bigint", description="how many rows have the value")
        self.session.copy_rows(scratch, "_values", [column, counted])
        return "_values"

    def _scratch(self, *tables: Table) -> QuerySession:
        """Return the session for queries over the loaded rows of these tables alone."""
        return self.session.scratch_session([self.compiled.full_name(table) for table in tables])

    def _loaded_rows(self, table: Table) -> str:
        """Return a relation of the rows that the load may have changed."""
        target = self.compiled.full_name(table)
        if table.is_partitioned or table.is_unpartitioned:
            return f"(SELECT * FROM {target} WHERE {scope_condition(table, self.scope)})"
        key = names(table.key)
        return f"(SELECT * FROM {target} WHERE ({key}) IN (SELECT {key} FROM {touched_keys_table(table)}))"


def _staged_row_count(table: Table, rows: Rows, loaded: int) -> CheckResult:
    total = sum(rows.values())
    message = (
        f"{total:,} rows" if total == loaded else f"the table has {total:,} rows, but {loaded:,} were loaded"
    )
    return CheckResult(table.name, "row_count", total == loaded, message)


def _describe_duplicate_row(table: Table, row: tuple[object, ...]) -> str:
    *values, first, last = row
    months = sorted(Month.parse(str(time)[:7]) for time in (first, last)) if table.is_partitioned else None
    return describe_duplicate(table, values, (months[0], months[-1]) if months else None)


def _format_month(month: Month | None) -> str:
    return str(month) if month else "the table"
