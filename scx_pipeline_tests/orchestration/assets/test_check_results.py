"""Check results that runs record in the Dagster instance, and what a failed check does to the run."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from scx_pipeline.errors import SourceFileError
from scx_pipeline.history.check_result import CheckResult
from scx_pipeline.loading.checks.declared_checks import declared_checks
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.loading.loader import BucketLoader
from scx_pipeline.orchestration.dagster_internals import latest_checks
from scx_pipeline_tests.support.load_env import FACTS, STAGING, job, range_of_keys, scx_star
from scx_pipeline_tests.support.orchestration.dagster_env import (
    QUIET,
    TABLES,
    DagsterEnv,
    failure,
    key,
    put_march_and_april,
)


def failed(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """Return the checks that did not pass, by table and name."""
    found = result.get_asset_check_evaluations()
    return {(item.asset_key.path[-1], item.check_name): item for item in found if not item.passed}


def evaluation(result: dg.ExecuteInProcessResult, table: str, check: str) -> dg.AssetCheckEvaluation:
    """Return the only result of a check."""
    names = (key(table), check)
    [found] = [
        item for item in result.get_asset_check_evaluations() if (item.asset_key, item.check_name) == names
    ]
    return found


def table(check: dg.AssetCheckEvaluation, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table in a result's metadata."""
    value = check.metadata[name]
    assert isinstance(value, dg.TableMetadataValue)
    return [dict(record.data) for record in value.records]


