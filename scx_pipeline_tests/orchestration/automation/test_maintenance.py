"""The job that looks after the warehouse, its schedule, and which of Dagster's own runs may go.
What is done to the tables is in maintenance/test_maintain.py."""

from __future__ import annotations

from uuid import uuid4

import dagster as dg
import pytest

from scx_pipeline.orchestration.automation.maintenance import NAME, maintenance, old_runs, remove_runs
from scx_pipeline.orchestration.build import with_resources
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.dagster_env import QUIET, Desk, failure
from scx_pipeline_tests.support.load_env import APRIL, FACTS, MARCH, STAGING, job


def maintained(desk: Desk, settings: Settings) -> dg.ExecuteInProcessResult:
    definitions = with_resources(maintenance(), settings)
    return definitions.resolve_job_def(NAME).execute_in_process(
        instance=desk.instance, run_config=QUIET, raise_on_error=False
    )


@pytest.fixture
def loaded(desk: Desk) -> Desk:
    """March and April stand, March by its second run."""
    desk.world.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    desk.world.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    for month in (MARCH, MARCH, APRIL):
        assert desk.run(month).success
    return desk


def test_the_jobs_run_shows_what_was_found_and_removed(loaded: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_KEEP_STAGING_MONTHS", "1")
    monkeypatch.setenv("SCX_KEEP_RUNS_DAYS", "1")
    result = maintained(loaded, loaded.settings)
    assert result.success
    [output] = [event for event in result.all_events if event.is_successful_output]
    metadata = output.step_output_data.metadata
    table = metadata["scx"].value
    rows = {record.data["table"]: record.data["rows"] for record in table.records}
    assert (rows[f"public.{FACTS}"], rows[f"public.{STAGING}"]) == (2, 1)
    assert metadata["scx advice"].value == f"- removed: rows of {STAGING}: 2021-03"
    assert metadata["runs removed"].value == 0
    assert "songplays" not in metadata, "it was never loaded"


def test_a_warehouse_that_cannot_be_looked_after_fails_the_run_with_one_line(desk: Desk) -> None:
    settings = Settings(home=desk.settings.home, warehouse_url="duckdb:///proc/self")
    told = failure(maintained(desk, settings))
    assert told.startswith("scx: cannot open duckdb:///proc/self")
    assert "songplays: cannot open duckdb:///proc/self" in told


def test_the_schedule_is_weekly_and_stopped() -> None:
    [schedule] = maintenance().schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.name, schedule.cron_schedule) == ("maintain_weekly", "0 3 * * 0")
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED


def test_runs_that_made_what_stands_are_kept_and_so_are_those_under_way(loaded: Desk) -> None:
    instance = loaded.instance
    under_way = dg.DagsterRun(job_name="scx", run_id=str(uuid4()), status=dg.DagsterRunStatus.STARTED)
    instance.add_run(under_way)
    assert old_runs(instance, 1) == []
    runs = [run.run_id for run in instance.get_runs() if run.run_id != under_way.run_id]  # the newest first
    assert old_runs(instance, 0) == [runs[-1]]
    before = {month: loaded.materializations(FACTS)[month] for month in (MARCH, APRIL)}
    assert remove_runs(instance, old_runs(instance, 0)) == 1
    assert {run.run_id for run in instance.get_runs()} == {under_way.run_id, *runs[:-1]}
    assert loaded.materializations(FACTS) == before
    assert old_runs(instance, 0) == []
