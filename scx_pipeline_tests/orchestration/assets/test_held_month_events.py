"""What the run of a load that holds months records in the Dagster instance: its summary, checks and failure."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from scx_pipeline_tests.support.load_env import FACTS, MARCH, MAY
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv
from scx_pipeline_tests.support.year_of_jobs import (
    REFUSED,
    REFUSED_VALUE,
    SHARED,
    SHARED_KEY,
    YEAR,
    put_files,
    valid_year,
)


def run_year(dagster_env: DagsterEnv) -> dg.ExecuteInProcessResult:
    return dagster_env.run(YEAR[0], YEAR[-1])


def records(value: dg.MetadataValue[Any]) -> list[dict[str, Any]]:
    """Return the rows of a table in metadata."""
    assert isinstance(value, dg.TableMetadataValue)
    return [dict(record.data) for record in value.records]


@pytest.mark.parametrize(
    ("fault", "reason", "held"), [(REFUSED_VALUE, REFUSED, [MARCH]), (SHARED_KEY, SHARED, [MARCH, MAY])]
)
def test_the_failure_of_a_run_lists_the_held_months_with_their_reasons(
    dagster_env: DagsterEnv, fault: Any, reason: str, held: list[str]
) -> None:
    put_files(dagster_env.load_env, valid_year() | fault)
    [event] = [event for event in run_year(dagster_env).all_events if event.is_step_failure]
    data = event.step_failure_data.user_failure_data
    assert data is not None
    assert records(data.metadata["held_months"]) == [{"month": month, "reason": reason} for month in held]
    assert f"{12 - len(held)} of 12 months were published" in (data.description or "")


def test_a_failed_check_names_its_months_in_a_table_and_a_passed_one_all_of_them(
    dagster_env: DagsterEnv,
) -> None:
    put_files(dagster_env.load_env, valid_year() | REFUSED_VALUE)
    found = run_year(dagster_env).get_asset_check_evaluations()
    checks = {(item.asset_key.path[-1], item.check_name): item for item in found}
    failed = checks["staging_cleansed_logs", "range_plan_id"]
    by_month = records(failed.metadata["by_month"])
    assert [row for row in by_month if not row["passed"]] == [
        {"month": MARCH, "passed": False, "violations": 1}
    ]
    assert failed.metadata["months"].value == "2021-01…2021-12"
    passed = checks[FACTS, "row_count"]
    assert passed.passed
    assert passed.metadata["months"].value == "2021-01…2021-12"


def test_the_log_of_a_run_has_one_summary_of_what_was_published(dagster_env: DagsterEnv) -> None:
    put_files(dagster_env.load_env, valid_year() | REFUSED_VALUE)
    assert summaries(dagster_env, YEAR[0], YEAR[-1]) == [
        f"11 of 12 months published, held: {MARCH}; 12 objects, 12 rows read: 11 loaded, 0 rejected, 0 deduplicated, 1 filtered"
    ]
    assert summaries(dagster_env, YEAR[3], YEAR[4]) == [
        "2 of 2 months published; 3 objects, 3 rows read: 2 loaded, 0 rejected, 0 deduplicated, 1 filtered"
    ]


def summaries(dagster_env: DagsterEnv, first: str, last: str) -> list[str]:
    """Return the messages of a run's log that say what was published."""
    run_id = dagster_env.load(first, last).run_id
    messages = [entry.message for entry in dagster_env.instance.all_logs(run_id)]
    return [message for message in messages if " published" in message and message[0].isdigit()]
