"""A small bucket of events and songs, a warehouse, and the songplays star: what its tests put in, load and look at.
No test lives here; what any star's world can do is in world.py."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, contiguous_ranges
from scx_pipeline_tests.support.load_env import Row, World

EVENTS, SONGS = "log_data/", "song_data/"

Record = Mapping[str, Any]


@cache
def music_star() -> CompiledStar:
    """The project's own star."""
    return load_star(stars_folder() / "songplays")


def milliseconds(moment: str) -> int:
    """The moment, in UTC, as the log has it."""
    return round(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1000)


def event(session: int, item: int, moment: str, **values: Any) -> dict[str, Any]:
    """A play as the log has it; values given by name replace the usual ones."""
    usual = {
        "artist": "Elena",
        "auth": "Logged In",
        "firstName": "Lily",
        "gender": "F",
        "itemInSession": item,
        "lastName": "Koch",
        "length": 269.58322,
        "level": "paid",
        "location": "Chicago-Naperville-Elgin, IL-IN-WI",
        "method": "PUT",
        "page": "NextSong",
        "registration": 1541048010796.0,
        "sessionId": session,
        "song": "Setanta matins",
        "status": 200,
        "ts": milliseconds(moment),
        "userAgent": '"Mozilla/5.0 (X11; Linux x86_64)"',
        "userId": "15",
    }
    return usual | values


def song(song_id: str, **values: Any) -> dict[str, Any]:
    """A song's document; values given by name replace the usual ones, which are those of `event`."""
    usual = {
        "num_songs": 1,
        "artist_id": "AR5KOSW1187FB35FF4",
        "artist_latitude": 49.80388,
        "artist_longitude": 15.47491,
        "artist_location": "Dubai UAE",
        "artist_name": "Elena",
        "song_id": song_id,
        "title": "Setanta matins",
        "duration": 269.58322,
        "year": 0,
    }
    return usual | values


def lines(records: Iterable[Record | str]) -> bytes:
    """A file of JSON lines; a record that is a text stands as it is."""
    texts = (item if isinstance(item, str) else json.dumps(item) for item in records)
    return "".join(f"{text}\n" for text in texts).encode()


@dataclass
class MusicWorld(World):
    """A world of the songplays star."""

    compiled: CompiledStar = field(default_factory=music_star)

    def put_day(self, day: str, records: Iterable[Record | str] | bytes, suffix: str = "") -> str:
        """Write a day's events; the object's key."""
        content = records if isinstance(records, bytes) else lines(records)
        return self.put_key(f"{EVENTS}{day[:4]}/{day[5:7]}/{day}-events.json{suffix}", content)

    def put_song(self, name: str, document: Record | list[Any] | bytes) -> str:
        """Write a song's document; the object's key."""
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.put_key(f"{SONGS}{name}.json", content)

    def refresh(self) -> LoadReport:
        """Make the tables without months anew."""
        return self.loader().refresh()

    def settle(self) -> list[LoadScope]:
        """Load whatever is due, as the sensor does, until nothing is; what was loaded, in order."""
        done: list[LoadScope] = []
        while True:
            plan = self.plan()
            if plan.unpartitioned:
                self.refresh()
                done.append(UNPARTITIONED)
            elif plan.changed:
                for span in contiguous_ranges([item.month for item in plan.changed]):
                    self.loader().load(span)
                    done.append(span)
            else:
                return done

    def plays(self, what: str = "songplay_id, song_id, artist_id") -> list[Row]:
        return self.table("songplays", what)


def music_world(folder: Path, warehouse_url: str = "") -> MusicWorld:
    """A world of an empty local bucket and, unless another is given, an empty DuckDB file."""
    bucket = folder / "bucket"
    bucket.mkdir(parents=True, exist_ok=True)
    return MusicWorld(bucket.as_uri(), warehouse_url or f"duckdb://{folder}/dev.duckdb")


def month(text: str) -> Month:
    return Month.parse(text)
