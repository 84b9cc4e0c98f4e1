"""Random histories of a star with unpartitioned tables: songs and events are added, changed and deleted between loads.

The histories run on several engines side by side; those of the other stars do not belong here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, note

from scx_pipeline.model.calendar import MonthRange
from scx_pipeline_tests.purity.music_history import (
    HISTORIES,
    MONTHS,
    Delete,
    Load,
    Play,
    PutDay,
    PutSongs,
    Settle,
    Song,
    Step,
)
from scx_pipeline_tests.purity.purity_settings import purity_settings
from scx_pipeline_tests.support.broken_statements import failing_statement
from scx_pipeline_tests.support.load_env import filled
from scx_pipeline_tests.support.music_env import EVENTS, SONGS, MusicEnv
from scx_pipeline_tests.support.snapshots import Row, Snapshot


@dataclass
class Driver:
    """Runs the steps of a history in one bucket and several warehouses, and compares the results."""

    folder: Path
    load_envs: Sequence[MusicEnv]
    days: dict[str, tuple[Play, ...]] = field(default_factory=dict)
    songs: dict[str, tuple[Song, ...]] = field(default_factory=dict)
    builds: int = 0

    def run_step(self, step: Step) -> None:
        note(repr(step))
        match step:
            case PutDay(day, plays):
                once = {(play.session, play.item): play for play in plays}
                self.days[day] = tuple(once.values())
                self.load_envs[0].put_day(day, [play.record(day) for play in self.days[day]])
            case PutSongs(name, songs):
                self.songs[name] = songs
                documents = [item.document() for item in songs]
                self.load_envs[0].put_song(name, documents[0] if len(documents) == 1 else documents)
            case Delete(key):
                self.delete(key)
            case Load():
                for load_env in self.load_envs:
                    self.load(load_env, step)
            case Settle():
                self.settle()

    def delete(self, key: str) -> None:
        present = [f"{EVENTS}{day[:4]}/{day[5:7]}/{day}-events.json" for day in self.days]
        present += [f"{SONGS}{name}.json" for name in self.songs]
        if key in present:
            self.load_envs[0].delete_key(key)
            self.days.pop(key.rpartition("/")[2].removesuffix("-events.json"), None)
            self.songs.pop(key.removeprefix(SONGS).removesuffix(".json"), None)

    def load(self, load_env: MusicEnv, load: Load) -> None:
        """Load, and check that a load that is interrupted, or needs staging rows that were never loaded, changes nothing."""
        before = load_env.snapshot()
        with failing_statement(load.breaks) as broken:
            try:
                self.run(load_env, load)
            except Exception as error:
                assert broken or "was never loaded" in str(error), error
                failed = True
            else:
                failed = False
        assert not failed or load_env.snapshot() == before
        self.check_references(load_env)

    def run(self, load_env: MusicEnv, load: Load) -> None:
        if load.months is not None:
            first, last = load.months
            load_env.loader().load(MonthRange(MONTHS[first], MONTHS[last]), load.tables or None)
            return
        report = load_env.refresh()
        if not load_env.snapshot():
            return
        wrong = {
            month
            for month, rows in by_month(load_env).items()
            if rows != expected_by_month(load_env).get(month, [])
        }
        noted = {str(month) for month, _ in load_env.state("stale_months", "month, reason")}
        assert noted == wrong, "exactly the months whose plays would now be different are stale"
        assert not noted & {str(month) for part in report.rebuilds for month in part.tables["songplays"].rows}

    def check_references(self, load_env: MusicEnv) -> None:
        """Check that every play has its song, artist, time and user, as readers must find them at any time."""
        if not load_env.snapshot():
            return
        for column, table, key in (
            ("song_id", "songs", "song_id"),
            ("artist_id", "artists", "artist_id"),
            ("start_time", "time", "start_time"),
            ("user_id", "users", "user_id"),
        ):
            orphans = load_env.rows(
                f"SELECT COUNT(*) FROM songplays.songplays WHERE {column} IS NOT NULL"
                f" AND {column} NOT IN (SELECT {key} FROM songplays.{table})"
            )
            assert orphans == [(0,)], column

    def settle(self) -> None:
        for load_env in self.load_envs:
            load_env.settle()
        built = self.build()
        for name, rows in self.expected().items():
            assert built.get(name, []) == rows, name
        for load_env in self.load_envs:
            assert filled(load_env) == built, load_env.warehouse.capabilities.name

    def build(self) -> Snapshot:
        """Return the tables after a load into an empty DuckDB."""
        self.builds += 1
        load_env = MusicEnv(self.load_envs[0].bucket_url, f"duckdb://{self.folder}/built{self.builds}.duckdb")
        load_env.settle()
        return filled(load_env)

    def expected(self) -> dict[str, list[Row]]:
        """Return the rows of the facts and dimensions, computed in plain Python."""
        plays = [
            record
            for day, items in self.days.items()
            for record in (play.record(day) for play in items)
            if record["page"] == "NextSong"
        ]
        songs = [item.document() for items in self.songs.values() for item in items]
        known = {row["song_id"]: row for row in sorted(songs, key=_song_rank)}
        artists = {row["artist_id"]: row for row in sorted(songs, key=_artist_rank)}
        users = {row["userId"]: row for row in sorted(plays, key=_event_rank) if row["userId"]}
        return {
            "songs": _ordered(
                (r["song_id"], r["title"], r["artist_id"], r["year"], r["duration"]) for r in known.values()
            ),
            "artists": _ordered(
                (
                    r["artist_id"],
                    r["artist_name"],
                    r["artist_location"],
                    r["artist_latitude"],
                    r["artist_longitude"],
                )
                for r in artists.values()
            ),
            "users": _ordered(
                (int(i), r["firstName"], r["lastName"], r["gender"], r["level"]) for i, r in users.items()
            ),
            "songplays": _ordered(
                _play_row(row, list(known.values()), {i: r["artist_name"] for i, r in artists.items()})
                for row in plays
            ),
        }


def _song_rank(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["year"], row["title"].encode(), row["artist_id"], row["duration"]


def _artist_rank(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["year"], row["song_id"], row["artist_name"].encode()


def _event_rank(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["ts"], row["sessionId"], row["itemInSession"]


def _play_row(row: dict[str, Any], songs: list[dict[str, Any]], names: dict[str, str]) -> Row:
    event_time = datetime.fromtimestamp(row["ts"] / 1000, UTC).replace(tzinfo=None)
    wanted = (row["song"], row["artist"], row["length"])
    matches = [s for s in songs if (s["title"], names[s["artist_id"]], s["duration"]) == wanted]
    found = min(matches, key=lambda s: str(s["song_id"]), default=None)
    return (
        row["sessionId"] * 100_000 + row["itemInSession"],
        event_time,
        int(row["userId"]) if row["userId"] else None,
        row["level"],
        found and found["song_id"],
        found and found["artist_id"],
        row["sessionId"],
        row["location"],
        row["userAgent"],
    )


def _ordered(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=repr)


def by_month(load_env: MusicEnv) -> dict[str, list[Row]]:
    """Return the published plays with their songs, by loaded month."""
    found: dict[str, list[Row]] = {month: [] for (month, *_) in load_env.state("months", "month, load_id")}
    for start, play, song_id, artist_id in load_env.plays("start_time, songplay_id, song_id, artist_id"):
        found[f"{start:%Y-%m}"].append((play, song_id, artist_id))
    return {month: _ordered(rows) for month, rows in found.items()}


def expected_by_month(load_env: MusicEnv) -> dict[str, list[Row]]:
    """Return the same, computed from the published songs and staging rows."""
    names = dict(load_env.table("artists", "artist_id, name"))
    songs = [
        {"song_id": song_id, "title": title, "artist_id": artist, "duration": duration}
        for song_id, title, artist, duration in load_env.table("songs", "song_id, title, artist_id, duration")
    ]
    found: dict[str, list[Row]] = {}
    columns = "ts, session_id, item_in_session, song, artist, length, page"
    for ts, session, item, title, artist, length, page in load_env.table("staging_events", columns):
        if page == "NextSong":
            same = [
                s
                for s in songs
                if (s["title"], names[s["artist_id"]], s["duration"]) == (title, artist, length)
            ]
            best = min(same, key=lambda s: str(s["song_id"]), default=None)
            row = (session * 100_000 + item, best and best["song_id"], best and best["artist_id"])
            found.setdefault(f"{ts:%Y-%m}", []).append(row)
    return {month: _ordered(rows) for month, rows in found.items()}


@pytest.mark.redshift
@pytest.mark.histories
@given(history=HISTORIES)
@purity_settings(examples=4)
def test_any_history_of_songs_and_events_equals_a_build_from_scratch(
    fresh_load_urls: Callable[[Path], list[tuple[str, str]]], history: list[Step]
) -> None:
    with tempfile.TemporaryDirectory(prefix="scx-music-") as name:
        folder = Path(name)
        load_envs = [MusicEnv(*load_urls) for load_urls in fresh_load_urls(folder)]
        driver = Driver(folder, load_envs)
        for step in history:
            driver.run_step(step)
        driver.settle()
