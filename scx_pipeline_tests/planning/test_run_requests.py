"""Which spans a sensor asks for, tick after tick, told by a world of runs that are lost, on their way, good or failed.
How the bucket, the warehouse and Dagster are asked is in orchestration/automation/test_sensors.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.model.calendar import UNPARTITIONED, Month, MonthRange
from scx_pipeline.planning.run_requests import (
    FIRST_WAIT,
    LONGEST_WAIT,
    Part,
    Request,
    RunRequestRecord,
    RunState,
    due_requests,
    read_cursor,
    write_cursor,
)

NOW = datetime(2021, 7, 1, 12, tzinfo=UTC)
JANUARY, FEBRUARY, MARCH, APRIL = Month(2021, 1), Month(2021, 2), Month(2021, 3), Month(2021, 4)
FINGERPRINT = "0a1b"


@dataclass
class Sensor:
    """A sensor between its ticks: what it remembers, and how the runs that it asked for stand."""

    memory: Mapping[Part, RunRequestRecord] = field(default_factory=dict)
    runs: dict[str, tuple[RunState, datetime | None]] = field(default_factory=dict)
    now: datetime = NOW

    def tick(self, changed: Mapping[Any, str] | Iterable[Month]) -> list[Request]:
        """Ask for what is due; the memory survives as the cursor's text, as it does in Dagster."""
        states: dict[Part, str] = (
            dict(changed) if isinstance(changed, Mapping) else dict.fromkeys(changed, FINGERPRINT)
        )
        requests, memory = due_requests("scx", states, self.memory, self.state_of, self.now)
        self.memory = read_cursor(write_cursor(memory))
        return requests

    def state_of(self, key: str) -> tuple[RunState, datetime | None]:
        return self.runs.get(key, ("absent", None))

    def end(self, request: Request, state: RunState, ago: timedelta = timedelta(0)) -> None:
        self.runs[request.key] = (state, self.now - ago)

    def fail_until_asked_again(self, request: Request, month: Month) -> tuple[Request, timedelta]:
        """Let the run fail, and look every ten seconds: the next request, and how long it took."""
        self.end(request, "failed")
        begun = self.now
        while True:
            again = self.tick([month])
            if again:
                return again[0], self.now - begun
            self.now += timedelta(seconds=10)


def spans(requests: Iterable[Request]) -> list[str]:
    return [str(request.scope) for request in requests]


def test_each_contiguous_span_is_asked_for_once() -> None:
    requests = Sensor().tick([APRIL, JANUARY, FEBRUARY])
    assert spans(requests) == ["2021-01…2021-02", "2021-04"]


def test_nothing_changed_asks_for_nothing_and_forgets_all() -> None:
    sensor = Sensor(memory={MARCH: RunRequestRecord(FINGERPRINT, "scx:1", 1)})
    assert sensor.tick([]) == []
    assert sensor.memory == {}


def test_a_month_whose_run_is_on_its_way_is_not_asked_for_again() -> None:
    sensor = Sensor()
    [request] = sensor.tick([MARCH])
    sensor.runs[request.key] = ("running", None)
    assert sensor.tick([MARCH]) == []
    assert spans(sensor.tick([MARCH, APRIL])) == ["2021-04"]


def test_a_month_that_changes_while_its_run_is_on_its_way_is_asked_for_anew() -> None:
    sensor = Sensor()
    [first] = sensor.tick({MARCH: "old"})
    sensor.runs[first.key] = ("running", None)
    [second] = sensor.tick({MARCH: "new"})
    assert second.scope == first.scope
    assert second.key != first.key


def test_a_request_that_was_lost_is_repeated_by_the_same_key() -> None:
    sensor = Sensor()
    asked = sensor.tick([JANUARY, FEBRUARY, APRIL])
    assert sensor.tick([JANUARY, FEBRUARY, APRIL]) == asked


def test_a_lost_request_of_which_a_month_changed_is_made_anew_in_one_piece() -> None:
    sensor = Sensor()
    [lost] = sensor.tick(dict.fromkeys([JANUARY, FEBRUARY, MARCH], "old"))
    [request] = sensor.tick({JANUARY: "old", FEBRUARY: "new", MARCH: "old"})
    assert str(request.scope) == "2021-01…2021-03"
    assert request.key != lost.key


