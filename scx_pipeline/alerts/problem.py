"""A problem that can be told: its kind, what it is of, and what is known of it, in names, months, counts and ids.
How it is worded is in `wording`; which problems stand is found in `finding`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from scx_pipeline.model.calendar import Month

ProblemKind = Literal["run", "check", "stale", "rejected", "unreachable", "trial"]
_NAME = re.compile(r"\w{1,128}")
_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class FoundCheck:
    """A check that did not pass."""

    table: str
    name: str


@dataclass(frozen=True)
class Problem:
    """What is wrong. `units` name it, one by one: each is told once, for as long as it stands.

    A month that is stale is a unit, and so is a check; those of one `group` that are new at once are one message.
    """

    kind: ProblemKind
    units: tuple[str, ...]
    group: str
    at: float  # since when, as far as is known
    stars: tuple[str, ...] = ()
    what: str = ""  # of a run: what it was to do
    lake: bool = False
    months: frozenset[Month] = frozenset()
    unpartitioned: bool = False  # whether it is of the tables without months, too
    tables: tuple[str, ...] = ()
    checks: tuple[FoundCheck, ...] = ()
    failure: str = ""  # its kind, see `kinds`
    counts: Mapping[str, int] = field(default_factory=dict)
    run_id: str = ""

    def __post_init__(self) -> None:
        """Nothing that is no name may be told, wherever it came from."""
        names = [*self.stars, *self.tables, self.what, self.failure, *self.counts]
        names += [text for check in self.checks for text in (check.table, check.name)]
        if not all(_NAME.fullmatch(name) for name in names if name):
            raise ValueError("a problem holds a text that is no name")
        if self.run_id and not _RUN.fullmatch(self.run_id):
            object.__setattr__(self, "run_id", "")  # of no run that a page could show

    @property
    def star(self) -> str:
        """The star, if it is of one alone."""
        return self.stars[0] if len(self.stars) == 1 else ""

    @property
    def key(self) -> str:
        """The same whenever the same units are told, for whoever has to know a message again."""
        if len(self.units) == 1:
            return self.units[0]
        digest = hashlib.sha256("\n".join(sorted(self.units)).encode()).hexdigest()
        return f"{self.group}:{digest[:12]}"


def merge(problems: Iterable[Problem]) -> list[Problem]:
    """One problem of each group, in the order of their first ones."""
    groups: dict[str, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(problem.group, []).append(problem)
    return [_merged(members) for members in groups.values()]


def _merged(members: Sequence[Problem]) -> Problem:
    """All of a group as one; what differs is brought together, the rest is the first one's."""
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
