"""Which runs a sensor requests, tick after tick, while runs are lost, running, failed or successful.

Dagster, the bucket and the warehouse do not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.model.calendar import UNPARTITIONED, Month, MonthRange
from scx_pipeline.planning.run_requests import (
    FIRST_WAIT,
    LONGEST_WAIT,
    LoadRequest,
    LoadUnit,
    RunRequestRecord,
    RunState,
    read_cursor,
    split_scopes,
)
from scx_pipeline_tests.planning.sensor import (
    APRIL,
    FEBRUARY,
    FINGERPRINT,
    JANUARY,
    MARCH,
    Sensor,
    months,
    outcomes,
    ranges,
)


def test_each_contiguous_range_of_months_is_requested_once() -> None:
    requests = Sensor().tick([APRIL, JANUARY, FEBRUARY])
    assert ranges(requests) == ["2021-01…2021-02", "2021-04"]


def test_without_changes_nothing_is_requested_and_all_records_are_dropped() -> None:
    sensor = Sensor(records={MARCH: RunRequestRecord(FINGERPRINT, "scx:1", 1)})
    assert sensor.tick([]) == []
    assert sensor.records == {}


def test_a_month_whose_run_is_in_progress_is_not_requested_again() -> None:
    sensor = Sensor()
    [request] = sensor.tick([MARCH])
    sensor.runs[request.key] = ("running", None)
    assert sensor.tick([MARCH]) == []
    assert ranges(sensor.tick([MARCH, APRIL])) == ["2021-04"]


def test_a_month_that_changes_while_its_run_is_in_progress_is_requested_again() -> None:
    sensor = Sensor()
    [first] = sensor.tick({MARCH: "old"})
    sensor.runs[first.key] = ("running", None)
    [second] = sensor.tick({MARCH: "new"})
    assert second.scope == first.scope
    assert second.key != first.key


def test_a_lost_request_is_repeated_with_the_same_key() -> None:
    sensor = Sensor()
    requested = sensor.tick([JANUARY, FEBRUARY, APRIL])
    assert sensor.tick([JANUARY, FEBRUARY, APRIL]) == requested


def test_a_lost_request_with_a_changed_month_is_replaced_by_one_new_request() -> None:
    sensor = Sensor()
    [lost] = sensor.tick(dict.fromkeys([JANUARY, FEBRUARY, MARCH], "old"))
    [request] = sensor.tick({JANUARY: "old", FEBRUARY: "new", MARCH: "old"})
    assert str(request.scope) == "2021-01…2021-03"
    assert request.key != lost.key


def test_a_lost_request_is_repeated_without_months_that_were_loaded_since() -> None:
    sensor = Sensor()
    sensor.tick([JANUARY, FEBRUARY, MARCH])
    assert ranges(sensor.tick([JANUARY, MARCH])) == ["2021-01", "2021-03"]


@pytest.mark.parametrize(("unit", "prefix"), [(MARCH, "scx:2021-03:"), (UNPARTITIONED, "scx:all:")])
def test_a_failed_run_is_requested_again_after_a_wait_that_doubles_up_to_an_hour(
    unit: LoadUnit, prefix: str
) -> None:
    sensor = Sensor()
    [request] = sensor.tick({unit: FINGERPRINT})
    waits, keys = [], {request.key}
    for _ in range(9):
        request, waited = sensor.fail_until_requested_again(request, unit)
        waits.append(waited)
        keys.add(request.key)
    assert waits[:6] == [FIRST_WAIT * 2**power for power in range(6)]
    assert waits[6:] == [LONGEST_WAIT] * 3
    assert len(keys) == 10, "Dagster runs a key once, so each attempt needs one of its own"
    assert all(key.startswith(prefix) for key in keys)


def test_a_failed_month_that_changes_is_requested_without_waiting() -> None:
    sensor = Sensor()
    [request] = sensor.tick({MARCH: "bad"})
    sensor.end(request, "failed")
    assert sensor.tick({MARCH: "bad"}) == []
    assert ranges(sensor.tick({MARCH: "fixed"})) == ["2021-03"]


def test_failed_months_do_not_block_their_neighbours() -> None:
    sensor = Sensor()
    [request] = sensor.tick([JANUARY, FEBRUARY])
    sensor.end(request, "failed")
    assert ranges(sensor.tick([JANUARY, FEBRUARY, MARCH])) == ["2021-03"]


def test_a_month_that_its_run_left_changed_is_requested_again_after_a_wait() -> None:
    sensor = Sensor()
    [first] = sensor.tick([MARCH])
    sensor.end(first, "succeeded", ago=FIRST_WAIT)
    [second] = sensor.tick([MARCH])
    assert second.scope == first.scope
    assert second.key != first.key


def test_a_run_of_newer_code_than_the_sensors_is_not_requested_at_every_tick() -> None:
    sensor, requested = Sensor(), 0
    for _ in range(120):
        for request in sensor.tick([MARCH]):
            sensor.end(request, "succeeded")
            requested += 1
        sensor.now += timedelta(seconds=30)
    assert requested == 6, "within an hour at 0, 1, 3, 7, 15 and 31 minutes"


def test_a_run_that_ended_after_the_change_detection_is_left_to_the_next_tick() -> None:
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
def test_a_corrupt_cursor_counts_as_empty(cursor: str | None) -> None:
    assert read_cursor(cursor) == {}


def test_a_sensor_that_lost_its_cursor_reaches_a_key_that_never_ran() -> None:
    sensor = Sensor()
    [first] = sensor.tick([MARCH])
    sensor.end(first, "failed", ago=LONGEST_WAIT)
    sensor.records = read_cursor("corrupt")
    [repeated] = sensor.tick([MARCH])
    assert repeated.key == first.key, "Dagster will not run it again, but from now on it is remembered"
    [second] = sensor.tick([MARCH])
    assert second.key != first.key


changes = st.dictionaries(months, st.sampled_from(["a", "b"]), max_size=12)
steps = st.lists(st.tuples(changes, st.lists(outcomes), st.integers(0, 5000)), min_size=1, max_size=8)


@given(steps)
def test_every_changed_month_is_in_exactly_one_request_unless_its_run_is_in_progress_or_its_wait_is_not_over(
    history: list[tuple[dict[Month, str], list[RunState], int]],
) -> None:
    sensor = Sensor()
    open_keys: set[str] = set()
    for changed, ends, seconds in history:
        before = dict(sensor.records)
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
    before: Mapping[LoadUnit, RunRequestRecord],
    changed: Mapping[Month, str],
    requests: list[LoadRequest],
) -> None:
    covered = [month for request in requests if request.scope is not UNPARTITIONED for month in request.scope]
    assert len(covered) == len(set(covered)), "a month is in two requests"
    assert set(covered) <= changed.keys()
    assert all(sensor.records[month].request in {r.key for r in requests} for month in covered)
    for month in changed.keys() - set(covered):
        requested = before[month]
        state, ended = sensor.state_of(requested.request)
        assert requested.state == changed[month]
        assert state == "running" or (ended is not None and sensor.now - ended < LONGEST_WAIT)
    assert sensor.records.keys() == changed.keys()


@given(st.sets(months))
def test_requests_of_one_tick_are_as_few_as_possible(changed: set[Month]) -> None:
    requested = [request.scope for request in Sensor().tick(changed) if request.scope is not UNPARTITIONED]
    assert all(left.last.shift(1) < right.first for left, right in pairwise(requested))
    assert {month for months_of_request in requested for month in months_of_request} == changed


def test_neighbors_that_are_held_for_the_same_reason_are_one_scope_apart_from_the_others() -> None:
    first = Month(2021, 1)
    months = [first.shift(number) for number in range(8)]
    held = {months[1]: "a file", months[2]: "a file", months[3]: "a value", months[5]: "a file"}
    scopes = [
        MonthRange(months[one], months[last])
        for one, last in ((0, 0), (4, 4), (6, 7), (1, 2), (3, 3), (5, 5))
    ]
    assert split_scopes(months, held) == scopes
