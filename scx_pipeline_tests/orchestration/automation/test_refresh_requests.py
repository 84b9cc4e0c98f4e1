"""Requests for unpartitioned tables: by the sensor and by the schedules, and late songs from end to end."""

from __future__ import annotations

import dagster as dg
import pytest

from scx_pipeline.orchestration.automation import sensors
from scx_pipeline_tests.support.music_env import event, song
from scx_pipeline_tests.support.orchestration.songplays_env import (
    BAD_SONG,
    REFRESH,
    SongplaysEnv,
    describe,
    put_events,
)


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
    songplays_env.load_env.put_song("a", BAD_SONG)
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
