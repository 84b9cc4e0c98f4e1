"""Writes the bucket of a music app: an event log with a file per day, and the metadata of songs with a file per song.

The content of events and songs does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from scx_pipeline.samples.months import is_month, is_within_years, month_starts
from scx_pipeline.samples.options import ignore_progress, require
from scx_pipeline.samples.songplays import catalogue
from scx_pipeline.samples.songplays.event_lines import (
    PAGES,
    Events,
    EventWriter,
    Sessions,
    align_switches,
    build_sessions,
    generate_events,
)
from scx_pipeline.samples.songplays.invalid_lines import InvalidLines, insert_invalid_lines
from scx_pipeline.samples.writing import Chunk, write_object

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["GeneratedMusic", "SongplaysOptions", "generate"]

EVENTS, SONGS = "log_data/", "song_data/"
DAY = 86_400
# Threads that write song files, and the files per task.
WORKERS, FILES_PER_TASK = 16, 500
FIRST_YEAR, LAST_YEAR = 2000, 2059


@dataclass(frozen=True)
class SongplaysOptions:
    """What to generate.

    The same options give the same bytes with any machine and any version of NumPy: only raw words of PCG64 are used.
    """

    to: str = "2018-11"
    """The last month, YYYY-MM, inclusive."""
    months: int = 1
    events: int = 8_056
    """Clean events in total; about 85% are plays of songs."""
    songs: int = 71
    """Songs with metadata."""
    matching: int = 1
    """The number of these that are songs of the played catalogue; the first is the most popular one."""
    seed: int = 1
    bad_lines: int = 0
    """Additional lines that no loader may accept, of all INVALID_KINDS in turn."""
    duplicates: int = 0
    """Events that are written twice to the file of their day."""


@dataclass
class GeneratedMusic:
    """The content of the bucket as it was written, and so what a correct load must find."""

    objects: int = 0
    bytes: int = 0
    events: int = 0
    songplays: int = 0
    users: int = 0
    """Users who played at least one song."""
    songs: int = 0
    artists: int = 0
    times: int = 0
    """Distinct times at which a song was played."""
    matched: int = 0
    """Plays of songs with metadata."""
    logged_out: int = 0
    bad_lines: int = 0
    duplicates: int = 0
    events_by_month: dict[str, int] = field(default_factory=dict)


def generate(
    options: SongplaysOptions, store: ObjectStore, progress: Callable[[str], None] = ignore_progress
) -> GeneratedMusic:
    """Write the log and the songs to the store, replacing objects of the same keys. Raises ValueError for invalid options.

    Memory holds a few days at a time.
    """
    _check(options)
    starts = month_starts(options.to, options.months)
    seconds = (starts[-1] - starts[0]).days * DAY
    audience = catalogue.build_audience(options.seed, options.events, seconds)
    report = GeneratedMusic()
    _write_songs(options, audience, store, report, progress)
    sessions = build_sessions(audience, options.events, seconds)
    audience = align_switches(audience, sessions)
    counter = _EventCounter(
        audience,
        set(catalogue.songs_with_metadata(options.songs, options.matching, audience.catalogue_size)),
        report,
    )
    invalid_lines = InvalidLines(
        options.events, options.bad_lines, options.duplicates, len(sessions.starts) + 1
    )
    writer = EventWriter(audience, (starts[0] - date(1970, 1, 1)).days * DAY * 1000)
    for number, events in _days(audience, sessions, seconds // DAY):
        day = starts[0] + timedelta(days=number)
        if len(events.items):
            key = f"{EVENTS}{day:%Y/%m/%Y-%m-%d}-events.json"
            size = write_object(store, key, _generate_chunks(events, writer, invalid_lines, report))
            counter.add(day, events, size)
            progress(f"{key}: {len(events.items):,} events")
    report.users = int(counter.played.sum())
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
    if not is_within_years(options.to, options.months, FIRST_YEAR, LAST_YEAR):
        raise ValueError(
            f"to and months must keep the log within {FIRST_YEAR} and {LAST_YEAR}; got {options}"
        )


def _generate_chunks(
    events: Events, writer: EventWriter, invalid_lines: InvalidLines, report: GeneratedMusic
) -> Iterator[Chunk]:
    """Yield the bytes of a day's file in order, and count its invalid lines and duplicates.

    Its events are counted only when the file is complete, so `report.events` are those of the earlier files.
    """
    first = report.events
    for block in events.blocks():
        count = len(block.items)
        bad, twice = (
            invalid_lines.share(invalid_lines.bad_lines, first, count),
            invalid_lines.share(invalid_lines.duplicates, first, count),
        )
        yield from insert_invalid_lines(writer.lines(block), bad, len(twice), invalid_lines.next_session)
        report.bad_lines, report.duplicates = report.bad_lines + len(bad), report.duplicates + len(twice)
        first += count


def _days(audience: catalogue.Audience, sessions: Sessions, days: int) -> Iterator[tuple[int, Events]]:
    """Yield each day's events in order of time: those of sessions that start on it or on the days before."""
    import numpy as np

    bounds = np.searchsorted(sessions.starts, np.arange(days + 1) * DAY)
    rest = generate_events(audience, sessions, 0, 0)
    for day in range(days):
        rest = rest.then(generate_events(audience, sessions, int(bounds[day]), int(bounds[day + 1])))
        now = rest.timestamps < (day + 1) * DAY * 1000
        events, rest = rest.take(now), rest.take(~now)
        yield day, events.take(np.argsort(events.timestamps, kind="stable"))


@dataclass
class _EventCounter:
    """Counts the generated events, so that the report does not merely repeat the options."""

    audience: catalogue.Audience
    known: set[int]
    report: GeneratedMusic

    def __post_init__(self) -> None:
        import numpy as np

        self.played = np.zeros(self.audience.users, bool)
        self.ranks = np.zeros(self.audience.catalogue_size, bool)
        self.ranks[list(self.known)] = True

    def add(self, day: date, events: Events, size: int) -> None:
        import numpy as np

        report, plays = self.report, events.pages == 0
        month = f"{day:%Y-%m}"
        report.objects, report.bytes = report.objects + 1, report.bytes + size
        report.events += len(events.items)
        report.events_by_month[month] = report.events_by_month.get(month, 0) + len(events.items)
        report.songplays += int(plays.sum())
        report.times += len(np.unique(events.timestamps[plays]))
        report.matched += int(self.ranks[events.songs[plays]].sum())
        report.logged_out += int((events.pages >= len(PAGES)).sum())
        self.played[events.users[plays]] = True


def _write_songs(
    options: SongplaysOptions,
    audience: catalogue.Audience,
    store: ObjectStore,
    report: GeneratedMusic,
    progress: Callable[[str], None],
) -> None:
    import obstore

    ranks = catalogue.songs_with_metadata(options.songs, options.matching, audience.catalogue_size)

    def write(numbers: range) -> int:
        size = 0
        for number in numbers:
            key, content = catalogue.song_document(number, ranks)
            obstore.put(store, SONGS + key, content, use_multipart=False)
            size += len(content)
        return size

    chunks = [
        range(options.songs)[first : first + FILES_PER_TASK]
        for first in range(0, options.songs, FILES_PER_TASK)
    ]
    with ThreadPoolExecutor(WORKERS) as pool:
        for numbers, size in zip(chunks, pool.map(write, chunks), strict=True):
            report.bytes += size
            progress(f"{SONGS}: {numbers.stop:,} of {options.songs:,} songs")
    report.objects += options.songs
    report.songs = options.songs
    report.artists = len({catalogue.artist_key(number, ranks) for number in range(options.songs)})
