"""Which loads a sensor or schedule asks for now, given what it asked for before: pure functions.
Listing the bucket, reading the history and asking Dagster about runs happen in `triggers`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from scx_pipeline.model.star import Month, MonthRange, contiguous_ranges

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)

WHOLE: Final = "all"  # in the place of a month: the tables that have none
Part = Month | Literal["all"]

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
    span: MonthRange | None  # None: of the tables without months


def read_cursor(cursor: str | None) -> dict[Part, RunRequestRecord]:
    """What the cursor remembers; a corrupt one is as good as an empty one, since the warehouse has the truth."""
    try:
        return {
            WHOLE if part == WHOLE else Month.parse(part): RunRequestRecord(**asked)
            for part, asked in json.loads(cursor or "{}").items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def write_cursor(memory: Mapping[Part, RunRequestRecord]) -> str:
    """The cursor that remembers it."""
    return json.dumps({part: asdict(asked) for part, asked in sorted((str(p), a) for p, a in memory.items())})


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
    parts: Sequence[Part] = [WHOLE] if _goes_first(changed, remembered, run_state) else list(changed)
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
        span = MonthRange(min(months), max(months)) if months else None
        if span is None or span.months == sorted(months):
            requests.append(Request(key, span))
        else:  # a month between has changed since, and is asked for by another key
            fresh.setdefault(remembered[months[0]].attempt, []).extend(months)
    for attempt, of_attempt in sorted(fresh.items()):
        for span in _spans(of_attempt):
            members: list[Part] = [*span] if span else [WHOLE]
            key = _key(star, span, [changed[part] for part in members], attempt)
            requests.append(Request(key, span))
            remembered |= {part: RunRequestRecord(changed[part], key, attempt) for part in members}
    return requests, remembered


def _goes_first(
    changed: Mapping[Part, str],
    remembered: Mapping[Part, RunRequestRecord],
    run_state: Callable[[str], tuple[RunState, datetime | None]],
) -> bool:
    """Whether the tables without months are to be made, and no run for them has failed: months would not wait for ever."""
    if WHOLE not in changed:
        return False
    asked = remembered.get(WHOLE)
    return asked is None or run_state(asked.request)[0] in ("absent", "running")


def _spans(parts: Sequence[Part]) -> list[MonthRange | None]:
    months = contiguous_ranges([part for part in parts if isinstance(part, Month)])
    return [*([None] if WHOLE in parts else []), *months]


def _waited(attempt: int, ended: datetime | None, now: datetime) -> bool:
    wait = min(FIRST_WAIT * 2 ** min(attempt - 1, 10), LONGEST_WAIT)
    return ended is None or now - ended >= wait


def _key(star: str, span: MonthRange | None, states: Sequence[str], attempt: int) -> str:
    digest = hashlib.sha256("\n".join(states).encode()).hexdigest()[:16]
    months = f"{span.first}:{span.last}" if span else WHOLE
    return f"{star}:{months}:{digest}:{attempt}"
