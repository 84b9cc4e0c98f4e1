"""The sensor of a lake that follows the warehouse, tick by tick, on a real instance: which builds it requests, and when."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from scx_pipeline.errors import CheckFailedError
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.lake.format.manifest import Manifest, read_manifest
from scx_pipeline.model.calendar import contiguous_ranges
from scx_pipeline.orchestration.partitions import month_range_of
from scx_pipeline.planning import run_requests
from scx_pipeline.settings import Settings
from scx_pipeline_tests.orchestration.automation.daemon import Daemon, put_job, range_of
from scx_pipeline_tests.support.lake.lake_env import Lake, read_tables
from scx_pipeline_tests.support.lake.lake_loads import LakeLoadEnv
from scx_pipeline_tests.support.load_env import APRIL, MARCH, MAY, create_load_env, range_of_keys
from scx_pipeline_tests.support.music_env import song
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv, failure
from scx_pipeline_tests.support.orchestration.songplays_env import SongplaysEnv, describe, put_events
from scx_pipeline_tests.support.processes.blocked_loads import blocked_loads, wait_for
from scx_pipeline_tests.support.year_of_jobs import (
    REFUSED,
    REFUSED_VALUE,
    file_of,
    job_of,
    put_files,
)

# Jobs of the last day of a month may be in the file of the next one.
FILES = {file_of(month): [job_of(month)] for month in ("2021-01", MARCH, MAY)}
UP_TO_MARCH = f"2021-02…{MARCH}"


@pytest.fixture
def lake(dagster_env: DagsterEnv) -> Daemon:
    return Daemon(dagster_env.with_settings(follower="lake", lake_seconds=0), "scx_lake")


def load_due(lake: Daemon) -> list[str]:
    """Load what is due in the warehouse, without Dagster; return the ranges of months. Some may be held."""
    load_env = lake.dagster_env.load_env
    parts = contiguous_ranges(item.month for item in load_env.plan().changed)
    for part in parts:
        with suppress(CheckFailedError):
            load_env.loader().load(part)
    return [f"{part.first}…{part.last}" for part in parts]


def build_requested(lake: Daemon) -> list[str]:
    """Tick and build what is requested, without Dagster; return the ranges of months. Some may be held."""
    env, requests = lake.dagster_env, lake.tick().run_requests or []
    build(LakeLoadEnv(env.load_env, env.settings.lake), requests)
    return [range_of(request) for request in requests]


def build(loads: LakeLoadEnv, requests: Iterable[dg.RunRequest]) -> None:
    for request in requests:
        scope = month_range_of(request.tags)
        with suppress(CheckFailedError):
            loads.builder().load(scope) if scope else loads.builder().refresh()


def manifest(dagster_env: DagsterEnv) -> Manifest:
    return read_manifest(open_lake_store(dagster_env.settings.lake, "scx"), "scx")


def assert_same_rows(lake: Daemon) -> None:
    """Compare all tables of the lake with those of the warehouse."""
    env = lake.dagster_env
    assert Lake(env.settings.lake, env.load_env, env.settings.home).contents() == read_tables(env.load_env)


def test_exactly_the_months_that_a_load_has_published_are_built_and_then_nothing_is_due(lake: Daemon) -> None:
    put_files(lake.dagster_env.load_env, FILES)
    assert lake.requested() == []
    lake.dagster_env.load_env.load("2021-02", MARCH)
    assert lake.tick_and_run() == [UP_TO_MARCH]
    assert [str(month) for month in manifest(lake.dagster_env).months] == ["2021-02", MARCH]
    assert lake.requested() == []
    assert load_due(lake) == ["2020-12…2021-01", f"{APRIL}…{MAY}"]
    assert build_requested(lake) == ["2020-12…2021-01", f"{APRIL}…{MAY}"]
    assert_same_rows(lake)
    assert lake.requested() == []


def test_a_new_object_is_not_built_before_a_load_has_published_it(lake: Daemon) -> None:
    put_job(lake.dagster_env, "2021/03/a.csv")
    assert load_due(lake) == build_requested(lake) == [UP_TO_MARCH]
    put_job(lake.dagster_env, "2021/03/b.csv", 2)
    assert lake.requested() == []
    assert load_due(lake) == build_requested(lake) == [UP_TO_MARCH]
    assert_same_rows(lake)


def test_a_month_that_always_has_newer_objects_than_the_warehouse_is_built_once_per_published_load(
    lake: Daemon,
) -> None:
    put_job(lake.dagster_env, "2021/03/a.csv")
    load_due(lake)
    put_job(lake.dagster_env, "2021/03/b.csv", 2)
    assert build_requested(lake) == [UP_TO_MARCH]
    assert lake.requested() == []
    load_due(lake)
    assert lake.requested() == [], "the lake has what was published already"
    assert_same_rows(lake)


def test_a_held_month_is_not_requested_before_its_corrected_objects_are_published(lake: Daemon) -> None:
    put_files(lake.dagster_env.load_env, FILES | REFUSED_VALUE)
    assert load_due(lake) == [f"2020-12…{MAY}"]
    assert build_requested(lake) == ["2020-12…2021-02", f"{APRIL}…{MAY}"]
    assert build_requested(lake) == []
    put_files(lake.dagster_env.load_env, {file_of(MARCH): [job_of(MARCH, plan_id=20)]})
    assert lake.requested() == []
    assert load_due(lake) == build_requested(lake) == [UP_TO_MARCH]
    assert_same_rows(lake)


def test_a_month_that_is_held_after_it_was_built_keeps_its_previous_rows_in_the_lake_too(
    lake: Daemon,
) -> None:
    put_files(lake.dagster_env.load_env, FILES)
    load_due(lake)
    build_requested(lake)
    before = manifest(lake.dagster_env)
    put_files(lake.dagster_env.load_env, REFUSED_VALUE)
    assert load_due(lake) == [UP_TO_MARCH]
    assert build_requested(lake) == ["2021-02…2021-02"], "the file of March may have jobs of February"
    after = manifest(lake.dagster_env)
    march = next(month for month in after.months if str(month) == MARCH)
    assert after.months[march] == before.months[march]
    assert_same_rows(lake)


def test_a_failed_build_is_requested_again_after_a_wait_that_doubles(
    lake: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_files(lake.dagster_env.load_env, {file_of(MARCH): [job_of(MARCH)]})
    load_due(lake)
    put_files(lake.dagster_env.load_env, REFUSED_VALUE)  # which no load has tried yet
    [request] = lake.tick().run_requests or []
    result = lake.run(request)
    assert result is not None
    assert REFUSED in failure(result)
    assert lake.requested() == []
    monkeypatch.setattr(run_requests, "FIRST_WAIT", timedelta(0))
    [request] = lake.tick().run_requests or []
    assert (request.run_key or "").startswith(f"scx:lake:{MARCH}:{MARCH}:")
    assert (request.run_key or "").endswith(":2")
    load_due(lake)
    assert lake.requested() == [], "a load has held the month"


def test_a_lake_that_was_removed_is_built_again_after_a_wait(
    lake: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_job(lake.dagster_env, "2021/03/jobs.csv")
    load_due(lake)
    build_requested(lake)
    assert lake.requested() == []
    folder = lake.dagster_env.settings.home / "lake"
    folder.rename(folder.with_name("removed"))
    monkeypatch.setattr(run_requests, "FIRST_WAIT", timedelta(0))
    assert [months for _ in range(2) for months in build_requested(lake)] == [UP_TO_MARCH]
    assert_same_rows(lake)


def test_a_manifest_that_cannot_be_read_skips_the_tick_with_its_url(lake: Daemon) -> None:
    put_job(lake.dagster_env, "2021/03/jobs.csv")
    load_due(lake)
    build_requested(lake)
    store = open_lake_store(lake.dagster_env.settings.lake, "scx")
    assert store.folder is not None
    (store.folder / manifest(lake.dagster_env).key).write_text("{")
    data = lake.tick()
    assert not data.run_requests
    assert f"{store.url}/_manifests/" in (data.skip_message or "")


def test_songs_are_refreshed_first_and_then_the_months_that_a_load_has_published(
    songplays_env: SongplaysEnv,
) -> None:
    env = songplays_env.with_settings(
        lake_url=(songplays_env.settings.home / "lake").as_uri(), follower="lake", lake_seconds=0
    )
    lake, loader = replace(env, sensor="songplays_lake"), env.load_env.loader()
    loads = LakeLoadEnv(env.load_env, env.settings.lake)
    put_events(env)
    env.load_env.put_song("z", song("SO9", title="Unheard"))
    assert lake.requests() == []
    loader.refresh()
    assert lake.tick_and_run() == ["songs"]
    assert lake.requests() == []
    loader.load(range_of_keys("2018-09", "2018-11"))
    assert built(lake, loads) == ["2018-09…2018-11"]
    env.load_env.put_song("a", song("SO1"))
    loader.refresh()
    assert built(lake, loads) == ["songs"]
    assert lake.requests() == [], "the month is stale in the warehouse as well"
    loader.load(range_of_keys("2018-10"))
    assert built(lake, loads) == ["2018-10…2018-10"]
    assert lake.requests() == []
    contents = Lake(env.settings.lake, env.load_env, env.settings.home).contents()
    assert contents == read_tables(env.load_env)


def built(lake: SongplaysEnv, loads: LakeLoadEnv) -> list[str]:
    """Tick and build what is requested, without Dagster; return what each request was for."""
    requests = lake.requests()
    build(loads, requests)
    return [describe(request) for request in requests]


def test_a_request_that_was_lost_is_repeated_with_the_same_key(lake: Daemon) -> None:
    put_job(lake.dagster_env, "2021/03/jobs.csv")
    load_due(lake)
    first, second = lake.tick().run_requests, lake.tick().run_requests
    assert first
    assert [item.run_key for item in first] == [item.run_key for item in second or []]
    assert first[0].job_name == "scx_lake_job"


def test_a_load_in_progress_on_a_server_does_not_keep_the_lake_waiting(
    tmp_path: Path, instance: dg.DagsterInstance, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", postgres_url)
    settings = Settings(home=tmp_path, lake_url=(tmp_path / "lake").as_uri(), follower="lake", lake_seconds=0)
    env = DagsterEnv(create_load_env(tmp_path, postgres_url), settings, instance)
    lake = Daemon(env, "scx_lake")
    put_job(env, "2021/03/jobs.csv")
    load_due(lake)
    put_job(env, "2021/04/jobs.csv", 4, "2021-04-05")
    with ThreadPoolExecutor(1) as pool, blocked_loads(postgres_url) as load_waits:
        load = pool.submit(env.load_env.load, MARCH, APRIL)
        wait_for("a load waits", load_waits)
        assert build_requested(lake) == [UP_TO_MARCH]
        assert not load.done()
    assert load.result().is_published
    assert build_requested(lake) == [f"{APRIL}…{APRIL}"]
    assert_same_rows(lake)
