"""The promise, for a star with tables without months: songs and events come, change and go, in any order with any loads.
Random histories run on DuckDB and PostgreSQL side by side; the first star's are in test_purity.py."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline_tests.purity.histories import tried
from scx_pipeline_tests.support.broken_statements import breaking
from scx_pipeline_tests.support.load_env import Row, Snapshot, filled
from scx_pipeline_tests.support.music_env import EVENTS, SONGS, MusicWorld, event, song

MONTHS = (Month(2018, 9), Month(2018, 10), Month(2018, 11))
DAYS = ("2018-09-12", "2018-09-30", "2018-10-20", "2018-11-01", "2018-11-15")
TITLES = ("Undo", "서울 ☂", "Yellow")
SONG_FILES = ("A/A/TRAA1", "A/B/TRAB1", "A/B/TRAB2", "B/C/TRBC1")


@dataclass(frozen=True)
class Play:
    """An event of a day's file; few values of each kind, so that songs, users and moments are shared."""

    session: int
    item: int
    title: int = 0
    long: bool = False  # another length, which no song has
    user: int | None = 1
    level: str = "free"
    page: str = "NextSong"
    next_day: bool = False

    def record(self, day: str) -> dict[str, Any]:
        moment = datetime.fromisoformat(f"{day} 23:30:00").replace(tzinfo=UTC).timestamp()
        user = "" if self.user is None else str(self.user)
        return event(
            int(day[5:7] + day[8:]) * 10 + self.session,
            self.item,
            day,
            ts=round(moment * 1000) + (3_600_000 if self.next_day else 0) + self.item,
            song=TITLES[self.title],
            length=999.5 if self.long else 100.25 + self.title,
            userId=user,
            level=self.level,
            page=self.page,
        )


@dataclass(frozen=True)
class Song:
    """A song's document."""

    number: int
    title: int = 0
    artist: int = 1
    name: str = "Elena"
    year: int = 0

    def document(self) -> dict[str, Any]:
        return song(
            f"SO{self.number}",
            title=TITLES[self.title],
            artist_id=f"AR{self.artist}",
            artist_name=self.name,
            duration=100.25 + self.title,
            year=self.year,
        )


@dataclass(frozen=True)
class PutDay:
    day: str
    plays: tuple[Play, ...]


@dataclass(frozen=True)
class PutSongs:
    name: str
    songs: tuple[Song, ...]


@dataclass(frozen=True)
class Delete:
    key: str


@dataclass(frozen=True)
class Load:
    """Load months, or, with none, make the tables without months anew; `breaks` after so many statements."""

    months: tuple[int, int] | None
    tables: frozenset[str] = frozenset()
    breaks: tuple[int, bool] | None = None


@dataclass(frozen=True)
class Settle:
    pass


Step = PutDay | PutSongs | Delete | Load | Settle

_PLAYS = st.builds(
    Play,
    st.integers(1, 2),
    st.integers(0, 3),
    st.integers(0, len(TITLES) - 1),
    st.sampled_from([False, False, True]),
    st.none() | st.integers(1, 3),
    st.sampled_from(["free", "paid"]),
    st.sampled_from(["NextSong", "NextSong", "Home"]),
    st.booleans(),
)
_SONGS = st.builds(
    Song,
    st.integers(1, 4),
    st.integers(0, len(TITLES) - 1),
    st.integers(1, 2),
    st.sampled_from(["Elena", "Elena", "Björk"]),
    st.integers(0, 2),
)
_DAYS = st.builds(PutDay, st.sampled_from(DAYS), st.lists(_PLAYS, max_size=5).map(tuple))
_PUT_SONGS = st.builds(
    PutSongs, st.sampled_from(SONG_FILES), st.lists(_SONGS, min_size=0, max_size=2).map(tuple)
)
_KEYS = [f"{EVENTS}{day[:4]}/{day[5:7]}/{day}-events.json" for day in DAYS] + [
    f"{SONGS}{name}.json" for name in SONG_FILES
]
_LOADS = st.builds(
    Load,
    st.none() | st.tuples(st.integers(0, 2), st.integers(0, 2)).map(lambda pair: (min(pair), max(pair))),
    st.sampled_from([frozenset[str]()] * 3 + [frozenset({"songplays"}), frozenset({"users"})]),
    st.sampled_from([None, None]) | st.tuples(st.integers(0, 60), st.booleans()),
)
_STEPS = st.one_of(
    _DAYS,
    _PUT_SONGS,
    _PUT_SONGS,
    st.builds(Delete, st.sampled_from(_KEYS)),
    _LOADS,
    _LOADS,
    st.builds(Settle),
)
_HISTORIES = st.builds(
    lambda first, rest: [*first, *rest],
    st.lists(st.one_of(_DAYS, _PUT_SONGS), min_size=3, max_size=6),
    st.lists(_STEPS, min_size=5, max_size=10),
)


