"""Declared checks and their results, as facts.

Evaluating a check does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from scx_pipeline.model.calendar import Month

# Row counts by month; None is the key of an unpartitioned table.
Rows = Mapping[Month | None, int]

Severity = Literal["error", "warn"]


@dataclass(frozen=True)
class DeclaredCheck:
    """A check that follows from a table's declaration; one of severity `warn` never blocks a load."""

    table: str
    name: str
    description: str
    severity: Severity = "error"


@dataclass(frozen=True)
class CheckResult:
    """The result of a check on a load; a failed check of severity `error` keeps the load from being published."""

    table: str
    name: str
    passed: bool
    message: str
    severity: Severity = "error"
    # Violating rows by month; under "all" for an unpartitioned table.
    violations: Mapping[str, int] = field(default_factory=dict)

    @property
    def blocking(self) -> bool:
        return not self.passed and self.severity == "error"
