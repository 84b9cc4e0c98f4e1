"""What runs record in the Dagster instance: materializations by month, observations, errors, and no password."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from scx_pipeline.loading.changes import list_selection
from scx_pipeline.loading.loader import BucketLoader
from scx_pipeline.model.calendar import Month
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.load_env import FACTS, STAGING, csv_text, job, jobs_of, scx_star
from scx_pipeline_tests.support.orchestration.dagster_env import (
    TABLES,
    DagsterEnv,
    failure,
    key,
    put_march_and_april,
    row_counts,
)


def test_a_run_of_one_month_records_one_materialization_of_every_table(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    outcome = dagster_env.load("2021-03")
    assert outcome.success
    assert outcome.error is None
    assert all(list(dagster_env.materializations(name)) == ["2021-03"] for name in TABLES)
    assert [dagster_env.count(name) for name in TABLES] == [1] * len(TABLES)


def test_a_materialization_has_the_numbers_of_its_month_and_the_run_those_of_the_load(
    dagster_env: DagsterEnv,
) -> None:
    put_march_and_april(dagster_env)
    outcome = dagster_env.load("2021-03", "2021-05")
    march, april, may = dagster_env.materializations(STAGING).values()
    sizes = {item.key: item.size for item in dagster_env.load_env.bucket.list_objects("auto_classify_jobs/")}
    assert [march["dagster/partition_row_count"], april["dagster/partition_row_count"]] == [3, 25]
    assert [month["objects"] for month in (march, april, may)] == [1, 1, 0]
    assert [march["bytes"], april["bytes"]] == [sizes[name] for name in sorted(sizes)]
    counts = ("rows_read", "rows_rejected", "rows_deduplicated", "rows_filtered")
    assert [march[name] for name in counts] == [4, 0, 1, 0]
    assert [april[name] for name in counts] == [26, 1, 0, 0]
    numbers = outcome.numbers
    assert [numbers[name] for name in counts] == [30, 1, 1, 0]
    assert (numbers["objects_read"], numbers["bytes_read"]) == (2, sum(sizes.values()))
    assert numbers["load_id"] == march["load_id"]
    assert 0 < numbers["seconds"] < 60
    assert numbers["seconds_by_table"].keys() == set(TABLES)
    of_load = {"rows_of_load", "objects_read", "bytes_read", "seconds", "stale_months"}
    assert not of_load & march.keys()
    assert not set(counts) & dagster_env.materializations(FACTS)["2021-03"].keys()


def test_a_materialization_has_the_fingerprint_of_its_month(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    outcome = dagster_env.load("2021-03")
    march = dagster_env.materializations(STAGING)["2021-03"]
    assert march["fingerprint"] == list_selection(scx_star().star, dagster_env.load_env.bucket).fingerprint(
        Month(2021, 3)
    )
    assert outcome.rows[STAGING] == {"2021-03": 3}
    assert (outcome.numbers["rows_rejected"], outcome.numbers["rows_filtered"]) == (1, 25)


def test_a_dimension_without_months_has_the_rows_of_its_table(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    dagster_env.load("2021-04")
    outcome = dagster_env.load("2021-03")
    march = dagster_env.materializations("users")["2021-03"]
    rows = len(dagster_env.load_env.table("users"))
    assert (march["dagster/partition_row_count"], march["dagster/row_count"]) == (2, rows)
    assert outcome.table_rows == {"users": rows, "projects": len(dagster_env.load_env.table("projects"))}
    assert "dagster/row_count" not in dagster_env.materializations(FACTS)["2021-03"]


def test_the_log_of_a_run_has_a_line_with_the_totals_of_its_load(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    outcome = dagster_env.load("2021-03")
    messages = [entry.message for entry in dagster_env.instance.all_logs(outcome.run_id)]
    [line] = [message for message in messages if " published; " in message]
    assert line.startswith("1 of 1 months published; 2 objects, 30 rows read: 3 loaded, 1 rejected")


def test_a_run_of_a_range_records_one_materialization_per_month_with_its_rows(
    dagster_env: DagsterEnv,
) -> None:
    put_march_and_april(dagster_env)
    outcome = dagster_env.load("2021-03", "2021-05")
    rows = {name: row_counts(dagster_env.materializations(name)) for name in TABLES}
    assert rows[FACTS] == {"2021-03": 3, "2021-04": 25, "2021-05": 0}
    assert rows["users"] == {"2021-03": 2, "2021-04": 1, "2021-05": 0}
    assert rows == {name: dict(months) for name, months in outcome.rows.items()}
    assert dagster_env.instance.get_runs_count() == 1


def test_a_month_without_objects_is_materialized_with_no_rows(dagster_env: DagsterEnv) -> None:
    outcome = dagster_env.load("2021-07")
    assert outcome.success
    assert row_counts(dagster_env.materializations(FACTS)) == {"2021-07": 0}
    assert dagster_env.materializations(STAGING)["2021-07"]["objects"] == 0


def test_an_impossible_load_fails_with_its_message_and_records_nothing(dagster_env: DagsterEnv) -> None:
    dagster_env.load_env.put_raw("2021/03/jobs.csv", b"job_id,project\n1,2\n")
    outcome = dagster_env.load("2021-03")
    assert not outcome.success
    assert "2021/03/jobs.csv" in (outcome.error or "")
    assert "Traceback" not in (outcome.error or "")
    assert [dagster_env.count(name) for name in TABLES] == [0] * len(TABLES)


def test_an_unexpected_error_is_shown_with_its_class(
    dagster_env: DagsterEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(BucketLoader, "load", fail)
    assert dagster_env.load("2021-03").error == "ZeroDivisionError: a bug"


def test_a_single_dimension_is_rebuilt_from_the_current_rows(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    dagster_env.load_env.load("2021-03", "2021-04")
    before = dagster_env.load_env.snapshot(load_ids=False)
    result = dagster_env.run("2021-03", tables=["users"])
    assert result.success
    materialized = {event.asset_key for event in result.get_asset_materialization_events()}
    assert materialized == {key("users")}
    assert row_counts(dagster_env.materializations("users"))["2021-03"] == 2
    assert dagster_env.load_env.snapshot(load_ids=False) == before


def test_a_single_dimension_of_a_month_that_was_never_loaded_fails_with_advice(
    dagster_env: DagsterEnv,
) -> None:
    put_march_and_april(dagster_env)
    result = dagster_env.run("2021-03", tables=["users"])
    assert not result.success
    assert "load all tables of the star for that month first" in failure(result)


def test_tables_derived_from_a_selected_table_are_rebuilt_and_recorded_with_it(
    dagster_env: DagsterEnv,
) -> None:
    put_march_and_april(dagster_env)
    result = dagster_env.run("2021-03", tables=[STAGING])
    assert result.success
    assert {name: row_counts(dagster_env.materializations(name))["2021-03"] for name in TABLES} == {
        STAGING: 3,
        FACTS: 3,
        "time": 3,
        "users": 2,
        "projects": 2,
    }


def test_a_run_of_a_partition_is_a_run_of_that_month(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    result = dagster_env.job.execute_in_process(instance=dagster_env.instance, partition_key="2021-04")
    assert result.success
    assert result.dagster_run.tags["dagster/partition"] == "2021-04"
    assert row_counts(dagster_env.materializations(FACTS)) == {"2021-04": 25}


def test_progress_is_reported_without_dagsters_own_events(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    dagster_env.load("2021-03")
    assert any(line.startswith(f"{FACTS}: ") for line in dagster_env.messages)
    assert not any("STEP_" in line or "RUN_" in line for line in dagster_env.messages)


def test_observing_the_source_gives_each_month_its_fingerprint_as_data_version(
    dagster_env: DagsterEnv,
) -> None:
    put_march_and_april(dagster_env)
    versions = _observe(dagster_env)
    selection = list_selection(scx_star().star, dagster_env.load_env.bucket)
    months = scx_star().star.months()
    assert versions == {str(month): selection.fingerprint(month) for month in months}
    dagster_env.load_env.put("2021/04/more.csv", [job(70, "2021-04-02 10:00:00")])
    assert {m for m, v in _observe(dagster_env).items() if versions[m] != v} == {"2021-03", "2021-04"}


def _observe(dagster_env: DagsterEnv) -> dict[str, str]:
    result = dagster_env.run_asset("auto_classify_jobs")
    assert result.success
    observations = [
        event.asset_observation_data.asset_observation for event in result.get_asset_observation_events()
    ]
    return {item.partition or "": item.tags["dagster/data_version"] for item in observations}


def test_observing_a_missing_bucket_fails_with_its_name(dagster_env: DagsterEnv) -> None:
    dagster_env.load_env.bucket_path.rmdir()
    assert str(dagster_env.load_env.bucket_path) in failure(dagster_env.run_asset("auto_classify_jobs"))


def test_the_password_of_an_unreachable_warehouse_is_in_no_record(
    dagster_env: DagsterEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = "hunter2-is-no-secret"
    monkeypatch.setenv("SCX_WAREHOUSE_URL", f"postgresql://scx:{password}@127.0.0.1:1/dev")
    monkeypatch.setenv("SCX_LOCK_TIMEOUT", "1")
    other = DagsterEnv(dagster_env.load_env, Settings(home=dagster_env.settings.home), dagster_env.instance)
    outcome = other.load("2021-03")
    assert not outcome.success
    assert "127.0.0.1" in (outcome.error or "")
    assert password not in (outcome.error or "")
    assert not _records_with(dagster_env, password)


def _records_with(dagster_env: DagsterEnv, text: str) -> list[Path]:
    """Return the instance's files that contain the text."""
    files = [path for path in dagster_env.settings.dagster_home.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if text.encode() in path.read_bytes()]


