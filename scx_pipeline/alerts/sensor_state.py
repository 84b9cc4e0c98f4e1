"""What the sensor remembers from tick to tick, as its cursor holds it, and what is new to a channel.
Pure: which problems stand is found in `finding`, and messages are sent in `channels`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from scx_pipeline.alerts.facts import RunScope
from scx_pipeline.alerts.failures import OpenFailure
from scx_pipeline.alerts.problem import Problem, merge
from scx_pipeline.alerts.problems import Due, Found, Memory
from scx_pipeline.model.calendar import Month

VERSION = 1


def read_cursor(cursor: str | None) -> Memory:
    """What the cursor remembers. A corrupt one is as good as an empty one: what stands is then told once more.

    The other way round, telling nothing, would keep a problem from whom nobody has told yet.
    """
    try:
        kept = json.loads(cursor or "{}")
        return _memory(kept) if kept.get("version") == VERSION else Memory()
    except (ValueError, TypeError, AttributeError, KeyError, IndexError):
        return Memory()


def write_cursor(memory: Memory) -> str:
    """The cursor that remembers it."""
    kept = {
        "version": VERSION,
        "watermark": memory.watermark,
        "seen": dict(memory.seen),
        "failures": [_failure_json(item) for item in memory.failures],
        "due": {star: {part: list(state) for part, state in due.items()} for star, due in memory.due.items()},
        "told": {channel: sorted(units) for channel, units in memory.told.items()},
    }
    return json.dumps(kept, separators=(",", ":"), sort_keys=True)


def standing_units(found: Found, told: Iterable[str]) -> frozenset[str]:
    """The units that a channel was told and need not be told again; the others are forgotten."""
    standing = {unit for problem in found.problems for unit in problem.units}
    return frozenset(
        unit for unit in told if unit not in found.over and (unit in standing or found.is_unclear(unit))
    )


def new_messages(found: Found, kept: frozenset[str]) -> list[Problem]:
    """What is to be told: of the problems that stand, those a channel has not been told, brought together by groups."""
    return merge(problem for problem in found.problems if not kept.issuperset(problem.units))


def _memory(kept: Mapping[str, Any]) -> Memory:
    return Memory(
        float(kept["watermark"]),
        {str(run): float(ended) for run, ended in kept["seen"].items()},
        tuple(_failure(item) for item in kept["failures"]),
        {str(star): _due(due) for star, due in kept["due"].items()},
        {str(channel): frozenset(map(str, units)) for channel, units in kept["told"].items()},
    )


def _due(kept: Mapping[str, Any]) -> Due:
    return {str(part): (str(stands), float(since)) for part, (stands, since) in kept.items()}


def _failure(kept: Mapping[str, Any]) -> OpenFailure:
    target = RunScope(kept["star"], kept["what"], _months(kept["months"]), tuple(kept["tables"]))
    return OpenFailure(
        kept["unit"], target, kept["failure"], float(kept["at"]), float(kept["last"]), kept["run_id"],
        tuple((table, name) for table, name in kept["checks"]), _months(kept["left"]), bool(kept["due"]),
    )  # fmt: skip


def _failure_json(item: OpenFailure) -> dict[str, Any]:
    return {
        "unit": item.unit,
        "star": item.target.star,
        "what": item.target.what,
        "months": sorted(map(str, item.target.months)),
        "tables": item.target.tables,
        "failure": item.failure,
        "at": item.at,
        "last": item.last,
        "run_id": item.run_id,
        "checks": item.checks,
        "left": sorted(map(str, item.left)),
        "due": item.due,
    }


def _months(texts: Iterable[str]) -> frozenset[Month]:
    return frozenset(map(Month.parse, texts))
