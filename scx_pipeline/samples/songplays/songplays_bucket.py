"""Generates what a music app leaves in a bucket: a log of events, a file a day, and the metadata of songs, a file each.
What is in them is in `songplays_events` and `songplays_world`; nothing is loaded here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from scx_pipeline.samples.months import is_month, month_starts
from scx_pipeline.samples.options import require, tell_nobody
from scx_pipeline.samples.songplays import catalogue as who
from scx_pipeline.samples.songplays.dirty_lines import BAD_KINDS, Dirt, soil
from scx_pipeline.samples.songplays.event_lines import (
    PAGES,
    Events,
    Sessions,
    Writer,
    build_sessions,
    make_events,
    settle_switches,
)
from scx_pipeline.samples.writing import Piece, write_object

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["BAD_KINDS", "GeneratedMusic", "SongplaysOptions", "generate"]

EVENTS, SONGS = "log_data/", "song_data/"
DAY = 86_400
WORKERS, PIECE = 16, 500  # song files written side by side, and by one worker in a row
FIRST_YEAR, LAST_YEAR = 2000, 2059


@dataclass(frozen=True)
class SongplaysOptions:
    """What to generate. The same options give the same bytes on any machine and numpy: only raw words of PCG64 are
    used, in whole numbers."""

    to: str = "2018-11"
    """The last month, YYYY-MM, inclusive."""
    months: int = 1
    events: int = 8_056
    """Clean events in total: about 85 in 100 are plays of songs."""
    songs: int = 71
    """Songs with metadata."""
    matching: int = 1
    """How many of these are songs of the catalogue that is played; the first is the most popular one."""
    seed: int = 1
    bad_lines: int = 0
    """Lines added which no loader may accept: the kinds of BAD_KINDS in turn."""
    duplicates: int = 0
    """Events that are written twice, in the same day's file."""


@dataclass
class GeneratedMusic:
    """What is in the bucket, counted as it was written, and so what a right load must find."""

    objects: int = 0
    bytes: int = 0
    events: int = 0
    songplays: int = 0
    users: int = 0
    """Who played at least one song."""
    songs: int = 0
    artists: int = 0
    times: int = 0
    """Moments at which a song was played."""
    matched: int = 0
    """Plays of songs with metadata."""
    logged_out: int = 0
    bad_lines: int = 0
    duplicates: int = 0
    events_by_month: dict[str, int] = field(default_factory=dict)


