"""Which months freshness and volume are evaluated for, and what they report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from scx_pipeline.history.check_result import CheckResult
from scx_pipeline.model.calendar import MonthRange
from scx_pipeline.reporting.freshness import run_freshness_checks
from scx_pipeline_tests.support.load_env import LoadEnv, job, range_of_keys

JULY = datetime(2021, 7, 1, 12)


def load_months(load_env: LoadEnv, rows: Mapping[str, int]) -> None:
    """Load a range of months, with this many rows on the second day of each."""
    number = 0
    for month, count in rows.items():
        jobs = [job(number + index, f"{month}-02 10:00:00") for index in range(1, count + 1)]
        number += count
        load_env.put(f"{month.replace('-', '/')}/jobs.csv", jobs)
    load_env.load(min(rows), max(rows))


def evaluate(load_env: LoadEnv, loaded: MonthRange | None, now: datetime = JULY) -> dict[str, CheckResult]:
    """Evaluate the checks after a load of months; None for an evaluation without a load."""
    with load_env.open_loaded() as session:
        results = run_freshness_checks(session, load_env.compiled.star, loaded, now)
    return {result.name: result for result in results}


STEADY = {"2021-02": 10, "2021-03": 10, "2021-04": 10, "2021-05": 10, "2021-06": 10}


def test_freshness_without_a_load_is_evaluated(duckdb_env: LoadEnv) -> None:
    load_months(duckdb_env, STEADY)
    assert evaluate(duckdb_env, None)["freshness"].passed
    assert not evaluate(duckdb_env, None, datetime(2021, 9, 1))["freshness"].passed


def test_freshness_is_not_evaluated_for_a_load_of_older_months(duckdb_env: LoadEnv) -> None:
    load_months(duckdb_env, STEADY)
    assert "freshness" not in evaluate(duckdb_env, range_of_keys("2021-02", "2021-05"))


def test_freshness_is_evaluated_for_a_load_of_the_newest_month_with_rows(duckdb_env: LoadEnv) -> None:
    load_months(duckdb_env, {**STEADY, "2021-07": 0})
    found = evaluate(duckdb_env, range_of_keys("2021-06"))["freshness"]
    assert found.message == "the newest row is from 2021-06-02 10:00 UTC, 29 days ago"
    assert evaluate(duckdb_env, range_of_keys("2021-07"))["freshness"] == found, "a newer month has no rows"


def test_freshness_of_a_table_without_rows_warns(duckdb_env: LoadEnv) -> None:
    load_months(duckdb_env, {"2021-02": 0})
    assert evaluate(duckdb_env, range_of_keys("2021-02"))["freshness"].message == "the table has no rows"


def test_volume_without_a_load_compares_the_newest_full_month(duckdb_env: LoadEnv) -> None:
    load_months(duckdb_env, {**STEADY, "2021-04": 50, "2021-06": 3, "2021-07": 1})
    found = evaluate(duckdb_env, None)["volume"]
    assert not found.passed
    assert found.message == "2021-06 has 3 rows, the 4 months before a median of 10"


def test_volume_compares_the_loaded_month_and_not_the_newest(duckdb_env: LoadEnv) -> None:
    load_months(duckdb_env, {**STEADY, "2021-04": 50, "2021-06": 3})
    found = evaluate(duckdb_env, range_of_keys("2021-05"))["volume"]
    assert found.passed
    assert found.message == "2021-05 has 10 rows, the 3 months before a median of 10"
    found = evaluate(duckdb_env, range_of_keys("2021-04"))["volume"]
    assert not found.passed
    assert found.message == "2021-04 has 50 rows, the 2 months before a median of 10"


def test_volume_of_several_months_names_those_that_deviate(duckdb_env: LoadEnv) -> None:
    load_months(duckdb_env, {**STEADY, "2021-04": 50, "2021-06": 3})
    found = evaluate(duckdb_env, range_of_keys("2021-02", "2021-06"))["volume"]
    assert not found.passed
    assert found.message == (
        "2 of 3 months deviate: 2021-04 has 50 rows, the 2 months before a median of 10; "
        "2021-06 has 3 rows, the 4 months before a median of 10"
    )


def test_volume_of_several_steady_months_reports_how_many_were_compared(duckdb_env: LoadEnv) -> None:
    load_months(duckdb_env, STEADY)
    found = evaluate(duckdb_env, range_of_keys("2021-02", "2021-06"))["volume"]
    assert found.passed
    assert found.message == "each of 3 months has between 1/2 and 2 times the median of the 6 months before"


def test_volume_of_a_load_of_the_current_month_compares_the_last_full_month(duckdb_env: LoadEnv) -> None:
    """The last load of a month may take place before the month is over."""
    load_months(duckdb_env, {**STEADY, "2021-06": 3, "2021-07": 1})
    assert evaluate(duckdb_env, range_of_keys("2021-07"))["volume"].message.startswith("2021-06 has 3 rows")


def test_volume_ignores_empty_months_before_the_first_rows(duckdb_env: LoadEnv) -> None:
    load_months(duckdb_env, {"2021-02": 0, "2021-03": 0, "2021-04": 10})
    found = evaluate(duckdb_env, range_of_keys("2021-04"))["volume"]
    assert (found.passed, found.message) == (True, "too few months for a trend")
