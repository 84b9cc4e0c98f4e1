"""What one look finds, as plain facts: runs that ended, checks' last results, what is due, and loads that rejected rows.
They hold names that stars declare, months, counts, moments and ids alone, so nothing else can get into an alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from scx_pipeline.model.calendar import Month, contiguous_ranges

LOAD, REFRESH = "load", "refresh"  # what the runs of a star's two jobs do; other runs do something else
REJECTED = "rejected_rows"  # the check that warns of the first rejected row; for alerts there is a limit
Result = Literal["passed", "warned", "failed", "unknown"]


@dataclass(frozen=True)
class RunScope:
    """What a run was to make: months of a star's tables, all of them (none named) or some, by the road it names."""

    star: str  # none, of a run that is no star's
    what: str  # load, refresh, lake_load, lake_refresh … or the job
    months: frozenset[Month] = frozenset()
    tables: tuple[str, ...] = ()

    def covers(self, other: RunScope) -> bool:
        """Whether what makes this makes all tables of the other, whichever months."""
        same = (self.star, self.what) == (other.star, other.what)
        return same and (not self.tables or (bool(other.tables) and set(other.tables) <= set(self.tables)))


@dataclass(frozen=True)
class CheckState:
    """How a check came out, where the star's table stands."""

    star: str
    table: str
    name: str
    result: Result
    lake: bool = False
    run_id: str = ""
    at: float = 0.0

    @property
    def unit(self) -> str:
        """What names the check."""
        return f"check:{self.star}:{'lake/' if self.lake else ''}{self.table}:{self.name}"


@dataclass(frozen=True)
class FinishedRun:
    """A run that ended, well (no failure) or not: then the kind of failure, and the blocking checks that failed."""

    run_id: str
    target: RunScope
    ended: float
    failure: str = ""
    checks: tuple[tuple[str, str], ...] = ()  # table, check
    states: tuple[CheckState, ...] = ()  # how all its checks came out, if none kept it from being published


@dataclass(frozen=True)
class RejectingLoad:
    """A load that rejected rows, and the months that stand by it (none: the tables without months)."""

    star: str
    months: frozenset[Month]
    rows_read: int
    rows_rejected: int
    run_id: str
    at: float


@dataclass(frozen=True)
class StarLook:
    """What a look at a star's bucket and warehouse found, or the kind of failure that it met."""

    star: str
    failure: str = ""
    due: Mapping[str, str] = field(default_factory=dict)  # month, or UNPARTITIONED.value → what stands of it
    rejecting: tuple[RejectingLoad, ...] = ()


@dataclass(frozen=True)
class Facts:
    """All that one look found."""

    now: float
    runs: tuple[FinishedRun, ...] = ()
    checks: tuple[CheckState, ...] = ()
    looks: tuple[StarLook, ...] = ()
    next_watermark: float = 0.0  # until when the runs that ended are known


def months_text(months: frozenset[Month]) -> str:
    """Months as the fewest spans: 2021-02…2021-04, 2021-08."""
    return ", ".join(map(str, contiguous_ranges(sorted(months))))
