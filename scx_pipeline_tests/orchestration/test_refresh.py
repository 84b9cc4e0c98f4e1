"""Tables without months in Dagster: their run, what the sensor and the schedules ask for, and late songs from end to end.
Which months become stale is tested on every engine in pipeline/; the first star's runs and ticks are in the other modules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import DagsterRun

from scx_pipeline.orchestration import triggers
from scx_pipeline.orchestration.build import build_star, with_resources
from scx_pipeline.orchestration.execute import open_runner
from scx_pipeline.orchestration.partitions import RANGE_END, RANGE_START
from scx_pipeline.settings import Settings
from scx_pipeline_tests.orchestration.desk import QUIET, failure
from scx_pipeline_tests.pipeline.music import MusicWorld, event, music_world, song

REFRESH = "songplays_refresh_job"


@dataclass
class Studio:
    """The songplays star at a desk: its world, its definitions, an instance, and the sensor's cursor."""

    world: MusicWorld
    settings: Settings
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    cursor: str | None = None

    def asked(self) -> list[dg.RunRequest]:
        """What a tick of the sensor asks for."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources=dict(self.definitions.resources or {})
        )
        data = self.definitions.resolve_sensor_def("songplays_objects").evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return list(data.run_requests or [])

    def run(self, job: str, assets: list[str] | None = None, **tags: str) -> dg.ExecuteInProcessResult:
        selection = [dg.AssetKey(["songplays", name]) for name in assets] if assets else None
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            asset_selection=selection,
            tags=tags,
            run_config=QUIET,
            raise_on_error=False,
        )

    def tick_and_run(self) -> list[str]:
        """Tick, and run what was asked for; what each request was for."""
        requests = self.asked()
        for request in requests:
            assert self.run(
                request.job_name or "", **{**request.tags, triggers.RUN_KEY: request.run_key or ""}
            ).success
        return [told(request) for request in requests]

    def schedule(self, name: str) -> list[str]:
        context = dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=datetime(2026, 1, 1, 12, tzinfo=UTC),
            resources=dict(self.definitions.resources or {}),
        )
        data = self.definitions.resolve_schedule_def(name).evaluate_tick(context)
        return [told(request) for request in data.run_requests or []]

    def metadata(self, table: str) -> dict[str, Any]:
        """The metadata of a table's newest materialization."""
        [record] = self.instance.fetch_materializations(dg.AssetKey(["songplays", table]), limit=1).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def told(request: dg.RunRequest) -> str:
    """What a request is for: months, or the tables without."""
    if request.job_name == REFRESH:
        return "songs"
    return f"{request.tags[RANGE_START]}…{request.tags[RANGE_END]}"


@pytest.fixture
def studio(tmp_path: Path, instance: dg.DagsterInstance) -> Studio:
    settings, world = Settings(home=tmp_path), music_world(tmp_path)
    assert (settings.bucket, settings.warehouse) == (world.bucket_url, world.warehouse_url)
    return Studio(world, settings, instance, with_resources(build_star(world.compiled), settings))


def put_events(studio: Studio) -> None:
    for month in (9, 10, 11):
        day = f"2018-{month:02d}-10"
        values = {} if month == 10 else {"song": "Undo"}
        studio.world.put_day(day, [event(month, 0, f"{day} 10:00:00", **values)])


def test_a_run_without_months_materializes_its_tables_with_counts_and_checks(studio: Studio) -> None:
    studio.world.put_song("a", song("SO1"))
    result = studio.run(REFRESH)
    assert result.success
    made = {
        item.asset_key.path[-1]: item for item in result.get_asset_materialization_events() if item.asset_key
    }
    assert made.keys() == {"staging_songs", "songs", "artists"}
    assert all(item.partition is None for item in made.values())
    metadata = studio.metadata("songs")
    assert (metadata["dagster/row_count"], metadata["objects"], metadata["rows_read"]) == (1, 1, 1)
    checks = result.get_asset_check_evaluations()
    assert {check.check_name for check in checks} >= {"accounting", "unique_song_id", "references_artists"}
    assert all(check.passed for check in checks)


def test_a_run_of_one_of_them_makes_them_all(studio: Studio) -> None:
    studio.world.put_song("a", song("SO1"))
    assert studio.run(REFRESH, ["artists"]).success
    assert studio.metadata("songs")["dagster/row_count"] == 1
    assert studio.world.table("songs", "song_id") == [("SO1",)]


def test_a_song_that_is_refused_fails_the_run_and_records_the_check(studio: Studio) -> None:
    studio.world.put_song("a", song("SO1", artist_latitude=1000))
    result = studio.run(REFRESH)
    assert not result.success
    assert "songplays without months was not published, nothing was changed" in failure(result)
    failed = [check.check_name for check in result.get_asset_check_evaluations() if not check.passed]
    assert failed == ["range_artist_latitude"]


def test_the_sensor_asks_for_songs_first_then_for_months_and_for_late_songs_exactly_those_they_change(
    studio: Studio,
) -> None:
    put_events(studio)
    studio.world.put_song("z", song("SO9", title="Unheard"))
    assert studio.tick_and_run() == ["songs"]
    assert studio.tick_and_run() == ["2018-09…2018-11"]
    assert studio.tick_and_run() == []
    studio.world.put_song("a", song("SO1"))
    assert studio.tick_and_run() == ["songs"]
    assert studio.metadata("songs")["stale_months"] == "2018-10"
    assert studio.tick_and_run() == ["2018-10…2018-10"]
    assert studio.tick_and_run() == []
    plays = sorted(studio.world.plays("songplay_id, song_id"))
    assert plays == [(900000, None), (1000000, "SO1"), (1100000, None)]


@pytest.mark.parametrize(("status", "asked"), [("STARTED", []), ("FAILURE", ["2018-09…2018-11"])])
def test_months_wait_for_songs_that_are_on_their_way_and_not_for_those_that_failed(
    studio: Studio, status: str, asked: list[str]
) -> None:
    put_events(studio)
    studio.world.put_song("a", song("SO1"))
    [request] = studio.asked()
    assert told(request) == "songs"
    tags = {**request.tags, triggers.RUN_KEY: request.run_key or ""}
    studio.instance.add_run(DagsterRun(job_name=REFRESH, tags=tags, status=dg.DagsterRunStatus(status)))
    months = [told(item) for item in studio.asked() if told(item) != "songs"]
    assert months == asked


def test_each_schedule_asks_for_its_own(studio: Studio) -> None:
    put_events(studio)
    studio.world.put_song("a", song("SO1"))
    assert studio.schedule("songplays_refresh_hourly") == ["songs"]
    assert studio.run(REFRESH).success
    assert studio.schedule("songplays_refresh_hourly") == []
    assert studio.schedule("songplays_hourly") == ["2018-09…2018-11"]


def test_a_run_as_the_command_makes_it_tells_which_months_are_stale(studio: Studio) -> None:
    put_events(studio)
    with open_runner(studio.world.compiled, studio.settings, lambda message: None) as run:
        assert run(studio.world.compiled.star.months()).success
        studio.world.put_song("a", song("SO1"))
        outcome = run(None)
    assert outcome.success
    assert outcome.span is None
    assert outcome.rows["songs"] == {"": 1}
    assert outcome.numbers["stale_months"] == "2018-10"