@pytest.mark.parametrize("engine", engines.SERVERS)
def test_a_run_on_a_server_records_the_same_and_no_password(
    dagster_env: DagsterEnv, engine: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(request.getfixturevalue(f"{engine}_url"))
    monkeypatch.setenv("SCX_WAREHOUSE_URL", url)
    elsewhere = DagsterEnv(
        replace(dagster_env.load_env, warehouse_url=url),
        Settings(home=dagster_env.settings.home),
        dagster_env.instance,
    )
    put_march_and_april(elsewhere)
    outcome = elsewhere.load("2021-03", "2021-04")
    assert outcome.success
    assert row_counts(elsewhere.materializations(FACTS)) == {"2021-03": 3, "2021-04": 25}
    assert len(jobs_of(elsewhere.load_env)) == 28
    assert not (dagster_env.settings.home / "dev.duckdb").exists()
    secrets = [unquote(urlsplit(url).password or ""), url, os.environ.get("AWS_SECRET_ACCESS_KEY", url)]
    assert all(secrets)
    assert not [path for secret in secrets for path in _records_with(elsewhere, secret)]


def test_a_later_run_of_the_same_month_replaces_its_rows_and_adds_a_materialization(
    dagster_env: DagsterEnv,
) -> None:
    put_march_and_april(dagster_env)
    dagster_env.run("2021-03")
    dagster_env.load_env.put("2021/03/jobs.csv", csv_text([job(1, "2021-03-05 10:00:00")]).encode())
    dagster_env.run("2021-03")
    assert dagster_env.load_env.table(FACTS, "job_id") == [(1,)]
    assert dagster_env.count(FACTS) == 2
    assert row_counts(dagster_env.materializations(FACTS)) == {"2021-03": 1}
