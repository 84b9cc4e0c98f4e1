"""Which problems are open and which are sent, tick by tick, derived from observations: all kinds but failed runs.

Reading observations from Dagster, bucket and warehouse is not tested here.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from scx_pipeline.alerts.observations import LoadWithRejects, StarObservation
from scx_pipeline.alerts.problem import Problem
from scx_pipeline.model.calendar import UNPARTITIONED, Month
from scx_pipeline_tests.alerts.channel_recorder import (
    APRIL,
    CHECK_FAILED,
    FEB,
    HOUR,
    MARCH,
    RUN,
    ChannelRecorder,
    make_check,
    make_due,
)

# Unreachable stars


def test_stars_unreachable_for_the_same_reason_are_sent_as_one_message(channel: ChannelRecorder) -> None:
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


def test_a_busy_warehouse_is_not_a_problem_but_a_timed_out_run_is(channel: ChannelRecorder) -> None:
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


def test_a_month_is_overdue_once_it_has_been_due_for_longer_than_the_threshold(
    channel: ChannelRecorder,
) -> None:
    assert channel.tick(stars=[make_due(MARCH)]) == []
    channel.now += 5 * HOUR
    assert channel.tick(stars=[make_due(MARCH)]) == []
    channel.now += 2 * HOUR
    assert channel.tick(stars=[make_due(MARCH)]) == ["overdue:scx:2021-03"]


def test_a_month_that_is_loaded_again_and_again_is_never_overdue(channel: ChannelRecorder) -> None:
    for number in range(20):
        channel.now += HOUR
        assert channel.tick(stars=[make_due(MARCH, load=f"load {number}")]) == []


def test_months_that_become_overdue_together_are_sent_as_one_message_and_later_ones_as_another(
    channel: ChannelRecorder,
) -> None:
    channel.tick(stars=[make_due(FEB, APRIL, UNPARTITIONED.value)])
    channel.now += HOUR
    channel.tick(stars=[make_due(FEB, MARCH, APRIL, UNPARTITIONED.value)])
    channel.now += 5.5 * HOUR
    channel.tick(stars=[make_due(FEB, MARCH, APRIL, UNPARTITIONED.value)])
    channel.now += HOUR
    channel.tick(stars=[make_due(FEB, MARCH, APRIL, UNPARTITIONED.value)])
    assert [(problem.months, problem.unpartitioned) for problem in channel.sent] == [
        ({FEB, APRIL}, True),
        ({MARCH}, False),
    ]


def test_a_month_of_a_failed_run_is_not_sent_as_overdue(channel: ChannelRecorder) -> None:
    channel.tick([channel.run(MARCH, failure=CHECK_FAILED)], stars=[make_due(MARCH, APRIL)])
    channel.now += 7 * HOUR
    assert channel.tick(stars=[make_due(MARCH, APRIL)]) == ["overdue:scx:2021-04"]


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


def test_a_check_that_warned_is_open_until_it_passes(channel: ChannelRecorder) -> None:
    unit = "check:scx:users:volume"
    assert channel.tick(checks=[make_check("warned")]) == [unit]
    assert channel.tick(checks=[make_check("warned", run="a later one")]) == []
    assert channel.tick(checks=[make_check("unknown")]) == []
    assert channel.tick(checks=[make_check("warned")]) == [], (
        "its run was in progress or failed: it has not passed"
    )
    assert channel.tick(checks=[make_check("passed")]) == []
    assert channel.tick(checks=[make_check("warned")]) == [unit]


def test_a_check_that_warned_and_passed_between_two_ticks_is_sent_once(channel: ChannelRecorder) -> None:
    """One load warns, and the next one, of other months, does not."""
    channel.tick()
    runs = [replace(channel.run(MARCH), states=(make_check(result),)) for result in ("warned", "passed")]
    assert channel.tick(runs, [make_check("passed")]) == [make_check("passed").unit]
    assert channel.tick(checks=[make_check("passed")]) == []


def test_a_check_that_passed_and_warned_again_between_two_ticks_is_sent_again(
    channel: ChannelRecorder,
) -> None:
    channel.tick(checks=[make_check("warned")])
    runs = [replace(channel.run(MARCH), states=(make_check(result),)) for result in ("passed", "warned")]
    assert channel.tick(runs, [make_check("warned")]) == [make_check("passed").unit]
    assert channel.tick(checks=[make_check("warned")]) == []


def test_the_first_tick_sends_no_warning_of_a_check_that_has_passed_since(channel: ChannelRecorder) -> None:
    run = replace(channel.run(MARCH), states=(make_check("warned"), make_check("warned", "freshness")))
    assert channel.tick([run], [make_check("passed"), make_check("unknown", "freshness")]) == [
        "check:scx:users:freshness"
    ]


def test_the_checks_of_one_run_are_sent_as_one_message(channel: ChannelRecorder) -> None:
    channel.tick(checks=[make_check("warned"), make_check("warned", "freshness")])
    assert [[item.name for item in problem.checks] for problem in channel.sent] == [["volume", "freshness"]]


def test_warnings_of_a_load_that_was_not_published_are_not_sent_as_checks(channel: ChannelRecorder) -> None:
    states = [make_check("failed", "unique_user_id"), make_check("warned")]
    assert channel.tick(checks=states) == []


def test_rejected_rows_are_not_sent_as_a_check(channel: ChannelRecorder) -> None:
    assert channel.tick(checks=[make_check("warned", "rejected_rows")]) == []


# Texts of a problem


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
