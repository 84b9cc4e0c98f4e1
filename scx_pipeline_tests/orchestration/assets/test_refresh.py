"""Unpartitioned tables in Dagster: their runs, the requests of the sensor and the schedules, and late songs from end to end.

Which months become stale is tested on every engine elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from scx_pipeline.loading.checks.declared_checks import declared_checks
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.orchestration.automation import sensors
from scx_pipeline.orchestration.build import build_star, with_resources
from scx_pipeline.orchestration.execute import open_runner
from scx_pipeline.orchestration.partitions import RANGE_END, RANGE_START, range_tags
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.load_env import range_of_keys
from scx_pipeline_tests.support.music_env import MusicEnv, create_music_env, event, song
from scx_pipeline_tests.support.orchestration.dagster_env import QUIET, failure

MONTHS, REFRESH = "songplays", "songplays_refresh_job"
UNPARTITIONED_TABLES = ("staging_songs", "songs", "artists")
BAD = b'{"song_id": "SO1"'


@dataclass
class SongplaysEnv:
    """The songplays star with a bucket, a warehouse, definitions, an instance, and the sensor's cursor."""

    load_env: MusicEnv
    settings: Settings
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    cursor: str | None = None

    def requests(self) -> list[dg.RunRequest]:
        """Tick the sensor, and return its requests."""
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
        """Run a job for some of its tables or all, as the UI or a sensor does."""
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
        """Run a single asset or check, as its page in the UI does."""
        job = self.definitions.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={key(asset)} if asset else set(),
            asset_check_selection={check} if check else set(),
        )
        return job.execute_in_process(instance=self.instance, run_config=QUIET, raise_on_error=False)

    def tick_and_run(self, success: bool = True) -> list[str]:
        """Tick and run the requests, which must all succeed or all fail; return what each was for."""
        requests = self.requests()
        for request in requests:
            tags = {**request.tags, sensors.RUN_KEY: request.run_key or ""}
            assert self.run(request.job_name or "", tags=tags).success == success
        return [describe(request) for request in requests]

    def schedule(self, name: str) -> list[str]:
        schedule = self.definitions.resolve_schedule_def(name)
        with dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=datetime(2026, 1, 1, 12, tzinfo=UTC),
            resources=dict(self.definitions.resources or {}),
        ) as context:
            data = schedule.evaluate_tick(context)
        return [describe(request) for request in data.run_requests or []]

    def report_trigger(self) -> Callable[[], bool]:
        """Return a function that evaluates, like the report's sensor, whether to refresh the report since its last call."""
        cursor = None

        def is_triggered() -> bool:
            nonlocal cursor
            result = dg.evaluate_automation_conditions(
                self.definitions, self.instance, dg.AssetSelection.assets(key("report")), cursor=cursor
            )
            cursor = result.cursor
            return result.total_requested > 0

        return is_triggered

    def metadata(self, table: str) -> dict[str, Any]:
        """The metadata of a table's newest materialization."""
        [record] = self.instance.fetch_materializations(key(table), limit=1).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def counts(self) -> dict[str, int]:
        """Count the recorded materializations of every unpartitioned table."""
        return {
            name: len(self.instance.fetch_materializations(key(name), limit=100).records)
            for name in UNPARTITIONED_TABLES
        }


def key(name: str) -> dg.AssetKey:
    """Return the asset key of one of the star's tables or sources."""
    return dg.AssetKey(["songplays", name])


def describe(request: dg.RunRequest) -> str:
    """Return the months of a request, or `songs`."""
    if request.job_name == REFRESH:
        return "songs"
    return f"{request.tags[RANGE_START]}…{request.tags[RANGE_END]}"


@pytest.fixture
def songplays_env(tmp_path: Path, instance: dg.DagsterInstance) -> SongplaysEnv:
    settings, load_env = Settings(home=tmp_path), create_music_env(tmp_path)
    assert (settings.bucket, settings.warehouse) == (load_env.bucket_url, load_env.warehouse_url)
    return SongplaysEnv(load_env, settings, instance, with_resources(build_star(load_env.compiled), settings))


