"""The maintenance job and its schedule.

What maintenance does to tables is not tested here.
"""

from __future__ import annotations

import dagster as dg
import pytest

from scx_pipeline.orchestration.automation.maintenance import NAME, maintenance
from scx_pipeline.orchestration.build import with_resources
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.load_env import APRIL, FACTS, MARCH, STAGING, job, scx_star
from scx_pipeline_tests.support.music_env import music_star
from scx_pipeline_tests.support.orchestration.dagster_env import QUIET, DagsterEnv, failure


def run_maintenance(dagster_env: DagsterEnv, settings: Settings) -> dg.ExecuteInProcessResult:
    definitions = with_resources(maintenance([scx_star(), music_star()]), settings)
    return definitions.resolve_job_def(NAME).execute_in_process(
        instance=dagster_env.instance, run_config=QUIET, raise_on_error=False
    )


@pytest.fixture
def loaded(dagster_env: DagsterEnv) -> DagsterEnv:
    """Load March twice and April once."""
    dagster_env.load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    dagster_env.load_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    for month in (MARCH, MARCH, APRIL):
        assert dagster_env.run(month).success
    return dagster_env


def test_a_maintenance_run_shows_its_findings_and_removals(
    loaded: DagsterEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_KEEP_STAGING_MONTHS", "1")
    monkeypatch.setenv("SCX_KEEP_RUNS_DAYS", "1")
    result = run_maintenance(loaded, loaded.settings)
    assert result.success
    [output] = [event for event in result.all_events if event.is_successful_output]
    metadata = output.step_output_data.metadata
    table = metadata["scx"].value
    rows = {record.data["table"]: record.data["rows"] for record in table.records}
    assert (rows[f"public.{FACTS}"], rows[f"public.{STAGING}"]) == (2, 1)
    assert metadata["scx advice"].value == f"- removed: rows of {STAGING}: 2021-03"
    assert metadata["runs removed"].value == 0
    assert "songplays" not in metadata, "it was never loaded"


def test_an_unusable_warehouse_fails_the_maintenance_run_with_one_line(dagster_env: DagsterEnv) -> None:
    settings = Settings(home=dagster_env.settings.home, warehouse_url="duckdb:///proc/self")
    message = failure(run_maintenance(dagster_env, settings))
    assert message.startswith("scx: cannot open duckdb:///proc/self")
    assert "songplays: cannot open duckdb:///proc/self" in message


def test_the_maintenance_schedule_is_weekly_and_stopped_by_default() -> None:
    [schedule] = maintenance([]).schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.name, schedule.cron_schedule) == ("maintain_weekly", "0 3 * * 0")
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
