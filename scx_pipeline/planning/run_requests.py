"""Which loads a sensor or schedule requests now, given what it requested before.

Listing the bucket, reading the history and querying runs belong to the callers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

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

# What changes independently and is requested once: a month, or the unpartitioned tables.
LoadUnit: TypeAlias = Month | Unpartitioned
RunState = Literal["absent", "running", "succeeded", "failed"]
# Returns the state of the run with a request key, and when it ended.
RunLookup: TypeAlias = Callable[[str], tuple[RunState, datetime | None]]


@dataclass(frozen=True)
class RunRequestRecord:
    """The last request for a month or the unpartitioned tables: objects and code, request key, and attempt number."""

    state: str
    request: str
    attempt: int


@dataclass(frozen=True)
class LoadRequest:
    """A run to request. A key runs at most once, so it names the months, their state and the attempt."""

    key: str
    scope: LoadScope


@dataclass(frozen=True)
class Changes:
    """What has changed and may be requested, as a sensor has found it."""

    # The state of objects and code of every changed month, or of the unpartitioned tables.
    states: Mapping[LoadUnit, str]
    # Changed months that the last load could not publish, each with the reason. They are requested apart from the others,
    # so that they neither wait for these nor keep new changes waiting.
    held: Mapping[Month, str] = field(default_factory=dict)
    # What must not be requested now. Its records are kept, and months do not wait for unpartitioned tables in it.
    postponed: Collection[LoadUnit] = ()


def read_cursor(cursor: str | None) -> dict[LoadUnit, RunRequestRecord]:
    """Parse a cursor. A corrupt cursor counts as empty, since the warehouse is the source of truth."""
    try:
        return {
            UNPARTITIONED if unit == UNPARTITIONED.value else Month.parse(unit): RunRequestRecord(**record)
            for unit, record in json.loads(cursor or "{}").items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def write_cursor(records: Mapping[LoadUnit, RunRequestRecord]) -> str:
    """Return the cursor that stores the records."""
    texts = ((unit.value if unit is UNPARTITIONED else str(unit), item) for unit, item in records.items())
    return json.dumps({text: asdict(item) for text, item in sorted(texts)})


def due_requests(
    prefix: str,
    changes: Changes,
    records: Mapping[LoadUnit, RunRequestRecord],
    find_run: RunLookup,
    now: datetime,
) -> tuple[list[LoadRequest], dict[LoadUnit, RunRequestRecord]]:
    """Return the requests that are due, and the new records.

    A month whose run is queued or running is not requested again. A month whose run failed, or left it changed (as a run
    of newer code than the sensor's does), is requested again after a wait that doubles each time. A request that was
    lost before it became a run is repeated with the same key, so it runs at most once. The unpartitioned tables come
    first: no month is requested until their run has ended.

    Args:
        prefix: What the keys of the requests begin with: the star, and what is loaded if it is not its objects.
        changes: What has changed.
        records: The records of earlier requests.
        find_run: Looks up the run of a request key.
        now: The time before the changes were detected.
    """
    states = changes.states
    current = {unit: record for unit, record in records.items() if record.state == states.get(unit)}
    units: Sequence[LoadUnit] = [unit for unit in states if unit not in changes.postponed]
    if _is_unpartitioned_first(units, current, find_run):
        units = [UNPARTITIONED]
    lost: dict[str, list[LoadUnit]] = {}
    due: dict[int, list[LoadUnit]] = {}
    for unit in units:
        record = current.get(unit)
        if record is None:
            due.setdefault(1, []).append(unit)
            continue
        state, ended = find_run(record.request)
        if state == "absent":
            lost.setdefault(record.request, []).append(unit)
        elif state != "running" and _has_waited(record.attempt, ended, now):
            due.setdefault(record.attempt + 1, []).append(unit)
    requests = _repeat_lost(lost, due, current)
    for request, members, attempt in _new_requests(prefix, changes, due):
        requests.append(request)
        current |= {unit: RunRequestRecord(states[unit], request.key, attempt) for unit in members}
    return requests, current


def _new_requests(
    prefix: str, changes: Changes, due: Mapping[int, Sequence[LoadUnit]]
) -> Iterator[tuple[LoadRequest, Sequence[LoadUnit], int]]:
    """Yield a request for each contiguous scope of the same attempt, with its months and the attempt number."""
    for attempt, units in sorted(due.items()):
        for scope in _scopes(units, changes.held):
            members: list[LoadUnit] = [UNPARTITIONED] if scope is UNPARTITIONED else [*scope]
            states = [changes.states[unit] for unit in members]
            yield LoadRequest(_request_key(prefix, scope, states, attempt), scope), members, attempt


def _repeat_lost(
    lost: Mapping[str, list[LoadUnit]],
    due: dict[int, list[LoadUnit]],
    records: Mapping[LoadUnit, RunRequestRecord],
) -> list[LoadRequest]:
    """Return the lost requests that still cover their months; add the months of the others to those that are due."""
    requests = []
    for key, units in lost.items():
        months = [unit for unit in units if isinstance(unit, Month)]
        scope: LoadScope = MonthRange(min(months), max(months)) if months else UNPARTITIONED
        if scope is UNPARTITIONED or scope.months == sorted(months):
            requests.append(LoadRequest(key, scope))
        else:
            # A month in between has changed since, and is requested with another key.
            due.setdefault(records[months[0]].attempt, []).extend(months)
    return requests


def _is_unpartitioned_first(
    units: Sequence[LoadUnit], records: Mapping[LoadUnit, RunRequestRecord], find_run: RunLookup
) -> bool:
    """Return whether months must wait for the unpartitioned tables; a failed run of theirs does not block months forever."""
    if UNPARTITIONED not in units:
        return False
    record = records.get(UNPARTITIONED)
    return record is None or find_run(record.request)[0] in ("absent", "running")


def _scopes(units: Sequence[LoadUnit], held: Mapping[Month, str]) -> list[LoadScope]:
    months = [unit for unit in units if isinstance(unit, Month)]
    return [*([UNPARTITIONED] if UNPARTITIONED in units else []), *split_scopes(months, held)]


def split_scopes(months: Iterable[Month], held: Mapping[Month, str]) -> list[MonthRange]:
    """Return the scopes to load: the contiguous ranges of the months, apart from held months.

    Each held month is a scope of its own, unless its neighbors are held for the same reason: a file that cannot be read may
    hold many months.
    """
    by_reason: dict[str, list[Month]] = {}
    for month in sorted(months):
        by_reason.setdefault(held.get(month, ""), []).append(month)
    of_changed = contiguous_ranges(by_reason.pop("", []))
    return [*of_changed, *sorted(
        (part for found in by_reason.values() for part in contiguous_ranges(found)), key=lambda part: part.first
    )]  # fmt: skip


def _has_waited(attempt: int, ended: datetime | None, now: datetime) -> bool:
    wait = min(FIRST_WAIT * 2 ** min(attempt - 1, 10), LONGEST_WAIT)
    return ended is None or now - ended >= wait


def _request_key(prefix: str, scope: LoadScope, states: Sequence[str], attempt: int) -> str:
    digest = hashlib.sha256("\n".join(states).encode()).hexdigest()[:16]
    months = scope.value if scope is UNPARTITIONED else f"{scope.first}:{scope.last}"
    return f"{prefix}:{months}:{digest}:{attempt}"
