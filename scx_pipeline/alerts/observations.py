"""What one tick of the sensor observes: runs that ended, results of checks, months that are due, and loads that rejected rows.

Only names that stars declare, months, counts, timestamps and ids are stored, so that nothing else can get into an alert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from scx_pipeline.model.calendar import Month, contiguous_ranges

LOAD, REFRESH = "load", "refresh"  # the work of a star's two warehouse jobs
REJECTED = "rejected_rows"  # alerts have a threshold of their own instead of this check's `warn_above`
Result = Literal["passed", "warned", "failed", "unknown"]


@dataclass(frozen=True)
class RunScope:
    """What a run was requested to do: its work, its months, and its tables if not all."""

    star: str  # empty if the run belongs to no star
    work: str  # load, refresh, lake_load, lake_refresh … or the name of the job
    months: frozenset[Month] = frozenset()
    tables: tuple[str, ...] = ()

    def covers(self, other: RunScope) -> bool:
        """Return whether this scope includes all tables of the other one; months are not compared."""
        same = (self.star, self.work) == (other.star, other.work)
        return same and (not self.tables or (bool(other.tables) and set(other.tables) <= set(self.tables)))


@dataclass(frozen=True)
class CheckState:
    """The last result of a check, in the warehouse or in the lake."""

    star: str
    table: str
    name: str
    result: Result
    lake: bool = False
    run_id: str = ""
    at: float = 0.0

    @property
    def unit(self) -> str:
        """The check's identifier among the units of problems."""
        return f"check:{self.star}:{'lake/' if self.lake else ''}{self.table}:{self.name}"


@dataclass(frozen=True)
class FinishedRun:
    """A run that ended; if it failed, with the kind of failure and the blocking checks that failed."""

    run_id: str
    target: RunScope
    ended: float
    failure: str = ""
    checks: tuple[tuple[str, str], ...] = ()  # (table, check)
    states: tuple[CheckState, ...] = ()  # results of all its checks; empty if a blocking check failed


@dataclass(frozen=True)
class LoadWithRejects:
    """A load that rejected rows, and the months whose current data it wrote (empty for unpartitioned tables)."""

    star: str
    months: frozenset[Month]
    rows_read: int
    rows_rejected: int
    run_id: str
    at: float


@dataclass(frozen=True)
class StarObservation:
    """What a star's bucket and warehouse contain, or the kind of failure that prevented reading them."""

    star: str
    failure: str = ""
    # month, or UNPARTITIONED.value → identifier of the load that wrote the current data
    due: Mapping[str, str] = field(default_factory=dict)
    rejecting: tuple[LoadWithRejects, ...] = ()


@dataclass(frozen=True)
class Observations:
    """Everything that one tick observed."""

    now: float
    runs: tuple[FinishedRun, ...] = ()
    checks: tuple[CheckState, ...] = ()
    stars: tuple[StarObservation, ...] = ()
    next_watermark: float = 0.0  # until when all ended runs are known


def format_months(months: frozenset[Month]) -> str:
    """Format months as contiguous ranges: 2021-02…2021-04, 2021-08."""
    return ", ".join(map(str, contiguous_ranges(sorted(months))))
