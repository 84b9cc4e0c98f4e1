"""The state of the alert sensor in its cursor: it survives, is never trusted, and does not grow.

Which problems are sent is not tested here.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.alerts.problems import SensorState
from scx_pipeline.alerts.sensor_state import read_cursor, write_cursor
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline_tests.alerts.channel_recorder import (
    APRIL,
    CHECK_FAILED,
    FEB,
    MARCH,
    RUN,
    ChannelRecorder,
    make_check,
    make_due,
)


def test_a_channel_that_was_down_is_sent_the_problem_once_it_is_back(channel: ChannelRecorder) -> None:
    channel.down = True
    for _ in range(3):
        assert len(channel.tick(checks=[make_check("warned")])) == 1
    channel.down = False
    assert len(channel.tick(checks=[make_check("warned")])) == 1
    assert channel.tick(checks=[make_check("warned")]) == []


def test_the_state_survives_the_cursor(channel: ChannelRecorder) -> None:
    stars = [make_due(MARCH, UNPARTITIONED.value, load="a load")]
    channel.tick(
        [channel.run(FEB, APRIL, failure=CHECK_FAILED, tables=("users",))], [make_check("warned")], stars
    )
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
    channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], [make_check("warned")], [make_due(MARCH)])
    stored = json.loads(channel.cursor)
    name = data.draw(st.sampled_from(sorted(stored)))
    stored[name] = data.draw(
        st.none() | st.integers() | st.text() | st.lists(st.integers()) | st.just({"a": 1})
    )
    assert isinstance(read_cursor(json.dumps(stored)), SensorState)


def test_the_cursor_does_not_grow_from_tick_to_tick(channel: ChannelRecorder) -> None:
    for _ in range(3):
        channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], [make_check("warned")], [make_due(MARCH)])
    size = len(channel.cursor)
    for _ in range(50):
        channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], [make_check("warned")], [make_due(MARCH)])
    assert abs(len(channel.cursor) - size) < 10
