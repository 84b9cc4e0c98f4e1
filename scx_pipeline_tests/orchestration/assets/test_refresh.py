"""Tables without months in Dagster: their run, what the sensor and the schedules ask for, and late songs from end to end.
Which months become stale is tested on every engine in pipeline/; the first star's runs and ticks are in the other modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from scx_pipeline.loading.checks import declared_checks
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.orchestration.automation import sensors
from scx_pipeline.orchestration.build import build_star, with_resources
from scx_pipeline.orchestration.partitions import RANGE_END, RANGE_START, range_tags
from scx_pipeline.orchestration.runs.execute import open_runner
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.dagster_env import QUIET, failure
from scx_pipeline_tests.support.load_env import range_of_keys
from scx_pipeline_tests.support.music_env import MusicWorld, event, music_world, song

MONTHS, REFRESH = "songplays", "songplays_refresh_job"
WHOLE = ("staging_songs", "songs", "artists")
BAD = b'{"song_id": "SO1"'


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
        sensor = self.definitions.resolve_sensor_def("songplays_objects")
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources=dict(self.definitions.resources or {})
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return list(data.run_requests or [])

    def run(
        self, job: str, assets: Iterable[str] = (), tags: Mapping[str, str] = {}
    ) -> dg.ExecuteInProcessResult:
        """A run as the UI or a sensor makes it, of some of the job's tables or of all."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            asset_selection=[key(name) for name in assets] or None,
            tags=dict(tags),
            run_config=QUIET,
            raise_on_error=False,
        )

    def run_months(self, first: str, last: str = "", assets: Iterable[str] = ()) -> dg.ExecuteInProcessResult:
        return self.run(MONTHS, assets, range_tags(range_of_keys(first, last)))

    def run_alone(self, asset: str = "", check: dg.AssetCheckKey | None = None) -> dg.ExecuteInProcessResult:
        """A run of one asset that is no table, or of one check, as its page in the UI makes it."""
        job = self.definitions.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={key(asset)} if asset else set(),
            asset_check_selection={check} if check else set(),
        )
        return job.execute_in_process(instance=self.instance, run_config=QUIET, raise_on_error=False)

    def tick_and_run(self, success: bool = True) -> list[str]:
        """Tick, and run what was asked for, each run ending as it must; what each request was for."""
        requests = self.asked()
        for request in requests:
            tags = {**request.tags, sensors.RUN_KEY: request.run_key or ""}
            assert self.run(request.job_name or "", tags=tags).success == success
        return [told(request) for request in requests]

    def schedule(self, name: str) -> list[str]:
        schedule = self.definitions.resolve_schedule_def(name)
        with dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=datetime(2026, 1, 1, 12, tzinfo=UTC),
            resources=dict(self.definitions.resources or {}),
        ) as context:
            data = schedule.evaluate_tick(context)
        return [told(request) for request in data.run_requests or []]

    def report_wanted(self) -> Callable[[], bool]:
        """Asks, like the report's sensor, whether the report is to be renewed since it was asked before."""
        cursor = None

        def wanted() -> bool:
            nonlocal cursor
            found = dg.evaluate_automation_conditions(
                self.definitions, self.instance, dg.AssetSelection.assets(key("report")), cursor=cursor
            )
            cursor = found.cursor
            return found.total_requested > 0

        return wanted

    def metadata(self, table: str) -> dict[str, Any]:
        """The metadata of a table's newest materialization."""
        [record] = self.instance.fetch_materializations(key(table), limit=1).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def counts(self) -> dict[str, int]:
        """How many materializations of every table without months were recorded."""
        return {
            name: len(self.instance.fetch_materializations(key(name), limit=100).records) for name in WHOLE
        }


def key(name: str) -> dg.AssetKey:
    """The asset key of one of the star's tables or sources."""
    return dg.AssetKey(["songplays", name])


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
    """A play in each of three months, of the song of `song` only in the one between."""
    for month in (9, 10, 11):
        day = f"2018-{month:02d}-10"
        values = {} if month == 10 else {"song": "Undo"}
        studio.world.put_day(day, [event(month, 0, f"{day} 10:00:00", **values)])


def test_a_run_without_months_materializes_its_tables_with_counts_and_checks(studio: Studio) -> None:
    studio.world.put_song("a", song("SO1"))
    result = studio.run(REFRESH)
    assert result.success
    made = result.get_asset_materialization_events()
    assert sorted(item.asset_key.path[-1] for item in made if item.asset_key) == sorted(WHOLE)
    assert all(item.partition is None for item in made)
    metadata = studio.metadata("songs")
    assert (metadata["dagster/row_count"], metadata["objects"], metadata["rows_read"]) == (1, 1, 1)
    assert "stale_months" not in metadata
    recorded = {
        (item.asset_key.path[-1], item.check_name): item.passed
        for item in result.get_asset_check_evaluations()
    }
    declared = declared_checks(studio.world.compiled.star)
    assert recorded == {(item.table, item.name): True for item in declared if item.table in WHOLE}


