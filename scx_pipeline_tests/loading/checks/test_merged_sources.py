"""The result of a check of several sources, from the results of each."""

from __future__ import annotations

from scx_pipeline.history.check_result import CheckResult, RejectedExample
from scx_pipeline.loading.checks.merged_sources import merge_sources

EXAMPLE = RejectedExample("a.csv", 2, "id", "is wrong")
GOOD = CheckResult(
    "t", "rejected_rows", True, "2 of 10", numbers={"rows_rejected": 2, "rows_read": 10, "share": 0.2}
)
WARNED = CheckResult("t", "rejected_rows", False, "3 of 10", "warn", {"2021-01": 3})
FAILED = CheckResult(
    "t", "rejected_rows", False, "8 of 10", "error", {"2021-01": 8},
    numbers={"rows_rejected": 8, "rows_read": 10, "share": 0.8}, examples=(EXAMPLE,) * 3,
)  # fmt: skip


def test_the_result_of_one_source_is_not_changed() -> None:
    assert merge_sources({"a": FAILED}, 1) == FAILED


def test_a_source_that_fails_is_described_and_not_one_that_passes_or_warns() -> None:
    found = merge_sources({"a": WARNED, "b": FAILED, "c": WARNED}, 20)
    assert (found.blocking, found.message, found.violations) == (True, "b: 8 of 10", {"2021-01": 8})
    warned = merge_sources({"a": WARNED, "b": CheckResult("t", "rejected_rows", True, "none")}, 20)
    assert (warned.passed, warned.severity, warned.message) == (False, "warn", "a: 3 of 10")


def test_sources_that_are_as_bad_are_all_described_with_all_of_their_violations() -> None:
    other = CheckResult("t", "rejected_rows", False, "1 of 1", violations={"2021-01": 1, "2021-02": 1})
    found = merge_sources({"a": FAILED, "b": other}, 20)
    assert found.message == "a: 8 of 10; b: 1 of 1"
    assert found.violations == {"2021-01": 9, "2021-02": 1}


def test_numbers_are_those_of_all_sources_and_examples_are_limited() -> None:
    found = merge_sources({"a": GOOD, "b": FAILED}, 2)
    assert found.numbers == {"rows_rejected": 10, "rows_read": 20, "share": 0.5}
    assert found.examples == (EXAMPLE, EXAMPLE)