def test_a_lost_request_of_which_a_month_was_loaded_otherwise_leaves_that_month_out() -> None:
    sensor = Sensor()
    sensor.tick([JANUARY, FEBRUARY, MARCH])
    assert spans(sensor.tick([JANUARY, MARCH])) == ["2021-01", "2021-03"]


def test_a_failed_run_is_asked_for_again_after_a_wait_that_doubles_up_to_an_hour() -> None:
    sensor = Sensor()
    [request] = sensor.tick([MARCH])
    waits, keys = [], {request.key}
    for _ in range(9):
        request, waited = sensor.fail_until_asked_again(request, MARCH)
        waits.append(waited)
        keys.add(request.key)
    assert waits[:6] == [FIRST_WAIT * 2**power for power in range(6)]
    assert waits[6:] == [LONGEST_WAIT] * 3
    assert len(keys) == 10, "Dagster runs a key once, so each attempt needs one of its own"


def test_a_failed_month_that_changes_is_asked_for_without_a_wait() -> None:
    sensor = Sensor()
    [request] = sensor.tick({MARCH: "bad"})
    sensor.end(request, "failed")
    assert sensor.tick({MARCH: "bad"}) == []
    assert spans(sensor.tick({MARCH: "mended"})) == ["2021-03"]


def test_a_failed_span_does_not_hold_up_its_neighbours() -> None:
    sensor = Sensor()
    [request] = sensor.tick([JANUARY, FEBRUARY])
    sensor.end(request, "failed")
    assert spans(sensor.tick([JANUARY, FEBRUARY, MARCH])) == ["2021-03"]


def test_a_month_that_its_run_left_changed_is_asked_for_anew_after_a_wait() -> None:
    sensor = Sensor()
    [first] = sensor.tick([MARCH])
    sensor.end(first, "succeeded", ago=FIRST_WAIT)
    [second] = sensor.tick([MARCH])
    assert second.scope == first.scope
    assert second.key != first.key


def test_a_run_of_newer_code_than_the_sensors_does_not_make_it_ask_at_every_tick() -> None:
    sensor, asked = Sensor(), 0
    for _ in range(120):
        for request in sensor.tick([MARCH]):
            sensor.end(request, "succeeded")
            asked += 1
        sensor.now += timedelta(seconds=30)
    assert asked == 6, "within an hour at 0, 1, 3, 7, 15 and 31 minutes"


def test_a_run_that_ended_after_the_look_at_the_warehouse_is_left_to_the_next_tick() -> None:
    sensor = Sensor()
    [request] = sensor.tick([MARCH])
    sensor.end(request, "succeeded", ago=timedelta(seconds=-1))
    assert sensor.tick([MARCH]) == []
    assert sensor.tick([]) == []


@pytest.mark.parametrize(
    "cursor",
    [
        None,
        "",
        "{",
        "null",
        "[1, 2]",
        '"2021-03"',
        '{"2021-13": {}}',
        '{"2021-03": 5}',
        '{"2021-03": {"state": "a"}}',
        '{"2021-03": {"state": "a", "request": "b", "attempt": 1, "more": 2}}',
        "12:00/a.csv",
    ],
)
def test_a_corrupt_cursor_is_as_good_as_an_empty_one(cursor: str | None) -> None:
    assert read_cursor(cursor) == {}


def test_a_sensor_that_forgot_everything_still_comes_to_a_key_that_was_never_run() -> None:
    sensor = Sensor()
    [first] = sensor.tick([MARCH])
    sensor.end(first, "failed", ago=LONGEST_WAIT)
    sensor.memory = read_cursor("corrupt")
    [repeated] = sensor.tick([MARCH])
    assert repeated.key == first.key, "Dagster will not run it again, but from now on it is remembered"
    [second] = sensor.tick([MARCH])
    assert second.key != first.key