@pytest.mark.parametrize("chosen", ["staging_songs", "artists"])
def test_a_run_of_one_of_them_makes_and_records_them_all(studio: Studio, chosen: str) -> None:
    studio.world.put_song("a", song("SO1"))
    result = studio.run(REFRESH, [chosen])
    assert result.success
    assert studio.counts() == dict.fromkeys(WHOLE, 1)
    assert {check.asset_key for check in result.get_asset_check_evaluations()} == {key(chosen)}
    assert studio.metadata("songs")["dagster/row_count"] == 1
    assert studio.world.table("songs", "song_id") == [("SO1",)]
    assert studio.asked() == []


def test_a_check_of_one_of_them_that_is_executed_alone_makes_them_all(studio: Studio) -> None:
    studio.world.put_song("a", song("SO1"))
    result = studio.run_alone(check=dg.AssetCheckKey(key("songs"), "references_artists"))
    assert result.success
    assert [(item.check_name, item.passed) for item in result.get_asset_check_evaluations()] == [
        ("references_artists", True)
    ]
    assert studio.counts() == dict.fromkeys(WHOLE, 1)


def test_a_run_of_months_reads_no_songs_and_leaves_their_tables_alone(studio: Studio) -> None:
    put_events(studio)
    studio.world.put_song("a", song("SO1"))
    studio.world.refresh()
    studio.world.put_song("b", BAD)
    studio.world.put_song("a", song("SO1", title="Undo"))
    for assets in ([], ["songplays"]):
        assert studio.run_months("2018-09", "2018-11", assets).success
    assert studio.counts() == dict.fromkeys(WHOLE, 0)
    assert studio.world.table("songs", "song_id, title") == [("SO1", "Setanta matins")]
    assert sorted(studio.world.plays("songplay_id, song_id")) == [
        (900000, None),
        (1000000, "SO1"),
        (1100000, None),
    ]
    assert studio.world.plan().unpartitioned == "objects changed"


@pytest.mark.parametrize(
    ("bad", "check", "told"),
    [
        (song("SO2", artist_latitude=1000), "range_artist_latitude", "artist_latitude is outside -90 … 90"),
        (BAD, "rejected_rows", "1 of 2 rows were rejected (50.00%; the limit is 5%): song_data/b.json, line"),
    ],
    ids=["a value out of range", "too many rejected"],
)
def test_a_song_that_is_refused_fails_the_run_records_the_check_and_leaves_what_stands(
    studio: Studio, bad: dict[str, Any] | bytes, check: str, told: str
) -> None:
    studio.world.put_song("a", song("SO1"))
    studio.world.refresh()
    before = studio.world.snapshot()
    studio.world.put_song("b", bad)
    result = studio.run(REFRESH)
    assert not result.success
    assert "songplays without months was not published, nothing was changed" in failure(result)
    [failed] = [item for item in result.get_asset_check_evaluations() if not item.passed]
    assert (failed.asset_key, failed.check_name) == (key("staging_songs"), check)
    assert failed.severity == dg.AssetCheckSeverity.ERROR
    assert failed.blocking
    assert told in (failed.description or "")
    assert studio.world.snapshot() == before
    assert studio.counts() == dict.fromkeys(WHOLE, 0)


def test_the_sources_are_observed_by_month_and_whole(studio: Studio) -> None:
    put_events(studio)
    studio.world.put_song("a", song("SO1"))
    events, songs = observed(studio, "log_data"), observed(studio, "song_data")
    assert list(events) == [str(month) for month in studio.world.compiled.star.months()]
    assert list(songs) == [""]
    studio.world.put_song("b", song("SO2"))
    assert observed(studio, "log_data") == events
    assert observed(studio, "song_data") != songs


def observed(studio: Studio, source: str) -> dict[str, str]:
    """The data versions of a source, by month."""
    result = studio.run_alone(source)
    assert result.success
    found = [
        event.asset_observation_data.asset_observation for event in result.get_asset_observation_events()
    ]
    return {item.partition or "": item.tags["dagster/data_version"] for item in found}


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
    plays = sorted(studio.world.plays())
    assert plays == [(900000, None, None), (1000000, "SO1", "AR5KOSW1187FB35FF4"), (1100000, None, None)]
    studio.cursor = "corrupt"
    assert studio.asked() == [], "what is due stands in the warehouse"