@dataclass
class Driver:
    """Takes the steps of a history in one bucket and several warehouses, and compares what comes of them."""

    folder: Path
    worlds: Sequence[MusicWorld]
    days: dict[str, tuple[Play, ...]] = field(default_factory=dict)
    songs: dict[str, tuple[Song, ...]] = field(default_factory=dict)
    builds: int = 0

    def take(self, step: Step) -> None:
        note(repr(step))
        match step:
            case PutDay(day, plays):
                once = {(play.session, play.item): play for play in plays}
                self.days[day] = tuple(once.values())
                self.worlds[0].put_day(day, [play.record(day) for play in self.days[day]])
            case PutSongs(name, songs):
                self.songs[name] = songs
                documents = [item.document() for item in songs]
                self.worlds[0].put_song(name, documents[0] if len(documents) == 1 else documents)
            case Delete(key):
                self.delete(key)
            case Load():
                for world in self.worlds:
                    self.load(world, step)
            case Settle():
                self.settle()

    def delete(self, key: str) -> None:
        present = [f"{EVENTS}{day[:4]}/{day[5:7]}/{day}-events.json" for day in self.days]
        present += [f"{SONGS}{name}.json" for name in self.songs]
        if key in present:
            self.worlds[0].delete_key(key)
            self.days.pop(key.rpartition("/")[2].removesuffix("-events.json"), None)
            self.songs.pop(key.removeprefix(SONGS).removesuffix(".json"), None)

    def load(self, world: MusicWorld, load: Load) -> None:
        """Load; one that is broken off, or asks for staging rows that were never loaded, changes nothing."""
        before = world.snapshot()
        with breaking(load.breaks) as broken:
            try:
                self.run(world, load)
            except Exception as error:
                assert broken or "was never loaded" in str(error), error
                failed = True
            else:
                failed = False
        assert not failed or world.snapshot() == before
        self.check_references(world)

    def run(self, world: MusicWorld, load: Load) -> None:
        if load.months is not None:
            first, last = load.months
            world.loader().load(MonthRange(MONTHS[first], MONTHS[last]), load.tables or None)
            return
        report = world.refresh()
        if not world.snapshot():
            return
        wrong = {
            month
            for month, rows in by_month(world).items()
            if rows != expected_by_month(world).get(month, [])
        }
        noted = {str(month) for month, _ in world.state("stale_months", "month, reason")}
        assert noted == wrong, "exactly the months whose plays are wrong are stale"
        assert not noted & {str(month) for part in report.remade for month in part.tables["songplays"].rows}

    def check_references(self, world: MusicWorld) -> None:
        """At any time, no reader may find a play whose song, artist, moment or user is not there."""
        if not world.snapshot():
            return
        for column, table, key in (
            ("song_id", "songs", "song_id"),
            ("artist_id", "artists", "artist_id"),
            ("start_time", "time", "start_time"),
            ("user_id", "users", "user_id"),
        ):
            orphans = world.rows(
                f"SELECT COUNT(*) FROM songplays.songplays WHERE {column} IS NOT NULL"
                f" AND {column} NOT IN (SELECT {key} FROM songplays.{table})"
            )
            assert orphans == [(0,)], column

    def settle(self) -> None:
        for world in self.worlds:
            world.settle()
        built = self.build()
        for name, rows in self.expected().items():
            assert built.get(name, []) == rows, name
        for world in self.worlds:
            assert filled(world) == built, world.warehouse.capabilities.name

    def build(self) -> Snapshot:
        """What stands after a load from nothing, into an empty DuckDB."""
        self.builds += 1
        world = MusicWorld(self.worlds[0].bucket_url, f"duckdb://{self.folder}/built{self.builds}.duckdb")
        world.settle()
        return filled(world)

    def expected(self) -> dict[str, list[Row]]:
        """The rows of the facts and dimensions, worked out in plain Python."""
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
    moment = datetime.fromtimestamp(row["ts"] / 1000, UTC).replace(tzinfo=None)
    wanted = (row["song"], row["artist"], row["length"])
    matches = [s for s in songs if (s["title"], names[s["artist_id"]], s["duration"]) == wanted]
    found = min(matches, key=lambda s: str(s["song_id"]), default=None)
    return (
        row["sessionId"] * 100_000 + row["itemInSession"],
        moment,
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


def by_month(world: MusicWorld) -> dict[str, list[Row]]:
    """The songs of the plays that stand, by the months that stand."""
    found: dict[str, list[Row]] = {month: [] for (month, *_) in world.state("months", "month, load_id")}
    for start, play, song_id, artist_id in world.plays("start_time, songplay_id, song_id, artist_id"):
        found[f"{start:%Y-%m}"].append((play, song_id, artist_id))
    return {month: _ordered(rows) for month, rows in found.items()}


def expected_by_month(world: MusicWorld) -> dict[str, list[Row]]:
    """The same as the songs that stand would have it, from the staging rows that stand."""
    names = dict(world.table("artists", "artist_id, name"))
    songs = [
        {"song_id": song_id, "title": title, "artist_id": artist, "duration": duration}
        for song_id, title, artist, duration in world.table("songs", "song_id, title, artist_id, duration")
    ]
    found: dict[str, list[Row]] = {}
    columns = "ts, session_id, item_in_session, song, artist, length, page"
    for ts, session, item, title, artist, length, page in world.table("staging_events", columns):
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
@given(history=_HISTORIES)
@tried(examples=4)
def test_any_history_of_songs_and_events_ends_as_a_build_from_nothing(
    fresh_places: Callable[[Path], list[tuple[str, str]]], history: list[Step]
) -> None:
    with tempfile.TemporaryDirectory(prefix="scx-music-") as name:
        folder = Path(name)
        worlds = [MusicWorld(*place) for place in fresh_places(folder)]
        driver = Driver(folder, worlds)
        for step in history:
            driver.take(step)
        driver.settle()
