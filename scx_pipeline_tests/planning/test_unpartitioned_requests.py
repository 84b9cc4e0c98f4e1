"""The order and the repetition of requests for unpartitioned tables.

Requests for months alone do not belong here.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.model.calendar import UNPARTITIONED, Month, MonthRange
from scx_pipeline.planning.run_requests import (
    FIRST_WAIT,
    LONGEST_WAIT,
    Changes,
    LoadUnit,
    RunRequestRecord,
    RunState,
    due_requests,
    read_cursor,
    write_cursor,
)
from scx_pipeline_tests.planning.sensor import (
    APRIL,
    FINGERPRINT,
    JANUARY,
    MARCH,
    NOW,
    Sensor,
    months,
    outcomes,
    ranges,
)


def test_unpartitioned_tables_are_requested_first_and_months_wait() -> None:
    sensor = Sensor()
    changed = {UNPARTITIONED: "songs", MARCH: "march"}
    [first] = sensor.tick(changed)
    assert first.scope is UNPARTITIONED
    assert first.key.startswith("scx:all:")
    assert sensor.tick(changed) == [first], "a lost request is repeated with the same key"
    sensor.end(first, "running")
    assert sensor.tick(changed) == []
    sensor.end(first, "succeeded")
    assert [request.scope for request in sensor.tick({MARCH: "march"})] == [MonthRange(MARCH, MARCH)]


def test_what_is_postponed_is_not_requested_and_months_do_not_wait_for_it() -> None:
    sensor = Sensor()
    changed = {UNPARTITIONED: "songs", MARCH: "march"}
    assert ranges(sensor.tick(changed, postponed=[UNPARTITIONED])) == ["2021-03"]
    assert [request.scope for request in sensor.tick(changed, postponed=[MARCH])] == [UNPARTITIONED]


def test_a_failed_request_that_is_postponed_keeps_its_attempt() -> None:
    sensor = Sensor()
    [first] = sensor.tick({MARCH: "march"})
    sensor.end(first, "failed", ago=LONGEST_WAIT)
    assert sensor.tick({MARCH: "march"}, postponed=[MARCH]) == []
    [second] = sensor.tick({MARCH: "march"})
    assert (first.key[-2:], second.key[-2:]) == (":1", ":2")


def test_a_failed_unpartitioned_run_is_retried_and_does_not_block_months() -> None:
    sensor = Sensor()
    changed = {UNPARTITIONED: "songs", MARCH: "march"}
    [first] = sensor.tick(changed)
    sensor.end(first, "failed")
    assert [request.scope for request in sensor.tick(changed)] == [MonthRange(MARCH, MARCH)]
    sensor.now += FIRST_WAIT
    again = [request for request in sensor.tick(changed) if request.scope is UNPARTITIONED]
    assert [request.key == first.key for request in again] == [False]


def test_unpartitioned_objects_that_change_again_are_requested_with_another_key() -> None:
    sensor = Sensor()
    [first] = sensor.tick({UNPARTITIONED: "songs"})
    [second] = sensor.tick({UNPARTITIONED: "more songs"})
    assert first.key != second.key


SONGS_AND_MARCH: dict[LoadUnit, str] = {UNPARTITIONED: "songs", MARCH: "march"}


@pytest.mark.parametrize("state", ["absent", "running"])
def test_months_wait_while_the_unpartitioned_run_is_queued_or_in_progress(state: RunState) -> None:
    sensor = Sensor()
    [first] = sensor.tick(SONGS_AND_MARCH)
    sensor.runs[first.key] = (state, None)
    for _ in range(100):
        assert all(
            request.scope is UNPARTITIONED for request in sensor.tick({**SONGS_AND_MARCH, APRIL: "april"})
        )
        sensor.now += LONGEST_WAIT
    assert [unit for unit in sensor.records if isinstance(unit, Month)] == []


def test_records_of_earlier_months_survive_while_the_months_wait() -> None:
    sensor = Sensor()
    [march] = sensor.tick({MARCH: "march"})
    sensor.runs[march.key] = ("running", None)
    [songs] = sensor.tick(SONGS_AND_MARCH)
    assert songs.scope is UNPARTITIONED
    assert set(sensor.records) == {UNPARTITIONED, MARCH}
    assert sensor.tick({MARCH: "march"}) == [], "its run is still in progress"


def test_months_are_requested_once_during_the_wait_after_a_failed_unpartitioned_run() -> None:
    sensor = Sensor()
    [first] = sensor.tick(SONGS_AND_MARCH)
    sensor.end(first, "failed")
    assert ranges(sensor.tick(SONGS_AND_MARCH)) == ["2021-03"]
    sensor.runs[sensor.records[MARCH].request] = ("running", None)
    assert sensor.tick(SONGS_AND_MARCH) == []
    assert ranges(sensor.tick({**SONGS_AND_MARCH, APRIL: "april"})) == ["2021-04"]


def test_months_wait_for_the_second_attempt_of_the_unpartitioned_run() -> None:
    sensor = Sensor()
    [first] = sensor.tick(SONGS_AND_MARCH)
    sensor.end(first, "failed", ago=FIRST_WAIT)
    again = next(request for request in sensor.tick(SONGS_AND_MARCH) if request.scope is UNPARTITIONED)
    assert again.key == first.key.removesuffix(":1") + ":2"
    assert all(request.scope is UNPARTITIONED for request in sensor.tick({**SONGS_AND_MARCH, APRIL: "april"}))
    sensor.end(again, "running")
    assert sensor.tick({**SONGS_AND_MARCH, APRIL: "april"}) == []


def test_unpartitioned_objects_that_change_after_a_failure_come_first_again() -> None:
    sensor = Sensor()
    [first] = sensor.tick(SONGS_AND_MARCH)
    sensor.end(first, "failed")
    [second] = sensor.tick({UNPARTITIONED: "fixed", MARCH: "march"})
    assert second.scope is UNPARTITIONED
    assert second.key != first.key


def test_unpartitioned_tables_that_their_run_left_changed_are_requested_again_after_a_wait() -> None:
    sensor = Sensor()
    [first] = sensor.tick({UNPARTITIONED: "songs"})
    sensor.end(first, "succeeded")
    assert sensor.tick({UNPARTITIONED: "songs"}) == []
    sensor.now += FIRST_WAIT
    [second] = sensor.tick({UNPARTITIONED: "songs"})
    assert (second.scope, second.key) == (UNPARTITIONED, first.key.removesuffix(":1") + ":2")


def test_lost_requests_of_months_and_unpartitioned_tables_are_repeated_with_their_keys() -> None:
    sensor = Sensor()
    requested = {request.key for request in sensor.tick([JANUARY, MARCH])}
    changed: dict[LoadUnit, str] = {UNPARTITIONED: "songs", JANUARY: FINGERPRINT, MARCH: FINGERPRINT}
    [songs] = sensor.tick(changed)
    assert sensor.tick(changed) == [songs]
    sensor.end(songs, "failed")
    assert {request.key for request in sensor.tick(changed)} == requested


def test_an_unpartitioned_request_key_names_the_star_the_state_and_the_attempt() -> None:
    def key(star: str, state: str) -> str:
        [request], _ = due_requests(
            star, Changes({UNPARTITIONED: state}), {}, lambda key: ("absent", None), NOW
        )
        return request.key

    keys = [key("scx", "a"), key("scx", "b"), key("other", "a")]
    assert len(set(keys)) == 3
    assert [name.split(":")[:2] for name in keys] == [["scx", "all"], ["scx", "all"], ["other", "all"]]
    assert all(name.endswith(":1") for name in keys)
    [march] = Sensor().tick({MARCH: "a"})
    assert march.key.startswith("scx:2021-03:2021-03:")


earlier_records = st.builds(RunRequestRecord, st.text(max_size=9), st.text(max_size=9), st.integers(1, 99))


@given(st.dictionaries(st.just(UNPARTITIONED) | months, earlier_records, max_size=6))
def test_a_cursor_survives_writing_and_reading(records: dict[LoadUnit, RunRequestRecord]) -> None:
    assert read_cursor(write_cursor(records)) == records


@pytest.mark.parametrize(
    "cursor",
    ['{"all": 5}', '{"ALL": {"state": "a", "request": "b", "attempt": 1}}', '{"all": {"state": "a"}}'],
)
def test_a_cursor_with_a_corrupt_unpartitioned_record_counts_as_empty(cursor: str) -> None:
    assert read_cursor(cursor) == {}


units = st.dictionaries(st.just(UNPARTITIONED) | months, st.sampled_from(["a", "b"]), max_size=8)


@given(st.lists(st.tuples(units, st.lists(outcomes), st.integers(0, 5000)), min_size=1, max_size=8))
def test_in_any_history_unpartitioned_tables_come_first_and_no_record_is_lost(
    history: list[tuple[dict[LoadUnit, str], list[RunState], int]],
) -> None:
    sensor = Sensor()
    for changed, ends, seconds in history:
        before = dict(sensor.records)
        requests = sensor.tick(changed)
        requested = before.get(UNPARTITIONED)
        known = (
            UNPARTITIONED in changed and requested is not None and requested.state == changed[UNPARTITIONED]
        )
        state = sensor.state_of(requested.request)[0] if known and requested else None
        go_first = UNPARTITIONED in changed and state in (None, "absent", "running")
        assert [request.scope for request in requests].count(UNPARTITIONED) <= 1
        if go_first:
            assert [request.scope for request in requests] == ([] if state == "running" else [UNPARTITIONED])
            assert all(
                sensor.records[unit] == before[unit] for unit in sensor.records if unit != UNPARTITIONED
            )
        else:
            assert sensor.records.keys() == changed.keys()
        assert all(sensor.records[unit].state == changed[unit] for unit in sensor.records)
        for key, end in zip(sorted({item.request for item in sensor.records.values()}), ends, strict=False):
            if sensor.state_of(key)[0] in ("absent", "running"):
                sensor.runs[key] = (end, sensor.now if end in ("succeeded", "failed") else None)
        sensor.now += timedelta(seconds=seconds)


@given(units)
def test_with_successful_runs_every_change_is_loaded_once(changed: dict[LoadUnit, str]) -> None:
    sensor, order = Sensor(), []
    left = dict(changed)
    while left:
        requests = sensor.tick(left)
        assert requests, "changes are due and no run is in progress, but nothing is requested"
        for request in requests:
            order.append(request.scope)
            sensor.end(request, "succeeded")
            done: list[LoadUnit] = [UNPARTITIONED] if request.scope is UNPARTITIONED else [*request.scope]
            left = {unit: state for unit, state in left.items() if unit not in done}
    assert order.count(UNPARTITIONED) == (UNPARTITIONED in changed)
    assert UNPARTITIONED not in order[1:]
    assert sensor.tick({}) == []
    assert sensor.records == {}
