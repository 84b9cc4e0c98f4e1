"""What keeps the sensor of a lake that follows the warehouse from requesting builds: runs in progress, and those that ended lately.

Which months are due is not tested here.
"""

from __future__ import annotations

from datetime import timedelta
from time import time

import dagster as dg
import pytest

from scx_pipeline.orchestration.automation import followers
from scx_pipeline.orchestration.dagster_internals import EngineEventData
from scx_pipeline_tests.orchestration.automation.daemon import Daemon, put_job
from scx_pipeline_tests.support.lake.lake_loads import LakeLoadEnv
from scx_pipeline_tests.support.load_env import MARCH, range_of_keys
from scx_pipeline_tests.support.music_env import song
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv
from scx_pipeline_tests.support.orchestration.songplays_env import SongplaysEnv, describe, put_events

UP_TO_MARCH = f"2021-02…{MARCH}"


@pytest.fixture
def lake(dagster_env: DagsterEnv) -> Daemon:
    """The sensor of a lake that waits for an hour after each build, with two months to build."""
    put_job(dagster_env, "2021/03/jobs.csv")
    dagster_env.load_env.load("2021-02", MARCH)
    return Daemon(dagster_env.with_settings(follower="lake", lake_seconds=3600), "scx_lake")


def add_run(instance: dg.DagsterInstance, job: str, status: str = "STARTED", key: str = "") -> dg.DagsterRun:
    selection = {dg.AssetKey(key.split("/"))} if key else None
    return instance.add_run(dg.DagsterRun(job, status=dg.DagsterRunStatus(status), asset_selection=selection))


def end_run(instance: dg.DagsterInstance, run: dg.DagsterRun, ago: timedelta) -> None:
    """Record that a run has failed some time ago."""
    event = dg.DagsterEvent(
        dg.DagsterEventType.RUN_FAILURE.value, run.job_name, event_specific_data=EngineEventData()
    )
    instance.report_dagster_event(event, run.run_id, timestamp=time() - ago.total_seconds())


@pytest.mark.parametrize(
    ("job", "status", "key"),
    [
        ("scx_lake_job", "NOT_STARTED", ""),
        ("scx_lake_job", "STARTED", ""),
        ("__ASSET_JOB", "STARTED", "scx/lake/users"),
    ],
)
def test_nothing_is_requested_while_a_build_of_the_star_is_in_progress(
    lake: Daemon, job: str, status: str, key: str
) -> None:
    run = add_run(lake.dagster_env.instance, job, status, key)
    data = lake.tick()
    assert not data.run_requests
    assert data.skip_message == f"a build of the lake is queued or in progress: run {run.run_id}"
    lake.dagster_env.instance.delete_run(run.run_id)
    assert lake.requested() == [UP_TO_MARCH]


def test_a_run_that_was_created_long_ago_and_never_queued_is_not_waited_for(
    lake: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(lake.dagster_env.instance, "scx_lake_job", "NOT_STARTED")
    monkeypatch.setattr(followers, "NOT_STARTED_LIMIT", timedelta(seconds=-5))
    assert lake.requested() == [UP_TO_MARCH]


def test_neither_builds_of_another_star_nor_loads_keep_a_star_waiting(lake: Daemon) -> None:
    instance = lake.dagster_env.instance
    for job, key in (("songplays_lake_job", ""), ("scx", ""), ("__ASSET_JOB", "scx/users")):
        add_run(instance, job, key=key)
    end_run(instance, add_run(instance, "songplays_lake_job"), timedelta(0))
    assert lake.requested() == [UP_TO_MARCH]


def test_a_star_is_not_built_again_before_its_seconds_after_the_end_of_a_build_are_over(lake: Daemon) -> None:
    instance = lake.dagster_env.instance
    end_run(instance, add_run(instance, "scx_lake_job"), timedelta(minutes=50))
    data = lake.tick()
    assert not data.run_requests
    assert (
        data.skip_message == "the last build of the lake ended less than 3600 seconds ago (SCX_LAKE_SECONDS)"
    )
    end_run(instance, add_run(instance, "scx_lake_job"), timedelta(minutes=61))
    assert lake.requested() == [UP_TO_MARCH]


def test_months_do_not_wait_for_the_seconds_after_a_refresh_nor_for_newer_songs(
    songplays_env: SongplaysEnv,
) -> None:
    lake_url = (songplays_env.settings.home / "lake").as_uri()
    env = songplays_env.with_settings(lake_url=lake_url, follower="lake", lake_seconds=3600)
    env.sensor, loads = "songplays_lake", LakeLoadEnv(env.load_env, lake_url)
    put_events(env)
    env.load_env.put_song("SO8", song("SO8", title="Unheard"))
    env.load_env.loader().refresh()
    loads.builder().refresh()
    env.load_env.load("2018-09", "2018-11")
    env.load_env.put_song("SO9", song("SO9", title="Unheard"))
    env.load_env.loader().refresh()
    end_run(env.instance, add_run(env.instance, "songplays_lake_refresh_job"), timedelta(0))
    assert [describe(request) for request in env.requests()] == ["2018-09…2018-11"]
    loads.builder().load(range_of_keys("2018-09", "2018-11"))
    assert env.requests() == []