months = st.dates(datetime(2020, 1, 1).date(), datetime(2021, 12, 31).date()).map(
    lambda day: Month(day.year, day.month)
)
changes = st.dictionaries(months, st.sampled_from(["a", "b"]), max_size=12)
outcomes = st.sampled_from(["absent", "running", "succeeded", "failed"])
steps = st.lists(st.tuples(changes, st.lists(outcomes), st.integers(0, 5000)), min_size=1, max_size=8)


@given(steps)
def test_every_changed_month_is_in_exactly_one_request_unless_its_run_is_on_its_way_or_waited_for(
    story: list[tuple[dict[Month, str], list[RunState], int]],
) -> None:
    sensor = Sensor()
    open_keys: set[str] = set()
    for changed, ends, seconds in story:
        before = dict(sensor.memory)
        requests = sensor.tick(changed)
        _check_cover(sensor, before, changed, requests)
        open_keys |= {request.key for request in requests}
        assert len({request.key for request in requests}) == len(requests)
        for key, state in zip(sorted(open_keys), ends, strict=False):
            if sensor.state_of(key)[0] in ("absent", "running"):
                sensor.runs[key] = (state, sensor.now if state in ("succeeded", "failed") else None)
        sensor.now += timedelta(seconds=seconds)


def _check_cover(
    sensor: Sensor,
    before: Mapping[Part, RunRequestRecord],
    changed: Mapping[Month, str],
    requests: list[Request],
) -> None:
    covered = [month for request in requests for month in request.scope or ()]
    assert len(covered) == len(set(covered)), "a month is in two requests"
    assert set(covered) <= changed.keys()
    assert all(sensor.memory[month].request in {r.key for r in requests} for month in covered)
    for month in changed.keys() - set(covered):
        asked = before[month]
        state, ended = sensor.state_of(asked.request)
        assert asked.state == changed[month]
        assert state == "running" or (ended is not None and sensor.now - ended < LONGEST_WAIT)
    assert sensor.memory.keys() == changed.keys()


@given(st.sets(months))
def test_requests_of_one_tick_are_as_few_as_they_can_be(changed: set[Month]) -> None:
    asked = [request.scope for request in Sensor().tick(changed) if request.scope]
    assert all(left.last.shift(1) < right.first for left, right in pairwise(asked))
    assert {month for span in asked for month in span} == changed


# Tables without months


def test_tables_without_months_go_first_and_months_wait_for_them() -> None:
    sensor = Sensor()
    changed = {UNPARTITIONED: "songs", MARCH: "march"}
    [first] = sensor.tick(changed)
    assert first.scope is UNPARTITIONED
    assert first.key.startswith("scx:all:")
    assert sensor.tick(changed) == [first], "a request that was lost is made again, by the same key"
    sensor.end(first, "running")
    assert sensor.tick(changed) == []
    sensor.end(first, "succeeded")
    assert [request.scope for request in sensor.tick({MARCH: "march"})] == [MonthRange(MARCH, MARCH)]


def test_a_failed_run_for_them_is_retried_and_keeps_no_month_waiting() -> None:
    sensor = Sensor()
    changed = {UNPARTITIONED: "songs", MARCH: "march"}
    [first] = sensor.tick(changed)
    sensor.end(first, "failed")
    assert [request.scope for request in sensor.tick(changed)] == [MonthRange(MARCH, MARCH)]
    sensor.now += FIRST_WAIT
    again = [request for request in sensor.tick(changed) if request.scope is UNPARTITIONED]
    assert [request.key == first.key for request in again] == [False]


def test_songs_that_change_again_are_asked_for_by_another_key() -> None:
    sensor = Sensor()
    [first] = sensor.tick({UNPARTITIONED: "songs"})
    [second] = sensor.tick({UNPARTITIONED: "more songs"})
    assert first.key != second.key


SONGS_AND_MARCH: dict[Part, str] = {UNPARTITIONED: "songs", MARCH: "march"}


