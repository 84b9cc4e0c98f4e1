"""The sensor's state as its cursor stores it, and the problems that were not sent to a channel yet.

No I/O. Finding problems and sending messages do not belong here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from scx_pipeline.alerts.failures import OpenFailure
from scx_pipeline.alerts.observations import RunScope
from scx_pipeline.alerts.problem import Problem, merge_groups
from scx_pipeline.alerts.problems import Due, ProblemReport, SensorState
from scx_pipeline.model.calendar import Month

VERSION = 1


def read_cursor(cursor: str | None) -> SensorState:
    """Parse the cursor.

    A corrupt cursor counts as empty: open problems are then sent once more, and none is lost.
    """
    try:
        stored = json.loads(cursor or "{}")
        return _parse_state(stored) if stored.get("version") == VERSION else SensorState()
    except (ValueError, TypeError, AttributeError, KeyError, IndexError):
        return SensorState()


def write_cursor(state: SensorState) -> str:
    """Serialize the state as a cursor."""
    stored = {
        "version": VERSION,
        "watermark": state.watermark,
        "seen": dict(state.seen),
        "failures": [_failure_json(item) for item in state.failures],
        "due": {star: {part: list(item) for part, item in due.items()} for star, due in state.due.items()},
        "sent": {channel: sorted(units) for channel, units in state.sent.items()},
    }
    return json.dumps(stored, separators=(",", ":"), sort_keys=True)


def keep_sent_units(report: ProblemReport, sent: Iterable[str]) -> frozenset[str]:
    """Return the sent units that are still open or whose state is unknown; they are not sent again."""
    open_units = {unit for problem in report.problems for unit in problem.units}
    return frozenset(
        unit
        for unit in sent
        if unit not in report.resolved and (unit in open_units or report.is_unknown(unit))
    )


def unsent_problems(report: ProblemReport, sent: frozenset[str]) -> list[Problem]:
    """Return the open problems with units that were not sent to a channel yet, merged by group."""
    return merge_groups(problem for problem in report.problems if not sent.issuperset(problem.units))


def _parse_state(stored: Mapping[str, Any]) -> SensorState:
    return SensorState(
        float(stored["watermark"]),
        {str(run): float(ended) for run, ended in stored["seen"].items()},
        tuple(_parse_failure(item) for item in stored["failures"]),
        {str(star): _parse_due(due) for star, due in stored["due"].items()},
        {str(name): frozenset(map(str, units)) for name, units in stored["sent"].items()},
    )


def _parse_due(stored: Mapping[str, Any]) -> Due:
    return {str(part): (str(load), float(since)) for part, (load, since) in stored.items()}


def _parse_failure(stored: Mapping[str, Any]) -> OpenFailure:
    target = RunScope(
        stored["star"], stored["what"], _parse_months(stored["months"]), tuple(stored["tables"])
    )
    return OpenFailure(
        stored["unit"], target, stored["failure"], float(stored["at"]), float(stored["last"]), stored["run_id"],
        tuple((table, name) for table, name in stored["checks"]), _parse_months(stored["left"]), bool(stored["due"]),
    )  # fmt: skip


def _failure_json(item: OpenFailure) -> dict[str, Any]:
    return {
        "unit": item.unit,
        "star": item.target.star,
        "what": item.target.work,
        "months": sorted(map(str, item.target.months)),
        "tables": item.target.tables,
        "failure": item.failure,
        "at": item.at,
        "last": item.last,
        "run_id": item.run_id,
        "checks": item.checks,
        "left": sorted(map(str, item.remaining)),
        "due": item.due,
    }


def _parse_months(texts: Iterable[str]) -> frozenset[Month]:
    return frozenset(map(Month.parse, texts))
