"""The events of a day as JSON lines: sessions, pages, songs and levels, in pieces that are joined column by column.
Who the users are, and which songs there are, is in `songplays_world`; files are written in `songplays`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scx_pipeline.samples.random_numbers import dice, roll
from scx_pipeline.samples.songplays import catalogue as who

if TYPE_CHECKING:
    from scx_pipeline.samples.random_numbers import IntArray

# As often as in the public data set of 8,056 events; PUT where something is sent.
PAGES = (
    ("NextSong", "PUT", 6820), ("Home", "GET", 635), ("Logout", "PUT", 90), ("Downgrade", "GET", 60), ("Settings", "GET", 56),
    ("Help", "GET", 38), ("About", "GET", 22), ("Upgrade", "GET", 21), ("Save Settings", "PUT", 10), ("Error", "GET", 9),
    ("Submit Upgrade", "PUT", 0), ("Submit Downgrade", "PUT", 0),  # where a level changes, and nowhere else
)  # fmt: skip
# Of visitors who are not logged in: 286 of the 8,056.
LOGGED_OUT = (("Home", "GET", 171), ("Login", "PUT", 92), ("About", "GET", 14), ("Help", "GET", 9))
ALL_PAGES = (*PAGES, *LOGGED_OUT)
SESSION_LENGTHS = (1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 14, 20, 35)  # about nine events a session
LONGEST_GAP = 400  # seconds between two events of a session
LINES = 1 << 16  # how many events become lines at once, so that a busy day needs no more memory than another
LENGTHS = 1 << 16  # how many lengths of sessions are rolled at once
SUBMITS = tuple(
    next(at for at, row in enumerate(PAGES) if row[0] == f"Submit {way}") for way in ("Upgrade", "Downgrade")
)


@dataclass(frozen=True)
class Sessions:
    """All sessions of a log, by their number: when each begins (second of the log), whose it is, how many events it has."""

    starts: IntArray
    users: IntArray
    lengths: IntArray


@dataclass(frozen=True)
class Events:
    """Some events, column by column."""

    sessions: IntArray
    items: IntArray
    moments: IntArray  # milliseconds of the log
    users: IntArray  # the number of users: nobody is logged in
    songs: IntArray  # the size of the catalogue: no song is played
    pages: IntArray
    levels: IntArray

    def take(self, chosen: Any) -> Events:
        return Events(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def blocks(self) -> Iterator[Events]:
        """The same events, a block at a time."""
        for begin in range(0, len(self.items), LINES):
            yield self.take(slice(begin, begin + LINES))

    def then(self, other: Events) -> Events:
        """These and the others."""
        import numpy as np

        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return Events(*(np.concatenate(pair) for pair in pairs))


def build_sessions(world: who.World, events: int, seconds: int) -> Sessions:
    """Sessions of so many events in all; no event is later than the log's end."""
    import numpy as np

    bits = dice(world.seed, 2)
    lengths = _roll_lengths(bits, events)
    count = len(lengths)
    # The busiest users are those with the smallest numbers: of two rolls, the smaller one counts.
    users = np.minimum(roll(bits, count, world.users), roll(bits, count, world.users))
    starts = np.sort(roll(bits, count, max(1, seconds)))
    return Sessions(np.minimum(starts, seconds - 1 - lengths * LONGEST_GAP).clip(0), users, lengths)


def _roll_lengths(bits: Any, events: int) -> IntArray:
    """Lengths of sessions, with a sum of so many events; the last one has what is left."""
    import numpy as np

    pieces, left = [], events
    while left > 0:
        pieces.append(np.array(SESSION_LENGTHS)[roll(bits, LENGTHS, len(SESSION_LENGTHS))])
        left -= int(pieces[-1].sum())
    lengths = np.concatenate(pieces)
    ends = np.cumsum(lengths)
    count = int(np.searchsorted(ends, events)) + 1
    lengths = lengths[:count]
    lengths[-1] -= ends[count - 1] - events
    return lengths


def settle_switches(world: who.World, sessions: Sessions) -> who.World:
    """The same world, in which levels change after the first event of a session of their user: a Submit page. Who has
    no session later than the second that was rolled keeps his level."""
    import numpy as np

    keys = sessions.users << 32 | sessions.starts
    order = np.argsort(keys, kind="stable")
    users = np.arange(world.users)
    at = np.searchsorted(keys[order], users << 32 | world.switches.clip(0)).clip(max=len(order) - 1)
    found = order[at]
    settled = (
        (world.switches >= 0) & (sessions.users[found] == users) & (sessions.starts[found] >= world.switches)
    )
    return replace(world, switches=np.where(settled, sessions.starts[found] + 1, -1))


