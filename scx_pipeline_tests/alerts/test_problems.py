"""Which problems stand and who is told of them: facts in, messages and memory out, look by look.
That Dagster, bucket and warehouse give these facts is tested in alerts/test_alerting.py."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.alerts.facts import (
    CheckState,
    Facts,
    FinishedRun,
    RejectingLoad,
    Result,
    RunScope,
    StarLook,
)
from scx_pipeline.alerts.failures import MOST
from scx_pipeline.alerts.problem import Problem
from scx_pipeline.alerts.problems import Limits, Memory, find_problems
from scx_pipeline.alerts.sensor_state import new_messages, read_cursor, standing_units, write_cursor
from scx_pipeline.model.calendar import UNPARTITIONED, Month

HOUR = 3600.0
FEB, MARCH, APRIL = (Month(2021, number) for number in (2, 3, 4))
RUN = "0b6e1f4c-8f5e-4a52-9a55-3f4f6a1f2b3c"


@dataclass
class Listener:
    """Who is told by one channel; the memory goes through the cursor after each look."""

    cursor: str = ""
    now: float = 1_600_000_000.0
    unheard: bool = False  # whether the channel is down
    told: list[Problem] = field(default_factory=list)

    def look(
        self,
        runs: Iterable[FinishedRun] = (),
        checks: Iterable[CheckState] = (),
        looks: Iterable[StarLook] = (),
    ) -> list[str]:
        """Look a minute later; the units that are told."""
        self.now += 60
        facts = Facts(self.now, tuple(runs), tuple(checks), tuple(looks or [StarLook("scx")]), self.now)
        found, memory = find_problems(facts, read_cursor(self.cursor), Limits())
        known = standing_units(found, memory.told.get("slack", ()))
        messages = new_messages(found, known)
        if not self.unheard:
            known = known.union(unit for message in messages for unit in message.units)
            self.told += messages
        self.cursor = write_cursor(replace(memory, told={"slack": known}))
        return [unit for message in messages for unit in message.units]

    def run(
        self, *months: Month, failure: str = "", tables: tuple[str, ...] = (), what: str = "load"
    ) -> FinishedRun:
        """A run that ended just now."""
        self.now += 1
        return FinishedRun(RUN, RunScope("scx", what, frozenset(months), tables), self.now, failure)


@pytest.fixture
def listener() -> Listener:
    return Listener()


def due(*parts: Month | str, stands: str = "") -> StarLook:
    return StarLook("scx", due={str(part): stands for part in parts})


# Failed runs


def test_a_failure_is_told_once_and_its_attempts_are_no_news(listener: Listener) -> None:
    unit = "run:scx:load:2021-03:gate"
    assert listener.look([listener.run(MARCH, failure="gate")], looks=[due(MARCH)]) == [unit]
    for _ in range(3):
        assert listener.look([listener.run(MARCH, failure="gate")], looks=[due(MARCH)]) == []


def test_a_failure_of_another_kind_is_another_problem(listener: Listener) -> None:
    listener.look([listener.run(MARCH, failure="gate")], looks=[due(MARCH)])
    told = listener.look([listener.run(MARCH, failure="warehouse")], looks=[due(MARCH)])
    assert told == ["run:scx:load:2021-03:warehouse"]


def test_a_success_of_the_months_makes_it_good_and_the_next_failure_is_news(listener: Listener) -> None:
    first = listener.look([listener.run(MARCH, failure="gate")], looks=[due(MARCH)])
    listener.look([listener.run(FEB, MARCH, APRIL)])
    assert listener.look([listener.run(MARCH, failure="gate")], looks=[due(MARCH)]) == first


def test_a_failure_a_success_and_a_failure_between_two_looks_are_news(listener: Listener) -> None:
    first = listener.look([listener.run(MARCH, failure="gate")], looks=[due(MARCH)])
    runs = [listener.run(MARCH), listener.run(MARCH, failure="gate")]
    assert listener.look(runs, looks=[due(MARCH)]) == first


def test_a_failure_and_its_success_between_two_looks_are_no_problem_any_more(listener: Listener) -> None:
    assert listener.look([listener.run(MARCH, failure="gate"), listener.run(MARCH)]) == []


def test_a_success_that_is_read_again_makes_no_later_failure_good(listener: Listener) -> None:
    success = listener.run(MARCH)
    failure = listener.run(MARCH, failure="gate")
    listener.look([success, failure], looks=[due(MARCH)])
    assert listener.look([success], looks=[due(MARCH)]) == []
    assert listener.look([listener.run(MARCH, failure="gate")], looks=[due(MARCH)]) == []


def test_months_may_be_made_good_by_several_runs(listener: Listener) -> None:
    first = listener.look([listener.run(FEB, MARCH, failure="gate")], looks=[due(FEB, MARCH)])
    listener.look([listener.run(FEB)], looks=[due(MARCH)])
    assert listener.look([listener.run(FEB, MARCH, failure="gate")], looks=[due(FEB, MARCH)]) == []
    listener.look([listener.run(FEB)], looks=[due(MARCH)])
    listener.look([listener.run(MARCH)])
    assert listener.look([listener.run(FEB, MARCH, failure="gate")], looks=[due(FEB, MARCH)]) == first


@pytest.mark.parametrize(
    ("tables", "what"), [(("users",), "load"), ((), "lake_load")], ids=["of a table", "of the lake"]
)
def test_a_success_that_makes_something_else_makes_nothing_good(
    listener: Listener, tables: tuple[str, ...], what: str
) -> None:
    listener.look([listener.run(MARCH, failure="gate")], looks=[due(MARCH)])
    listener.look([listener.run(MARCH, tables=tables, what=what)], looks=[due(MARCH)])
    assert listener.look([listener.run(MARCH, failure="gate")], looks=[due(MARCH)]) == []


def test_a_load_of_which_nothing_is_due_any_more_is_made_good(listener: Listener) -> None:
    first = listener.look([listener.run(MARCH, failure="gate")], looks=[due(MARCH)])
    listener.look(looks=[due()])
    assert listener.look([listener.run(MARCH, failure="gate")], looks=[due(MARCH)]) == first


def test_a_failed_load_that_left_nothing_undone_is_told_and_forgotten_after_an_hour(
    listener: Listener,
) -> None:
    first = listener.look([listener.run(MARCH, failure="gate")])
    assert len(first) == 1
    assert listener.look([listener.run(MARCH, failure="gate")]) == []
    listener.now += HOUR
    listener.look()
    assert listener.look([listener.run(MARCH, failure="gate")]) == first


def test_of_very_many_failures_the_newest_are_remembered(listener: Listener) -> None:
    runs = [listener.run(what=f"job_{number}", failure="other") for number in range(MOST + 5)]
    assert len(listener.look(runs)) == MOST
    assert len(json.loads(listener.cursor)["failures"]) == MOST


# Stars that cannot be looked at


def test_stars_that_cannot_be_looked_at_for_one_reason_are_one_message(listener: Listener) -> None:
    looks = [StarLook("scx", "bucket"), StarLook("songplays", "bucket")]
    assert listener.look(looks=looks) == ["unreachable:scx:bucket", "unreachable:songplays:bucket"]
    assert [problem.stars for problem in listener.told] == [("scx", "songplays")]
    assert listener.look(looks=looks) == []


def test_a_run_that_fails_as_the_look_does_is_told_with_it(listener: Listener) -> None:
    told = listener.look([listener.run(MARCH, failure="bucket")], looks=[StarLook("scx", "bucket")])
    assert told == ["unreachable:scx:bucket"]
    assert listener.told[0].run_id == RUN


def test_a_run_that_fails_otherwise_than_the_look_is_told_as_well(listener: Listener) -> None:
    told = listener.look([listener.run(MARCH, failure="gate")], looks=[StarLook("scx", "bucket")])
    assert set(told) == {"unreachable:scx:bucket", "run:scx:load:2021-03:gate"}


def test_a_busy_warehouse_is_no_problem_but_a_run_that_waited_in_vain_is(listener: Listener) -> None:
    assert listener.look(looks=[StarLook("scx", "busy")]) == []
    told = listener.look([listener.run(MARCH, failure="busy")], looks=[StarLook("scx", "busy")])
    assert told == ["run:scx:load:2021-03:busy"]


def test_nothing_of_a_star_is_forgotten_while_it_cannot_be_looked_at(listener: Listener) -> None:
    load = RejectingLoad("scx", frozenset({MARCH}), 100, 50, RUN, 1.0)
    bad = StarLook("scx", due={"2021-04": ""}, rejecting=(load,))
    listener.look(looks=[bad])
    listener.now += 7 * HOUR
    assert listener.look(looks=[bad]) == ["stale:scx:2021-04"]
    listener.look(looks=[StarLook("scx", "warehouse")])
    assert listener.look(looks=[bad]) == []


# Months that are due


def test_a_month_is_stale_once_it_is_due_for_longer_than_the_limit(listener: Listener) -> None:
    assert listener.look(looks=[due(MARCH)]) == []
    listener.now += 5 * HOUR
    assert listener.look(looks=[due(MARCH)]) == []
    listener.now += 2 * HOUR
    assert listener.look(looks=[due(MARCH)]) == ["stale:scx:2021-03"]


def test_a_month_that_is_loaded_again_and_again_is_never_stale(listener: Listener) -> None:
    for load in range(20):
        listener.now += HOUR
        assert listener.look(looks=[due(MARCH, stands=f"load {load}")]) == []


def test_months_that_become_stale_at_once_are_one_message_and_later_ones_another(listener: Listener) -> None:
    listener.look(looks=[due(FEB, APRIL, UNPARTITIONED.value)])
    listener.now += HOUR
    listener.look(looks=[due(FEB, MARCH, APRIL, UNPARTITIONED.value)])
    listener.now += 5.5 * HOUR
    listener.look(looks=[due(FEB, MARCH, APRIL, UNPARTITIONED.value)])
    listener.now += HOUR
    listener.look(looks=[due(FEB, MARCH, APRIL, UNPARTITIONED.value)])
    assert [(problem.months, problem.unpartitioned) for problem in listener.told] == [
        ({FEB, APRIL}, True),
        ({MARCH}, False),
    ]


def test_a_month_that_a_failed_run_was_to_load_is_not_told_as_stale(listener: Listener) -> None:
    listener.look([listener.run(MARCH, failure="gate")], looks=[due(MARCH, APRIL)])
    listener.now += 7 * HOUR
    assert listener.look(looks=[due(MARCH, APRIL)]) == ["stale:scx:2021-04"]


# Rejected rows


def test_rejected_rows_are_told_above_the_limit_by_month_and_forgotten_below(listener: Listener) -> None:
    def rejecting(rejected: int, *months: Month) -> StarLook:
        return StarLook("scx", rejecting=(RejectingLoad("scx", frozenset(months), 1000, rejected, RUN, 1.0),))

    assert listener.look(looks=[rejecting(10, MARCH)]) == []
    assert listener.look(looks=[rejecting(11, MARCH)]) == ["rejected:scx:2021-03"]
    assert listener.look(looks=[rejecting(11, MARCH, APRIL)]) == ["rejected:scx:2021-04"]
    listener.look(looks=[rejecting(1, MARCH, APRIL)])
    assert len(listener.look(looks=[rejecting(12, MARCH, APRIL)])) == 2
    assert listener.told[-1].counts == {"rows_read": 1000, "rows_rejected": 12}
    assert listener.look(looks=[rejecting(12)]) == ["rejected:scx:all"]


# Checks


def check(result: Result, name: str = "volume", run: str = RUN) -> CheckState:
    return CheckState("scx", "users", name, result, run_id=run, at=1.0)


def test_a_check_that_warned_is_told_until_it_has_passed(listener: Listener) -> None:
    unit = "check:scx:users:volume"
    assert listener.look(checks=[check("warned")]) == [unit]
    assert listener.look(checks=[check("warned", run="a later one")]) == []
    assert listener.look(checks=[check("unknown")]) == []
    assert listener.look(checks=[check("warned")]) == [], (
        "its run was on its way, or failed: it has not passed"
    )
    assert listener.look(checks=[check("passed")]) == []
    assert listener.look(checks=[check("warned")]) == [unit]


def test_a_check_that_warned_and_passed_between_two_looks_is_told_once(listener: Listener) -> None:
    """As when one load warns, and the next one, of other months, does not."""
    listener.look()
    runs = [replace(listener.run(MARCH), states=(check(result),)) for result in ("warned", "passed")]
    assert listener.look(runs, [check("passed")]) == [check("passed").unit]
    assert listener.look(checks=[check("passed")]) == []


def test_a_check_that_passed_and_warned_again_between_two_looks_is_told_again(listener: Listener) -> None:
    listener.look(checks=[check("warned")])
    runs = [replace(listener.run(MARCH), states=(check(result),)) for result in ("passed", "warned")]
    assert listener.look(runs, [check("warned")]) == [check("passed").unit]
    assert listener.look(checks=[check("warned")]) == []


def test_a_first_look_tells_no_warning_of_a_check_that_has_passed_since(listener: Listener) -> None:
    run = replace(listener.run(MARCH), states=(check("warned"), check("warned", "freshness")))
    assert listener.look([run], [check("passed"), check("unknown", "freshness")]) == [
        "check:scx:users:freshness"
    ]


def test_the_checks_of_one_run_are_one_message(listener: Listener) -> None:
    listener.look(checks=[check("warned"), check("warned", "freshness")])
    assert [[item.name for item in problem.checks] for problem in listener.told] == [["volume", "freshness"]]


def test_the_checks_of_a_load_that_the_gate_kept_out_are_told_with_its_run(listener: Listener) -> None:
    states = [check("failed", "unique_user_id"), check("warned")]
    assert listener.look(checks=states) == []


def test_rejected_rows_are_not_told_as_a_check(listener: Listener) -> None:
    assert listener.look(checks=[check("warned", "rejected_rows")]) == []


# The memory


def test_a_channel_that_is_down_is_told_when_it_is_back(listener: Listener) -> None:
    listener.unheard = True
    for _ in range(3):
        assert len(listener.look(checks=[check("warned")])) == 1
    listener.unheard = False
    assert len(listener.look(checks=[check("warned")])) == 1
    assert listener.look(checks=[check("warned")]) == []


def test_what_is_remembered_comes_back_from_the_cursor(listener: Listener) -> None:
    looks = [due(MARCH, UNPARTITIONED.value, stands="a load")]
    listener.look([listener.run(FEB, APRIL, failure="gate", tables=("users",))], [check("warned")], looks)
    memory = replace(read_cursor(listener.cursor), seen={RUN: 1.5})
    assert read_cursor(write_cursor(memory)) == memory
    assert memory.failures[0].left == {FEB, APRIL}


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
        '{"version":1,"told":7}',
    ],
)
def test_a_corrupt_cursor_is_as_good_as_an_empty_one(cursor: str | None) -> None:
    assert read_cursor(cursor) == Memory()


@given(st.data())
def test_a_damaged_cursor_is_read_or_as_good_as_none(data: st.DataObject) -> None:
    listener = Listener()
    listener.look([listener.run(MARCH, failure="gate")], [check("warned")], [due(MARCH)])
    kept = json.loads(listener.cursor)
    name = data.draw(st.sampled_from(sorted(kept)))
    kept[name] = data.draw(
        st.none() | st.integers() | st.text() | st.lists(st.integers()) | st.just({"a": 1})
    )
    assert isinstance(read_cursor(json.dumps(kept)), Memory)


def test_the_cursor_does_not_grow_from_look_to_look(listener: Listener) -> None:
    for _ in range(3):
        listener.look([listener.run(MARCH, failure="gate")], [check("warned")], [due(MARCH)])
    size = len(listener.cursor)
    for _ in range(50):
        listener.look([listener.run(MARCH, failure="gate")], [check("warned")], [due(MARCH)])
    assert abs(len(listener.cursor) - size) < 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"stars": ("a@b.example",)},
        {"tables": ("s3://bucket/key",)},
        {"failure": "cannot open postgresql://u:p@h"},
        {"counts": {"rows of Anna Kim": 1}},
    ],
)
def test_a_text_that_is_no_name_cannot_get_into_a_problem(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no name"):
        replace(Problem("run", ("u",), "g", 1.0), **wrong)  # type: ignore[arg-type]


def test_a_run_whose_id_is_none_of_dagsters_has_no_link() -> None:
    assert Problem("run", ("u",), "g", 1.0, run_id="../../etc/passwd").run_id == ""
