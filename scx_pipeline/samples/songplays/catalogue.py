"""The users, the catalogue of songs that are played, and the songs that have metadata.

Events do not belong here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scx_pipeline.samples.random_numbers import create_rng, draw_integers

if TYPE_CHECKING:
    from scx_pipeline.samples.random_numbers import IntArray

FIRST_NAMES = {
    "F": (
        "Lily", "Kaylee", "Chloe", "Rylan", "Tegan", "Jacqueline", "Zoë", "Åsa", "Chiara", "지우", "Renée",
        "Marta",
    ),
    "M": (
        "Walter", "Ryan", "Jacob", "Mohammad", "Kevin", "Jayden", "José", "Søren", "Łukasz", "민준", "Noah",
        "Aleix",
    ),
}  # fmt: skip
LAST_NAMES = (
    "Frye", "Summers", "Koch", "Levine", "Lynch", "Arellano", "Cuevas", "Müller", "Ngata", "김", "O'Neill",
    "Sørensen",
)  # fmt: skip
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
    "Blue", "Broken", "Fearless", "Golden", "Hollow", "Late", "Little", "Midnight", "Northern", "Paper",
    "Quiet", "Stolen", "Última", "Ágætis", "서울", "Zwölf",
)  # fmt: skip
TAILS = (
    "Byrjun", "Canción", "Dogs", "Fireflies", "Harbour", "Letters", "Mirrors", "Planet", "Rivers", "Satellites",
    "Señales", "Ebb/Tide", "Undo", "Winter ☂", "Yellow", "🎵",
)  # fmt: skip
BANDS = (
    "Band", "Brothers", "Choir", "Collective", "Experience", "Duo/Orchestra", "Project", "Quartet", "Sisters",
    "Trio",
)  # fmt: skip

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CATALOGUE_LIMIT = 200_000
# As in the public data set: 8,056 events of 97 users.
EVENTS_PER_USER = 84
# One of this many users changes the plan during the log.
USERS_PER_SWITCH = 12


@dataclass(frozen=True)
class Audience:
    """The users by number, with their plans and when these change, and the size of the catalogue."""

    seed: int
    users: int
    catalogue_size: int
    # Initial plans: 0 free, 1 paid.
    levels: IntArray
    # The second of the log in which the plan changes, or -1.
    switches: IntArray
    locations: IntArray
    agents: IntArray
    names: IntArray

    def user_id(self, number: int) -> int:
        """Return the id of a user, which differs from the number because ids have gaps."""
        return 2 + number + number // 5


def build_audience(seed: int, events: int, seconds: int) -> Audience:
    """Return the users and the catalogue of a log of this many events."""
    import numpy as np

    users = max(2, events // EVENTS_PER_USER)
    rng = create_rng(seed, 1)
    switches = draw_integers(rng, users, max(1, seconds))
    switches = np.where(draw_integers(rng, users, USERS_PER_SWITCH) == 0, switches, -1)
    return Audience(
        seed,
        users,
        min(CATALOGUE_LIMIT, max(24, events * 2 // 3)),
        (draw_integers(rng, users, 4) == 0).astype(np.int64),
        switches,
        draw_integers(rng, users, len(PLACES)),
        draw_integers(rng, users, len(AGENTS)),
        draw_integers(rng, users, 2 * len(FIRST_NAMES["F"]) * len(LAST_NAMES)),
    )


def person_of(audience: Audience, user: int) -> tuple[str, str, str]:
    """Return first name, last name and gender of a user."""
    number, last = divmod(int(audience.names[user]), len(LAST_NAMES))
    gender = "FM"[number % 2]
    return FIRST_NAMES[gender][number // 2], LAST_NAMES[last], gender


def song_title(number: int) -> str:
    """Return the title of a song of the catalogue; titles are unique."""
    rest, head = divmod(number, len(HEADS))
    rest, tail = divmod(rest, len(TAILS))
    return f"{HEADS[head]} {TAILS[tail]}" + (f", Pt. {rest + 1}" if rest else "")


def artist_name(number: int) -> str:
    """Return the name of an artist; names are unique."""
    rest, band = divmod(number, len(BANDS))
    rest, tail = divmod(rest, len(TAILS))
    return f"The {TAILS[tail]} {BANDS[band]}" + (f" {rest + 1}" if rest else "")


def artist_of(number: int) -> int:
    """Return the artist of a song of the catalogue; popular artists have more songs."""
    return number // 3 if number % 2 else number // 7


def song_length(number: int) -> str:
    """Return the length of a song in seconds, as JSON text."""
    hundred_thousandths = number * 7_919_993 % 40_000_000
    return f"{40 + hundred_thousandths // 100_000}.{hundred_thousandths % 100_000 // 10 * 10 + 1 + number % 9:05d}"


def songs_with_metadata(songs: int, matching: int, catalogue_size: int) -> list[int]:
    """Return the songs of the catalogue that have metadata: the most popular one, and fewer of the less popular ones."""
    wanted = min(songs, matching, catalogue_size)
    return [max(index, index * index * catalogue_size // (4 * wanted * wanted)) for index in range(wanted)]


def song_document(number: int, ranks: list[int]) -> tuple[str, bytes]:
    """Return the key below the prefix and the document of a song with metadata; the first ones are those that are played."""
    artist = artist_key(number, ranks)
    if number < len(ranks):
        rank = ranks[number]
        name, title, seconds, year = (
            artist_name(artist),
            song_title(rank),
            song_length(rank),
            1960 + rank % 60,
        )
    else:
        name, title = f"Unheard {artist_name(-artist)}", f"Unheard {song_title(number)}"
        seconds, year = song_length(number), 0
    artist_id = _encode(artist * 2 if artist >= 0 else -artist * 2 - 1, 16)
    latitude, longitude, location = _artist_place(artist)
    track = f"TR{_folder_letters(number)}{_encode(number, 13)}"
    text = (
        f'{{"num_songs": 1, "artist_id": "AR{artist_id}", "artist_latitude": {latitude},'
        f' "artist_longitude": {longitude}, "artist_location": {json.dumps(location)}, "artist_name": {json.dumps(name)},'
        f' "song_id": "SO{_encode(number, 16)}", "title": {json.dumps(title)}, "duration": {seconds},'
        f' "year": {year if number % 3 else 0}}}'
    )
    return f"{'/'.join(track[2:5])}/{track}.json", text.encode()


def artist_key(number: int, ranks: list[int]) -> int:
    """Return the number of the artist of a song with metadata."""
    if number < len(ranks):
        return artist_of(ranks[number])
    return -1 - (number - (number + 18) // 36)  # about 69 artists of 71 songs


def _artist_place(artist: int) -> tuple[str, str, str]:
    if artist % 5 < 2:
        return "null", "null", ""
    return (
        f"{artist % 160 - 80}.{abs(artist) % 97:02d}1",
        f"{artist % 340 - 170}.{abs(artist) % 89:02d}3",
        PLACES[artist % len(PLACES)],
    )


def _folder_letters(number: int) -> str:
    """Return the three letters that name a song's folders."""
    mixed = number * 7_919 % 17_576
    return LETTERS[mixed // 676] + LETTERS[mixed // 26 % 26] + LETTERS[mixed % 26]


def _encode(number: int, width: int) -> str:
    """Return a number as capital letters and digits, like the ids of the public data set."""
    mixed = (number + 1) * 2_654_435_761 % (1 << 40)
    return (
        f"{mixed:010X}{number:0{width - 10}X}"[-width:]
        if number < 16 ** (width - 10)
        else f"{number:0{width}X}"
    )
