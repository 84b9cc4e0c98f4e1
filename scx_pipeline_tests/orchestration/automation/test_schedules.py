"""The hourly schedule of a star, on a real instance: which runs it requests, and why it skips.

The object sensor is not tested here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from scx_pipeline_tests.orchestration.automation.daemon import Daemon, put_job, range_of
from scx_pipeline_tests.support.load_env import jobs_of
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv


def schedule(dagster_env: DagsterEnv, time_of_tick: datetime) -> list[dg.RunRequest] | str:
    """Return the requests of the hourly schedule, or why it skips."""
    hourly = dagster_env.definitions.resolve_schedule_def("scx_hourly")
    with dg.build_schedule_context(
        instance=dagster_env.instance,
        scheduled_execution_time=time_of_tick,
        resources=dict(dagster_env.definitions.resources or {}),
    ) as context:
        data = hourly.evaluate_tick(context)
    return list(data.run_requests or []) or data.skip_message or ""


NOON = datetime(2021, 5, 1, 12, tzinfo=UTC)


def test_the_schedule_requests_every_hour_what_is_not_loaded_yet(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    ticks = [schedule(daemon.dagster_env, NOON + timedelta(hours=hour)) for hour in (0, 0, 1)]
    keys = []
    for requests in ticks:
        assert isinstance(requests, list)
        assert [range_of(request) for request in requests] == ["2021-02…2021-03"]
        keys.append(requests[0].run_key)
    assert keys[0] == keys[1], "an hour that is evaluated twice has one run"
    assert keys[1] != keys[2], "a month that is still due an hour later is requested again"


def test_the_schedule_skips_if_everything_is_loaded(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    daemon.dagster_env.load_env.load("2021-02", "2021-03")
    assert schedule(daemon.dagster_env, NOON) == "nothing has changed"


def test_the_schedule_skips_with_a_reason_if_the_bucket_is_missing(daemon: Daemon) -> None:
    daemon.dagster_env.load_env.bucket_path.rmdir()
    assert str(daemon.dagster_env.load_env.bucket_path) in schedule(daemon.dagster_env, NOON)


def test_a_run_requested_by_the_schedule_loads_the_month(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    requests = schedule(daemon.dagster_env, NOON)
    assert isinstance(requests, list)
    result = daemon.run(requests[0])
    assert result is not None
    assert result.success
    assert jobs_of(daemon.dagster_env.load_env) == [1]
