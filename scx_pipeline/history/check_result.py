"""Declared checks and their results, as facts.

Evaluating a check belongs to loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from scx_pipeline.model.calendar import Month

Rows = Mapping[Month | None, int]  # by month; None: of a table without months


Severity = Literal["error", "warn"]


@dataclass(frozen=True)
class DeclaredCheck:
    """A check that a table has because of what is declared about it."""

    table: str
    name: str
    description: str


@dataclass(frozen=True)
class CheckResult:
    """How a check came out on a load; a failed one of severity error keeps the load from being published."""

    table: str
    name: str
    passed: bool
    message: str
    severity: Severity = "error"
    violations: Mapping[str, int] = field(default_factory=dict)  # by month where the table has months

    @property
    def blocking(self) -> bool:
        return not self.passed and self.severity == "error"
