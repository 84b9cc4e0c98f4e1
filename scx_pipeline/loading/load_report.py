"""What a load did: rows, seconds, and check results by table.

Rendering a report belongs to the callers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from scx_pipeline.history.check_result import CheckResult, Rows
from scx_pipeline.model.calendar import LoadScope, Month

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TableReport:
    """What a load did to a table."""

    name: str
    rows: Rows  # by month, of the months loaded
    seconds: float


@dataclass
class LoadReport:
    """What a load did: the numbers that are shown, recorded and attached to the assets."""

    star: str
    scope: LoadScope
    load_id: str
    run_id: str | None = None  # Dagster's
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))
    objects: int = 0
    bytes: int = 0
    read: int = 0
    loaded: int = 0
    rejected: int = 0
    deduplicated: int = 0
    filtered: int = 0
    seconds: float = 0.0
    fingerprints: Mapping[Month | None, str] = field(default_factory=dict)
    objects_by_month: Mapping[Month | None, tuple[int, int]] = field(default_factory=dict)  # objects, bytes
    stale: Mapping[Month, str] = field(
        default_factory=dict
    )  # months whose rows this load has made wrong, and why
    origin: Mapping[str, str | int] = field(
        default_factory=dict
    )  # where its rows are from, if not from objects
    remade: list[LoadReport] = field(default_factory=list)  # of months whose rows it had to make anew itself
    tables: dict[str, TableReport] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def failed(self) -> list[CheckResult]:
        """The checks that keep the load from being published."""
        return [check for check in self.checks if check.blocking]

    @property
    def warnings(self) -> list[CheckResult]:
        return [check for check in self.checks if not check.passed and not check.blocking]
