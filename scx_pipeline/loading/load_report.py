"""The report of a load: rows, seconds and check results by table.

Rendering a report belongs to the callers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from scx_pipeline.history.check_result import CheckResult, Rows
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.planning.selection import Selection

Progress = Callable[[str], None]

MAX_FAILED_CHECKS = 3  # that a message describes


@dataclass(frozen=True)
class TableReport:
    """The rows of a table after a load, and the time it took."""

    name: str
    rows: Rows  # by loaded month
    seconds: float


@dataclass
class LoadReport:
    """The numbers of a load that are shown, recorded and attached to assets."""

    star: str
    scope: LoadScope
    load_id: str
    run_id: str | None = None  # of Dagster
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
    # The number of objects and their bytes.
    objects_by_month: Mapping[Month | None, tuple[int, int]] = field(default_factory=dict)
    # Months that this load made stale, with the reason.
    stale: Mapping[Month, str] = field(default_factory=dict)
    # Where the rows come from, if not from objects.
    origin: Mapping[str, str | int] = field(default_factory=dict)
    is_published: bool = False  # whether the transaction was committed
    # Months that the load could not publish and that keep their previous rows, each with the reason.
    held: Mapping[Month, str] = field(default_factory=dict)
    # The reports of months that had to be rebuilt in the same transaction.
    rebuilds: list[LoadReport] = field(default_factory=list)
    tables: dict[str, TableReport] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)
    ingest_results: list[IngestResult] = field(default_factory=list)

    @property
    def failed(self) -> list[CheckResult]:
        """The failed checks that keep the load from being published."""
        return [check for check in self.checks if check.blocking]

    @property
    def warnings(self) -> list[CheckResult]:
        return [check for check in self.checks if not check.passed and not check.blocking]

    def add_selection(self, selection: Selection) -> None:
        """Add the fingerprints and objects of the loaded months."""
        if self.scope is UNPARTITIONED:
            sizes = [item.info.size for item in selection.unpartitioned_objects]
            self.fingerprints = {None: selection.unpartitioned_fingerprint}
            self.objects_by_month = {None: (len(sizes), sum(sizes))}
            return
        sizes_by_month = {
            month: [item.info.size for item in selection.objects_of(MonthRange(month, month))]
            for month in self.scope
        }
        self.fingerprints = {month: selection.fingerprint(month) for month in self.scope}
        self.objects_by_month = {month: (len(sizes), sum(sizes)) for month, sizes in sizes_by_month.items()}

    def add_ingest_result(self, ingest_result: IngestResult) -> None:
        """Add the row counts of a staging table's objects."""
        self.ingest_results.append(ingest_result)
        self.objects += len(ingest_result.counts)
        self.bytes += sum(count.object.info.size for count in ingest_result.counts)
        for name in ("read", "loaded", "rejected", "deduplicated", "filtered"):
            setattr(self, name, getattr(self, name) + ingest_result.total(name))


def describe_failed(checks: Sequence[CheckResult]) -> str:
    """Return the messages of failed checks as one text; of many, the first."""
    messages = "; ".join(
        f"{check.name} on {check.table}: {check.message}" for check in checks[:MAX_FAILED_CHECKS]
    )
    more = f"; and {len(checks) - MAX_FAILED_CHECKS} more" if len(checks) > MAX_FAILED_CHECKS else ""
    return messages + more