def put_events(songplays_env: SongplaysEnv) -> None:
    """Write one play in each of three months; only the second one is of the song of `song`."""
    for month in (9, 10, 11):
        day = f"2018-{month:02d}-10"
        values = {} if month == 10 else {"song": "Undo"}
        songplays_env.load_env.put_day(day, [event(month, 0, f"{day} 10:00:00", **values)])


def test_a_refresh_run_materializes_its_tables_with_counts_and_checks(songplays_env: SongplaysEnv) -> None:
    songplays_env.load_env.put_song("a", song("SO1"))
    result = songplays_env.run(REFRESH)
    assert result.success
    events = result.get_asset_materialization_events()
    assert sorted(item.asset_key.path[-1] for item in events if item.asset_key) == sorted(
        UNPARTITIONED_TABLES
    )
    assert all(item.partition is None for item in events)
    metadata = songplays_env.metadata("songs")
    assert (metadata["dagster/row_count"], metadata["objects"], metadata["rows_read"]) == (1, 1, 1)
    assert "stale_months" not in metadata
    recorded = {
        (item.asset_key.path[-1], item.check_name): item.passed
        for item in result.get_asset_check_evaluations()
    }
    declared = declared_checks(songplays_env.load_env.compiled.star)
    assert recorded == {
        (item.table, item.name): True for item in declared if item.table in UNPARTITIONED_TABLES
    }


@pytest.mark.parametrize("selected", ["staging_songs", "artists"])
def test_a_refresh_run_of_one_table_rebuilds_and_records_all_of_them(
    songplays_env: SongplaysEnv, selected: str
) -> None:
    songplays_env.load_env.put_song("a", song("SO1"))
    result = songplays_env.run(REFRESH, [selected])
    assert result.success
    assert songplays_env.counts() == dict.fromkeys(UNPARTITIONED_TABLES, 1)
    assert {check.asset_key for check in result.get_asset_check_evaluations()} == {key(selected)}
    assert songplays_env.metadata("songs")["dagster/row_count"] == 1
    assert songplays_env.load_env.table("songs", "song_id") == [("SO1",)]
    assert songplays_env.requests() == []


def test_executing_a_check_of_an_unpartitioned_table_rebuilds_all_of_them(
    songplays_env: SongplaysEnv,
) -> None:
    songplays_env.load_env.put_song("a", song("SO1"))
    result = songplays_env.run_alone(check=dg.AssetCheckKey(key("songs"), "references_artists"))
    assert result.success
    assert [(item.check_name, item.passed) for item in result.get_asset_check_evaluations()] == [
        ("references_artists", True)
    ]
    assert songplays_env.counts() == dict.fromkeys(UNPARTITIONED_TABLES, 1)


def test_a_run_of_months_reads_no_songs_and_does_not_change_their_tables(songplays_env: SongplaysEnv) -> None:
    put_events(songplays_env)
    songplays_env.load_env.put_song("a", song("SO1"))
    songplays_env.load_env.refresh()
    songplays_env.load_env.put_song("b", BAD)
    songplays_env.load_env.put_song("a", song("SO1", title="Undo"))
    for assets in ([], ["songplays"]):
        assert songplays_env.run_months("2018-09", "2018-11", assets).success
    assert songplays_env.counts() == dict.fromkeys(UNPARTITIONED_TABLES, 0)
    assert songplays_env.load_env.table("songs", "song_id, title") == [("SO1", "Setanta matins")]
    assert sorted(songplays_env.load_env.plays("songplay_id, song_id")) == [
        (900000, None),
        (1000000, "SO1"),
        (1100000, None),
    ]
    assert songplays_env.load_env.plan().unpartitioned == "objects changed"


@pytest.mark.parametrize(
    ("bad", "check", "message"),
    [
        (song("SO2", artist_latitude=1000), "range_artist_latitude", "artist_latitude is outside -90 … 90"),
        (BAD, "rejected_rows", "1 of 2 rows were rejected (50.00%; the limit is 5%): song_data/b.json, line"),
    ],
    ids=["a value out of range", "too many rejected"],
)
def test_a_rejected_song_fails_the_run_records_the_check_and_keeps_the_previous_rows(
    songplays_env: SongplaysEnv, bad: dict[str, Any] | bytes, check: str, message: str
) -> None:
    songplays_env.load_env.put_song("a", song("SO1"))
    songplays_env.load_env.refresh()
    before = songplays_env.load_env.snapshot()
    songplays_env.load_env.put_song("b", bad)
    result = songplays_env.run(REFRESH)
    assert not result.success
    assert "songplays (unpartitioned tables) was not published, nothing was changed" in failure(result)
    [failed] = [item for item in result.get_asset_check_evaluations() if not item.passed]
    assert (failed.asset_key, failed.check_name) == (key("staging_songs"), check)
    assert failed.severity == dg.AssetCheckSeverity.ERROR
    assert failed.blocking
    assert message in (failed.description or "")
    assert songplays_env.load_env.snapshot() == before
    assert songplays_env.counts() == dict.fromkeys(UNPARTITIONED_TABLES, 0)


