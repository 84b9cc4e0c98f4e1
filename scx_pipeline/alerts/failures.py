"""Failed runs that are not resolved: no later run of the same months succeeded, and the months are still due.

No I/O: ended runs and due months are passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from scx_pipeline.alerts.advice import BUSY
from scx_pipeline.alerts.observations import (
    LOAD,
    REFRESH,
    FinishedRun,
    RunScope,
    StarObservation,
    format_months,
)
from scx_pipeline.model.calendar import UNPARTITIONED, Month

MAX_FAILURES = 200  # that are kept in the sensor's state
FORGET_SECONDS = 3600.0  # after which a failure whose months are not due is dropped


@dataclass(frozen=True)
class OpenFailure:
    """An unresolved failure: the first run that failed, and when a run last failed in the same way."""

    unit: str
    target: RunScope
    failure: str
    at: float
    last: float
    run_id: str
    checks: tuple[tuple[str, str], ...] = ()
    remaining: frozenset[Month] = frozenset()  # months that no later run has loaded
    due: bool = False  # whether one of the months was seen to be due since


def update_failures(
    failures: Iterable[OpenFailure], runs: Iterable[FinishedRun], stars: Iterable[StarObservation]
) -> tuple[list[OpenFailure], frozenset[str]]:
    """Apply ended runs and due months to the open failures.

    A run that failed in the same way as the observation of its star is not reported as a problem of its own.

    Returns:
        The failures that are still open, and the units that were resolved, even if they failed again later.
    """
    stars = list(stars)
    open_failures = {item.unit: item for item in failures}
    unreachable = {star.star: star.failure for star in stars if star.failure not in ("", BUSY)}
    resolved: set[str] = set()
    for run in sorted(runs, key=lambda run: run.ended):
        if not run.failure:
            resolved.update(_apply_success(open_failures, run))
        elif unreachable.get(run.target.star) != run.failure:
            _apply_failure(open_failures, run)
    for star in stars:
        if not star.failure:
            resolved.update(_apply_due_months(open_failures, star))
    newest = sorted(open_failures.values(), key=lambda item: item.last)[-MAX_FAILURES:]
    return newest, frozenset(resolved)


def failure_unit(run: FinishedRun) -> str:
    """Return the failure's identifier, which is the same for every run that failed to do the same work in the same way."""
    target = run.target
    parts = (format_months(target.months).replace(", ", "+"), "+".join(target.tables), run.failure)
    return ":".join(("run", target.star or "-", target.work, *(part for part in parts if part)))


def _apply_failure(open_failures: dict[str, OpenFailure], run: FinishedRun) -> None:
    unit, remaining = failure_unit(run), run.target.months
    known = open_failures.get(unit)
    if known:
        open_failures[unit] = replace(known, last=max(known.last, run.ended), remaining=remaining)
    else:
        open_failures[unit] = OpenFailure(
            unit, run.target, run.failure, run.ended, run.ended, run.run_id, run.checks, remaining
        )


def _apply_success(open_failures: dict[str, OpenFailure], run: FinishedRun) -> list[str]:
    """Remove the months that a run loaded from earlier failures; return the units that this resolves."""
    resolved = []
    for unit, item in list(open_failures.items()):
        if item.last >= run.ended or not run.target.covers(item.target):
            continue
        remaining = item.remaining - run.target.months
        if remaining:
            open_failures[unit] = replace(item, remaining=remaining)
        else:
            del open_failures[unit]
            resolved.append(unit)
    return resolved


def _apply_due_months(open_failures: dict[str, OpenFailure], star: StarObservation) -> list[str]:
    """Remove failed loads whose months are not due any more; return the units that this resolves."""
    resolved = []
    for unit, item in list(open_failures.items()):
        if item.target.star != star.star or item.target.work not in (LOAD, REFRESH):
            continue
        if _is_due(item, star.due):
            open_failures[unit] = replace(item, due=True)
        elif item.due:
            del open_failures[unit]
            resolved.append(unit)
    return resolved


def _is_due(item: OpenFailure, due: Mapping[str, str]) -> bool:
    if item.target.work == REFRESH:
        return UNPARTITIONED.value in due
    return any(str(month) in due for month in item.remaining)


def drop_idle_failures(failures: Sequence[OpenFailure], now: float) -> list[OpenFailure]:
    """Drop failures older than FORGET_SECONDS whose months were never due, such as a forced reload of current months."""
    return [
        item
        for item in failures
        if item.due or item.target.work not in (LOAD, REFRESH) or now - item.last < FORGET_SECONDS
    ]
