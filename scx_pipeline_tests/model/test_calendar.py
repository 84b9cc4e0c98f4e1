"""Months, ranges of months and the conversion of months to ranges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.model.calendar import Month, MonthRange, contiguous_ranges

months = st.builds(Month, st.integers(1900, 2100), st.integers(1, 12))


@pytest.mark.parametrize(
    "text", ["2021-4", "2021-13", "2021-00", "0000-01", "21-04", "2021/04", "2021-04-01", "April", ""]
)
def test_a_malformed_month_is_rejected_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a month: write it as YYYY-MM, for example 2021-04"):
        Month.parse(text)


@given(months)
def test_a_month_survives_formatting_and_parsing(month: Month) -> None:
    assert Month.parse(str(month)) == month


@given(months, st.integers(-600, 600))
def test_shifting_forward_and_back_gives_the_same_month(month: Month, distance: int) -> None:
    assert month.shift(distance).shift(-distance) == month


@given(months, st.integers(-600, 600))
def test_shifting_preserves_the_order(month: Month, distance: int) -> None:
    assert (month < month.shift(distance)) == (distance > 0)
    assert (month == month.shift(distance)) == (distance == 0)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)))
def test_a_timestamp_lies_within_its_month(timestamp: datetime) -> None:
    month = Month.of(timestamp)
    assert month.start <= timestamp < month.end
    assert month.end - timedelta(microseconds=1) < month.shift(1).start == month.end


def test_years_roll_over_and_leap_days_belong_to_february() -> None:
    assert Month(2020, 12).shift(1) == Month(2021, 1)
    assert Month(2021, 1).shift(-1) == Month(2020, 12)
    assert Month(2024, 2).end - Month(2024, 2).start == timedelta(days=29)


def test_the_current_month_is_in_utc() -> None:
    before, current, after = datetime.now(UTC), Month.current(), datetime.now(UTC)
    assert current in (Month.of(before), Month.of(after))


def test_months_sort_chronologically_not_as_text() -> None:
    assert sorted([Month(2021, 1), Month(2020, 12), Month(2020, 2)]) == [
        Month(2020, 2),
        Month(2020, 12),
        Month(2021, 1),
    ]


@given(months, st.integers(0, 60))
def test_a_range_contains_its_months_and_no_others(first: Month, length: int) -> None:
    month_range = MonthRange(first, first.shift(length))
    assert month_range.months == [first.shift(distance) for distance in range(length + 1)]
    assert all(month in month_range for month in month_range.months)
    assert first.shift(-1) not in month_range
    assert first.shift(length + 1) not in month_range
    assert (month_range.start, month_range.end) == (first.start, first.shift(length + 1).start)


def test_a_range_that_ends_before_it_starts_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"ends \(2020-12\) before it starts \(2021-01\)"):
        MonthRange(Month(2021, 1), Month(2020, 12))


def test_a_range_is_displayed_by_its_first_and_last_month() -> None:
    assert str(MonthRange(Month(2021, 1), Month(2021, 3))) == "2021-01…2021-03"
    assert str(MonthRange(Month(2021, 1), Month(2021, 1))) == "2021-01"


@given(st.lists(months, max_size=40))
def test_contiguous_ranges_cover_exactly_the_given_months(chosen: list[Month]) -> None:
    ranges = contiguous_ranges(chosen)
    assert [month for month_range in ranges for month in month_range] == sorted(set(chosen))


@given(st.lists(months, max_size=40))
def test_contiguous_ranges_are_as_few_as_possible(chosen: list[Month]) -> None:
    ranges = contiguous_ranges(chosen)
    assert all(one.last.shift(1) < other.first for one, other in pairwise(ranges))