def test_every_declared_check_is_recorded_with_its_result(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    result = dagster_env.run("2021-03")
    recorded = {(item.asset_key.path[-1], item.check_name) for item in result.get_asset_check_evaluations()}
    assert {(item.table, item.name) for item in declared_checks(scx_star().star)} <= recorded
    assert result.success


def test_rejected_rows_below_the_limit_pass_with_their_number_share_and_examples(
    dagster_env: DagsterEnv,
) -> None:
    put_march_and_april(dagster_env)
    result = dagster_env.run("2021-03")
    assert result.success
    check = evaluation(result, STAGING, "rejected_rows")
    assert check.passed
    metadata = {name: value.value for name, value in check.metadata.items()}
    assert (metadata["rows_rejected"], metadata["rows_read"]) == (1, 30)
    assert metadata["share"] == round(1 / 30, 6)
    [example] = table(check, "examples")
    assert example.pop("file").endswith("2021/04/jobs.csv")
    assert example == {"line": 27, "column": "user_id", "reason": "'unknown' is not an integer"}


def test_freshness_checks_warn_and_do_not_fail_the_run(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    result = dagster_env.run("2021-03")
    freshness = failed(result)[FACTS, "freshness"]
    assert freshness.severity == dg.AssetCheckSeverity.WARN
    assert "2021-03-07 12:00 UTC" in (freshness.description or "")
    assert result.success


def test_a_load_of_an_older_month_does_not_evaluate_freshness(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    assert (FACTS, "freshness") in failed(dagster_env.run("2021-03", "2021-04"))
    result = dagster_env.run("2021-03")
    evaluated = {item.check_name for item in result.get_asset_check_evaluations()}
    assert result.success
    assert "freshness" not in evaluated
    assert "volume" in evaluated
    check = dg.AssetCheckKey(key(FACTS), "freshness")
    assert latest_checks(dagster_env.instance, [check])[check].evaluation is None
    single_partition = dagster_env.job.execute_in_process(
        instance=dagster_env.instance, partition_key="2021-03", run_config=QUIET
    )
    assert "freshness" not in {item.check_name for item in single_partition.get_asset_check_evaluations()}


def test_freshness_checks_without_a_load_evaluate_the_newest_months(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    dagster_env.load_env.load("2021-03", "2021-04")
    job = dagster_env.definitions.resolve_implicit_global_asset_job_def()
    checks = {dg.AssetCheckKey(key(FACTS), name) for name in ("freshness", "volume")}
    result = job.get_subset(asset_selection=set(), asset_check_selection=checks).execute_in_process(
        instance=dagster_env.instance, run_config=QUIET
    )
    assert {item.check_name: item.passed for item in result.get_asset_check_evaluations()} == {
        "freshness": False,
        "volume": True,
    }


def test_a_failed_blocking_check_is_recorded_without_materialization_and_keeps_the_previous_rows(
    dagster_env: DagsterEnv,
) -> None:
    put_march_and_april(dagster_env)
    dagster_env.load_env.load("2021-03", "2021-04")
    before = dagster_env.load_env.snapshot()
    dagster_env.load_env.put("2021/04/again.csv", [job(2, "2021-04-20 10:00:00")])
    result = dagster_env.run("2021-04")
    assert not result.success
    check = failed(result)[STAGING, "unique_job_id"]
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert check.blocking
    assert check.description == "job_id 2 occurs in 2021-03 and in 2021-04"
    assert dagster_env.load_env.snapshot() == before
    assert [dagster_env.count(name) for name in TABLES] == [0] * len(TABLES)


def test_a_failed_blocking_check_fails_the_run_with_one_line(dagster_env: DagsterEnv) -> None:
    dagster_env.load_env.put("2021/03/jobs.csv", [job(1, "2021-03-05 10:00:00", user_id="unknown")])
    outcome = dagster_env.load("2021-03")
    assert not outcome.success
    assert outcome.error is not None
    assert outcome.error.startswith(
        "scx 2021-03 was not published, nothing was changed: rejected_rows on staging"
    )
    assert "\n" not in outcome.error
    assert dagster_env.count(FACTS) == 0


def test_executing_a_blocking_check_without_a_month_fails_with_advice_and_loads_nothing(
    dagster_env: DagsterEnv,
) -> None:
    put_march_and_april(dagster_env)
    check = dg.AssetCheckKey(key(FACTS), "references_users")
    job = dagster_env.definitions.resolve_implicit_global_asset_job_def()
    single_check = job.get_subset(asset_selection=set(), asset_check_selection={check})
    result = single_check.execute_in_process(
        instance=dagster_env.instance, run_config=QUIET, raise_on_error=False
    )
    assert "materialize the months to be checked" in failure(result)
    assert dagster_env.count(FACTS) == 0


def test_a_check_shows_the_months_that_it_was_evaluated_for(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    check = evaluation(dagster_env.run("2021-03", "2021-05"), FACTS, "not_null_user_id")
    assert check.metadata["months"].value == "2021-03…2021-05"
    assert table(check, "by_month") == [
        {"month": month, "passed": True, "violations": 0} for month in ("2021-03", "2021-04", "2021-05")
    ]


def test_a_run_that_holds_a_month_shows_which_month_fails_and_which_pass(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    dagster_env.load_env.put("2021/05/a.csv", [job(70, "2021-05-20 10:00:00", plan_id=2000)])
    result = dagster_env.run("2021-03", "2021-05")
    assert not result.success
    assert list(failed(result)) == [(STAGING, "range_plan_id")]
    check = evaluation(result, STAGING, "range_plan_id")
    assert table(check, "by_month") == [
        {"month": "2021-03", "passed": True, "violations": 0},
        {"month": "2021-04", "passed": True, "violations": 0},
        {"month": "2021-05", "passed": False, "violations": 1},
    ]
    assert evaluation(result, FACTS, "row_count").passed
    assert "published" not in check.metadata


def test_a_run_that_fails_reports_only_the_checks_that_it_evaluated(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    assert dagster_env.run("2021-03").success
    dagster_env.load_env.put("2021/03/jobs.csv", [job(1, "2021-03-05 10:00:00", user_id="unknown")])
    result = dagster_env.run("2021-03")
    assert list(failed(result)) == [(STAGING, "rejected_rows")]
    evaluated = {(item.asset_key.path[-1], item.check_name) for item in result.get_asset_check_evaluations()}
    assert evaluated == {
        (STAGING, name) for name in ("row_reconciliation", "rejected_rows", "declared_fields")
    }
    assert evaluation(result, STAGING, "row_reconciliation").metadata["published"].value is False


def test_a_run_that_fails_at_a_file_reports_the_checks_that_were_evaluated_before(
    dagster_env: DagsterEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This needs a star with two sources of months, which the project has not."""

    def fail(*args: object) -> None:
        checks = [CheckResult(STAGING, "row_reconciliation", True, "3 rows read")]
        error = SourceFileError("a.csv is damaged")
        error.report = LoadReport("scx", range_of_keys("2021-03"), "l", checks=checks)
        raise error

    monkeypatch.setattr(BucketLoader, "load", fail)
    result = dagster_env.run("2021-03")
    assert failure(result) == "a.csv is damaged"
    assert evaluation(result, STAGING, "row_reconciliation").passed
    assert len(result.get_asset_check_evaluations()) == 1
