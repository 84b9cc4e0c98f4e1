"""Which failed runs are open: those of a star after which no run of the same work succeeded and nothing was loaded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.test_utils import create_run_for_test

from scx_pipeline.model.calendar import Month
from scx_pipeline.orchestration.runs.failed_runs import FailedRun, find_failed_runs
from scx_pipeline.orchestration.runs.lost_runs import LOST_RUN_MESSAGE
from scx_pipeline_tests.support.load_env import job, scx_star
from scx_pipeline_tests.support.orchestration.dagster_env import STAR, DagsterEnv
from scx_pipeline_tests.support.orchestration.songplays_env import SongplaysEnv

BAD, GOOD = job(1, "2021-03-05 10:00:00", user_id="unknown"), job(1, "2021-03-05 10:00:00")


def find(dagster_env: DagsterEnv, loaded_at: datetime | None = None) -> FailedRun | None:
    times = {STAR: loaded_at} if loaded_at else {}
    return find_failed_runs(dagster_env.instance, [scx_star()], times).get(STAR)


def fail(dagster_env: DagsterEnv, month: str = "2021-03") -> dg.ExecuteInProcessResult:
    dagster_env.load_env.put("2021/03/jobs.csv", [BAD])
    result = dagster_env.run(month)
    assert not result.success
    return result


def test_a_failed_load_is_open_with_its_months_and_the_first_line_of_its_message(
    dagster_env: DagsterEnv,
) -> None:
    assert find(dagster_env) is None
    failed = fail(dagster_env)
    found = find(dagster_env)
    assert found is not None
    assert (found.run_id, found.work, found.months) == (failed.run_id, "load", (Month(2021, 3),))
    assert found.message.startswith("scx 2021-03 was not published, nothing was changed: rejected_rows on ")
    assert "\n" not in found.message
    assert timedelta() <= datetime.now(UTC).replace(tzinfo=None) - found.ended_at < timedelta(minutes=5)


def test_the_last_of_several_failed_runs_is_found(dagster_env: DagsterEnv) -> None:
    fail(dagster_env)
    last = fail(dagster_env)
    found = find(dagster_env)
    assert found is not None
    assert found.run_id == last.run_id


def test_a_failed_load_is_resolved_by_a_later_run_or_a_later_load(dagster_env: DagsterEnv) -> None:
    fail(dagster_env)
    now = datetime.now(UTC).replace(tzinfo=None)
    assert find(dagster_env, now - timedelta(days=1)) is not None
    assert find(dagster_env, now + timedelta(seconds=1)) is None, "another Dagster instance has loaded since"
    dagster_env.load_env.put("2021/03/jobs.csv", [GOOD])
    assert dagster_env.run("2021-03").success
    assert find(dagster_env) is None
    fail(dagster_env)
    assert find(dagster_env) is not None


def test_a_failed_run_of_the_lake_is_not_resolved_by_a_load(dagster_env: DagsterEnv) -> None:
    dagster_env.load_env.put("2021/03/jobs.csv", [BAD])
    build = dagster_env.definitions.resolve_job_def("scx_lake_job")
    result = build.execute_in_process(
        instance=dagster_env.instance, partition_key="2021-03", raise_on_error=False
    )
    assert not result.success
    found = find(dagster_env, datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=1))
    assert found is not None
    assert (found.work, found.months) == ("lake_load", (Month(2021, 3),))


def test_a_lost_run_is_open_with_its_message(dagster_env: DagsterEnv) -> None:
    run = create_run_for_test(dagster_env.instance, STAR, status=dg.DagsterRunStatus.STARTED)
    dagster_env.instance.report_run_failed(run, LOST_RUN_MESSAGE)
    found = find(dagster_env)
    assert found is not None
    assert (found.message, found.months) == (LOST_RUN_MESSAGE, ())


def test_a_failed_run_of_another_star_is_not_found(songplays_env: SongplaysEnv) -> None:
    songplays_env.load_env.put_song("A/bad", b'{"song_id": ')
    assert not songplays_env.run("songplays_refresh_job").success
    songplays = songplays_env.load_env.compiled
    found = find_failed_runs(songplays_env.instance, [scx_star(), songplays], {})
    assert [(star, run.work) for star, run in found.items()] == [("songplays", "refresh")]
    assert find_failed_runs(songplays_env.instance, [scx_star()], {}) == {}
