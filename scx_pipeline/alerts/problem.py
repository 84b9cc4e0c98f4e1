"""A problem: its kind, what it affects, and its details as names, months, counts and ids.

Finding problems and describing them in words do not belong here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from scx_pipeline.model.calendar import Month

ProblemKind = Literal["run", "check", "overdue", "rejected", "unreachable", "trial"]
_NAME = re.compile(r"\w{1,128}")
_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class CheckReference:
    """A check that did not pass."""

    table: str
    name: str


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, as units such as an overdue month or a check.

    Each unit is sent once for as long as it is open. Units of one group that are new at the same time share one message.
    """

    kind: ProblemKind
    units: tuple[str, ...]
    group: str
    at: float  # since when, as far as known
    stars: tuple[str, ...] = ()
    work: str = ""  # work of the run
    lake: bool = False
    months: frozenset[Month] = frozenset()
    unpartitioned: bool = False  # whether unpartitioned tables are affected
    tables: tuple[str, ...] = ()
    checks: tuple[CheckReference, ...] = ()
    failure: str = ""  # kind of failure, see FAILURE_KINDS
    counts: Mapping[str, int] = field(default_factory=dict)
    run_id: str = ""

    def __post_init__(self) -> None:
        """Refuse texts that are not names, wherever they come from, so that they are never sent."""
        names = [*self.stars, *self.tables, self.work, self.failure, *self.counts]
        names += [text for check in self.checks for text in (check.table, check.name)]
        if not all(_NAME.fullmatch(name) for name in names if name):
            raise ValueError("a text in a problem is not a name")
        if self.run_id and not _RUN.fullmatch(self.run_id):
            object.__setattr__(self, "run_id", "")  # it cannot be linked

    @property
    def star(self) -> str:
        """The star, if exactly one is affected."""
        return self.stars[0] if len(self.stars) == 1 else ""

    @property
    def key(self) -> str:
        """An identifier that is the same whenever the same units are sent, by which receivers recognize a message."""
        if len(self.units) == 1:
            return self.units[0]
        digest = hashlib.sha256("\n".join(sorted(self.units)).encode()).hexdigest()
        return f"{self.group}:{digest[:12]}"


def merge_groups(problems: Iterable[Problem]) -> list[Problem]:
    """Merge the problems of each group into one, in the order of their first members."""
    groups: dict[str, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(problem.group, []).append(problem)
    return [_merge(members) for members in groups.values()]


def _merge(members: Sequence[Problem]) -> Problem:
    """Combine units, stars, months and checks; take everything else from the first member."""
    return replace(
        members[0],
        units=tuple(unit for item in members for unit in item.units),
        at=min(item.at for item in members),
        stars=tuple(dict.fromkeys(star for item in members for star in item.stars)),
        months=frozenset(month for item in members for month in item.months),
        unpartitioned=any(item.unpartitioned for item in members),
        checks=tuple(check for item in members for check in item.checks),
        run_id=next((item.run_id for item in members if item.run_id), ""),
    )
