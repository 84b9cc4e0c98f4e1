"""The rules that single rows must satisfy, and a scan that counts the rows and the violations of each rule by month.

Checks that compare rows with each other or with other tables do not belong here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scx_pipeline.history.check_result import ALL_MONTHS, CheckResult, count_by_month
from scx_pipeline.loading.checks.check_names import MAX_EXAMPLES, PASSED
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month
from scx_pipeline.model.column import Column
from scx_pipeline.model.count_text import count_of
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.sql_text import month_within, quote, string_literal


@dataclass(frozen=True)
class RowRule:
    """A rule that single rows must satisfy, with the SQL aggregate that counts its violations."""

    column: str
    name: str
    violations_sql: str
    description: str
    violation: str
    is_not_null: bool = False


def row_rules(table: Table) -> list[RowRule]:
    """Return the rules that follow from the declarations of the table's columns."""
    return [rule for column in table.columns for rule in _column_rules(column)]


def _column_rules(column: Column) -> Iterable[RowRule]:
    name, shown = quote(column.name), column.name
    if not column.nullable:
        # Faster than a condition on each value.
        count = f"COUNT(*) - COUNT({name})"
        yield RowRule(
            shown, f"not_null_{shown}", count, f"{shown} is never null.", "is null", is_not_null=True
        )
    if column.accepted_values:
        literals = ", ".join(
            str(value) if isinstance(value, int) else string_literal(value)
            for value in column.accepted_values
        )
        values, count = (
            ", ".join(map(str, column.accepted_values)),
            _count_where(f"{name} NOT IN ({literals})"),
        )
        description, violation = f"{shown} is one of {values}.", f"is not one of {values}"
        yield RowRule(shown, f"accepted_values_{shown}", count, description, violation)
    if column.days_after:
        after = column.days_after
        other, days = quote(after.column), f"{after.least} to {after.most} days after {after.column}"
        count = _count_where(
            f"{name} < {other} + INTERVAL '{after.least} days' OR {name} > {other} + INTERVAL '{after.most} days'"
        )
        yield RowRule(shown, f"days_after_{shown}", count, f"{shown} is {days}.", f"is not {days}")
    if column.range:
        low, high = (f"{bound:.15g}" for bound in column.range)
        count = _count_where(f"{name} < {low} OR {name} > {high}")
        description, violation = f"{shown} is within {low} … {high}.", f"is outside {low} … {high}"
        yield RowRule(shown, f"range_{shown}", count, description, violation)


def _count_where(condition: str) -> str:
    return f"COUNT(CASE WHEN {condition} THEN 1 END)"


class RowScan:
    """Counts the loaded rows of a table and the violations of each rule, by month.

    The rows are counted in one scan, or in one scan per part.
    """

    def __init__(self, table: Table, scope: LoadScope, time: str | None = None) -> None:
        """Create a scan without rows.

        Args:
            table: Its columns have the rules.
            scope: The months of the rows.
            time: The column that decides a row's month; default: the event time of a partitioned table.
        """
        self.table, self.rules, self.scope = table, row_rules(table), scope
        self.time = time or (table.event_time if table.is_partitioned else None)
        self.counts: dict[Month | None, list[int]] = defaultdict(lambda: [0] * (1 + len(self.rules)))

    def sql(self, relation: str, full: Collection[str] = ()) -> str:
        """Return the query that counts a part; its result goes to `add`.

        Args:
            relation: the part, whose rows are all in scope.
            full: columns known to have no NULL, which are not checked for it.
        """
        month, grouped = "NULL", ""
        if self.time is not None and self.scope is not UNPARTITIONED:
            month, grouped = month_within(self.time, self.scope), " GROUP BY 1"
        violations = "".join(
            ", 0" if rule.is_not_null and rule.column in full else f", {rule.violations_sql}"
            for rule in self.rules
        )
        return f"SELECT {month}, COUNT(*){violations} FROM {relation} AS s{grouped}"

    def add(self, found: Iterable[Sequence[Any]]) -> None:
        """Add the counts of a part."""
        for start, *counts in found:
            month = Month.of(start) if start else None
            self.counts[month] = [sum(pair) for pair in zip(self.counts[month], counts, strict=True)]

    def rows(self) -> dict[Month | None, int]:
        """Return the row count of each month that has rows."""
        return {month: counts[0] for month, counts in self.counts.items()}

    def results(self) -> list[CheckResult]:
        """Return the result of each rule."""
        return [self._result(rule, index) for index, rule in enumerate(self.rules, start=1)]

    def _result(self, rule: RowRule, index: int) -> CheckResult:
        violations = count_by_month(
            {month: counts[index] for month, counts in self.counts.items() if counts[index]}
        )
        listed = ", ".join(
            count_of(count, "row") + (f" in {month}" if month != ALL_MONTHS else "")
            for month, count in sorted(violations.items())[:MAX_EXAMPLES]
        )
        message = f"{rule.column} {rule.violation} in {listed}" if violations else PASSED
        return CheckResult(self.table.name, rule.name, not violations, message, violations=violations)