def generate(
    options: SongplaysOptions, store: ObjectStore, progress: Callable[[str], None] = tell_nobody
) -> GeneratedMusic:
    """Writes the log and the songs to the store, replacing objects of the same keys, and tells `progress`. Raises
    ValueError for options that make no log, before anything is written. Holds some days at a time."""
    _check(options)
    starts = month_starts(options.to, options.months)
    seconds = (starts[-1] - starts[0]).days * DAY
    world = who.build_world(options.seed, options.events, seconds)
    report = GeneratedMusic()
    _write_songs(options, world, store, report, progress)
    sessions = build_sessions(world, options.events, seconds)
    world = settle_switches(world, sessions)
    tally = _Tally(world, set(who.played(options.songs, options.matching, world.catalogue)), report)
    dirt = Dirt(options.events, options.bad_lines, options.duplicates, len(sessions.starts) + 1)
    writer = Writer(world, (starts[0] - date(1970, 1, 1)).days * DAY * 1000)
    for number, events in _days(world, sessions, seconds // DAY):
        day = starts[0] + timedelta(days=number)
        if len(events.items):
            key = f"{EVENTS}{day:%Y/%m/%Y-%m-%d}-events.json"
            size = write_object(store, key, _make_pieces(events, writer, dirt, report))
            tally.add(day, events, size)
            progress(f"{key}: {len(events.items):,} events")
    report.users = int(tally.played.sum())
    return report


def _check(options: SongplaysOptions) -> None:
    require(
        options,
        (
            ("to must be a month as YYYY-MM, such as 2018-11", is_month(options.to)),
            ("months must be 1 or more", options.months >= 1),
            ("events must be 1 or more", options.events >= 1),
            ("songs must be 0 or more", options.songs >= 0),
            (f"matching must be from 0 to songs ({options.songs})", 0 <= options.matching <= options.songs),
            ("seed must be 0 or more", options.seed >= 0),
            ("bad_lines must be 0 or more", options.bad_lines >= 0),
            (
                f"duplicates must be from 0 to events ({options.events})",
                0 <= options.duplicates <= options.events,
            ),
        ),
    )
    end = 12 * int(options.to[:4]) + int(options.to[5:])
    if not (end - options.months >= 12 * FIRST_YEAR and end <= 12 * (LAST_YEAR + 1)):
        raise ValueError(
            f"to and months must keep the log within {FIRST_YEAR} and {LAST_YEAR}; got {options}"
        )


def _make_pieces(events: Events, writer: Writer, dirt: Dirt, report: GeneratedMusic) -> Iterator[Piece]:
    """The bytes of a day's file, in order; the dirt in them is counted as it goes. A day is told to the tally only
    when its file is whole, so that `report.events` are those of the files before."""
    first = report.events
    for block in events.blocks():
        count = len(block.items)
        bad, twice = dirt.share(dirt.bad_lines, first, count), dirt.share(dirt.duplicates, first, count)
        yield from soil(writer.lines(block), bad, len(twice), dirt.next_session)
        report.bad_lines, report.duplicates = report.bad_lines + len(bad), report.duplicates + len(twice)
        first += count


def _days(world: who.World, sessions: Sessions, days: int) -> Iterator[tuple[int, Events]]:
    """Each day's events in order of time: those of the sessions that begin on it, and what is left of the days before."""
    import numpy as np

    bounds = np.searchsorted(sessions.starts, np.arange(days + 1) * DAY)
    rest = make_events(world, sessions, 0, 0)
    for day in range(days):
        rest = rest.then(make_events(world, sessions, int(bounds[day]), int(bounds[day + 1])))
        now = rest.moments < (day + 1) * DAY * 1000
        events, rest = rest.take(now), rest.take(~now)
        yield day, events.take(np.argsort(events.moments, kind="stable"))


@dataclass
class _Tally:
    """Counts the events that were made, so that the report is no echo of the options."""

    world: who.World
    known: set[int]
    report: GeneratedMusic

    def __post_init__(self) -> None:
        import numpy as np

        self.played = np.zeros(self.world.users, bool)
        self.ranks = np.zeros(self.world.catalogue, bool)
        self.ranks[list(self.known)] = True

    def add(self, day: date, events: Events, size: int) -> None:
        import numpy as np

        report, plays = self.report, events.pages == 0
        month = f"{day:%Y-%m}"
        report.objects, report.bytes = report.objects + 1, report.bytes + size
        report.events += len(events.items)
        report.events_by_month[month] = report.events_by_month.get(month, 0) + len(events.items)
        report.songplays += int(plays.sum())
        report.times += len(np.unique(events.moments[plays]))
        report.matched += int(self.ranks[events.songs[plays]].sum())
        report.logged_out += int((events.pages >= len(PAGES)).sum())
        self.played[events.users[plays]] = True


def _write_songs(
    options: SongplaysOptions,
    world: who.World,
    store: ObjectStore,
    report: GeneratedMusic,
    progress: Callable[[str], None],
) -> None:
    import obstore

    ranks = who.played(options.songs, options.matching, world.catalogue)

    def write(numbers: range) -> int:
        size = 0
        for number in numbers:
            key, content = who.document(number, ranks)
            obstore.put(store, SONGS + key, content, use_multipart=False)
            size += len(content)
        return size

    pieces = [range(options.songs)[first : first + PIECE] for first in range(0, options.songs, PIECE)]
    with ThreadPoolExecutor(WORKERS) as pool:
        for numbers, size in zip(pieces, pool.map(write, pieces), strict=True):
            report.bytes += size
            progress(f"{SONGS}: {numbers.stop:,} of {options.songs:,} songs")
    report.objects += options.songs
    report.songs = options.songs
    report.artists = len({who.artist_key(number, ranks) for number in range(options.songs)})
