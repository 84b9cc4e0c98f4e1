"""A channel that records what it is sent, tick by tick, and the observations that tests give it.

Reading observations from Dagster, bucket and warehouse is not part of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from scx_pipeline.alerts.observations import (
    CheckState,
    FinishedRun,
    Observations,
    Result,
    RunScope,
    StarObservation,
)
from scx_pipeline.alerts.problem import Problem
from scx_pipeline.alerts.problems import AlertThresholds, find_problems
from scx_pipeline.alerts.sensor_state import keep_sent_units, read_cursor, unsent_problems, write_cursor
from scx_pipeline.errors import CheckFailedError
from scx_pipeline.model.calendar import Month

CHECK_FAILED = CheckFailedError.kind
HOUR = 3600.0
FEB, MARCH, APRIL = (Month(2021, number) for number in (2, 3, 4))
RUN = "0b6e1f4c-8f5e-4a52-9a55-3f4f6a1f2b3c"


@dataclass
class ChannelRecorder:
    """A channel and the sensor's state, which goes through the cursor after each tick."""

    cursor: str = ""
    now: float = 1_600_000_000.0
    down: bool = False
    sent: list[Problem] = field(default_factory=list)

    def tick(
        self,
        runs: Iterable[FinishedRun] = (),
        checks: Iterable[CheckState] = (),
        stars: Iterable[StarObservation] = (),
    ) -> list[str]:
        """Tick a minute later; return the units that are sent."""
        self.now += 60
        observations = Observations(
            self.now, tuple(runs), tuple(checks), tuple(stars or [StarObservation("scx")]), self.now
        )
        report, state = find_problems(observations, read_cursor(self.cursor), AlertThresholds())
        known = keep_sent_units(report, state.sent.get("slack", ()))
        messages = unsent_problems(report, known)
        if not self.down:
            known = known.union(unit for message in messages for unit in message.units)
            self.sent += messages
        self.cursor = write_cursor(replace(state, sent={"slack": known}))
        return [unit for message in messages for unit in message.units]

    def run(
        self, *months: Month, failure: str = "", tables: tuple[str, ...] = (), work: str = "load"
    ) -> FinishedRun:
        """Return a run that ended just now."""
        self.now += 1
        return FinishedRun(RUN, RunScope("scx", work, frozenset(months), tables), self.now, failure)


def make_due(*parts: Month | str, load: str = "") -> StarObservation:
    """Return the observation of the star with due months or tables."""
    return StarObservation("scx", due={str(part): load for part in parts})


def make_check(result: Result, name: str = "volume", run: str = RUN) -> CheckState:
    """Return the state of a check of the star."""
    return CheckState("scx", "users", name, result, run_id=run, at=1.0)
