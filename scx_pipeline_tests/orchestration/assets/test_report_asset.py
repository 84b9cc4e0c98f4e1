"""The report of a star in Dagster: its tables and charts, and when it is requested."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import dagster as dg

from scx_pipeline.orchestration.assets.report_asset import MAX_ROWS
from scx_pipeline_tests.support.load_env import job
from scx_pipeline_tests.support.orchestration.dagster_env import (
    DagsterEnv,
    failure,
    key,
    put_march_and_april,
)

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_report_shows_a_table_and_a_chart_for_every_query(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)
    dagster_env.load_env.put("2021/05/jobs.csv", [job(80, "2021-05-05 10:00:00", ground_profile=None)])
    dagster_env.load_env.load("2021-03", "2021-05")
    metadata = _report(dagster_env)
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


def test_the_reports_table_ends_with_the_newest_rows(dagster_env: DagsterEnv) -> None:
    rows = [
        job(
            number,
            f"{2020 + number // 120}-{number // 10 % 12 + 1:02d}-05 10:00:00",
            ground_profile=f"p{number % 10}",
        )
        for number in range(240)
    ]
    dagster_env.load_env.put("auto_classify_jobs_concatenated.csv", rows)
    dagster_env.load_env.load("2020-01", "2021-12")
    metadata = _report(dagster_env)
    records = metadata["ground_profile_by_month"].records
    assert metadata["ground_profile_by_month rows"].value == 240
    assert len(records) == MAX_ROWS
    assert records[-1].data["month"] == 202112


def _report(dagster_env: DagsterEnv) -> Mapping[str, Any]:
    result = dagster_env.run_asset("report")
    [event] = result.get_asset_materialization_events()
    return event.materialization.metadata


def test_a_report_of_an_empty_warehouse_asks_for_a_load(dagster_env: DagsterEnv) -> None:
    assert "run `scx load`" in failure(dagster_env.run_asset("report"))


def test_the_report_is_requested_once_after_every_load(dagster_env: DagsterEnv) -> None:
    put_march_and_april(dagster_env)

    def evaluate(cursor: Any = None) -> Any:
        return dg.evaluate_automation_conditions(dagster_env.definitions, dagster_env.instance, cursor=cursor)

    first = evaluate()
    assert dagster_env.load("2021-03", "2021-04").success
    second = evaluate(first.cursor)
    assert second.get_num_requested(key("report")) == 1
    assert evaluate(second.cursor).total_requested == 0
