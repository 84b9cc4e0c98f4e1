"""The data versions of sources that the object sensor records, compared with the sources' own observations."""

from __future__ import annotations

import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from scx_pipeline.orchestration.automation import source_observations
from scx_pipeline.orchestration.dagster_internals import latest_data_versions
from scx_pipeline_tests.orchestration.automation.daemon import Daemon, put_job
from scx_pipeline_tests.support.load_env import FACTS
from scx_pipeline_tests.support.music_env import song
from scx_pipeline_tests.support.orchestration import songplays_env as music
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv, key
from scx_pipeline_tests.support.orchestration.songplays_env import SongplaysEnv, put_events

SOURCE = key("auto_classify_jobs")


def observed(dagster_env: DagsterEnv) -> list[str | None]:
    """Return the months of all observations of the source, oldest first."""
    records = dagster_env.instance.fetch_observations(SOURCE, limit=1000, ascending=True).records
    return [record.partition_key for record in records]


def test_changed_months_are_observed_with_the_versions_of_the_sources_own_observation(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    put_job(daemon.dagster_env, "2021/08/jobs.csv", 2, "2021-08-05")
    daemon.tick_and_run()
    put_job(daemon.dagster_env, "2021/08/more.csv", 3, "2021-08-06")
    daemon.tick_and_run()
    instance = daemon.dagster_env.instance
    by_sensor = latest_data_versions(instance, SOURCE)
    assert by_sensor.keys() == {"2021-02", "2021-03", "2021-07", "2021-08"}
    assert daemon.dagster_env.run_asset("auto_classify_jobs").success
    by_source = latest_data_versions(instance, SOURCE)
    assert by_sensor == {month: by_source[month] for month in by_sensor}


def test_a_loaded_month_stays_fresh_when_its_source_is_observed_again(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    daemon.tick_and_run()
    assert statuses(daemon.dagster_env) == {StaleStatus.FRESH}
    assert daemon.dagster_env.run_asset("auto_classify_jobs").success
    assert statuses(daemon.dagster_env) == {StaleStatus.FRESH}
    put_job(daemon.dagster_env, "2021/03/more.csv", 2)
    daemon.tick()
    assert StaleStatus.STALE in statuses(daemon.dagster_env)
    daemon.tick_and_run()
    assert statuses(daemon.dagster_env) == {StaleStatus.FRESH}


def statuses(dagster_env: DagsterEnv) -> set[StaleStatus]:
    """Return how Dagster shows a month of the first and the last table."""
    graph = dagster_env.definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(
        dagster_env.instance, graph, LoadingContextForTest(dagster_env.instance)
    )
    return {resolver.get_status(key(name), "2021-03") for name in ("staging_cleansed_logs", FACTS)}


def test_a_fingerprint_is_observed_once(daemon: Daemon) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv", user_id="unknown")
    for _ in range(2):  # the run fails
        daemon.tick_and_run()
    daemon.cursor = None
    daemon.tick()
    assert observed(daemon.dagster_env) == ["2021-03", "2021-02"]


def test_a_tick_that_requests_nothing_new_observes_nothing_and_asks_for_no_versions(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_job(daemon.dagster_env, "2021/03/jobs.csv")
    daemon.tick()
    with monkeypatch.context() as patch:
        patch.delattr(source_observations, "latest_data_versions")
        assert daemon.tick().asset_events == []
        assert [
            request.run_key for request in daemon.tick().run_requests or []
        ]  # repeated, as it was not run
        daemon.tick_and_run()
        assert daemon.tick().asset_events == []


def test_a_tick_observes_the_newest_months_up_to_its_limit(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_observations, "MAX_OBSERVATIONS", 3)
    for month in range(1, 10):
        put_job(daemon.dagster_env, f"2021/{month:02d}/jobs.csv", month, f"2021-{month:02d}-05")
    assert daemon.requested() == ["2020-12…2021-09"]
    assert observed(daemon.dagster_env) == ["2021-09", "2021-08", "2021-07"]


def test_months_and_unpartitioned_sources_are_observed_each_when_they_are_requested(
    songplays_env: SongplaysEnv,
) -> None:
    put_events(songplays_env)
    songplays_env.load_env.put_song("a", song("SO1"))
    assert songplays_env.tick_and_run() == ["songs"]
    instance = songplays_env.instance
    songs = latest_data_versions(instance, music.key("song_data"))
    assert songs.keys() == {None}
    assert latest_data_versions(instance, music.key("log_data")) == {}
    songplays_env.tick_and_run()
    events = latest_data_versions(instance, music.key("log_data"))
    assert {"2018-09", "2018-10", "2018-11"} <= events.keys()
    assert None not in events
    for name in ("song_data", "log_data"):
        assert songplays_env.run_alone(name).success
    assert latest_data_versions(instance, music.key("song_data")) == songs
    assert events == latest_data_versions(instance, music.key("log_data_csv")), "one set of objects"
    by_source = latest_data_versions(instance, music.key("log_data"))
    assert events == {month: by_source[month] for month in events}
