"""The sensor of a warehouse that follows the lake, tick by tick, on a real instance: which loads it requests, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scx_pipeline.orchestration.assets.table_assets import FROM_LAKE, ROWS_FROM
from scx_pipeline.orchestration.partitions import month_range_of
from scx_pipeline.planning import run_requests
from scx_pipeline_tests.orchestration.automation.daemon import Daemon, put_job
from scx_pipeline_tests.support.lake.lake_env import Lake, read_tables
from scx_pipeline_tests.support.lake.lake_loads import LakeLoadEnv
from scx_pipeline_tests.support.load_env import FACTS, MARCH, edited_star, jobs_of, range_of_keys
from scx_pipeline_tests.support.music_env import song
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv
from scx_pipeline_tests.support.orchestration.songplays_env import SongplaysEnv, describe, put_events

UP_TO_MARCH = f"2021-02…{MARCH}"


@pytest.fixture
def warehouse(dagster_env: DagsterEnv) -> Daemon:
    return Daemon(dagster_env.with_settings(follower="warehouse"), "scx_from_lake")


def build_due(warehouse: Daemon) -> None:
    """Build what is due in the lake, as another deployment may do."""
    env = warehouse.dagster_env
    LakeLoadEnv(env.load_env, env.settings.lake).build()


def test_an_empty_lake_skips_the_tick_and_says_what_to_do(warehouse: Daemon) -> None:
    put_job(warehouse.dagster_env, "2021/03/a.csv")
    data = warehouse.tick()
    assert not data.run_requests
    assert "has no data of scx yet: run `scx lake build scx`" in (data.skip_message or "")


def test_exactly_the_months_that_the_lake_has_published_since_are_loaded_from_it(warehouse: Daemon) -> None:
    put_job(warehouse.dagster_env, "2021/03/a.csv")
    put_job(warehouse.dagster_env, "2021/06/a.csv", 6, "2021-06-05")
    build_due(warehouse)
    assert warehouse.requested() == [UP_TO_MARCH, "2021-05…2021-06"]
    LakeLoadEnv(warehouse.dagster_env.load_env, warehouse.dagster_env.settings.lake).load()
    assert warehouse.requested() == []
    put_job(warehouse.dagster_env, "2021/03/b.csv", 2)
    assert warehouse.requested() == [], "the lake does not have it yet"
    build_due(warehouse)
    assert warehouse.tick_and_run() == [UP_TO_MARCH]
    metadata = warehouse.dagster_env.materializations(FACTS)[MARCH]
    assert metadata["rows_from"] == f"{warehouse.dagster_env.settings.lake}/scx"
    assert sorted(jobs_of(warehouse.dagster_env.load_env)) == [1, 2, 6]
    assert warehouse.tick_and_run() == []


def test_a_request_has_the_tag_that_loads_from_the_lake(warehouse: Daemon) -> None:
    put_job(warehouse.dagster_env, "2021/03/a.csv")
    build_due(warehouse)
    [request] = warehouse.tick().run_requests or []
    assert request.job_name == "scx"
    assert request.tags[ROWS_FROM] == FROM_LAKE
    assert (request.run_key or "").startswith(f"scx:from_lake:2021-02:{MARCH}:")


def test_a_failed_load_is_requested_again_after_a_wait(
    warehouse: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_job(warehouse.dagster_env, "2021/03/a.csv")
    build_due(warehouse)
    folder = warehouse.dagster_env.settings.home / "lake" / "scx" / FACTS
    moved = folder.rename(folder.with_name("_moved"))
    assert warehouse.tick_and_run() == [UP_TO_MARCH]
    assert warehouse.dagster_env.count(FACTS) == 0
    assert warehouse.tick_and_run() == []
    moved.rename(folder)
    monkeypatch.setattr(run_requests, "FIRST_WAIT", timedelta(0))
    assert warehouse.requested() == [UP_TO_MARCH]


def test_months_of_another_version_of_the_star_are_left_out_with_the_command_that_builds_them(
    warehouse: Daemon,
) -> None:
    put_job(warehouse.dagster_env, "2021/03/a.csv")
    build_due(warehouse)
    env = warehouse.dagster_env
    newer = edited_star(
        env.settings.home,
        sql={"time": ("EXTRACT(HOUR FROM created_at)", "EXTRACT(HOUR FROM created_at) + 0")},
    )
    changed = replace(env, load_env=replace(env.load_env, compiled=newer))
    sensor = Daemon(changed, "scx_from_lake")
    data = sensor.tick()
    assert not data.run_requests
    assert "was built by another version of the star's tables or SQL" in (data.skip_message or "")
    LakeLoadEnv(changed.load_env, env.settings.lake).builder().load(range_of_keys(MARCH))
    assert sensor.requested() == [f"{MARCH}…{MARCH}"]


def test_songs_are_loaded_first_and_late_songs_load_only_the_months_that_the_lake_has_rebuilt(
    songplays_env: SongplaysEnv,
) -> None:
    lake = (songplays_env.settings.home / "lake").as_uri()
    env = replace(
        songplays_env.with_settings(lake_url=lake, follower="warehouse"), sensor="songplays_from_lake"
    )
    put_events(env)
    env.load_env.put_song("z", song("SO9", title="Unheard"))
    LakeLoadEnv(env.load_env, lake).build()
    assert env.tick_and_run() == ["songs"]
    assert loaded(env) == ["2018-09…2018-11"]
    env.load_env.put_song("a", song("SO1"))
    LakeLoadEnv(env.load_env, lake).build()
    assert loaded(env) == ["songs"]
    assert loaded(env) == ["2018-10…2018-10"]
    assert env.requests() == []
    assert read_tables(env.load_env) == Lake(lake, env.load_env, env.settings.home).contents()


def loaded(env: SongplaysEnv) -> list[str]:
    """Tick and load what is requested, without Dagster; return what each request was for."""
    requests, loader = env.requests(), LakeLoadEnv(env.load_env, env.settings.lake).loader()
    for request in requests:
        scope = month_range_of(request.tags)
        loader.load(scope) if scope else loader.refresh()
    return [describe(request) for request in requests]
