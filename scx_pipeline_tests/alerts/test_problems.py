"""Which problems are open and which are sent, tick by tick, derived from observations.

Reading observations from Dagster, bucket and warehouse is not tested here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.alerts.failures import MAX_FAILURES
from scx_pipeline.alerts.observations import (
    CheckState,
    FinishedRun,
    LoadWithRejects,
    Observations,
    Result,
    RunScope,
    StarObservation,
)
from scx_pipeline.alerts.problem import Problem
from scx_pipeline.alerts.problems import AlertThresholds, SensorState, find_problems
from scx_pipeline.alerts.sensor_state import keep_sent_units, read_cursor, unsent_problems, write_cursor
from scx_pipeline.errors import CheckFailedError
from scx_pipeline.model.calendar import UNPARTITIONED, Month

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


@pytest.fixture
def channel() -> ChannelRecorder:
    return ChannelRecorder()


def due(*parts: Month | str, load: str = "") -> StarObservation:
    return StarObservation("scx", due={str(part): load for part in parts})


# Failed runs


def test_a_failure_is_sent_once_and_its_retries_are_not(channel: ChannelRecorder) -> None:
    unit = f"run:scx:load:2021-03:{CHECK_FAILED}"
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[due(MARCH)]) == [unit]
    for _ in range(3):
        assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[due(MARCH)]) == []


def test_a_failure_of_another_kind_is_another_problem(channel: ChannelRecorder) -> None:
    channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[due(MARCH)])
    sent = channel.tick([channel.run(MARCH, failure="warehouse")], stars=[due(MARCH)])
    assert sent == ["run:scx:load:2021-03:warehouse"]


def test_a_success_of_the_months_resolves_a_failure_and_the_next_one_is_sent(
    channel: ChannelRecorder,
) -> None:
    first = channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[due(MARCH)])
    channel.tick([channel.run(FEB, MARCH, APRIL)])
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[due(MARCH)]) == first


def test_a_failure_a_success_and_a_failure_between_two_ticks_are_sent(channel: ChannelRecorder) -> None:
    first = channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[due(MARCH)])
    runs = [channel.run(MARCH), channel.run(MARCH, failure=CHECK_FAILED)]
    assert channel.tick(runs, stars=[due(MARCH)]) == first


def test_a_failure_and_its_success_between_two_ticks_are_not_sent(channel: ChannelRecorder) -> None:
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED), channel.run(MARCH)]) == []


def test_a_success_that_is_read_again_does_not_resolve_a_later_failure(channel: ChannelRecorder) -> None:
    success = channel.run(MARCH)
    failure = channel.run(MARCH, failure=CHECK_FAILED)
    channel.tick([success, failure], stars=[due(MARCH)])
    assert channel.tick([success], stars=[due(MARCH)]) == []
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[due(MARCH)]) == []


def test_a_failure_can_be_resolved_by_several_runs(channel: ChannelRecorder) -> None:
    first = channel.tick([channel.run(FEB, MARCH, failure=CHECK_FAILED)], stars=[due(FEB, MARCH)])
    channel.tick([channel.run(FEB)], stars=[due(MARCH)])
    assert channel.tick([channel.run(FEB, MARCH, failure=CHECK_FAILED)], stars=[due(FEB, MARCH)]) == []
    channel.tick([channel.run(FEB)], stars=[due(MARCH)])
    channel.tick([channel.run(MARCH)])
    assert channel.tick([channel.run(FEB, MARCH, failure=CHECK_FAILED)], stars=[due(FEB, MARCH)]) == first


@pytest.mark.parametrize(
    ("tables", "work"), [(("users",), "load"), ((), "lake_load")], ids=["of a table", "of the lake"]
)
def test_a_success_of_other_work_resolves_nothing(
    channel: ChannelRecorder, tables: tuple[str, ...], work: str
) -> None:
    channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[due(MARCH)])
    channel.tick([channel.run(MARCH, tables=tables, work=work)], stars=[due(MARCH)])
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[due(MARCH)]) == []


def test_a_failed_load_whose_months_are_no_longer_due_is_resolved(channel: ChannelRecorder) -> None:
    first = channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[due(MARCH)])
    channel.tick(stars=[due()])
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[due(MARCH)]) == first


def test_a_failed_load_without_due_months_is_sent_and_dropped_after_an_hour(
    channel: ChannelRecorder,
) -> None:
    first = channel.tick([channel.run(MARCH, failure=CHECK_FAILED)])
    assert len(first) == 1
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)]) == []
    channel.now += HOUR
    channel.tick()
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)]) == first


def test_the_newest_of_very_many_failures_are_kept(channel: ChannelRecorder) -> None:
    runs = [channel.run(work=f"job_{number}", failure="other") for number in range(MAX_FAILURES + 5)]
    assert len(channel.tick(runs)) == MAX_FAILURES
    assert len(json.loads(channel.cursor)["failures"]) == MAX_FAILURES


# Unreachable stars


def test_stars_that_are_unreachable_for_one_reason_are_one_message(channel: ChannelRecorder) -> None:
    stars = [StarObservation("scx", "bucket"), StarObservation("songplays", "bucket")]
    assert channel.tick(stars=stars) == ["unreachable:scx:bucket", "unreachable:songplays:bucket"]
    assert [problem.stars for problem in channel.sent] == [("scx", "songplays")]
    assert channel.tick(stars=stars) == []


def test_a_run_that_failed_like_the_observation_is_sent_with_it(channel: ChannelRecorder) -> None:
    sent = channel.tick([channel.run(MARCH, failure="bucket")], stars=[StarObservation("scx", "bucket")])
    assert sent == ["unreachable:scx:bucket"]
    assert channel.sent[0].run_id == RUN


def test_a_run_that_failed_unlike_the_observation_is_sent_too(channel: ChannelRecorder) -> None:
    sent = channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[StarObservation("scx", "bucket")])
    assert set(sent) == {"unreachable:scx:bucket", f"run:scx:load:2021-03:{CHECK_FAILED}"}


def test_a_busy_warehouse_is_no_problem_but_a_run_that_timed_out_is(channel: ChannelRecorder) -> None:
    assert channel.tick(stars=[StarObservation("scx", "busy")]) == []
    sent = channel.tick([channel.run(MARCH, failure="busy")], stars=[StarObservation("scx", "busy")])
    assert sent == ["run:scx:load:2021-03:busy"]


def test_the_state_of_a_star_is_kept_while_it_is_unreachable(channel: ChannelRecorder) -> None:
    load = LoadWithRejects("scx", frozenset({MARCH}), 100, 50, RUN, 1.0)
    bad = StarObservation("scx", due={"2021-04": ""}, rejecting=(load,))
    channel.tick(stars=[bad])
    channel.now += 7 * HOUR
    assert channel.tick(stars=[bad]) == ["overdue:scx:2021-04"]
    channel.tick(stars=[StarObservation("scx", "warehouse")])
    assert channel.tick(stars=[bad]) == []


# Months that are due


def test_a_month_is_overdue_once_it_is_due_for_longer_than_the_threshold(channel: ChannelRecorder) -> None:
    assert channel.tick(stars=[due(MARCH)]) == []
    channel.now += 5 * HOUR
    assert channel.tick(stars=[due(MARCH)]) == []
    channel.now += 2 * HOUR
    assert channel.tick(stars=[due(MARCH)]) == ["overdue:scx:2021-03"]


def test_a_month_that_is_loaded_again_and_again_is_never_overdue(channel: ChannelRecorder) -> None:
    for number in range(20):
        channel.now += HOUR
        assert channel.tick(stars=[due(MARCH, load=f"load {number}")]) == []


def test_months_that_become_overdue_together_are_one_message_and_later_ones_another(
    channel: ChannelRecorder,
) -> None:
    channel.tick(stars=[due(FEB, APRIL, UNPARTITIONED.value)])
    channel.now += HOUR
    channel.tick(stars=[due(FEB, MARCH, APRIL, UNPARTITIONED.value)])
    channel.now += 5.5 * HOUR
    channel.tick(stars=[due(FEB, MARCH, APRIL, UNPARTITIONED.value)])
    channel.now += HOUR
    channel.tick(stars=[due(FEB, MARCH, APRIL, UNPARTITIONED.value)])
    assert [(problem.months, problem.unpartitioned) for problem in channel.sent] == [
        ({FEB, APRIL}, True),
        ({MARCH}, False),
    ]


def test_a_month_of_a_failed_run_is_not_sent_as_overdue(channel: ChannelRecorder) -> None:
    channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[due(MARCH, APRIL)])
    channel.now += 7 * HOUR
    assert channel.tick(stars=[due(MARCH, APRIL)]) == ["overdue:scx:2021-04"]


# Rejected rows


def test_rejected_rows_are_sent_by_month_above_the_threshold_and_resolved_below(
    channel: ChannelRecorder,
) -> None:
    def rejecting(rejected: int, *months: Month) -> StarObservation:
        return StarObservation(
            "scx", rejecting=(LoadWithRejects("scx", frozenset(months), 1000, rejected, RUN, 1.0),)
        )

    assert channel.tick(stars=[rejecting(10, MARCH)]) == []
    assert channel.tick(stars=[rejecting(11, MARCH)]) == ["rejected:scx:2021-03"]
    assert channel.tick(stars=[rejecting(11, MARCH, APRIL)]) == ["rejected:scx:2021-04"]
    channel.tick(stars=[rejecting(1, MARCH, APRIL)])
    assert len(channel.tick(stars=[rejecting(12, MARCH, APRIL)])) == 2
    assert channel.sent[-1].counts == {"rows_read": 1000, "rows_rejected": 12}
    assert channel.tick(stars=[rejecting(12)]) == ["rejected:scx:all"]


# Checks


def check(result: Result, name: str = "volume", run: str = RUN) -> CheckState:
    return CheckState("scx", "users", name, result, run_id=run, at=1.0)


def test_a_check_that_warned_is_open_until_it_passes(channel: ChannelRecorder) -> None:
    unit = "check:scx:users:volume"
    assert channel.tick(checks=[check("warned")]) == [unit]
    assert channel.tick(checks=[check("warned", run="a later one")]) == []
    assert channel.tick(checks=[check("unknown")]) == []
    assert channel.tick(checks=[check("warned")]) == [], (
        "its run was in progress or failed: it has not passed"
    )
    assert channel.tick(checks=[check("passed")]) == []
    assert channel.tick(checks=[check("warned")]) == [unit]


def test_a_check_that_warned_and_passed_between_two_ticks_is_sent_once(channel: ChannelRecorder) -> None:
    """One load warns, and the next one, of other months, does not."""
    channel.tick()
    runs = [replace(channel.run(MARCH), states=(check(result),)) for result in ("warned", "passed")]
    assert channel.tick(runs, [check("passed")]) == [check("passed").unit]
    assert channel.tick(checks=[check("passed")]) == []


def test_a_check_that_passed_and_warned_again_between_two_ticks_is_sent_again(
    channel: ChannelRecorder,
) -> None:
    channel.tick(checks=[check("warned")])
    runs = [replace(channel.run(MARCH), states=(check(result),)) for result in ("passed", "warned")]
    assert channel.tick(runs, [check("warned")]) == [check("passed").unit]
    assert channel.tick(checks=[check("warned")]) == []


def test_the_first_tick_sends_no_warning_of_a_check_that_has_passed_since(channel: ChannelRecorder) -> None:
    run = replace(channel.run(MARCH), states=(check("warned"), check("warned", "freshness")))
    assert channel.tick([run], [check("passed"), check("unknown", "freshness")]) == [
        "check:scx:users:freshness"
    ]


def test_the_checks_of_one_run_are_one_message(channel: ChannelRecorder) -> None:
    channel.tick(checks=[check("warned"), check("warned", "freshness")])
    assert [[item.name for item in problem.checks] for problem in channel.sent] == [["volume", "freshness"]]


def test_warnings_of_a_load_that_was_not_published_are_not_sent_as_checks(channel: ChannelRecorder) -> None:
    states = [check("failed", "unique_user_id"), check("warned")]
    assert channel.tick(checks=states) == []


def test_rejected_rows_are_not_sent_as_a_check(channel: ChannelRecorder) -> None:
    assert channel.tick(checks=[check("warned", "rejected_rows")]) == []


# The state


def test_a_channel_that_was_down_is_sent_the_problem_once_it_is_back(channel: ChannelRecorder) -> None:
    channel.down = True
    for _ in range(3):
        assert len(channel.tick(checks=[check("warned")])) == 1
    channel.down = False
    assert len(channel.tick(checks=[check("warned")])) == 1
    assert channel.tick(checks=[check("warned")]) == []


def test_the_state_survives_the_cursor(channel: ChannelRecorder) -> None:
    stars = [due(MARCH, UNPARTITIONED.value, load="a load")]
    channel.tick([channel.run(FEB, APRIL, failure=CHECK_FAILED, tables=("users",))], [check("warned")], stars)
    state = replace(read_cursor(channel.cursor), seen={RUN: 1.5})
    assert read_cursor(write_cursor(state)) == state
    assert state.failures[0].remaining == {FEB, APRIL}


@pytest.mark.parametrize(
    "cursor",
    [
        None,
        "",
        "corrupt",
        "[]",
        "7",
        "null",
        "{}",
        '{"version":0}',
        '{"version":1}',
        '{"version":1,"sent":7}',
    ],
)
def test_a_corrupt_cursor_counts_as_empty(cursor: str | None) -> None:
    assert read_cursor(cursor) == SensorState()


@given(st.data())
def test_a_damaged_cursor_is_parsed_or_counts_as_empty(data: st.DataObject) -> None:
    channel = ChannelRecorder()
    channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], [check("warned")], [due(MARCH)])
    stored = json.loads(channel.cursor)
    name = data.draw(st.sampled_from(sorted(stored)))
    stored[name] = data.draw(
        st.none() | st.integers() | st.text() | st.lists(st.integers()) | st.just({"a": 1})
    )
    assert isinstance(read_cursor(json.dumps(stored)), SensorState)


def test_the_cursor_does_not_grow_from_tick_to_tick(channel: ChannelRecorder) -> None:
    for _ in range(3):
        channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], [check("warned")], [due(MARCH)])
    size = len(channel.cursor)
    for _ in range(50):
        channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], [check("warned")], [due(MARCH)])
    assert abs(len(channel.cursor) - size) < 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"stars": ("a@b.example",)},
        {"tables": ("s3://bucket/key",)},
        {"failure": "cannot open postgresql://u:p@h"},
        {"counts": {"rows of Anna Kim": 1}},
    ],
)
def test_a_problem_refuses_texts_that_are_not_names(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a name"):
        replace(Problem("run", ("u",), "g", 1.0), **wrong)  # type: ignore[arg-type]


def test_a_malformed_run_id_is_not_linked() -> None:
    assert Problem("run", ("u",), "g", 1.0, run_id="../../etc/passwd").run_id == ""
