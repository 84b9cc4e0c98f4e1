"""Who listens to what: the users, the catalogue of songs that are played, and the songs that have metadata.
When anything is played, and how an event is written, is in `songplays_events`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scx_pipeline.samples.random_numbers import dice, roll

if TYPE_CHECKING:
    from scx_pipeline.samples.random_numbers import IntArray

FIRST_NAMES = {
    "F": (
        "Lily",
        "Kaylee",
        "Chloe",
        "Rylan",
        "Tegan",
        "Jacqueline",
        "Zoë",
        "Åsa",
        "Chiara",
        "지우",
        "Renée",
        "Marta",
    ),
    "M": (
        "Walter",
        "Ryan",
        "Jacob",
        "Mohammad",
        "Kevin",
        "Jayden",
        "José",
        "Søren",
        "Łukasz",
        "민준",
        "Noah",
        "Aleix",
    ),
}
LAST_NAMES = (
    "Frye",
    "Summers",
    "Koch",
    "Levine",
    "Lynch",
    "Arellano",
    "Cuevas",
    "Müller",
    "Ngata",
    "김",
    "O'Neill",
    "Sørensen",
)
PLACES = (
    "San Francisco-Oakland-Hayward, CA", "Portland-South Portland, ME", "Lansing-East Lansing, MI", "Chicago-Naperville-Elgin, IL-IN-WI",
    "Atlanta-Sandy Springs-Roswell, GA", "Waterloo-Cedar Falls, IA", "Lake Havasu City-Kingman, AZ", "Tampa-St. Petersburg-Clearwater, FL",
    "Sacramento--Roseville--Arden-Arcade, CA", "Winston-Salem, NC", "Mayagüez, PR", "New York-Newark-Jersey City, NY-NJ-PA",
)  # fmt: skip
AGENTS = (
    '"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_4) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/36.0.1985.143 Safari/537.36"',
    '"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Ubuntu Chromium/36.0.1985.125 Chrome/36.0.1985.125 Safari/537.36"',
    '"Mozilla/5.0 (iPhone; CPU iPhone OS 7_1_2 like Mac OS X) AppleWebKit/537.51.2 (KHTML, like Gecko) Version/7.0 Mobile/11D257 Safari/9537.53"',
    "Mozilla/5.0 (Windows NT 6.1; WOW64; rv:31.0) Gecko/20100101 Firefox/31.0",
    "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; WOW64; Trident/5.0)",
)
HEADS = (
    "Blue",
    "Broken",
    "Fearless",
    "Golden",
    "Hollow",
    "Late",
    "Little",
    "Midnight",
    "Northern",
    "Paper",
    "Quiet",
    "Stolen",
    "Última",
    "Ágætis",
    "서울",
    "Zwölf",
)
TAILS = (
    "Byrjun",
    "Canción",
    "Dogs",
    "Fireflies",
    "Harbour",
    "Letters",
    "Mirrors",
    "Planet",
    "Rivers",
    "Satellites",
    "Señales",
    "Ebb/Tide",
    "Undo",
    "Winter ☂",
    "Yellow",
    "🎵",
)
BANDS = (
    "Band",
    "Brothers",
    "Choir",
    "Collective",
    "Experience",
    "Duo/Orchestra",
    "Project",
    "Quartet",
    "Sisters",
    "Trio",
)

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CATALOGUE_LIMIT = 200_000
EVENTS_PER_USER = 84  # as in the public data set: 8,056 events of 97 users
SWITCHING = 12  # one user in so many changes the plan during the log


@dataclass(frozen=True)
class World:
    """Users, by their number: how often each listens, and when his plan changes; and how large the catalogue is."""

    seed: int
    users: int
    catalogue: int
    levels: IntArray  # of each user at first: 0 free, 1 paid
    switches: IntArray  # the second of the log in which it changes, or -1
    locations: IntArray
    agents: IntArray
    names: IntArray

    def user_id(self, number: int) -> int:
        """The id of a user: not the number, since ids have gaps."""
        return 2 + number + number // 5


def build_world(seed: int, events: int, seconds: int) -> World:
    """The users and the catalogue of a log of so many events."""
    import numpy as np

    users = max(2, events // EVENTS_PER_USER)
    bits = dice(seed, 1)
    switches = roll(bits, users, max(1, seconds))
    switches = np.where(roll(bits, users, SWITCHING) == 0, switches, -1)
    return World(
        seed,
        users,
        min(CATALOGUE_LIMIT, max(24, events * 2 // 3)),
        (roll(bits, users, 4) == 0).astype(np.int64),
        switches,
        roll(bits, users, len(PLACES)),
        roll(bits, users, len(AGENTS)),
        roll(bits, users, 2 * len(FIRST_NAMES["F"]) * len(LAST_NAMES)),
    )


def person(world: World, user: int) -> tuple[str, str, str]:
    """First name, last name and gender of a user."""
    number, last = divmod(int(world.names[user]), len(LAST_NAMES))
    gender = "FM"[number % 2]
    return FIRST_NAMES[gender][number // 2], LAST_NAMES[last], gender


def title(number: int) -> str:
    """The title of a song of the catalogue: no two are the same."""
    rest, head = divmod(number, len(HEADS))
    rest, tail = divmod(rest, len(TAILS))
    return f"{HEADS[head]} {TAILS[tail]}" + (f", Pt. {rest + 1}" if rest else "")


def artist(number: int) -> str:
    """The name of an artist; no two are the same."""
    rest, band = divmod(number, len(BANDS))
    rest, tail = divmod(rest, len(TAILS))
    return f"The {TAILS[tail]} {BANDS[band]}" + (f" {rest + 1}" if rest else "")


def artist_of(number: int) -> int:
    """The artist who plays a song of the catalogue: the popular ones have more songs."""
    return number // 3 if number % 2 else number // 7


def length(number: int) -> str:
    """The length of a song in seconds, as JSON has it."""
    hundred_thousandths = number * 7_919_993 % 40_000_000
    return f"{40 + hundred_thousandths // 100_000}.{hundred_thousandths % 100_000 // 10 * 10 + 1 + number % 9:05d}"


def played(songs: int, matching: int, catalogue: int) -> list[int]:
    """Which songs of the catalogue have metadata: the most popular one, and ever fewer among the less popular."""
    wanted = min(songs, matching, catalogue)
    return [max(index, index * index * catalogue // (4 * wanted * wanted)) for index in range(wanted)]


def document(number: int, ranks: list[int]) -> tuple[str, bytes]:
    """The key below the prefix, and the document, of a song with metadata; the first of them are those that are played."""
    if number < len(ranks):
        rank = ranks[number]
        maker, name, what, long, year = (
            artist_of(rank),
            artist(artist_of(rank)),
            title(rank),
            length(rank),
            1960 + rank % 60,
        )
    else:
        maker = artist_key(number, ranks)
        name, what, long, year = f"Unheard {artist(-maker)}", f"Unheard {title(number)}", length(number), 0
    track = f"TR{_letters(number)}{_code(number, 13)}"
    where = _artist_place(maker)
    text = (
        f'{{"num_songs": 1, "artist_id": "AR{_code(maker * 2 if maker >= 0 else -maker * 2 - 1, 16)}", "artist_latitude": {where[0]},'
        f' "artist_longitude": {where[1]}, "artist_location": {json.dumps(where[2])}, "artist_name": {json.dumps(name)},'
        f' "song_id": "SO{_code(number, 16)}", "title": {json.dumps(what)}, "duration": {long}, "year": {year if number % 3 else 0}}}'
    )
    return f"{'/'.join(track[2:5])}/{track}.json", text.encode()


def artist_key(number: int, ranks: list[int]) -> int:
    """What tells the artist of a song with metadata from the others."""
    if number < len(ranks):
        return artist_of(ranks[number])
    return -1 - (number - (number + 18) // 36)  # about 69 artists of 71 songs


def _artist_place(maker: int) -> tuple[str, str, str]:
    if maker % 5 < 2:
        return "null", "null", ""
    return (
        f"{maker % 160 - 80}.{abs(maker) % 97:02d}1",
        f"{maker % 340 - 170}.{abs(maker) % 89:02d}3",
        PLACES[maker % len(PLACES)],
    )


def _letters(number: int) -> str:
    """The three letters that name a song's folders."""
    mixed = number * 7_919 % 17_576
    return LETTERS[mixed // 676] + LETTERS[mixed // 26 % 26] + LETTERS[mixed % 26]


def _code(number: int, width: int) -> str:
    """A number as capital letters and digits, as the ids of the music world look."""
    mixed = (number + 1) * 2_654_435_761 % (1 << 40)
    return (
        f"{mixed:010X}{number:0{width - 10}X}"[-width:]
        if number < 16 ** (width - 10)
        else f"{number:0{width}X}"
    )
