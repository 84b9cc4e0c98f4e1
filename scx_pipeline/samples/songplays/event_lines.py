"""The events of a day as JSON lines: sessions, pages, songs and levels, generated column by column.

The users, the songs and the files do not belong here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scx_pipeline.samples.random_numbers import create_rng, draw_integers
from scx_pipeline.samples.songplays import catalogue

if TYPE_CHECKING:
    from scx_pipeline.samples.random_numbers import IntArray

# With their frequencies in the public data set of 8,056 events; PUT if something is sent.
PAGES = (
    ("NextSong", "PUT", 6820), ("Home", "GET", 635), ("Logout", "PUT", 90), ("Downgrade", "GET", 60), ("Settings", "GET", 56),
    ("Help", "GET", 38), ("About", "GET", 22), ("Upgrade", "GET", 21), ("Save Settings", "PUT", 10), ("Error", "GET", 9),
    ("Submit Upgrade", "PUT", 0), ("Submit Downgrade", "PUT", 0),  # only where a level changes
)  # fmt: skip
# Pages of visitors who are not logged in: 286 of the 8,056.
LOGGED_OUT = (("Home", "GET", 171), ("Login", "PUT", 92), ("About", "GET", 14), ("Help", "GET", 9))
ALL_PAGES = (*PAGES, *LOGGED_OUT)
# About nine events per session.
SESSION_LENGTHS = (1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 14, 20, 35)
# Seconds between two events of a session.
LONGEST_GAP = 400
# The number of events that are formatted at a time, so that busy days need no more memory.
BLOCK_EVENTS = 1 << 16
# The number of session lengths that are drawn at a time.
LENGTHS = 1 << 16
SUBMITS = tuple(
    next(at for at, row in enumerate(PAGES) if row[0] == f"Submit {change}")
    for change in ("Upgrade", "Downgrade")
)


@dataclass(frozen=True)
class Sessions:
    """All sessions of a log by number: the start in seconds of the log, the user, and the number of events."""

    starts: IntArray
    users: IntArray
    lengths: IntArray


@dataclass(frozen=True)
class Events:
    """Events, column by column."""

    sessions: IntArray
    items: IntArray
    # Milliseconds of the log.
    timestamps: IntArray
    # The total number of users means a visitor who is not logged in.
    users: IntArray
    # The size of the catalogue means no song.
    songs: IntArray
    pages: IntArray
    levels: IntArray

    def take(self, chosen: Any) -> Events:
        return Events(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def blocks(self) -> Iterator[Events]:
        """Yield the events, one block at a time."""
        for start in range(0, len(self.items), BLOCK_EVENTS):
            yield self.take(slice(start, start + BLOCK_EVENTS))

    def then(self, other: Events) -> Events:
        """Return these events followed by the others."""
        import numpy as np

        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return Events(*(np.concatenate(pair) for pair in pairs))


def build_sessions(audience: catalogue.Audience, events: int, seconds: int) -> Sessions:
    """Return sessions with this many events in total; no event is later than the end of the log."""
    import numpy as np

    rng = create_rng(audience.seed, 2)
    lengths = _draw_session_lengths(rng, events)
    count = len(lengths)
    # The users with the smallest numbers are the busiest: the smaller of two draws counts.
    users = np.minimum(draw_integers(rng, count, audience.users), draw_integers(rng, count, audience.users))
    starts = np.sort(draw_integers(rng, count, max(1, seconds)))
    return Sessions(np.minimum(starts, seconds - 1 - lengths * LONGEST_GAP).clip(0), users, lengths)


def _draw_session_lengths(rng: Any, events: int) -> IntArray:
    """Return the lengths of sessions with this many events in total; the last session is shortened to fit."""
    import numpy as np

    chunks, left = [], events
    while left > 0:
        chunks.append(np.array(SESSION_LENGTHS)[draw_integers(rng, LENGTHS, len(SESSION_LENGTHS))])
        left -= int(chunks[-1].sum())
    lengths = np.concatenate(chunks)
    ends = np.cumsum(lengths)
    count = int(np.searchsorted(ends, events)) + 1
    lengths = lengths[:count]
    lengths[-1] -= ends[count - 1] - events
    return lengths


def align_switches(audience: catalogue.Audience, sessions: Sessions) -> catalogue.Audience:
    """Return the audience with plan changes moved to the first event of the user's next session, a Submit page.

    A user without a later session keeps the plan.
    """
    import numpy as np

    keys = sessions.users << 32 | sessions.starts
    order = np.argsort(keys, kind="stable")
    users = np.arange(audience.users)
    at = np.searchsorted(keys[order], users << 32 | audience.switches.clip(0)).clip(max=len(order) - 1)
    next_sessions = order[at]
    has_session = (
        (audience.switches >= 0)
        & (sessions.users[next_sessions] == users)
        & (sessions.starts[next_sessions] >= audience.switches)
    )
    return replace(audience, switches=np.where(has_session, sessions.starts[next_sessions] + 1, -1))


def generate_events(audience: catalogue.Audience, sessions: Sessions, first: int, last: int) -> Events:
    """Return the events of the sessions from `first` (inclusive) to `last` (exclusive), in order of sessions."""
    import numpy as np

    rng = create_rng(audience.seed, 3, first)
    lengths = sessions.lengths[first:last]
    count = int(lengths.sum())
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    timestamps = np.repeat(sessions.starts[first:last], lengths) * 1000 + _draw_offsets(rng, starts)
    owners = np.repeat(sessions.users[first:last], lengths)
    switched = (audience.switches[owners] >= 0) & (timestamps // 1000 >= audience.switches[owners])
    submits = (np.arange(count) == starts) & (timestamps // 1000 + 1 == audience.switches[owners])
    pages = np.where(submits, np.array(SUBMITS)[audience.levels[owners]], _choose(rng, count))
    songs = np.where(pages == 0, _popular(rng, count, audience.catalogue_size), audience.catalogue_size)
    return Events(
        np.repeat(np.arange(first, last), lengths) + 1,
        np.arange(count) - starts,
        timestamps,
        np.where(pages >= len(PAGES), audience.users, owners),
        songs,
        pages,
        audience.levels[owners] ^ switched,
    )


def _draw_offsets(rng: Any, starts: IntArray) -> IntArray:
    """Return the milliseconds of events after the start of their sessions, given the position of each first event."""
    import numpy as np

    steps = np.cumsum(1000 + draw_integers(rng, len(starts), LONGEST_GAP * 1000 - 1000))
    return steps - steps[starts] + draw_integers(rng, len(starts), 1000)


def _choose(rng: Any, count: int) -> IntArray:
    """Return pages by their frequencies."""
    import numpy as np

    bounds = np.cumsum([weight for _, _, weight in ALL_PAGES])
    return np.searchsorted(bounds, draw_integers(rng, count, int(bounds[-1])), side="right")


def _popular(rng: Any, count: int, catalogue: int) -> IntArray:
    """Return songs by Zipf's law: each range of ranks is twice as long as the previous one and played as often."""
    import numpy as np

    sizes = np.left_shift(1, draw_integers(rng, count, max(1, catalogue.bit_length() - 1)))
    return (sizes - 1 + draw_integers(rng, count, sizes)) % catalogue


