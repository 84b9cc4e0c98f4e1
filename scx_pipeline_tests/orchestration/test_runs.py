"""What runs record in the Dagster instance: materializations by month, check results, observations, the report.
What they do to the warehouse is in pipeline/; who starts them by themselves is in test_triggers.py."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dagster as dg
import pytest

from scx_pipeline.loading.changes import list_selection
from scx_pipeline.loading.checks import declared_checks
from scx_pipeline.loading.loader import BucketLoader
from scx_pipeline.model.calendar import Month
from scx_pipeline.orchestration.assets.report_asset import SHOWN_ROWS
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.dagster_env import QUIET, Desk, failure, key
from scx_pipeline_tests.support.load_env import FACTS, STAGING, csv_text, job, jobs_of, scx_star

TABLES = [table.name for table in scx_star().star.tables]
PNG = b"\x89PNG\r\n\x1a\n"


def put_march_and_april(desk: Desk) -> None:
    """Three jobs of March and two of April; one of March stands twice, one is no job at all."""
    world = desk.world
    world.put(
        "2021/03/jobs.csv",
        [
            job(1, "2021-03-05 10:00:00"),
            job(2, "2021-03-06 11:00:00", user_id=7),
            job(3, "2021-03-07 12:00:00", user_id=7, project_id=11),
            job(3, "2021-03-07 12:00:00", user_id=7, project_id=11, updated_at="2021-03-07 11:59:00"),
        ],
    )
    april = [job(40 + number, f"2021-04-{number + 1:02d} 10:00:00") for number in range(25)]
    world.put("2021/04/jobs.csv", [*april, job(99, "2021-04-30 10:00:00", user_id="nobody")])


def failed(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """The checks that did not pass, by table and name."""
    found = result.get_asset_check_evaluations()
    return {(item.asset_key.path[-1], item.check_name): item for item in found if not item.passed}


def test_a_run_of_one_month_records_one_materialization_of_every_table(desk: Desk) -> None:
    put_march_and_april(desk)
    outcome = desk.load("2021-03")
    assert outcome.success
    assert outcome.error is None
    assert all(list(desk.materializations(name)) == ["2021-03"] for name in TABLES)
    assert [desk.count(name) for name in TABLES] == [1] * len(TABLES)


def test_a_materialization_shows_what_was_read_and_what_became_of_it(desk: Desk) -> None:
    put_march_and_april(desk)
    outcome = desk.load("2021-03")
    march = desk.materializations(STAGING)["2021-03"]
    size = sum(item.size for item in desk.world.bucket.list_objects("auto_classify_jobs/"))
    assert march["dagster/partition_row_count"] == 3
    assert (march["objects"], march["bytes"]) == (2, size), (
        "the rows of a month may be in the next one's file"
    )
    assert (march["rows_read"], march["rows_deduplicated"], march["rows_rejected"]) == (30, 1, 1)
    assert march["rows_of_other_months"] == 25
    assert 0 < march["seconds"] < 60
    assert march["load_id"]
    assert march["fingerprint"] == list_selection(scx_star().star, desk.world.bucket).fingerprint(
        Month(2021, 3)
    )
    assert outcome.rows[STAGING] == {"2021-03": 3}
    assert outcome.numbers["rows_rejected"] == 1


def test_the_numbers_of_the_month_are_shown_before_those_of_the_load(desk: Desk) -> None:
    put_march_and_april(desk)
    desk.load("2021-03")
    shown = list(desk.materializations(FACTS)["2021-03"])
    assert shown[0] == "dagster/partition_row_count"
    assert shown.index("objects") < shown.index("objects_read")


def test_a_run_of_a_span_records_one_materialization_per_month_with_that_months_rows(desk: Desk) -> None:
    put_march_and_april(desk)
    outcome = desk.load("2021-03", "2021-05")
    rows = {name: _row_counts(desk.materializations(name)) for name in TABLES}
    assert rows[FACTS] == {"2021-03": 3, "2021-04": 25, "2021-05": 0}
    assert rows["users"] == {"2021-03": 2, "2021-04": 1, "2021-05": 0}
    assert rows == {name: dict(months) for name, months in outcome.rows.items()}
    assert desk.materializations(STAGING)["2021-04"]["objects"] == 1
    assert desk.instance.get_runs_count() == 1


def _row_counts(found: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    return {month: metadata["dagster/partition_row_count"] for month, metadata in found.items()}


def test_a_month_without_objects_is_materialized_with_no_rows(desk: Desk) -> None:
    outcome = desk.load("2021-07")
    assert outcome.success
    assert _row_counts(desk.materializations(FACTS)) == {"2021-07": 0}
    assert desk.materializations(STAGING)["2021-07"]["objects"] == 0


def test_every_declared_check_is_recorded_with_its_result(desk: Desk) -> None:
    put_march_and_april(desk)
    result = desk.run("2021-03")
    recorded = {(item.asset_key.path[-1], item.check_name) for item in result.get_asset_check_evaluations()}
    assert {(item.table, item.name) for item in declared_checks(scx_star().star)} <= recorded
    assert result.success


def test_rejected_rows_below_the_limit_warn_and_are_loaded_around(desk: Desk) -> None:
    put_march_and_april(desk)
    result = desk.run("2021-03")
    warning = failed(result)[STAGING, "rejected_rows"]
    assert warning.severity == dg.AssetCheckSeverity.WARN
    assert "2021/04/jobs.csv, line 27: user_id" in (warning.description or "")
    assert result.success


def test_watching_checks_warn_and_do_not_fail_the_run(desk: Desk) -> None:
    put_march_and_april(desk)
    result = desk.run("2021-03")
    freshness = failed(result)[FACTS, "freshness"]
    assert freshness.severity == dg.AssetCheckSeverity.WARN
    assert "2021-03-07 12:00 UTC" in (freshness.description or "")
    assert result.success


def test_a_failing_gate_records_the_failed_check_and_no_materialization_and_earlier_rows_stand(
    desk: Desk,
) -> None:
    put_march_and_april(desk)
    desk.world.load("2021-03", "2021-04")
    before = desk.world.snapshot()
    desk.world.put("2021/04/again.csv", [job(2, "2021-04-20 10:00:00")])
    result = desk.run("2021-04")
    assert not result.success
    check = failed(result)[STAGING, "unique_job_id"]
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert check.blocking
    assert check.description == "job_id 2 stands in 2021-03 and in 2021-04"
    assert desk.world.snapshot() == before
    assert [desk.count(name) for name in TABLES] == [0] * len(TABLES)


def test_a_failing_gate_tells_why_in_one_line(desk: Desk) -> None:
    desk.world.put("2021/03/jobs.csv", [job(1, "2021-03-05 10:00:00", user_id="nobody")])
    outcome = desk.load("2021-03")
    assert not outcome.success
    assert outcome.error is not None
    assert outcome.error.startswith(
        "scx 2021-03 was not published, nothing was changed: rejected_rows on staging"
    )
    assert "\n" not in outcome.error
    assert desk.count(FACTS) == 0


def test_a_load_that_cannot_be_done_fails_with_its_message_and_records_nothing(desk: Desk) -> None:
    desk.world.put_raw("2021/03/jobs.csv", b"job_id,project\n1,2\n")
    outcome = desk.load("2021-03")
    assert not outcome.success
    assert "2021/03/jobs.csv" in (outcome.error or "")
    assert "Traceback" not in (outcome.error or "")
    assert [desk.count(name) for name in TABLES] == [0] * len(TABLES)


def test_an_error_that_nobody_foresaw_is_told_with_its_kind(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(BucketLoader, "load", fail)
    assert desk.load("2021-03").error == "ZeroDivisionError: a mistake of ours"


def test_one_dimension_alone_is_made_anew_from_what_stands(desk: Desk) -> None:
    put_march_and_april(desk)
    desk.world.load("2021-03", "2021-04")
    before = desk.world.snapshot(load_ids=False)
    result = desk.run("2021-03", tables=["users"])
    assert result.success
    made = {event.asset_key for event in result.get_asset_materialization_events()}
    assert made == {key("users")}
    assert _row_counts(desk.materializations("users"))["2021-03"] == 2
    assert desk.world.snapshot(load_ids=False) == before


def test_one_dimension_of_a_month_that_was_never_loaded_says_what_to_do(desk: Desk) -> None:
    put_march_and_april(desk)
    result = desk.run("2021-03", tables=["users"])
    assert not result.success
    assert "load the whole star for that month first" in failure(result)


def test_what_is_made_from_a_chosen_table_is_made_and_recorded_with_it(desk: Desk) -> None:
    put_march_and_april(desk)
    result = desk.run("2021-03", tables=[STAGING])
    assert result.success
    assert {name: _row_counts(desk.materializations(name))["2021-03"] for name in TABLES} == {
        STAGING: 3,
        FACTS: 3,
        "time": 3,
        "users": 2,
        "projects": 2,
    }


def test_a_blocking_check_that_is_executed_alone_says_what_to_do_and_loads_nothing(desk: Desk) -> None:
    put_march_and_april(desk)
    check = dg.AssetCheckKey(key(FACTS), "references_users")
    whole = desk.definitions.resolve_implicit_global_asset_job_def()
    alone = whole.get_subset(asset_selection=set(), asset_check_selection={check})
    result = alone.execute_in_process(instance=desk.instance, run_config=QUIET, raise_on_error=False)
    assert "materialize the months they shall look at" in failure(result)
    assert desk.count(FACTS) == 0


def test_a_run_of_a_partition_is_a_run_of_that_month(desk: Desk) -> None:
    put_march_and_april(desk)
    result = desk.job.execute_in_process(instance=desk.instance, partition_key="2021-04")
    assert result.success
    assert result.dagster_run.tags["dagster/partition"] == "2021-04"
    assert _row_counts(desk.materializations(FACTS)) == {"2021-04": 25}


def test_progress_is_told_and_dagsters_own_events_are_not(desk: Desk) -> None:
    put_march_and_april(desk)
    desk.load("2021-03")
    assert any(line.startswith(f"{FACTS}: ") for line in desk.told)
    assert not any("STEP_" in line or "RUN_" in line for line in desk.told)


def test_observing_the_source_gives_each_month_its_fingerprint_as_data_version(desk: Desk) -> None:
    put_march_and_april(desk)
    versions = _observe(desk)
    selection = list_selection(scx_star().star, desk.world.bucket)
    months = scx_star().star.months()
    assert versions == {str(month): selection.fingerprint(month) for month in months}
    desk.world.put("2021/04/more.csv", [job(70, "2021-04-02 10:00:00")])
    assert {m for m, v in _observe(desk).items() if versions[m] != v} == {"2021-03", "2021-04"}


def _observe(desk: Desk) -> dict[str, str]:
    result = desk.run_asset("auto_classify_jobs")
    assert result.success
    observations = [
        event.asset_observation_data.asset_observation for event in result.get_asset_observation_events()
    ]
    return {item.partition or "": item.tags["dagster/data_version"] for item in observations}


def test_observing_a_bucket_that_is_not_there_fails_with_its_name(desk: Desk) -> None:
    desk.world.bucket_path.rmdir()
    assert str(desk.world.bucket_path) in failure(desk.run_asset("auto_classify_jobs"))


def test_the_report_answers_every_question_with_a_table_and_a_chart(desk: Desk) -> None:
    put_march_and_april(desk)
    desk.world.put("2021/05/jobs.csv", [job(80, "2021-05-05 10:00:00", ground_profile=None)])
    desk.world.load("2021-03", "2021-05")
    metadata = _report(desk)
    table = metadata["ground_profile_by_month"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [column.name for column in table.schema.columns] == ["month", "ground_profile", "jobs"]
    assert [column.type for column in table.schema.columns] == ["int", "string", "int"]
    assert [tuple(record.data.values()) for record in table.records] == [
        (202103, "city", 3),
        (202104, "city", 25),
        (202105, None, 1),
    ]
    assert metadata["ground_profile_by_month rows"].value == 3
    assert [tuple(record.data.values()) for record in metadata["user_211_in_2021"].records] == [
        (2021, 3, "city", 1),
        (2021, 4, "city", 25),
        (2021, 5, None, 1),
    ]
    for name in ("ground_profile_by_month", "ground_profile_of_busiest_user"):
        image = metadata[f"{name} chart"].value.partition("base64,")[2].removesuffix(")")
        assert base64.b64decode(image).startswith(PNG)


def test_the_reports_table_ends_with_the_newest_rows(desk: Desk) -> None:
    rows = [
        job(
            number,
            f"{2020 + number // 120}-{number // 10 % 12 + 1:02d}-05 10:00:00",
            ground_profile=f"p{number % 10}",
        )
        for number in range(240)
    ]
    desk.world.put("auto_classify_jobs_concatenated.csv", rows)
    desk.world.load("2020-01", "2021-12")
    metadata = _report(desk)
    records = metadata["ground_profile_by_month"].records
    assert metadata["ground_profile_by_month rows"].value == 240
    assert len(records) == SHOWN_ROWS
    assert records[-1].data["month"] == 202112


def _report(desk: Desk) -> Mapping[str, Any]:
    result = desk.run_asset("report")
    [event] = result.get_asset_materialization_events()
    return event.materialization.metadata


def test_a_report_of_nothing_says_to_load_first(desk: Desk) -> None:
    assert "run `scx load`" in failure(desk.run_asset("report"))


def test_the_report_is_asked_for_once_after_every_load(desk: Desk) -> None:
    put_march_and_april(desk)

    def evaluate(cursor: Any = None) -> Any:
        return dg.evaluate_automation_conditions(desk.definitions, desk.instance, cursor=cursor)

    first = evaluate()
    assert desk.load("2021-03", "2021-04").success
    second = evaluate(first.cursor)
    assert second.get_num_requested(key("report")) == 1
    assert evaluate(second.cursor).total_requested == 0


def test_the_password_of_an_unreachable_warehouse_is_in_no_record(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = "hunter2-is-no-secret"
    monkeypatch.setenv("SCX_WAREHOUSE_URL", f"postgresql://scx:{password}@127.0.0.1:1/dev")
    monkeypatch.setenv("SCX_LOCK_TIMEOUT", "1")
    stranger = Desk(desk.world, Settings(home=desk.settings.home), desk.instance)
    outcome = stranger.load("2021-03")
    assert not outcome.success
    assert "127.0.0.1" in (outcome.error or "")
    assert password not in (outcome.error or "")
    assert not _records_with(desk, password)


def _records_with(desk: Desk, text: str) -> list[Path]:
    """The instance's files that have the text in them."""
    files = [path for path in desk.settings.dagster_home.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if text.encode() in path.read_bytes()]


