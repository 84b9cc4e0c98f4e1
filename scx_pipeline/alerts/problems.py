"""Which problems are open, derived from observations and from the state that the sensor keeps between ticks.

No I/O. Deciding what to send to which channel does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from scx_pipeline.alerts.advice import BUSY
from scx_pipeline.alerts.failures import OpenFailure, drop_idle_failures, update_failures
from scx_pipeline.alerts.observations import (
    LOAD,
    REFRESH,
    REJECTED,
    CheckState,
    FinishedRun,
    Observations,
    StarObservation,
)
from scx_pipeline.alerts.problem import CheckReference, Problem
from scx_pipeline.model.calendar import UNPARTITIONED, Month

# month, or UNPARTITIONED.value → (identifier of the load that wrote the current data, since when the month is due)
Due = Mapping[str, tuple[str, float]]


@dataclass(frozen=True)
class AlertThresholds:
    """From when on it is a problem: hours that a month is due, and the share of a load's rows that are rejected."""

    overdue_hours: float = 6
    rejected: float = 0.01


@dataclass(frozen=True)
class SensorState:
    """What the sensor keeps from tick to tick.

    `sent` holds the units that were sent to each channel and were still open at the last tick.
    """

    watermark: float = 0.0  # until when all ended runs are known
    seen: Mapping[str, float] = field(default_factory=dict)  # recently ended run → when
    failures: tuple[OpenFailure, ...] = ()
    due: Mapping[str, Due] = field(default_factory=dict)  # by star
    sent: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by channel


@dataclass(frozen=True)
class ProblemReport:
    """The open problems, and the units whose state is unknown or that were resolved since the last tick.

    What is unknown stays as it was. What was resolved is sent again if it is open again.
    """

    problems: tuple[Problem, ...]
    unknown: frozenset[str]  # units, or prefixes of units that end before a colon
    resolved: frozenset[str]

    def is_unknown(self, unit: str) -> bool:
        """Return whether it cannot be determined if a unit is open."""
        parts = unit.split(":")
        return any(":".join(parts[:count]) in self.unknown for count in range(1, len(parts) + 1))


def find_problems(
    observations: Observations, state: SensorState, thresholds: AlertThresholds
) -> tuple[ProblemReport, SensorState]:
    """Find the open problems.

    Returns:
        The problems, and the new state, in which `sent` is still that of the last tick.
    """
    now, runs = observations.now, observations.runs
    recent = drop_idle_failures(state.failures, now)
    failures, resolved = update_failures(recent, runs, observations.stars)
    resolved |= {item.unit for item in state.failures if item not in recent} | _warned_after_pass(runs)
    due = {star.star: _update_due(state.due.get(star.star, {}), star, now) for star in observations.stars}
    unreachable = [star.star for star in observations.stars if star.failure]
    unknown = {f"{kind}:{star}" for star in unreachable for kind in ("overdue", "rejected", "unreachable")}
    unknown |= {check.unit for check in _unknown_checks(observations.checks)}
    problems = [
        *_unreachable(observations),
        *map(_failed_run, failures),
        *_warned_checks(observations, not state.watermark),
    ]
    for star in observations.stars:
        if star.failure:
            continue
        overdue = _overdue(star.star, due[star.star], now - thresholds.overdue_hours * 3600)
        failed = _failed_units(failures, star.star)
        problems += [item for item in overdue if item.units[0] not in failed]
        unknown |= failed  # reported as failed runs, so they are not sent as overdue months too
        problems += _rejecting(star, thresholds.rejected)
    new_state = replace(state, failures=tuple(failures), due=due, watermark=observations.next_watermark)
    return ProblemReport(tuple(problems), frozenset(unknown), resolved), new_state


def _update_due(known: Due, star: StarObservation, now: float) -> Due:
    """Return since when months are due; a month that was loaded and is due again counts from now."""
    if star.failure:
        return known
    return {
        part: known[part] if part in known and known[part][0] == load else (load, now)
        for part, load in star.due.items()
    }