@dataclass(frozen=True)
class EventWriter:
    """Formats events as lines; the parts that depend on a user, song or page are formatted once."""

    audience: catalogue.Audience
    # Milliseconds from 1970 to the start of the log.
    epoch: int

    def lines(self, events: Events) -> Any:
        """Return the lines as an Arrow array of texts, each with its line end."""
        import pyarrow as pa
        import pyarrow.compute as pc

        def of(name: str, numbers: IntArray) -> Any:
            return self._texts[name].take(pa.array(numbers))

        def number(values: IntArray) -> Any:
            return pa.array(values).cast(pa.string())

        return pc.binary_join_element_wise(
            of("artist", events.songs), of("name", events.users), number(events.items), of("last name", events.users),
            of("length", events.songs), of("level", events.levels), of("location", events.users), of("page", events.pages),
            of("registration", events.users), number(events.sessions), of("song", events.songs), of("status", events.pages),
            number(events.timestamps + self.epoch), of("agent", events.users), "",
        )  # fmt: skip

    @cached_property
    def _texts(self) -> dict[str, Any]:
        import pyarrow as pa

        users = [self._user(number) for number in range(self.audience.users)] + [_LOGGED_OUT_USER]
        songs = [self._song(number) for number in range(self.audience.catalogue_size)] + [_NO_SONG]
        found = {name: [user[index] for user in users] for index, name in enumerate(_OF_USER)}
        found |= {name: [song[index] for song in songs] for index, name in enumerate(_OF_SONG)}
        found["level"] = [',"level":"free"', ',"level":"paid"']
        found["page"] = [f',"method":"{method}","page":"{page}"' for page, method, _ in ALL_PAGES]
        found["status"] = [f',"status":{_status(page, method)},"ts":' for page, method, _ in ALL_PAGES]
        return {name: pa.array(texts) for name, texts in found.items()}

    def _user(self, number: int) -> tuple[str, ...]:
        first, last, gender = catalogue.person_of(self.audience, number)
        registered = self.epoch - 86_400_000 - number * 7_777_777 % 12_960_000_000
        return (
            f',"auth":"Logged In","firstName":{_text(first)},"gender":"{gender}","itemInSession":',
            f',"lastName":{_text(last)},"length":',
            f',"location":{_text(catalogue.PLACES[self.audience.locations[number]])}',
            f',"registration":{registered}.0,"sessionId":',
            f',"userAgent":{_text(catalogue.AGENTS[self.audience.agents[number]])},"userId":"{self.audience.user_id(number)}"}}\n',
        )

    @staticmethod
    def _song(number: int) -> tuple[str, ...]:
        name = _text(catalogue.artist_name(catalogue.artist_of(number)))
        return (
            f'{{"artist":{name}',
            catalogue.song_length(number),
            f',"song":{_text(catalogue.song_title(number))}',
        )


_OF_USER = ("name", "last name", "location", "registration", "agent")
_OF_SONG = ("artist", "length", "song")
_NO_SONG = ('{"artist":null', "null", ',"song":null')
_LOGGED_OUT_USER = (
    ',"auth":"Logged Out","firstName":null,"gender":null,"itemInSession":',
    ',"lastName":null,"length":',
    ',"location":null',
    ',"registration":null,"sessionId":',
    ',"userAgent":null,"userId":""}\n',
)


def _text(text: str) -> str:
    """Return a text as in the public log: ASCII with escaped slashes, unlike in its songs."""
    return json.dumps(text).replace("/", "\\/")


def _status(page: str, method: str) -> int:
    if page == "Error":
        return 404
    return 307 if method == "PUT" and page != "NextSong" else 200
