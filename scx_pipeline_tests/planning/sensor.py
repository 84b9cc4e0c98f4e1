"""A sensor without Dagster: its records, its runs and its clock.

Assertions do not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from scx_pipeline.model.calendar import Month
from scx_pipeline.planning.run_requests import (
    Changes,
    LoadRequest,
    LoadUnit,
    RunRequestRecord,
    RunState,
    due_requests,
    read_cursor,
    write_cursor,
)

NOW = datetime(2021, 7, 1, 12, tzinfo=UTC)
JANUARY, FEBRUARY, MARCH, APRIL = (Month(2021, month) for month in range(1, 5))
FINGERPRINT = "0a1b"


@dataclass
class Sensor:
    """A sensor between its ticks: its records, and the states of the runs that it requested."""

    records: Mapping[LoadUnit, RunRequestRecord] = field(default_factory=dict)
    runs: dict[str, tuple[RunState, datetime | None]] = field(default_factory=dict)
    now: datetime = NOW

    def tick(
        self, changed: Mapping[Any, str] | Iterable[Month], postponed: Collection[LoadUnit] = ()
    ) -> list[LoadRequest]:
        """Return the due requests; the records pass through the text of a cursor, as in Dagster."""
        states: dict[LoadUnit, str] = (
            dict(changed) if isinstance(changed, Mapping) else dict.fromkeys(changed, FINGERPRINT)
        )
        requests, records = due_requests(
            "scx", Changes(states, postponed=postponed), self.records, self.state_of, self.now
        )
        self.records = read_cursor(write_cursor(records))
        return requests

    def state_of(self, key: str) -> tuple[RunState, datetime | None]:
        return self.runs.get(key, ("absent", None))

    def end(self, request: LoadRequest, state: RunState, ago: timedelta = timedelta(0)) -> None:
        self.runs[request.key] = (state, self.now - ago)

    def fail_until_requested_again(
        self, request: LoadRequest, unit: LoadUnit
    ) -> tuple[LoadRequest, timedelta]:
        """Let the run fail and tick every ten seconds; return the next request and the time until it."""
        self.end(request, "failed")
        started = self.now
        while True:
            again = self.tick({unit: FINGERPRINT})
            if again:
                return again[0], self.now - started
            self.now += timedelta(seconds=10)


def ranges(requests: Iterable[LoadRequest]) -> list[str]:
    return [str(request.scope) for request in requests]


months = st.dates(datetime(2020, 1, 1).date(), datetime(2021, 12, 31).date()).map(
    lambda day: Month(day.year, day.month)
)


outcomes = st.sampled_from(["absent", "running", "succeeded", "failed"])