def make_events(world: who.World, sessions: Sessions, first: int, last: int) -> Events:
    """The events of the sessions from the first up to, not including, the last, in order of sessions."""
    import numpy as np

    bits = dice(world.seed, 3, first)
    lengths = sessions.lengths[first:last]
    count = int(lengths.sum())
    begins = np.repeat(np.cumsum(lengths) - lengths, lengths)
    moments = np.repeat(sessions.starts[first:last], lengths) * 1000 + _roll_waits(bits, begins)
    owners = np.repeat(sessions.users[first:last], lengths)
    switched = (world.switches[owners] >= 0) & (moments // 1000 >= world.switches[owners])
    submits = (np.arange(count) == begins) & (moments // 1000 + 1 == world.switches[owners])
    pages = np.where(submits, np.array(SUBMITS)[world.levels[owners]], _choose(bits, count))
    songs = np.where(pages == 0, _popular(bits, count, world.catalogue), world.catalogue)
    return Events(
        np.repeat(np.arange(first, last), lengths) + 1,
        np.arange(count) - begins,
        moments,
        np.where(pages >= len(PAGES), world.users, owners),
        songs,
        pages,
        world.levels[owners] ^ switched,
    )


def _roll_waits(bits: Any, begins: IntArray) -> IntArray:
    """How many milliseconds after the begin of its session an event is; given the place of each session's first one."""
    import numpy as np

    steps = np.cumsum(1000 + roll(bits, len(begins), LONGEST_GAP * 1000 - 1000))
    return steps - steps[begins] + roll(bits, len(begins), 1000)


def _choose(bits: Any, count: int) -> IntArray:
    """Pages, as often as they are visited."""
    import numpy as np

    bounds = np.cumsum([weight for _, _, weight in ALL_PAGES])
    return np.searchsorted(bounds, roll(bits, count, int(bounds[-1])), side="right")


def _popular(bits: Any, count: int, catalogue: int) -> IntArray:
    """Songs by Zipf's law: each range of ranks twice as long as the one before is played as often as that."""
    import numpy as np

    sizes = np.left_shift(1, roll(bits, count, max(1, catalogue.bit_length() - 1)))
    return (sizes - 1 + roll(bits, count, sizes)) % catalogue


@dataclass(frozen=True)
class Writer:
    """Writes events as lines; what a user, a song or a page adds to a line is made once."""

    world: who.World
    epoch: int  # milliseconds since 1970 at which the log begins

    def lines(self, events: Events) -> Any:
        """The lines as an Arrow array of texts, each with its end."""
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
            number(events.moments + self.epoch), of("agent", events.users), "",
        )  # fmt: skip

    @cached_property
    def _texts(self) -> dict[str, Any]:
        import pyarrow as pa

        users = [self._user(number) for number in range(self.world.users)] + [_NOBODY]
        songs = [self._song(number) for number in range(self.world.catalogue)] + [_NO_SONG]
        found = {name: [user[index] for user in users] for index, name in enumerate(_OF_USER)}
        found |= {name: [song[index] for song in songs] for index, name in enumerate(_OF_SONG)}
        found["level"] = [',"level":"free"', ',"level":"paid"']
        found["page"] = [f',"method":"{method}","page":"{page}"' for page, method, _ in ALL_PAGES]
        found["status"] = [f',"status":{_status(page, method)},"ts":' for page, method, _ in ALL_PAGES]
        return {name: pa.array(texts) for name, texts in found.items()}

    def _user(self, number: int) -> tuple[str, ...]:
        first, last, gender = who.person(self.world, number)
        registered = self.epoch - 86_400_000 - number * 7_777_777 % 12_960_000_000
        return (
            f',"auth":"Logged In","firstName":{_text(first)},"gender":"{gender}","itemInSession":',
            f',"lastName":{_text(last)},"length":',
            f',"location":{_text(who.PLACES[self.world.locations[number]])}',
            f',"registration":{registered}.0,"sessionId":',
            f',"userAgent":{_text(who.AGENTS[self.world.agents[number]])},"userId":"{self.world.user_id(number)}"}}\n',
        )

    @staticmethod
    def _song(number: int) -> tuple[str, ...]:
        name = _text(who.artist(who.artist_of(number)))
        return f'{{"artist":{name}', who.length(number), f',"song":{_text(who.title(number))}'


_OF_USER = ("name", "last name", "location", "registration", "agent")
_OF_SONG = ("artist", "length", "song")
_NO_SONG = ('{"artist":null', "null", ',"song":null')
_NOBODY = (
    ',"auth":"Logged Out","firstName":null,"gender":null,"itemInSession":',
    ',"lastName":null,"length":',
    ',"location":null',
    ',"registration":null,"sessionId":',
    ',"userAgent":null,"userId":""}\n',
)


def _text(text: str) -> str:
    """A text as the public log has it: in ASCII, and with every slash escaped, which the songs have not."""
    return json.dumps(text).replace("/", "\\/")


def _status(page: str, method: str) -> int:
    if page == "Error":
        return 404
    return 307 if method == "PUT" and page != "NextSong" else 200
