"""The comparison of the fuzz test finds each kind of difference, and accepts each allowed outcome.

The parsers are not involved.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from scx_pipeline_tests.fuzz.outcome import (
    REJECT,
    REJECTED,
    SKIPPED,
    Expected,
    Given,
    Months,
    differences,
    outcomes_of,
)

EXPECTED = Expected(loaded=Counter({(1,): 2, (2,): 1}), rejected=1, filtered=1, lines=[4])
GIVEN = Given(
    Counter({(1,): 2, (2,): 1}), read=5, loaded=3, rejected=1, deduplicated=0, filtered=1, lines=[4]
)


def test_equal_outcomes_have_no_differences() -> None:
    assert differences(EXPECTED, GIVEN) == []


@pytest.mark.parametrize(
    ("given", "difference"),
    [
        (replace(GIVEN, rows=Counter({(1,): 1, (2,): 1}), loaded=2, read=4), "1 rows are missing"),
        (replace(GIVEN, rows=Counter({(1,): 3, (2,): 1}), loaded=4, read=6), "1 rows should not be there"),
        (replace(GIVEN, rows=Counter({(1,): 2, (3,): 1})), "1 rows are missing: (2,)"),
        (replace(GIVEN, read=6), "unaccounted: 6 read, 5 accounted for"),
        (replace(GIVEN, loaded=4, read=6), "counted 4 rows as loaded, but 3 were staged"),
        (replace(GIVEN, rejected=0, read=4, lines=[]), "0 rejected and 1 of other months, not 1 and 1"),
        (replace(GIVEN, filtered=0, read=4), "1 rejected and 0 of other months, not 1 and 1"),
        (replace(GIVEN, lines=[5]), "rejected lines 5 should be 4"),
        (replace(GIVEN, lines=[None]), "rejected lines None should be 4"),
    ],
)
def test_each_kind_of_difference_is_found(given: Given, difference: str) -> None:
    assert any(text.startswith(difference) for text in differences(EXPECTED, given)), differences(
        EXPECTED, given
    )


def open_record(*outcomes: tuple[str, tuple[object, ...]]) -> Expected:
    expected = Expected(loaded=Counter({(1,): 1}))
    expected.add(outcomes)
    return expected


def one(*rows: int, rejected: int = 0, read: int = 0) -> Given:
    return Given(Counter((row,) for row in rows), read or len(rows) + rejected, len(rows), rejected, 0, 0, [])


def test_an_open_record_may_be_loaded_or_rejected_and_nothing_else() -> None:
    expected = open_record(("loaded", (7,)), REJECTED)
    assert differences(expected, one(1, 7)) == []
    assert differences(expected, one(1, rejected=1)) == []
    for wrong in (one(1, 8), one(1), one(1, 7, 7), one(1, 7, rejected=1), one(1, rejected=2)):
        assert differences(expected, wrong), wrong


def test_a_line_that_may_be_blank_may_be_skipped() -> None:
    expected = open_record(REJECTED, SKIPPED)
    assert differences(expected, one(1)) == []
    assert differences(expected, one(1, rejected=1)) == []
    assert differences(expected, one(1, rejected=2))


def test_a_record_that_must_be_loaded_is_matched_before_one_that_may_be_rejected() -> None:
    expected = open_record(("loaded", (7,)), REJECTED)
    expected.add([("loaded", (7,)), ("loaded", (8,))])
    assert differences(expected, one(1, 7, rejected=1)) == []
    assert differences(expected, one(1, rejected=2))


def test_a_rejected_value_rejects_its_record_and_months_decide_about_the_other_records() -> None:
    months = Months(1, (0, 100), (10, 20))
    assert outcomes_of([(1,), (REJECT,)], months) == [REJECTED]
    assert outcomes_of([(1,), (15,)], months) == [("loaded", (1, 15))]
    assert outcomes_of([(1,), (10, 9)], months) == [("loaded", (1, 10)), ("filtered", ())]
    assert outcomes_of([(1,), (20, 100)], months) == [("filtered", ()), REJECTED]
    assert outcomes_of([(1, REJECT)], None) == [("loaded", (1,)), REJECTED]
