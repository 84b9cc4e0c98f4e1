"""From facts to problems: which stand now, which of the told ones nobody can say of, and what is to be remembered.
Pure; the facts are gathered in `orchestration.alerting`, and who is told what is decided in `memory`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from scx_pipeline.alerts.advice import BUSY
from scx_pipeline.alerts.facts import LOAD, REFRESH, REJECTED, CheckState, Facts, FinishedRun, StarLook
from scx_pipeline.alerts.failures import OpenFailure, follow, forget_idle
from scx_pipeline.alerts.problem import FoundCheck, Problem
from scx_pipeline.model.calendar import UNPARTITIONED, Month

Due = Mapping[
    str, tuple[str, float]
]  # month, or UNPARTITIONED.value → what stands of it, and since when it is due


@dataclass(frozen=True)
class Limits:
    """From which on it is a problem: hours that a month may be due, and the share of a load's rows that may be rejected."""

    stale_hours: float = 6
    rejected: float = 0.01


@dataclass(frozen=True)
class Memory:
    """What is known from look to look: until when runs are known, which failures stand, since when what is due.

    `told` are the units that each channel has been told and that still stood at the last look.
    """

    watermark: float = 0.0
    seen: Mapping[str, float] = field(default_factory=dict)  # runs that ended lately → when
    failures: tuple[OpenFailure, ...] = ()
    due: Mapping[str, Due] = field(default_factory=dict)  # by star
    told: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by channel


@dataclass(frozen=True)
class Found:
    """The problems that stand; what is unclear stays as it was, and what was over is told again if it stands again."""

    problems: tuple[Problem, ...]
    unclear: frozenset[str]  # units, or what they begin with up to a colon
    over: frozenset[str]

    def is_unclear(self, unit: str) -> bool:
        """Whether nobody can say if a unit stands."""
        parts = unit.split(":")
        return any(":".join(parts[:count]) in self.unclear for count in range(1, len(parts) + 1))


def find_problems(facts: Facts, memory: Memory, limits: Limits) -> tuple[Found, Memory]:
    """What stands, and what to remember of it; whom it is told to is not decided yet."""
    kept = forget_idle(memory.failures, facts.now)
    failures, over = follow(kept, facts.runs, facts.looks)
    over |= {item.unit for item in memory.failures if item not in kept} | _warned_anew(facts.runs)
    due = {look.star: _aged(memory.due.get(look.star, {}), look, facts.now) for look in facts.looks}
    unclear = {
        f"{kind}:{look.star}" for look in facts.looks if look.failure for kind in ("stale", "rejected")
    }
    unclear |= {f"unreachable:{look.star}" for look in facts.looks if look.failure}
    unclear |= {state.unit for state in _not_known(facts.checks)}
    problems = [*_unreachable(facts), *map(_failed, failures), *_checks(facts, not memory.watermark)]
    for look in facts.looks:
        if look.failure:
            continue
        stale = list(_stale(look.star, due[look.star], facts.now - limits.stale_hours * 3600))
        failing = _failing(failures, look.star)
        problems += [item for item in stale if item.units[0] not in failing]
        unclear |= failing  # told as a failed run: no second message says that nothing was loaded
        problems += _rejecting(look, limits.rejected)
    remembered = replace(memory, failures=tuple(failures), due=due, watermark=facts.next_watermark)
    return Found(tuple(problems), frozenset(unclear), over), remembered


def _aged(known: Due, look: StarLook, now: float) -> Due:
    """Since when what is due is due. What was loaded in between, and is due again, is so since now."""
    if look.failure:
        return known
    return {
        part: known[part] if part in known and known[part][0] == stands else (stands, now)
        for part, stands in look.due.items()
    }


def _unreachable(facts: Facts) -> Iterator[Problem]:
    """A star that cannot be looked at. A warehouse that a run writes is well, and is looked at after that."""
    for look in facts.looks:
        if look.failure and look.failure != BUSY:
            runs = [run for run in facts.runs if (run.target.star, run.failure) == (look.star, look.failure)]
            yield Problem(
                "unreachable", (f"unreachable:{look.star}:{look.failure}",), f"unreachable:{look.failure}",
                facts.now, (look.star,), failure=look.failure, run_id=runs[-1].run_id if runs else "",
            )  # fmt: skip