@pytest.mark.parametrize("state", ["absent", "running"])
def test_months_wait_while_the_run_for_the_tables_without_is_on_its_way(state: RunState) -> None:
    sensor = Sensor()
    [first] = sensor.tick(SONGS_AND_MARCH)
    sensor.runs[first.key] = (state, None)
    for _ in range(100):
        assert not any(request.scope for request in sensor.tick({**SONGS_AND_MARCH, APRIL: "april"}))
        sensor.now += LONGEST_WAIT
    assert [part for part in sensor.memory if isinstance(part, Month)] == []


def test_months_that_were_asked_for_before_are_not_forgotten_while_they_wait() -> None:
    sensor = Sensor()
    [march] = sensor.tick({MARCH: "march"})
    sensor.runs[march.key] = ("running", None)
    [songs] = sensor.tick(SONGS_AND_MARCH)
    assert songs.scope is UNPARTITIONED
    assert set(sensor.memory) == {UNPARTITIONED, MARCH}
    assert sensor.tick({MARCH: "march"}) == [], "its run is still on its way"


def test_a_failed_run_for_them_is_asked_for_again_after_waits_that_double_up_to_an_hour() -> None:
    sensor = Sensor()
    [request] = sensor.tick({UNPARTITIONED: "songs"})
    keys, waits = [request.key], []
    for _ in range(9):
        sensor.end(request, "failed")
        begun = sensor.now
        while not (again := sensor.tick({UNPARTITIONED: "songs"})):
            sensor.now += timedelta(seconds=10)
        [request] = again
        keys.append(request.key)
        waits.append(sensor.now - begun)
    assert waits == [*(FIRST_WAIT * 2**power for power in range(6)), *[LONGEST_WAIT] * 3]
    assert len(set(keys)) == 10
    assert all(key.startswith("scx:all:") for key in keys)


def test_while_a_failed_run_for_them_is_waited_for_months_go_ahead_each_once() -> None:
    sensor = Sensor()
    [first] = sensor.tick(SONGS_AND_MARCH)
    sensor.end(first, "failed")
    assert spans(sensor.tick(SONGS_AND_MARCH)) == ["2021-03"]
    sensor.runs[sensor.memory[MARCH].request] = ("running", None)
    assert sensor.tick(SONGS_AND_MARCH) == []
    assert spans(sensor.tick({**SONGS_AND_MARCH, APRIL: "april"})) == ["2021-04"]


def test_months_wait_for_the_second_attempt_as_they_did_for_the_first() -> None:
    sensor = Sensor()
    [first] = sensor.tick(SONGS_AND_MARCH)
    sensor.end(first, "failed", ago=FIRST_WAIT)
    again = next(request for request in sensor.tick(SONGS_AND_MARCH) if request.scope is UNPARTITIONED)
    assert again.key == first.key.removesuffix(":1") + ":2"
    assert not any(request.scope for request in sensor.tick({**SONGS_AND_MARCH, APRIL: "april"}))
    sensor.end(again, "running")
    assert sensor.tick({**SONGS_AND_MARCH, APRIL: "april"}) == []


def test_songs_that_change_after_a_failure_go_first_again() -> None:
    sensor = Sensor()
    [first] = sensor.tick(SONGS_AND_MARCH)
    sensor.end(first, "failed")
    [second] = sensor.tick({UNPARTITIONED: "mended", MARCH: "march"})
    assert second.scope is UNPARTITIONED
    assert second.key != first.key


def test_tables_without_months_that_their_run_left_changed_are_asked_for_anew_after_a_wait() -> None:
    sensor = Sensor()
    [first] = sensor.tick({UNPARTITIONED: "songs"})
    sensor.end(first, "succeeded")
    assert sensor.tick({UNPARTITIONED: "songs"}) == []
    sensor.now += FIRST_WAIT
    [second] = sensor.tick({UNPARTITIONED: "songs"})
    assert (second.scope, second.key) == (UNPARTITIONED, first.key.removesuffix(":1") + ":2")


def test_lost_requests_of_months_and_of_the_tables_without_are_repeated_by_their_keys() -> None:
    sensor = Sensor()
    asked = {request.key for request in sensor.tick([JANUARY, MARCH])}
    changed: dict[Part, str] = {UNPARTITIONED: "songs", JANUARY: FINGERPRINT, MARCH: FINGERPRINT}
    [songs] = sensor.tick(changed)
    assert sensor.tick(changed) == [songs]
    sensor.end(songs, "failed")
    assert {request.key for request in sensor.tick(changed)} == asked