@pytest.mark.parametrize("engine", engines.SERVERS)
def test_a_run_on_a_server_records_the_same_and_no_password(
    desk: Desk, engine: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(request.getfixturevalue(f"{engine}_url"))
    monkeypatch.setenv("SCX_WAREHOUSE_URL", url)
    elsewhere = Desk(replace(desk.world, warehouse_url=url), Settings(home=desk.settings.home), desk.instance)
    put_march_and_april(elsewhere)
    outcome = elsewhere.load("2021-03", "2021-04")
    assert outcome.success
    assert _row_counts(elsewhere.materializations(FACTS)) == {"2021-03": 3, "2021-04": 25}
    assert len(jobs_of(elsewhere.world)) == 28
    assert not (desk.settings.home / "dev.duckdb").exists()
    secrets = [unquote(urlsplit(url).password or ""), url, os.environ.get("AWS_SECRET_ACCESS_KEY", url)]
    assert all(secrets)
    assert not [path for secret in secrets for path in _records_with(elsewhere, secret)]


def test_a_later_run_of_the_same_month_replaces_its_rows_and_adds_a_materialization(desk: Desk) -> None:
    put_march_and_april(desk)
    desk.run("2021-03")
    desk.world.put("2021/03/jobs.csv", csv_text([job(1, "2021-03-05 10:00:00")]).encode())
    desk.run("2021-03")
    assert desk.world.table(FACTS, "job_id") == [(1,)]
    assert desk.count(FACTS) == 2
    assert _row_counts(desk.materializations(FACTS)) == {"2021-03": 1}
