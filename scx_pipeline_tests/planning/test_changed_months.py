"""Which months a load is due for, and why.

No history is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.planning.changed_months import (
    ChangedMonth,
    HeldMonth,
    MonthState,
    changed_months,
    unpartitioned_change,
)
from scx_pipeline.planning.selection import Selection
from scx_pipeline_tests.planning.objects import (
    BY_MONTH,
    FEB,
    JAN,
    MAR,
    Listing,
    as_objects,
    info,
    listings,
    select,
    with_songs,
)


def due_months(
    selection: Selection, history: dict[Month, MonthState], version: str = "v1"
) -> list[tuple[Month, str]]:
    return [
        (item.month, item.reason)
        for item in changed_months(selection, MonthRange(JAN, MAR), history, version)
    ]


def history_of(selection: Selection, version: str = "v1") -> dict[Month, MonthState]:
    return {month: MonthState(selection.fingerprint(month), version) for month in (JAN, FEB, MAR)}


def test_a_month_that_was_never_loaded_is_due_if_it_has_objects() -> None:
    assert due_months(select([BY_MONTH], info("2021/02/x")), {}) == [(FEB, "not loaded yet")]


def test_a_month_without_objects_that_was_never_loaded_is_not_due() -> None:
    assert due_months(select([BY_MONTH]), {}) == []


def test_a_month_with_unchanged_objects_is_not_due() -> None:
    selection = select([BY_MONTH], info("2021/02/x"))
    assert due_months(selection, history_of(selection)) == []


def test_a_month_with_a_new_changed_or_missing_object_is_due() -> None:
    before = select([BY_MONTH], info("2021/01/x"), info("2021/02/x"), info("2021/03/x"))
    after = select([BY_MONTH], info("2021/01/x"), info("2021/01/y"), info("2021/02/x", size=2))
    assert due_months(after, history_of(before)) == [
        (JAN, "objects changed"),
        (FEB, "objects changed"),
        (MAR, "its objects are gone"),
    ]


def test_a_month_is_due_when_the_stars_code_changed() -> None:
    selection = select([BY_MONTH], info("2021/02/x"))
    changed = changed_months(selection, MonthRange(FEB, FEB), history_of(selection), "v2")
    assert changed == [ChangedMonth(FEB, "the star's tables or SQL changed")]


def test_a_month_outside_the_stars_months_is_not_due() -> None:
    assert due_months(select([BY_MONTH], info("2019/01/x"), info("2031/01/x")), {}) == []


@given(listings, listings)
def test_no_month_is_due_after_a_load_of_the_due_months(before: Listing, after: Listing) -> None:
    old, new = select([BY_MONTH, "*"], *as_objects(before)), select([BY_MONTH, "*"], *as_objects(after))
    history = history_of(old)
    history |= {month: MonthState(new.fingerprint(month), "v1") for month, _ in due_months(new, history)}
    assert due_months(new, history) == []
    assert all(history[month].fingerprint == new.fingerprint(month) for month in history)


def test_unpartitioned_tables_are_due_when_their_objects_or_code_changed() -> None:
    selection, none = with_songs(info("a.json")), with_songs()
    state = MonthState(selection.unpartitioned_fingerprint, "v1")
    assert unpartitioned_change(selection, None, "v1") == "not loaded yet"
    assert unpartitioned_change(none, None, "v1") is None
    assert unpartitioned_change(selection, state, "v1") is None
    assert unpartitioned_change(selection, state, "v2") == "the star's tables or SQL changed"
    assert unpartitioned_change(with_songs(info("b.json")), state, "v1") == "objects changed"
    assert unpartitioned_change(none, state, "v1") == "its objects are gone"
    assert unpartitioned_change(select([BY_MONTH]), None, "v1") is None


def test_a_stale_month_is_due_with_its_reason() -> None:
    selection = select([BY_MONTH], info("2021/01/a.csv"), info("2021/02/a.csv"))
    history = {month: MonthState(selection.fingerprint(month), "v1") for month in (JAN, FEB)}
    assert changed_months(selection, MonthRange(JAN, MAR), history, "v1", {FEB: "songs changed"}) == [
        ChangedMonth(FEB, "songs changed")
    ]


def test_a_changed_month_keeps_its_own_reason_and_stale_months_out_of_range_are_ignored() -> None:
    selection = select([BY_MONTH], info("2021/01/a.csv"), info("2021/02/a.csv"))
    history = {FEB: MonthState("another", "v1"), MAR: MonthState(selection.fingerprint(MAR), "v1")}
    stale = dict.fromkeys([JAN, FEB, MAR, MAR.shift(1), JAN.shift(-1)], "songs changed")
    assert changed_months(selection, MonthRange(JAN, MAR), history, "v1", stale) == [
        ChangedMonth(JAN, "not loaded yet"),
        ChangedMonth(FEB, "objects changed"),
        ChangedMonth(MAR, "songs changed"),
    ]


def test_a_month_is_held_until_its_own_objects_or_those_of_all_months_it_conflicts_with_have_changed() -> (
    None
):
    names = ["2021/01/a.csv", "2021/02/a.csv", "2021/03/a.csv"]
    selection = select([BY_MONTH], *map(info, names))
    conflicts = {JAN: (FEB, MAR), FEB: (JAN,), MAR: (JAN,)}
    held = {
        month: HeldMonth(MonthState(selection.fingerprint(month), "v1"), "shared key", conflicts[month])
        for month in (JAN, FEB, MAR)
    }

    def found(months: Mapping[Month, HeldMonth]) -> list[tuple[str, tuple[Month, ...]]]:
        changed = changed_months(selection, MonthRange(JAN, MAR), {}, "v1", {}, months)
        return [(item.held, item.resolved) for item in changed]

    other = replace(held[MAR], state=MonthState("another", "v1"))
    assert found(held) == [("shared key", ())] * 3
    assert found({**held, MAR: other}) == [("shared key", ()), ("shared key", ()), ("", ())]
    others = {FEB: replace(held[FEB], state=MonthState("another", "v1")), MAR: other}
    assert found({**held, **others}) == [("", (FEB, MAR)), ("", ()), ("", ())]


def test_changed_objects_take_precedence_over_changed_code() -> None:
    selection = with_songs(info("a.json"))
    assert unpartitioned_change(selection, MonthState("another", "v0"), "v1") == "objects changed"
    assert unpartitioned_change(with_songs(), MonthState("another", "v0"), "v1") == "its objects are gone"
    gone = MonthState(with_songs().unpartitioned_fingerprint, "v1")
    assert unpartitioned_change(with_songs(), gone, "v1") is None, "reported once"
