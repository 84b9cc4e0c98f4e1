"""Which failed runs are sent, tick by tick, and what resolves them.

Problems of other kinds are not tested here.
"""

from __future__ import annotations

import json

import pytest

from scx_pipeline.alerts.failures import MAX_FAILURES
from scx_pipeline_tests.alerts.channel_recorder import (
    APRIL,
    CHECK_FAILED,
    FEB,
    HOUR,
    MARCH,
    ChannelRecorder,
    make_due,
)


def test_a_failure_is_sent_once_and_its_retries_are_not(channel: ChannelRecorder) -> None:
    unit = f"run:scx:load:2021-03:{CHECK_FAILED}"
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[make_due(MARCH)]) == [unit]
    for _ in range(3):
        assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[make_due(MARCH)]) == []


def test_a_failure_of_another_kind_is_another_problem(channel: ChannelRecorder) -> None:
    channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[make_due(MARCH)])
    sent = channel.tick([channel.run(MARCH, failure="warehouse")], stars=[make_due(MARCH)])
    assert sent == ["run:scx:load:2021-03:warehouse"]


def test_a_success_of_the_months_resolves_a_failure_and_the_next_one_is_sent(
    channel: ChannelRecorder,
) -> None:
    first = channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[make_due(MARCH)])
    channel.tick([channel.run(FEB, MARCH, APRIL)])
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[make_due(MARCH)]) == first


def test_a_failure_a_success_and_a_failure_between_two_ticks_are_sent(channel: ChannelRecorder) -> None:
    first = channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[make_due(MARCH)])
    runs = [channel.run(MARCH), channel.run(MARCH, failure=CHECK_FAILED)]
    assert channel.tick(runs, stars=[make_due(MARCH)]) == first


def test_a_failure_and_its_success_between_two_ticks_are_not_sent(channel: ChannelRecorder) -> None:
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED), channel.run(MARCH)]) == []


def test_a_success_that_is_read_again_does_not_resolve_a_later_failure(channel: ChannelRecorder) -> None:
    success = channel.run(MARCH)
    failure = channel.run(MARCH, failure=CHECK_FAILED)
    channel.tick([success, failure], stars=[make_due(MARCH)])
    assert channel.tick([success], stars=[make_due(MARCH)]) == []
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[make_due(MARCH)]) == []


def test_a_failure_can_be_resolved_by_several_runs(channel: ChannelRecorder) -> None:
    first = channel.tick([channel.run(FEB, MARCH, failure=CHECK_FAILED)], stars=[make_due(FEB, MARCH)])
    channel.tick([channel.run(FEB)], stars=[make_due(MARCH)])
    assert channel.tick([channel.run(FEB, MARCH, failure=CHECK_FAILED)], stars=[make_due(FEB, MARCH)]) == []
    channel.tick([channel.run(FEB)], stars=[make_due(MARCH)])
    channel.tick([channel.run(MARCH)])
    assert (
        channel.tick([channel.run(FEB, MARCH, failure=CHECK_FAILED)], stars=[make_due(FEB, MARCH)]) == first
    )


@pytest.mark.parametrize(
    ("tables", "work"), [(("users",), "load"), ((), "lake_load")], ids=["of a table", "of the lake"]
)
def test_a_success_of_other_work_resolves_nothing(
    channel: ChannelRecorder, tables: tuple[str, ...], work: str
) -> None:
    channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[make_due(MARCH)])
    channel.tick([channel.run(MARCH, tables=tables, work=work)], stars=[make_due(MARCH)])
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[make_due(MARCH)]) == []


def test_a_failed_load_whose_months_are_no_longer_due_is_resolved(channel: ChannelRecorder) -> None:
    first = channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[make_due(MARCH)])
    channel.tick(stars=[make_due()])
    assert channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[make_due(MARCH)]) == first


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
