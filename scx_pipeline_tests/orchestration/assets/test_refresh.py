"""Runs of unpartitioned tables in Dagster: what is rebuilt and recorded, with its checks, and what is left alone."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from scx_pipeline.loading.checks.declared_checks import declared_checks
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.orchestration.execute import open_runner
from scx_pipeline_tests.support.load_env import range_of_keys
from scx_pipeline_tests.support.music_env import song
from scx_pipeline_tests.support.orchestration.dagster_env import failure
from scx_pipeline_tests.support.orchestration.songplays_env import (
    BAD_SONG,
    REFRESH,
    UNPARTITIONED_TABLES,
    SongplaysEnv,
    key,
    put_events,
)


def test_a_refresh_run_materializes_its_tables_with_counts_and_checks(songplays_env: SongplaysEnv) -> None:
    songplays_env.load_env.put_song("a", song("SO1"))
    result = songplays_env.run(REFRESH)
    assert result.success
    events = result.get_asset_materialization_events()
    assert sorted(item.asset_key.path[-1] for item in events if item.asset_key) == sorted(
        UNPARTITIONED_TABLES
    )
    assert all(item.partition is None for item in events)
    assert songplays_env.metadata("songs")["dagster/row_count"] == 1
    metadata = songplays_env.metadata("staging_songs")
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
    songplays_env.load_env.put_song("b", BAD_SONG)
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
        (
            BAD_SONG,
            "rejected_rows",
            "1 of 2 rows were rejected (50.00%; the limit is 5%): song_data/b.json, line",
        ),
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