def test_sources_are_observed_by_month_or_unpartitioned(songplays_env: SongplaysEnv) -> None:
    put_events(songplays_env)
    songplays_env.load_env.put_song("a", song("SO1"))
    events, songs = observed(songplays_env, "log_data"), observed(songplays_env, "song_data")
    assert list(events) == [str(month) for month in songplays_env.load_env.compiled.star.months()]
    assert list(songs) == [""]
    songplays_env.load_env.put_song("b", song("SO2"))
    assert observed(songplays_env, "log_data") == events
    assert observed(songplays_env, "song_data") != songs


def observed(songplays_env: SongplaysEnv, source: str) -> dict[str, str]:
    """Observe a source, and return its data versions by month."""
    result = songplays_env.run_alone(source)
    assert result.success
    found = [
        event.asset_observation_data.asset_observation for event in result.get_asset_observation_events()
    ]
    return {item.partition or "": item.tags["dagster/data_version"] for item in found}


def test_the_sensor_requests_songs_then_months_and_for_late_songs_only_the_months_they_change(
    songplays_env: SongplaysEnv,
) -> None:
    put_events(songplays_env)
    songplays_env.load_env.put_song("z", song("SO9", title="Unheard"))
    assert songplays_env.tick_and_run() == ["songs"]
    assert songplays_env.tick_and_run() == ["2018-09…2018-11"]
    assert songplays_env.tick_and_run() == []
    songplays_env.load_env.put_song("a", song("SO1"))
    assert songplays_env.tick_and_run() == ["songs"]
    assert songplays_env.metadata("songs")["stale_months"] == "2018-10"
    assert songplays_env.tick_and_run() == ["2018-10…2018-10"]
    assert songplays_env.tick_and_run() == []
    plays = sorted(songplays_env.load_env.plays())
    assert plays == [(900000, None, None), (1000000, "SO1", "AR5KOSW1187FB35FF4"), (1100000, None, None)]
    songplays_env.cursor = "corrupt"
    assert songplays_env.requests() == [], "what is due is stored in the warehouse"


def test_months_that_a_refresh_run_rebuilds_are_recorded_with_their_checks(
    songplays_env: SongplaysEnv,
) -> None:
    songplays_env.load_env.put_song("a", song("SO1"))
    songplays_env.load_env.put_song("b", song("SO2", artist_id="AR2", artist_name="Björk", title="Undo"))
    put_events(songplays_env)
    assert songplays_env.tick_and_run() == ["songs"]
    assert songplays_env.tick_and_run() == ["2018-09…2018-11"]
    songplays_env.load_env.delete_key("song_data/a.json")
    result = songplays_env.run(REFRESH)
    assert result.success
    events = [item for item in result.get_asset_materialization_events() if item.partition]
    assert [(item.asset_key, item.partition) for item in events] == [(key("songplays"), "2018-10")]
    assert songplays_env.metadata("songplays")["dagster/partition_row_count"] == 1
    checks = {
        item.check_name for item in result.get_asset_check_evaluations() if item.asset_key == key("songplays")
    }
    assert checks == {
        check.name
        for check in declared_checks(songplays_env.load_env.compiled.star)
        if check.table == "songplays"
    }
    assert songplays_env.tick_and_run() == []


