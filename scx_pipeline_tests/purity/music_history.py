"""Random histories of songs and events: days, songs, deletions and loads.

Running them does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, count
from typing import Any

from hypothesis import strategies as st

from scx_pipeline.model.calendar import Month
from scx_pipeline_tests.support.music_env import EVENTS, SONGS, csv_file, event, lines, song

MONTHS = (Month(2018, 9), Month(2018, 10), Month(2018, 11))


DAYS = ("2018-09-12", "2018-09-30", "2018-10-20", "2018-11-01", "2018-11-15")
# Days with many plays, to which additions add few, and the days of these.
BASE_DAYS = ("2018-09-05", "2018-10-05", "2018-11-05")
ADDED_DAYS = (
    *(f"2018-{month}-{day}" for month in ("09", "10", "11") for day in (14, 16, 18, 22, 24, 26)),
    "2018-09-29",
    "2018-10-31",
)


TITLES = ("Undo", "서울 ☂", "Yellow")


SONG_FILES = ("A/A/TRAA1", "A/B/TRAB1", "A/B/TRAB2", "B/C/TRBC1")


@dataclass(frozen=True)
class Play:
    """An event of a day's file; few values of each kind, so that events share songs, users and times."""

    session: int
    item: int
    title: int = 0
    long: bool = False  # another length, which no song has
    user: int | None = 1
    level: str = "free"  # "gold" violates a blocking check
    page: str = "NextSong"
    next_day: bool = False

    def record(self, day: str) -> dict[str, Any]:
        event_time = datetime.fromisoformat(f"{day} 23:30:00").replace(tzinfo=UTC).timestamp()
        user = "" if self.user is None else str(self.user)
        return event(
            int(day[5:7] + day[8:]) * 10 + self.session,
            self.item,
            day,
            ts=round(event_time * 1000) + (3_600_000 if self.next_day else 0) + self.item,
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
    """Write a day's file as JSON lines or CSV, in place of the other; lines that are neither are rejected."""

    day: str
    plays: tuple[Play, ...]
    bad_lines: int = 0
    as_csv: bool = False

    @property
    def key(self) -> str:
        return f"{EVENTS}{self.day[:4]}/{self.day[5:7]}/{self.day}-events.{'csv' if self.as_csv else 'json'}"

    def content(self) -> bytes:
        found = [*self.records(), *["no record"] * self.bad_lines]
        return csv_file(found) if self.as_csv else lines(found)

    def records(self) -> list[dict[str, Any]]:
        """Return the events of the file, each once."""
        once = {(play.session, play.item): play for play in self.plays}
        return [play.record(self.day) for play in once.values()]

    def events(self) -> list[tuple[datetime, dict[str, Any]]]:
        """Return the events of the file, each with its time in UTC."""
        return [
            (datetime.fromtimestamp(record["ts"] / 1000, UTC).replace(tzinfo=None), record)
            for record in self.records()
        ]

    def may_contain(self, month: Month) -> bool:
        """Return whether events of the month may be in the file: those of the days before and after may be."""
        day, one = datetime.fromisoformat(self.day), timedelta(days=1)
        return month in (Month.of(day - one), Month.of(day), Month.of(day + one))


@dataclass(frozen=True)
class PutSongs:
    name: str
    songs: tuple[Song, ...]


@dataclass(frozen=True)
class Delete:
    key: str


@dataclass(frozen=True)
class Load:
    """Load months, or, without months, refresh the unpartitioned tables; `breaks` interrupts it after some statements."""

    months: tuple[int, int] | None
    tables: frozenset[str] = frozenset()
    breaks: tuple[int, bool] | None = None


@dataclass(frozen=True)
class Settle:
    pass


@dataclass(frozen=True)
class Clean:
    """Delete the days that may keep months from being published."""


Step = PutDay | PutSongs | Delete | Load | Settle | Clean


_PLAYS = st.builds(
    Play,
    st.integers(1, 2),
    st.integers(0, 3),
    st.integers(0, len(TITLES) - 1),
    st.sampled_from([False, False, True]),
    st.none() | st.integers(1, 3),
    st.sampled_from([*["free", "paid"] * 6, "gold"]),
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


_BAD_LINES = st.sampled_from([0] * 7 + [1])


_DAYS = st.builds(
    PutDay,
    st.sampled_from(DAYS),
    st.lists(_PLAYS, max_size=5).map(tuple),
    _BAD_LINES,
    st.booleans(),
)


_PUT_SONGS = st.builds(
    PutSongs, st.sampled_from(SONG_FILES), st.lists(_SONGS, min_size=0, max_size=2).map(tuple)
)


_KEYS = [PutDay(day, (), 0, as_csv).key for day in (*DAYS, *ADDED_DAYS[::3]) for as_csv in (False, True)] + [
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


_BASE = [
    PutDay(day, tuple(Play(session, item, item % 3, user=item) for session in (1, 2) for item in range(10)))
    for day in BASE_DAYS
]
_ALL = Load((0, len(MONTHS) - 1))
_ADDITIONS = st.builds(
    lambda changes, days, load: [*changes, *days, load],
    st.sampled_from([[], [], [Clean(), _ALL], [PutSongs(SONG_FILES[0], (Song(1), Song(2, 1))), Load(None)]]),
    st.lists(
        st.builds(
            PutDay,
            st.just(""),
            st.lists(_PLAYS, min_size=1, max_size=5).map(tuple),
            _BAD_LINES,
            st.booleans(),
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([_ALL, _ALL])
    | st.builds(replace, st.just(_ALL), breaks=st.tuples(st.integers(0, 60), st.booleans())),
)


_PARTS = st.builds(lambda addition, steps: [*addition, *steps], _ADDITIONS, st.lists(_STEPS, max_size=2))


HISTORIES = st.builds(
    lambda first, rest: [*first, *_BASE, Load(None), _ALL, *_with_new_days(chain.from_iterable(rest))],
    st.lists(st.one_of(_PUT_SONGS, _DAYS), min_size=2, max_size=4),
    st.lists(_PARTS, min_size=2, max_size=4),
)


def _with_new_days(steps: Iterable[Step]) -> Iterator[Step]:
    """Give the files of additions days of their own, in any order."""
    numbers = count(1)
    for step in steps:
        if isinstance(step, PutDay) and not step.day:
            step = replace(step, day=ADDED_DAYS[next(numbers) * 7 % len(ADDED_DAYS)])
        yield step