def _failed(item: OpenFailure) -> Problem:
    target = item.target
    return Problem(
        "run", (item.unit,), item.unit, item.at, (target.star,) if target.star else (), target.what,
        target.what.startswith("lake_"), target.months, not target.months, target.tables,
        tuple(FoundCheck(*check) for check in item.checks), item.failure, run_id=item.run_id,
    )  # fmt: skip


def _checks(facts: Facts, first: bool) -> Iterator[Problem]:
    """Checks that warned and kept nothing from being published; the others are told with the run that they failed.

    Of each the last result counts, and what warned since the last look: the next load, of other months, may have passed it.
    Rejected rows have a limit of their own.
    """
    warned = {state.unit: state for state in facts.checks if state.result == "warned"}
    passed = {state.unit for state in facts.checks if state.result == "passed"} if first else ()
    for state in (state for run in facts.runs for state in run.states):
        if state.result == "warned" and state.unit not in passed:
            warned.setdefault(state.unit, state)
    gates = _gates(facts.checks)
    for unit, state in warned.items():
        if state.run_id not in gates and state.name != REJECTED:
            yield Problem(
                "check", (unit,), f"check:{state.star}:{state.run_id}", state.at, (state.star,),
                lake=state.lake, checks=(FoundCheck(state.table, state.name),), run_id=state.run_id,
            )  # fmt: skip


def _warned_anew(runs: Iterable[FinishedRun]) -> set[str]:
    """The checks that warned after they had passed, since the last look."""
    passed: set[str] = set()
    anew: set[str] = set()
    for state in (state for run in sorted(runs, key=lambda run: run.ended) for state in run.states):
        if state.result == "passed":
            passed.add(state.unit)
        elif state.unit in passed:
            anew.add(state.unit)
    return anew


def _not_known(states: Iterable[CheckState]) -> list[CheckState]:
    """Checks whose last result is not there yet, or is of a load that was not published."""
    gates = _gates(states := list(states))
    return [state for state in states if state.result == "unknown" or state.run_id in gates]


def _gates(states: Iterable[CheckState]) -> set[str]:
    """The runs that blocking checks failed."""
    return {state.run_id for state in states if state.result == "failed"}


def _failing(failures: Iterable[OpenFailure], star: str) -> set[str]:
    """The months of a star, as units, that a run which failed was to load."""
    return {
        f"stale:{star}:{part}"
        for item in failures
        if item.target.star == star and item.target.what in (LOAD, REFRESH)
        for part in (map(str, item.left) if item.target.what == LOAD else [UNPARTITIONED.value])
    }


def _stale(star: str, due: Due, before: float) -> Iterator[Problem]:
    for part, (_, since) in sorted(due.items()):
        if since <= before:
            yield _of_part(part, Problem("stale", (f"stale:{star}:{part}",), f"stale:{star}", since, (star,)))


def _rejecting(look: StarLook, share: float) -> Iterator[Problem]:
    for load in look.rejecting:
        if load.rows_rejected <= share * load.rows_read:
            continue
        counts = {"rows_read": load.rows_read, "rows_rejected": load.rows_rejected}
        group = f"rejected:{look.star}:{load.run_id or load.at}"
        for part in [str(month) for month in sorted(load.months)] or [UNPARTITIONED.value]:
            unit = f"rejected:{look.star}:{part}"
            told = Problem(
                "rejected", (unit,), group, load.at, (look.star,), counts=counts, run_id=load.run_id
            )
            yield _of_part(part, told)


def _of_part(part: str, problem: Problem) -> Problem:
    """The problem, of a month or of the tables without."""
    if part == UNPARTITIONED.value:
        return replace(problem, unpartitioned=True)
    return replace(problem, months=frozenset({Month.parse(part)}))