def test_the_report_is_refreshed_after_months_and_after_unpartitioned_tables(
    songplays_env: SongplaysEnv,
) -> None:
    put_events(songplays_env)
    is_triggered = songplays_env.report_trigger()
    assert not is_triggered()
    songplays_env.run_months("2018-09", "2018-11")
    assert is_triggered()
    assert not is_triggered()
    songplays_env.load_env.put_song("z", song("SO9", title="Unheard"))
    assert songplays_env.run(REFRESH).success
    assert "stale_months" not in songplays_env.metadata("songs")
    assert is_triggered()


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTED"])
def test_months_wait_for_a_refresh_run_in_progress(songplays_env: SongplaysEnv, status: str) -> None:
    put_events(songplays_env)
    songplays_env.load_env.put_song("a", song("SO1"))
    [request] = songplays_env.requests()
    assert describe(request) == "songs"
    tags = {**request.tags, sensors.RUN_KEY: request.run_key or ""}
    songplays_env.instance.add_run(
        dg.DagsterRun(job_name=REFRESH, tags=tags, status=dg.DagsterRunStatus(status))
    )
    assert songplays_env.requests() == []


def test_months_do_not_wait_for_a_failed_refresh_which_goes_first_again_once_fixed(
    songplays_env: SongplaysEnv,
) -> None:
    put_events(songplays_env)
    songplays_env.load_env.put_song("a", BAD)
    assert songplays_env.tick_and_run(success=False) == ["songs"]
    assert songplays_env.tick_and_run() == ["2018-09…2018-11"]
    assert songplays_env.tick_and_run() == []
    songplays_env.load_env.put_song("a", song("SO1"))
    songplays_env.load_env.put_day("2018-11-11", [event(11, 1, "2018-11-11 10:00:00", song="Undo")])
    assert songplays_env.tick_and_run() == ["songs"]
    assert songplays_env.tick_and_run() == ["2018-10…2018-11"]
    assert songplays_env.tick_and_run() == []


def test_a_month_that_songs_change_twice_is_requested_twice(songplays_env: SongplaysEnv) -> None:
    put_events(songplays_env)
    songplays_env.load_env.load("2018-09", "2018-11")
    for song_id in ("SO2", "SO1"):
        songplays_env.load_env.put_song(song_id, song(song_id))
        assert songplays_env.tick_and_run() == ["songs"]
        assert songplays_env.tick_and_run() == ["2018-10…2018-10"]
        assert songplays_env.load_env.table("songplays", "MAX(song_id)") == [(song_id,)]


def test_each_schedule_requests_its_own_tables(songplays_env: SongplaysEnv) -> None:
    put_events(songplays_env)
    songplays_env.load_env.put_song("z", song("SO9", title="Unheard"))
    assert songplays_env.schedule("songplays_refresh_hourly") == ["songs"]
    assert songplays_env.run(REFRESH).success
    assert songplays_env.schedule("songplays_refresh_hourly") == []
    assert songplays_env.schedule("songplays_hourly") == ["2018-09…2018-11"]
    songplays_env.load_env.load("2018-09", "2018-11")
    assert songplays_env.schedule("songplays_hourly") == []
    songplays_env.load_env.put_song("a", song("SO1"))
    assert songplays_env.schedule("songplays_hourly") == []
    assert songplays_env.schedule("songplays_refresh_hourly") == ["songs"]
    assert songplays_env.run(REFRESH).success
    assert songplays_env.schedule("songplays_refresh_hourly") == []
    assert songplays_env.schedule("songplays_hourly") == ["2018-10…2018-10"]


def test_rejected_songs_do_not_delay_the_schedule_of_months(songplays_env: SongplaysEnv) -> None:
    put_events(songplays_env)
    songplays_env.load_env.put_song("a", song("SO1", artist_latitude=1000))
    result = songplays_env.run(REFRESH)
    assert not result.success
    assert songplays_env.schedule("songplays_hourly") == ["2018-09…2018-11"]


def test_a_run_of_the_command_reports_stale_months(songplays_env: SongplaysEnv) -> None:
    put_events(songplays_env)
    with open_runner(songplays_env.load_env.compiled, songplays_env.settings, lambda message: None) as run:
        assert run(range_of_keys("2018-09", "2018-11")).success
        songplays_env.load_env.put_song("a", song("SO1"))
        outcome = run(UNPARTITIONED)
    assert outcome.success
    assert outcome.scope is UNPARTITIONED
    assert outcome.rows["songs"] == {"": 1}
    assert outcome.numbers["stale_months"] == "2018-10"
