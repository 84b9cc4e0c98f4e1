"""Declared checks and their results, as facts.

Evaluating a check does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from scx_pipeline.model.calendar import Month, MonthRange

# Row counts by month; None is the key of an unpartitioned table.
Rows = Mapping[Month | None, int]

Severity = Literal["error", "warn"]

ALL_MONTHS = "all"  # key of violations that belong to no month, or to unknown ones


def count_by_month(rows: Rows) -> dict[str, int]:
    """Return row counts by month as the violations of a check have them."""
    return {str(month) if month else ALL_MONTHS: count for month, count in rows.items()}


def format_month_pairs(pairs: Iterable[tuple[Month, Month]]) -> frozenset[tuple[str, str]]:
    """Return pairs of months as the conflicts of a check have them."""
    return frozenset((str(one), str(other)) for one, other in pairs)


@dataclass(frozen=True)
class DeclaredCheck:
    """A check that follows from a table's declaration; one of severity `warn` never blocks a load."""

    table: str
    name: str
    description: str
    severity: Severity = "error"


class RejectedExample(NamedTuple):
    """A rejected row as an example, without its text, which may be personal."""

    file: str
    line: int | None
    column: str | None
    reason: str


@dataclass(frozen=True)
class CheckResult:
    """The result of a check on a load; a failed check of severity `error` keeps the load from being published."""

    table: str
    name: str
    passed: bool
    message: str
    severity: Severity = "error"
    # Violating rows by month; under "all" if they belong to no month, or to unknown ones.
    violations: Mapping[str, int] = field(default_factory=dict)
    # Pairs of months that violate the check together, such as by a key that is in both.
    conflicts: frozenset[tuple[str, str]] = frozenset()
    # The months that it was evaluated for; none of unpartitioned tables.
    months: tuple[Month, ...] = ()
    # What was counted, by name, and the first rejected rows.
    numbers: Mapping[str, float] = field(default_factory=dict)
    examples: tuple[RejectedExample, ...] = ()

    @property
    def blocking(self) -> bool:
        return not self.passed and self.severity == "error"

    def violated_months(self, scope: MonthRange) -> list[Month]:
        """Return the months of a scope that violate the check: all of them if their violations have no month."""
        found = [month for month in scope if str(month) in self.violations]
        return scope.months if ALL_MONTHS in self.violations or not found else found
