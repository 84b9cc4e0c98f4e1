"""Which loads a sensor or schedule asks for now, given what it asked for before: pure functions.
Listing the bucket, reading the history and asking Dagster about runs happen in `triggers`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal

from scx_pipeline.model.calendar import (
    UNPARTITIONED,
    LoadScope,
    Month,
    MonthRange,
    Unpartitioned,
    contiguous_ranges,
)

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)

Part = Month | Unpartitioned

RunState = Literal["absent", "running", "succeeded", "failed"]


@dataclass(frozen=True)
class RunRequestRecord:
    """What was asked for a month, or for the tables without: for which state of its objects and code, in which request, and the how-manieth time."""

    state: str
    request: str
    attempt: int


@dataclass(frozen=True)
class Request:
    """A run to ask for. The same key is never run twice, so it names the span, the state and the attempt."""

    key: str
    scope: LoadScope


def read_cursor(cursor: str | None) -> dict[Part, RunRequestRecord]:
    """What the cursor remembers; a corrupt one is as good as an empty one, since the warehouse has the truth."""
    try:
        return {
            UNPARTITIONED if part == UNPARTITIONED.value else Month.parse(part): RunRequestRecord(**asked)
            for part, asked in json.loads(cursor or "{}").items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def write_cursor(memory: Mapping[Part, RunRequestRecord]) -> str:
    """The cursor that remembers it."""
    return json.dumps(
        {part: asdict(asked) for part, asked in sorted((_text(p), a) for p, a in memory.items())}
    )


def _text(part: Part) -> str:
    return part.value if part is UNPARTITIONED else str(part)


def due_requests(
    star: str,
    changed: Mapping[Part, str],
    memory: Mapping[Part, RunRequestRecord],
    run_state: Callable[[str], tuple[RunState, datetime | None]],
    now: datetime,
) -> tuple[list[Request], dict[Part, RunRequestRecord]]:
    """The requests to make for what changed (month → state of its objects and code), and the new memory.

    `now` is the moment before the look that found it changed. A month whose run is on its way is not asked for
    again; one whose run failed is, after a wait that doubles each time. So is one that its run left changed, as runs
    of newer code than the sensor's do. One whose request was lost before it became a run is asked for by the same
    key, so it runs at most once. The tables without months go first: until their run has ended, no month is asked for.
    """
    remembered = {
        part: asked for part, asked in memory.items() if part in changed and asked.state == changed[part]
    }
    lost: dict[str, list[Part]] = {}
    fresh: dict[int, list[Part]] = {}
    parts: Sequence[Part] = [UNPARTITIONED] if _goes_first(changed, remembered, run_state) else list(changed)
    for part in parts:
        asked = remembered.get(part)
        if asked is None:
            fresh.setdefault(1, []).append(part)
            continue
        state, ended = run_state(asked.request)
        if state == "absent":
            lost.setdefault(asked.request, []).append(part)
        elif state != "running" and _waited(asked.attempt, ended, now):
            fresh.setdefault(asked.attempt + 1, []).append(part)
    requests = []
    for key, of_key in lost.items():
        months = [part for part in of_key if isinstance(part, Month)]
        scope: LoadScope = MonthRange(min(months), max(months)) if months else UNPARTITIONED
        if not scope or scope.months == sorted(months):
            requests.append(Request(key, scope))
        else:  # a month between has changed since, and is asked for by another key
            fresh.setdefault(remembered[months[0]].attempt, []).extend(months)
    for attempt, of_attempt in sorted(fresh.items()):
        for scope in _scopes(of_attempt):
            members: list[Part] = [*scope] if scope else [UNPARTITIONED]
            key = _key(star, scope, [changed[part] for part in members], attempt)
            requests.append(Request(key, scope))
            remembered |= {part: RunRequestRecord(changed[part], key, attempt) for part in members}
    return requests, remembered


def _goes_first(
    changed: Mapping[Part, str],
    remembered: Mapping[Part, RunRequestRecord],
    run_state: Callable[[str], tuple[RunState, datetime | None]],
) -> bool:
    """Whether the tables without months are to be made, and no run for them has failed: months would not wait for ever."""
    if UNPARTITIONED not in changed:
        return False
    asked = remembered.get(UNPARTITIONED)
    return asked is None or run_state(asked.request)[0] in ("absent", "running")


def _scopes(parts: Sequence[Part]) -> list[LoadScope]:
    months = contiguous_ranges([part for part in parts if isinstance(part, Month)])
    return [*([UNPARTITIONED] if UNPARTITIONED in parts else []), *months]


def _waited(attempt: int, ended: datetime | None, now: datetime) -> bool:
    wait = min(FIRST_WAIT * 2 ** min(attempt - 1, 10), LONGEST_WAIT)
    return ended is None or now - ended >= wait


def _key(star: str, scope: LoadScope, states: Sequence[str], attempt: int) -> str:
    digest = hashlib.sha256("\n".join(states).encode()).hexdigest()[:16]
    months = f"{scope.first}:{scope.last}" if scope else UNPARTITIONED.value
    return f"{star}:{months}:{digest}:{attempt}"