def test_months_that_a_run_without_months_makes_anew_are_told_with_their_checks(studio: Studio) -> None:
    studio.world.put_song("a", song("SO1"))
    studio.world.put_song("b", song("SO2", artist_id="AR2", artist_name="Björk", title="Undo"))
    put_events(studio)
    assert studio.tick_and_run() == ["songs"]
    assert studio.tick_and_run() == ["2018-09…2018-11"]
    studio.world.delete_key("song_data/a.json")
    result = studio.run(REFRESH)
    assert result.success
    told = [item for item in result.get_asset_materialization_events() if item.partition]
    assert [(item.asset_key, item.partition) for item in told] == [(key("songplays"), "2018-10")]
    assert studio.metadata("songplays")["dagster/partition_row_count"] == 1
    checks = {
        item.check_name for item in result.get_asset_check_evaluations() if item.asset_key == key("songplays")
    }
    assert checks == {
        check.name for check in declared_checks(studio.world.compiled.star) if check.table == "songplays"
    }
    assert studio.tick_and_run() == []


def test_the_report_is_renewed_after_months_and_after_tables_without(studio: Studio) -> None:
    put_events(studio)
    wanted = studio.report_wanted()
    assert not wanted()
    studio.run_months("2018-09", "2018-11")
    assert wanted()
    assert not wanted()
    studio.world.put_song("z", song("SO9", title="Unheard"))
    assert studio.run(REFRESH).success
    assert "stale_months" not in studio.metadata("songs")
    assert wanted()


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTED"])
def test_months_wait_for_songs_that_are_on_their_way(studio: Studio, status: str) -> None:
    put_events(studio)
    studio.world.put_song("a", song("SO1"))
    [request] = studio.asked()
    assert told(request) == "songs"
    tags = {**request.tags, sensors.RUN_KEY: request.run_key or ""}
    studio.instance.add_run(dg.DagsterRun(job_name=REFRESH, tags=tags, status=dg.DagsterRunStatus(status)))
    assert studio.asked() == []


def test_months_do_not_wait_for_songs_that_failed_and_those_go_first_again_once_they_are_mended(
    studio: Studio,
) -> None:
    put_events(studio)
    studio.world.put_song("a", BAD)
    assert studio.tick_and_run(success=False) == ["songs"]
    assert studio.tick_and_run() == ["2018-09…2018-11"]
    assert studio.tick_and_run() == []
    studio.world.put_song("a", song("SO1"))
    studio.world.put_day("2018-11-11", [event(11, 1, "2018-11-11 10:00:00", song="Undo")])
    assert studio.tick_and_run() == ["songs"]
    assert studio.tick_and_run() == ["2018-10…2018-11"]
    assert studio.tick_and_run() == []


def test_a_month_that_songs_change_twice_is_asked_for_twice(studio: Studio) -> None:
    put_events(studio)
    studio.world.load("2018-09", "2018-11")
    for song_id in ("SO2", "SO1"):
        studio.world.put_song(song_id, song(song_id))
        assert studio.tick_and_run() == ["songs"]
        assert studio.tick_and_run() == ["2018-10…2018-10"]
        assert studio.world.table("songplays", "MAX(song_id)") == [(song_id,)]


def test_each_schedule_asks_for_its_own(studio: Studio) -> None:
    put_events(studio)
    studio.world.put_song("z", song("SO9", title="Unheard"))
    assert studio.schedule("songplays_refresh_hourly") == ["songs"]
    assert studio.run(REFRESH).success
    assert studio.schedule("songplays_refresh_hourly") == []
    assert studio.schedule("songplays_hourly") == ["2018-09…2018-11"]
    studio.world.load("2018-09", "2018-11")
    assert studio.schedule("songplays_hourly") == []
    studio.world.put_song("a", song("SO1"))
    assert studio.schedule("songplays_hourly") == []
    assert studio.schedule("songplays_refresh_hourly") == ["songs"]
    assert studio.run(REFRESH).success
    assert studio.schedule("songplays_refresh_hourly") == []
    assert studio.schedule("songplays_hourly") == ["2018-10…2018-10"]


def test_songs_that_are_refused_do_not_keep_the_months_schedule_waiting(studio: Studio) -> None:
    put_events(studio)
    studio.world.put_song("a", song("SO1", artist_latitude=1000))
    result = studio.run(REFRESH)
    assert not result.success
    assert studio.schedule("songplays_hourly") == ["2018-09…2018-11"]


def test_a_run_as_the_command_makes_it_tells_which_months_are_stale(studio: Studio) -> None:
    put_events(studio)
    with open_runner(studio.world.compiled, studio.settings, lambda message: None) as run:
        assert run(range_of_keys("2018-09", "2018-11")).success
        studio.world.put_song("a", song("SO1"))
        outcome = run(UNPARTITIONED)
    assert outcome.success
    assert outcome.scope is UNPARTITIONED
    assert outcome.rows["songs"] == {"": 1}
    assert outcome.numbers["stale_months"] == "2018-10"
