"""The row counts of objects: which balance, and the check that names every object whose counts do not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from scx_pipeline.history.check_result import CheckResult
from scx_pipeline.history.ingest_result import ConflictingKey, IngestResult, ObjectCount, allowed_months
from scx_pipeline.loading.checks.check_names import MAX_EXAMPLES
from scx_pipeline.loading.checks.ingest_checks import MAX_LISTED_REJECTS, check_ingest_result
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import SelectedObject
from scx_pipeline.storage.object_info import ObjectInfo

SOURCE = Source(
    name="s", description="", format="csv", prefix="", files=(FilePattern(pattern="**"),), reject_limit=0.5
)
TABLE = Table(
    name="t",
    role="staging",
    description="",
    source="s",
    columns=(Column(name="id", type="integer", description=""),),
)
JAN, FEB = Month(2021, 1), Month(2021, 2)
PARTS = ("loaded", "rejected", "deduplicated", "filtered")


def selected(key: str, months: MonthRange | None = None) -> SelectedObject:
    return SelectedObject("s", ObjectInfo(key, 9, "e", datetime(2024, 1, 1, tzinfo=UTC)), months)


def count(key: str = "a.csv", **rows: int) -> ObjectCount:
    return ObjectCount(selected(key), **rows)


def accounting(*counts: ObjectCount) -> CheckResult:
    [result] = [check for check in checks(*counts) if check.name == "row_reconciliation"]
    return result


def checks(*counts: ObjectCount, rejected: list[RejectedRow] | None = None) -> list[CheckResult]:
    return check_ingest_result([SOURCE], IngestResult(TABLE, list(counts), rejected or []), UNPARTITIONED)


def test_counts_balance_if_every_row_read_is_counted_once() -> None:
    assert count(read=10, loaded=4, rejected=3, deduplicated=2, filtered=1).balanced
    assert count().balanced


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("off", [-1, 1])
def test_counts_do_not_balance_if_a_row_is_missing_or_counted_twice(part: str, off: int) -> None:
    rows = {"loaded": 4, "rejected": 3, "deduplicated": 2, "filtered": 1}
    assert not count(read=10, **rows | {part: rows[part] + off}).balanced


def test_counts_do_not_balance_if_a_row_was_not_read() -> None:
    assert not count(read=0, loaded=1).balanced
    assert not count(read=1).balanced


def test_the_check_names_exactly_the_objects_whose_counts_do_not_balance() -> None:
    result = accounting(
        count("good.csv", read=2, loaded=2),
        count("short.csv", read=3, loaded=2),
        count("long.csv", read=1, loaded=2),
    )
    assert (result.passed, result.severity) == (False, "error")
    assert (
        result.message
        == "read differs from loaded + rejected + deduplicated + filtered in short.csv, long.csv"
    )


def test_errors_of_two_objects_do_not_cancel_out() -> None:
    """One object lacks a row and another has one too many: the sums over all objects are equal."""
    assert not accounting(count("a", read=3, loaded=2), count("b", read=1, loaded=2)).passed


def test_the_check_names_a_limited_number_of_objects() -> None:
    names = [f"{number:03}.csv" for number in range(MAX_EXAMPLES + 3)]
    message = accounting(*(count(name, read=1) for name in names)).message
    assert [name in message for name in names] == [True] * MAX_EXAMPLES + [False] * 3


def test_the_check_passes_with_the_sums_of_all_objects() -> None:
    result = accounting(
        count("a", read=1_005, loaded=1_000, rejected=2, deduplicated=2, filtered=1),
        count("b", read=3, filtered=3),
    )
    assert result.passed
    assert result.message == "1,008 rows read: 1,000 loaded, 2 rejected, 2 deduplicated, 4 filtered"


def rejected_rows(source: Source, rejected: int, scope: LoadScope = UNPARTITIONED) -> CheckResult:
    """Return the check of so many rejected rows of ten."""
    result = IngestResult(TABLE, [count(read=10, rejected=rejected, loaded=10 - rejected)])
    [found] = [
        check for check in check_ingest_result([source], result, scope) if check.name == "rejected_rows"
    ]
    return found


@pytest.mark.parametrize(("rejected", "passed"), [(0, True), (1, True), (5, True), (6, False)])
def test_rejected_rows_pass_up_to_the_limit_and_fail_above_it(rejected: int, passed: bool) -> None:
    result = rejected_rows(SOURCE, rejected)
    assert (result.passed, result.severity) == (passed, "error")
    assert result.message.startswith(f"{rejected} of 10 rows were rejected ({rejected * 10:.2f}%")
    assert ("%; the limit is 50%): " in result.message) == (rejected > 0)


@pytest.mark.parametrize(
    ("rejected", "passed", "severity"),
    [(2, True, "error"), (3, False, "warn"), (5, False, "warn"), (6, False, "error")],
)
def test_rejected_rows_warn_above_a_declared_share(rejected: int, passed: bool, severity: str) -> None:
    result = rejected_rows(SOURCE.model_copy(update={"warn_above": 0.2}), rejected)
    assert (result.passed, result.severity) == (passed, severity)
    assert "(30.00%; the limit is 50%, a warning is given above 20%)" in result.message or rejected != 3


def test_rejected_rows_warn_of_the_month_whose_share_is_too_high() -> None:
    source = SOURCE.model_copy(update={"warn_above": 0.1})
    counts = [
        ObjectCount(selected("2021/01.csv", MonthRange(JAN, JAN)), read=10, loaded=10),
        ObjectCount(selected("2021/02.csv", MonthRange(FEB, FEB)), read=10, loaded=8, rejected=2),
    ]
    results = check_ingest_result([source], IngestResult(TABLE, counts), MonthRange(JAN, FEB))
    [result] = [check for check in results if check.name == "rejected_rows"]
    assert (result.passed, result.severity, result.violations) == (False, "warn", {"2021-02": 2})


def test_rejected_rows_have_their_number_share_and_examples_without_their_text() -> None:
    rows = [RejectedRow("a.csv", line, "id", "is wrong", "a personal text", "s") for line in range(2, 40)]
    [result] = [
        check
        for check in checks(count(read=100, loaded=62, rejected=38), rejected=rows)
        if check.name == "rejected_rows"
    ]
    assert result.numbers == {"rows_rejected": 38, "rows_read": 100, "share": 0.38}
    assert result.examples[0] == ("a.csv", 2, "id", "is wrong")
    assert len(result.examples) == MAX_LISTED_REJECTS
    assert "personal" not in str(result)


@pytest.mark.parametrize(("limit", "formatted"), [(0.0, "0%"), (0.005, "0.5%"), (0.07, "7%"), (1.0, "100%")])
def test_the_limit_of_rejected_rows_is_formatted_as_declared(limit: float, formatted: str) -> None:
    source = SOURCE.model_copy(update={"reject_limit": limit})
    results = check_ingest_result(
        [source], IngestResult(TABLE, [count(read=1_000, rejected=6, loaded=994)]), UNPARTITIONED
    )
    [result] = [check for check in results if check.name == "rejected_rows"]
    assert result.message.startswith(f"6 of 1,000 rows were rejected (0.60%; the limit is {formatted}): ")


def test_the_message_says_that_reading_stopped_early_after_the_share() -> None:
    rows = [RejectedRow("a.csv", 2, "id", "is wrong", "x", "s")]
    ingest_result = IngestResult(TABLE, [count(read=1, rejected=1)], rows, ended_early=True)
    [result] = [
        check
        for check in check_ingest_result([SOURCE], ingest_result, UNPARTITIONED)
        if check.name == "rejected_rows"
    ]
    assert (
        result.message
        == "1 of 1 rows were rejected (100.00%; the limit is 50%), so reading stopped early: a.csv, line 2: id is wrong"
    )


def test_the_message_shows_three_rejected_rows_and_counts_the_others() -> None:
    rows = [RejectedRow("a.csv", line, "id", f"reason {line}", "x", "s") for line in (2, 3, 4, 5, 6)]
    rows[1] = RejectedRow("b.csv", None, None, "is damaged", "", "s")
    [result] = [
        check for check in checks(count(read=5, rejected=5), rejected=rows) if check.name == "rejected_rows"
    ]
    assert result.message.endswith(
        ": a.csv, line 2: id reason 2; b.csv, line ?: is damaged; a.csv, line 4: id reason 4; and 2 more"
    )


def test_the_message_counts_no_others_if_all_rejected_rows_are_shown() -> None:
    rows = [RejectedRow("a.csv", line, "id", "is wrong", "x", "s") for line in (2, 3, 4)]
    [result] = [
        check
        for check in checks(count(read=5, rejected=3, loaded=2), rejected=rows)
        if check.name == "rejected_rows"
    ]
    assert "more" not in result.message


def test_totals_are_the_sums_over_all_objects() -> None:
    ingest_result = IngestResult(TABLE, [count(read=3, loaded=2, filtered=1), count(read=4, rejected=4)])
    assert [ingest_result.total(name) for name in ("read", *PARTS)] == [7, 2, 4, 0, 1]


@pytest.mark.parametrize(
    ("named", "bounds"),
    [
        (None, ("2020-01", "2021-12")),
        (("2020-05", "2020-06"), ("2020-05", "2020-06")),
        (("2019-11", "2020-02"), ("2020-01", "2020-02")),
        (("2021-11", "2022-02"), ("2021-11", "2021-12")),
        (("2019-01", "2019-02"), ("2019-01", "2019-01")),
        (("2022-01", "2022-03"), ("2022-01", "2022-01")),
        (("2019-01", "2020-01"), ("2020-01", "2020-01")),
    ],
)
def test_allowed_months_are_those_that_the_key_names_within_the_months_of_the_star(
    named: tuple[str, str] | None, bounds: tuple[str, str]
) -> None:
    def range_of(ends: tuple[str, str]) -> MonthRange:
        return MonthRange(Month.parse(ends[0]), Month.parse(ends[1]))

    item = selected("a.csv", range_of(named) if named else None)
    assert allowed_months(item, range_of(("2020-01", "2021-12"))) == range_of(bounds)


def test_conflicting_keys_fail_and_are_named_with_their_months() -> None:
    table = TABLE.model_copy(update={"key": ("id",)})
    march, april = Month(2021, 3), Month(2021, 4)
    conflicting_keys = [
        ConflictingKey((1,), (march, april)),
        ConflictingKey((2,), (march, march)),
        ConflictingKey((3,), None),
    ]
    [result] = [
        check
        for check in check_ingest_result(
            [SOURCE], IngestResult(table, conflicting_keys=conflicting_keys), UNPARTITIONED
        )
        if check.name == "unique_id"
    ]
    assert (result.passed, result.severity) == (False, "error")
    assert (
        result.message
        == "id 1 occurs in 2021-03 and in 2021-04; id 2 occurs twice in 2021-03; id 3 occurs twice"
    )
    assert not [
        check
        for check in check_ingest_result([SOURCE], IngestResult(table), UNPARTITIONED)
        if check.name == "unique_id"
    ]