def test_a_key_says_which_tables_without_months_which_state_and_which_attempt() -> None:
    def key(star: str, state: str) -> str:
        [request], _ = due_requests(star, {UNPARTITIONED: state}, {}, lambda key: ("absent", None), NOW)
        return request.key

    keys = [key("scx", "a"), key("scx", "b"), key("other", "a")]
    assert len(set(keys)) == 3
    assert [name.split(":")[:2] for name in keys] == [["scx", "all"], ["scx", "all"], ["other", "all"]]
    assert all(name.endswith(":1") for name in keys)
    [march] = Sensor().tick({MARCH: "a"})
    assert march.key.startswith("scx:2021-03:2021-03:")


asked_before = st.builds(RunRequestRecord, st.text(max_size=9), st.text(max_size=9), st.integers(1, 99))


@given(st.dictionaries(st.just(UNPARTITIONED) | months, asked_before, max_size=6))
def test_the_memory_survives_as_text(memory: dict[Part, RunRequestRecord]) -> None:
    assert read_cursor(write_cursor(memory)) == memory


@pytest.mark.parametrize(
    "cursor",
    ['{"all": 5}', '{"ALL": {"state": "a", "request": "b", "attempt": 1}}', '{"all": {"state": "a"}}'],
)
def test_a_cursor_that_is_corrupt_about_them_is_as_good_as_an_empty_one(cursor: str) -> None:
    assert read_cursor(cursor) == {}


parts = st.dictionaries(st.just(UNPARTITIONED) | months, st.sampled_from(["a", "b"]), max_size=8)


@given(st.lists(st.tuples(parts, st.lists(outcomes), st.integers(0, 5000)), min_size=1, max_size=8))
def test_in_any_story_the_tables_without_months_go_first_and_nothing_is_forgotten(
    story: list[tuple[dict[Part, str], list[RunState], int]],
) -> None:
    sensor = Sensor()
    for changed, ends, seconds in story:
        before = dict(sensor.memory)
        requests = sensor.tick(changed)
        asked = before.get(UNPARTITIONED)
        known = UNPARTITIONED in changed and asked is not None and asked.state == changed[UNPARTITIONED]
        state = sensor.state_of(asked.request)[0] if known and asked else None
        go_first = UNPARTITIONED in changed and state in (None, "absent", "running")
        assert [request.scope for request in requests].count(UNPARTITIONED) <= 1
        if go_first:
            assert [request.scope for request in requests] == ([] if state == "running" else [UNPARTITIONED])
            assert all(sensor.memory[part] == before[part] for part in sensor.memory if part != UNPARTITIONED)
        else:
            assert sensor.memory.keys() == changed.keys()
        assert all(sensor.memory[part].state == changed[part] for part in sensor.memory)
        for key, end in zip(sorted({item.request for item in sensor.memory.values()}), ends, strict=False):
            if sensor.state_of(key)[0] in ("absent", "running"):
                sensor.runs[key] = (end, sensor.now if end in ("succeeded", "failed") else None)
        sensor.now += timedelta(seconds=seconds)


@given(parts)
def test_a_world_in_which_runs_do_what_they_should_comes_to_rest(changed: dict[Part, str]) -> None:
    sensor, order = Sensor(), []
    left = dict(changed)
    while left:
        requests = sensor.tick(left)
        assert requests, "something is due, no run is on its way, and nothing is asked for"
        for request in requests:
            order.append(request.scope)
            sensor.end(request, "succeeded")
            done: list[Part] = [*request.scope] if request.scope else [UNPARTITIONED]
            left = {part: state for part, state in left.items() if part not in done}
    assert order.count(UNPARTITIONED) == (UNPARTITIONED in changed)
    assert UNPARTITIONED not in order[1:]
    assert sensor.tick({}) == []
    assert sensor.memory == {}
