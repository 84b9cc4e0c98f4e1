"""A load environment of the star songplays: a bucket of events and songs, and a warehouse.

No server is started here.
"""

from __future__ import annotations

import csv
import io
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
from scx_pipeline_tests.support.load_env import LoadEnv
from scx_pipeline_tests.support.snapshots import Row

EVENTS, SONGS = "log_data/", "song_data/"

Record = Mapping[str, Any]


@cache
def music_star() -> CompiledStar:
    """Return the project's star songplays."""
    return load_star(stars_folder() / "songplays")


def milliseconds(timestamp: str) -> int:
    """Return a timestamp in UTC in milliseconds, as in the log."""
    return round(datetime.fromisoformat(timestamp).replace(tzinfo=UTC).timestamp() * 1000)


def event(session: int, item: int, timestamp: str, **values: Any) -> dict[str, Any]:
    """Return a play as in the log, in which `values` replace defaults."""
    defaults = {
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
        "ts": milliseconds(timestamp),
        "userAgent": '"Mozilla/5.0 (X11; Linux x86_64)"',
        "userId": "15",
    }
    return defaults | values


def song(song_id: str, **values: Any) -> dict[str, Any]:
    """Return a song's document, in which `values` replace defaults; these match the defaults of `event`."""
    defaults = {
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
    return defaults | values


def lines(records: Iterable[Record | str]) -> bytes:
    """Return a file of JSON lines; records that are texts are written unchanged."""
    texts = (item if isinstance(item, str) else json.dumps(item) for item in records)
    return "".join(f"{text}\n" for text in texts).encode()


def csv_file(records: Iterable[Record | str]) -> bytes:
    """Return a CSV file with the names of the JSON fields; records that are texts are written unchanged."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(event(0, 0, "2018-01-01")), lineterminator="\n")
    writer.writeheader()
    for item in records:
        if isinstance(item, str):
            text.write(f"{item}\n")
        else:
            writer.writerow(item)
    return text.getvalue().encode()


@dataclass
class MusicEnv(LoadEnv):
    """A load environment of the star songplays."""

    compiled: CompiledStar = field(default_factory=music_star)

    def put_day(self, day: str, records: Iterable[Record | str] | bytes, suffix: str = "") -> str:
        """Write a day's events, and return the object's key."""
        content = records if isinstance(records, bytes) else lines(records)
        return self.put_key(f"{EVENTS}{day[:4]}/{day[5:7]}/{day}-events.json{suffix}", content)

    def put_events(self, path: Path, below: Path, as_csv: bool) -> None:
        """Write the events of a file with JSON lines, unchanged or as CSV, under its path relative to `below`."""
        key, content = path.relative_to(below).as_posix(), path.read_bytes()
        if as_csv:
            key, content = f"{key.removesuffix('.json')}.csv", csv_file(map(json.loads, content.splitlines()))
        self.put_key(key, content)

    def put_song(self, name: str, document: Record | list[Any] | bytes) -> str:
        """Write a song's document, and return the object's key."""
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.put_key(f"{SONGS}{name}.json", content)

    def refresh(self) -> LoadReport:
        """Rebuild the unpartitioned tables."""
        return self.loader().refresh()

    def settle(self) -> list[LoadScope]:
        """Load what is due, as the sensor does, until nothing is; return what was loaded, in order."""
        done: list[LoadScope] = []
        while True:
            plan = self.plan()
            if plan.unpartitioned:
                self.refresh()
                done.append(UNPARTITIONED)
            elif plan.changed:
                for scope in contiguous_ranges([item.month for item in plan.changed]):
                    self.loader().load(scope)
                    done.append(scope)
            else:
                return done

    def plays(self, what: str = "songplay_id, song_id, artist_id") -> list[Row]:
        return self.table("songplays", what)


def create_music_env(folder: Path, warehouse_url: str = "") -> MusicEnv:
    """Return an environment with an empty local bucket and, by default, an empty DuckDB file."""
    bucket = folder / "bucket"
    bucket.mkdir(parents=True, exist_ok=True)
    return MusicEnv(bucket.as_uri(), warehouse_url or f"duckdb://{folder}/dev.duckdb")


def month(text: str) -> Month:
    return Month.parse(text)