def _unreachable(observations: Observations) -> Iterator[Problem]:
    """Yield stars that cannot be checked. A warehouse that is locked by a run is no problem."""
    for star in observations.stars:
        if star.failure and star.failure != BUSY:
            cause = (star.star, star.failure)
            runs = [run for run in observations.runs if (run.target.star, run.failure) == cause]
            yield Problem(
                "unreachable", (f"unreachable:{star.star}:{star.failure}",), f"unreachable:{star.failure}",
                observations.now, (star.star,), failure=star.failure, run_id=runs[-1].run_id if runs else "",
            )  # fmt: skip


def _failed_run(item: OpenFailure) -> Problem:
    target = item.target
    return Problem(
        "run", (item.unit,), item.unit, item.at, (target.star,) if target.star else (), target.work,
        target.work.startswith("lake_"), target.months, not target.months, target.tables,
        tuple(CheckReference(*check) for check in item.checks), item.failure, run_id=item.run_id,
    )  # fmt: skip


def _warned_checks(observations: Observations, first_tick: bool) -> Iterator[Problem]:
    """Yield checks that warned in published loads; other checks are reported with the run that they failed.

    A check counts if its last result is a warning, or if it warned since the last tick: the next load, of other months,
    may have passed it. The check of rejected rows is left out, since alerts have a threshold of their own.
    """
    warned = {state.unit: state for state in observations.checks if state.result == "warned"}
    passed = {state.unit for state in observations.checks if state.result == "passed"} if first_tick else ()
    for state in (state for run in observations.runs for state in run.states):
        if state.result == "warned" and state.unit not in passed:
            warned.setdefault(state.unit, state)
    blocked = _blocked_runs(observations.checks)
    for unit, state in warned.items():
        if state.run_id not in blocked and state.name != REJECTED:
            yield Problem(
                "check", (unit,), f"check:{state.star}:{state.run_id}", state.at, (state.star,),
                lake=state.lake, checks=(CheckReference(state.table, state.name),), run_id=state.run_id,
            )  # fmt: skip


def _warned_after_pass(runs: Iterable[FinishedRun]) -> set[str]:
    """Return the checks that passed and then warned since the last tick."""
    passed: set[str] = set()
    warned: set[str] = set()
    for state in (state for run in sorted(runs, key=lambda run: run.ended) for state in run.states):
        if state.result == "passed":
            passed.add(state.unit)
        elif state.unit in passed:
            warned.add(state.unit)
    return warned


def _unknown_checks(states: Iterable[CheckState]) -> list[CheckState]:
    """Return the checks that have no result yet, or whose last result belongs to a load that was not published."""
    blocked = _blocked_runs(states := list(states))
    return [state for state in states if state.result == "unknown" or state.run_id in blocked]


def _blocked_runs(states: Iterable[CheckState]) -> set[str]:
    """Return the runs in which a blocking check failed."""
    return {state.run_id for state in states if state.result == "failed"}


def _failed_units(failures: Iterable[OpenFailure], star: str) -> set[str]:
    """Return the units of overdue months that failed runs of a star were requested to load."""
    return {
        f"overdue:{star}:{part}"
        for item in failures
        if item.target.star == star and item.target.work in (LOAD, REFRESH)
        for part in (map(str, item.remaining) if item.target.work == LOAD else [UNPARTITIONED.value])
    }


def _overdue(star: str, due: Due, before: float) -> Iterator[Problem]:
    for part, (_, since) in sorted(due.items()):
        if since <= before:
            problem = Problem("overdue", (f"overdue:{star}:{part}",), f"overdue:{star}", since, (star,))
            yield _with_scope(problem, part)


def _rejecting(star: StarObservation, threshold: float) -> Iterator[Problem]:
    for load in star.rejecting:
        if load.rows_rejected <= threshold * load.rows_read:
            continue
        counts = {"rows_read": load.rows_read, "rows_rejected": load.rows_rejected}
        group = f"rejected:{star.star}:{load.run_id or load.at}"
        for part in [str(month) for month in sorted(load.months)] or [UNPARTITIONED.value]:
            unit = f"rejected:{star.star}:{part}"
            problem = Problem(
                "rejected", (unit,), group, load.at, (star.star,), counts=counts, run_id=load.run_id
            )
            yield _with_scope(problem, part)


def _with_scope(problem: Problem, part: str) -> Problem:
    """Return the problem with its month, or marked as one of unpartitioned tables."""
    if part == UNPARTITIONED.value:
        return replace(problem, unpartitioned=True)
    return replace(problem, months=frozenset({Month.parse(part)}))
