"""The checks of the rows that a load has written to a table, evaluated inside its transaction.

What happens when a check fails does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.latest_rows import touched_keys_table
from scx_pipeline.history.check_result import (
    ALL_MONTHS,
    CheckResult,
    Rows,
    Severity,
    count_by_month,
    format_month_pairs,
)
from scx_pipeline.loading.checks.check_names import (
    MAX_EXAMPLES,
    PASSED,
    describe_duplicate,
    reference_check_name,
    unique_check_name,
)
from scx_pipeline.loading.checks.row_scan import RowScan
from scx_pipeline.loading.ingest.duplicate_keys import select_month_pairs
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.query_session import QuerySession
from scx_pipeline.warehouse.sql_text import in_month_range, month_of, names, quote, scope_condition

Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class MonthRows:
    """A relation with the rows that each month contributes to a table, and the column that decides a row's month."""

    relation: str
    time: str


class LoadedTables(Protocol):
    """The tables of a load, as far as its checks read them."""

    @property
    def compiled(self) -> CompiledStar:
        """The star with the current names of its tables."""

    @property
    def relations(self) -> QuerySession:
        """The connection that queries the tables."""

    def month_rows(self, table: Table) -> MonthRows:
        """Return the relation of the rows that each month contributes to a monthly table."""

    def count_rows(self, table: Table, scope: MonthRange) -> Rows:
        """Return how many rows each month contributes to the table, including months without rows."""


@dataclass(frozen=True)
class PartitionChecks:
    """The checks of a load's tables, evaluated inside the transaction."""

    tables: LoadedTables
    scope: LoadScope
    rows: dict[str, Rows] = field(default_factory=dict)  # by table, of those that were scanned

    @property
    def session(self) -> QuerySession:
        return self.tables.relations

    @property
    def compiled(self) -> CompiledStar:
        return self.tables.compiled

    def scan_table(self, table: Table) -> list[CheckResult]:
        """Count the rows of each month, and return the results of all row rules, in one scan of the loaded rows."""
        if self.scope is UNPARTITIONED or table.is_unpartitioned:
            scan, rows = RowScan(table, self.scope), self._loaded_rows(table)
        else:
            found = self.tables.month_rows(table)
            scan = RowScan(table, self.scope, found.time)
            rows = f"(SELECT * FROM {found.relation} WHERE {in_month_range(found.time, self.scope)})"
        scan.add(self._scratch(table).rows(scan.sql(rows)))
        return self.evaluate_scan(scan)

    def evaluate_scan(self, scan: RowScan) -> list[CheckResult]:
        """Evaluate a scan that is complete, like `scan_table`."""
        counted = scan.rows()
        months = [None] if self.scope is UNPARTITIONED else self.scope
        self.rows[scan.table.name] = {month: counted.get(month, 0) for month in months}
        return scan.results()

    def check_table(self, table: Table, loaded: int | None) -> list[CheckResult]:
        """Return the results of the other checks of a table that was scanned.

        Args:
            loaded: the number of rows counted as loaded, of a staging table.
        """
        rows = self.rows[table.name]
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
        months = ", ".join("the table" if month == ALL_MONTHS else month for month in wrong)
        message = f"{months}: {problem}" if wrong else f"{sum(rows.values()):,} rows"
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

    def _unique(self, table: Table) -> CheckResult:
        name = unique_check_name(table)
        schema, stored = self.compiled.star.schema_name, self.compiled.stored_table(table)
        if self.session.has_verified_key(schema, stored):
            return CheckResult(table.name, name, True, PASSED)
        can_repeat = table.is_partitioned and table.event_time not in table.key
        return (
            self._find_duplicates_within(table)
            or (self._find_duplicates_outside(table) if can_repeat else None)
            or CheckResult(table.name, name, True, PASSED)
        )

    def _find_duplicates_within(self, table: Table) -> CheckResult | None:
        """Return the failed check if a key occurs twice in the loaded rows."""
        key, rows = names(table.key), self._loaded_rows(table)
        grouped = f"FROM {rows} AS s GROUP BY {key} HAVING COUNT(*) > 1"
        # Duplicates are rare: without the event times, the first query takes half the time and memory.
        if not self.session.rows(f"SELECT {key} {grouped} LIMIT 1"):
            return None
        time = quote(table.event_time_column) if table.is_partitioned else "NULL"
        examples = self.session.rows(
            f"SELECT {key}, MIN({time}), MAX({time}) {grouped} ORDER BY {key} LIMIT {MAX_EXAMPLES}"
        )
        if not table.is_partitioned:
            return _describe_duplicates(table, examples)
        month = month_of(table.event_time_column)
        duplicates = (
            f"(SELECT {key}, {month} AS _month FROM {rows} AS d WHERE ({key}) IN (SELECT {key} {grouped}))"
        )
        pairs = self.session.rows(select_month_pairs(duplicates, table.key))
        return _describe_duplicates(
            table, examples, self._count_by_month("_month", duplicates),
            format_month_pairs((Month.of(one), Month.of(other)) for one, other in pairs),
        )  # fmt: skip

    def _find_duplicates_outside(self, table: Table) -> CheckResult | None:
        """Return the failed check if other months have a key of the loaded rows, too."""
        joined = " AND ".join(f"o.{quote(name)} = s.{quote(name)}" for name in table.key)
        other, time = scope_condition(table, self.scope, "o"), quote(table.event_time_column)
        both = (
            f"FROM {self._loaded_rows(table)} AS s JOIN {self.compiled.full_name(table)} AS o ON {joined}"
            f" WHERE NOT {other}"
        )
        key = ", ".join(f"s.{quote(name)}" for name in table.key)
        examples = self.session.rows(f"SELECT {key}, s.{time}, o.{time} {both} LIMIT {MAX_EXAMPLES}")
        if not examples:
            return None
        by_month = self._count_by_month(month_of(table.event_time_column), f"(SELECT s.{time} {both})")
        return _describe_duplicates(table, examples, by_month)

    def _count_by_month(self, month: str, rows: str) -> Mapping[str, int]:
        found = self.session.rows(f"SELECT {month}, COUNT(*) FROM {rows} AS d GROUP BY 1")
        return count_by_month({Month.of(start): count for start, count in found})

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
        violations: Mapping[str, int] = {}
        if count:
            found = session.rows(f"SELECT DISTINCT s.{name} {broken} ORDER BY 1 LIMIT {MAX_EXAMPLES}")
            listed = ", ".join(str(row[0]) for row in found)
            message = f"{count:,} rows have a {column.name} that is missing in {target.name}: {listed}"
            violations = self._broken_by_month(table, column, f"SELECT s.{name} {broken}") or {
                ALL_MONTHS: count
            }
        if not by_month:
            self.session.drop_temporary(values)
        return CheckResult(
            table.name, reference_check_name(table, column), not count, message, violations=violations
        )

    def _broken_by_month(self, table: Table, column: Column, values: str) -> Mapping[str, int]:
        """Return how many rows of each month have one of these values; empty for an unpartitioned table."""
        if self.scope is UNPARTITIONED or table.is_unpartitioned:
            return {}
        found = self.tables.month_rows(table)
        rows = (
            f"(SELECT {quote(found.time)} FROM {found.relation} AS r"
            f" WHERE {in_month_range(found.time, self.scope)} AND {quote(column.name)} IN ({values}))"
        )
        return self._count_by_month(month_of(found.time), rows)

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
