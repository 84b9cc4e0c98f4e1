"""Runs that failed and are not made good: a run of the same months that succeeded, or months that nobody waits for.
Pure; which runs ended is asked of Dagster in `orchestration.ended`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from scx_pipeline.alerts.advice import BUSY
from scx_pipeline.alerts.facts import LOAD, REFRESH, FinishedRun, RunScope, StarLook, months_text
from scx_pipeline.model.calendar import UNPARTITIONED, Month

MOST = 200  # failures that are remembered
FORGET = 3600.0  # seconds after which a failure is forgotten that left nothing undone


@dataclass(frozen=True)
class OpenFailure:
    """A failure that stands: of the first of its runs, and of all that have failed in the same way since."""

    unit: str
    target: RunScope
    failure: str
    at: float
    last: float
    run_id: str
    checks: tuple[tuple[str, str], ...] = ()
    left: frozenset[Month] = frozenset()  # the months that no run has made good yet
    due: bool = False  # whether a look has found that something is left undone


def follow(
    failures: Iterable[OpenFailure], runs: Iterable[FinishedRun], looks: Iterable[StarLook]
) -> tuple[list[OpenFailure], frozenset[str]]:
    """The failures that stand after these runs and looks, and which were over for a time at least.

    A run that fails where a look met the same kind of failure is no problem of its own: its star cannot be looked at.
    """
    standing = {item.unit: item for item in failures}
    blind = {look.star: look.failure for look in looks if look.failure not in ("", BUSY)}
    over: set[str] = set()
    for run in sorted(runs, key=lambda run: run.ended):
        if not run.failure:
            over.update(_make_good(standing, run))
        elif blind.get(run.target.star) != run.failure:
            _fail(standing, run)
    for look in looks:
        if not look.failure:
            over.update(_compare(standing, look))
    newest = sorted(standing.values(), key=lambda item: item.last)[-MOST:]
    return newest, frozenset(over)


def unit_of(run: FinishedRun) -> str:
    """What names the failure, whichever run it was: what the run was to make, and why it did not."""
    target = run.target
    parts = (months_text(target.months).replace(", ", "+"), "+".join(target.tables), run.failure)
    return ":".join(("run", target.star or "-", target.what, *(part for part in parts if part)))


def _fail(standing: dict[str, OpenFailure], run: FinishedRun) -> None:
    unit, left = unit_of(run), run.target.months
    known = standing.get(unit)
    if known:
        standing[unit] = replace(known, last=max(known.last, run.ended), left=left)
    else:
        standing[unit] = OpenFailure(
            unit, run.target, run.failure, run.ended, run.ended, run.run_id, run.checks, left
        )


def _make_good(standing: dict[str, OpenFailure], run: FinishedRun) -> list[str]:
    """Take off what a run that succeeded has made; what is over with it."""
    over = []
    for unit, item in list(standing.items()):
        if item.last >= run.ended or not run.target.covers(item.target):
            continue
        left = item.left - run.target.months
        if left:
            standing[unit] = replace(item, left=left)
        else:
            del standing[unit]
            over.append(unit)
    return over


def _compare(standing: dict[str, OpenFailure], look: StarLook) -> list[str]:
    """Take off the loads of which nothing is due any more: what made them fail is gone; what is over with it."""
    over = []
    for unit, item in list(standing.items()):
        if item.target.star != look.star or item.target.what not in (LOAD, REFRESH):
            continue
        if _undone(item, look.due):
            standing[unit] = replace(item, due=True)
        elif item.due:
            del standing[unit]
            over.append(unit)
    return over


def _undone(item: OpenFailure, due: Mapping[str, str]) -> bool:
    return (
        UNPARTITIONED.value in due
        if item.target.what == REFRESH
        else any(str(month) in due for month in item.left)
    )


def forget_idle(failures: Sequence[OpenFailure], now: float) -> list[OpenFailure]:
    """Those that left something undone, or are not long ago: of a load again that nobody needed, nothing is left."""
    return [
        item
        for item in failures
        if item.due or item.target.what not in (LOAD, REFRESH) or now - item.last < FORGET
    ]
