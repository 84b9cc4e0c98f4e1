"""Which spans of months a sensor or schedule asks for now, given what it asked for before: pure functions.
Listing the bucket, reading the history and asking Dagster about runs happen in `triggers`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal

from scx_pipeline.spec import Month, Span, contiguous_spans

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)

RunState = Literal["absent", "running", "succeeded", "failed"]


@dataclass(frozen=True)
class Asked:
    """What was asked for a month: for which state of its objects and code, in which request, and the how-manieth time."""

    state: str
    request: str
    attempt: int


@dataclass(frozen=True)
class Request:
    """A run to ask for. The same key is never run twice, so it names the span, the state and the attempt."""

    key: str
    span: Span


def read_memory(cursor: str | None) -> dict[Month, Asked]:
    """What the cursor remembers; a corrupt one is as good as an empty one, since the warehouse has the truth."""
    try:
        return {Month.parse(month): Asked(**asked) for month, asked in json.loads(cursor or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def write_memory(memory: Mapping[Month, Asked]) -> str:
    """The cursor that remembers it."""
    return json.dumps({str(month): asdict(asked) for month, asked in sorted(memory.items())})


def due_requests(
    star: str,
    changed: Mapping[Month, str],
    memory: Mapping[Month, Asked],
    run_state: Callable[[str], tuple[RunState, datetime | None]],
    now: datetime,
) -> tuple[list[Request], dict[Month, Asked]]:
    """The requests to make for the changed months (month → state of its objects and code), and the new memory.

    `now` is the moment before the look that found them changed. A month whose run is on its way is not asked for
    again; one whose run failed is, after a wait that doubles each time. So is one that its run left changed, as runs
    of newer code than the sensor's do. One whose request was lost before it became a run is asked for by the same
    key, so it runs at most once.
    """
    remembered = {
        month: asked for month, asked in memory.items() if month in changed and asked.state == changed[month]
    }
    lost: dict[str, list[Month]] = {}
    fresh: dict[int, list[Month]] = {}
    for month in changed:
        asked = remembered.get(month)
        if asked is None:
            fresh.setdefault(1, []).append(month)
            continue
        state, ended = run_state(asked.request)
        if state == "absent":
            lost.setdefault(asked.request, []).append(month)
        elif state != "running" and _waited(asked.attempt, ended, now):
            fresh.setdefault(asked.attempt + 1, []).append(month)
    requests = []
    for key, months in lost.items():
        span = Span(min(months), max(months))
        if span.months == sorted(months):
            requests.append(Request(key, span))
        else:  # a month between has changed since, and is asked for by another key
            fresh.setdefault(remembered[months[0]].attempt, []).extend(months)
    for attempt, months in sorted(fresh.items()):
        for span in contiguous_spans(months):
            key = _key(star, span, [changed[month] for month in span], attempt)
            requests.append(Request(key, span))
            remembered |= {month: Asked(changed[month], key, attempt) for month in span}
    return requests, remembered


def _waited(attempt: int, ended: datetime | None, now: datetime) -> bool:
    wait = min(FIRST_WAIT * 2 ** min(attempt - 1, 10), LONGEST_WAIT)
    return ended is None or now - ended >= wait


def _key(star: str, span: Span, states: Sequence[str], attempt: int) -> str:
    digest = hashlib.sha256("\n".join(states).encode()).hexdigest()[:16]
    return f"{star}:{span.first}:{span.last}:{digest}:{attempt}"
