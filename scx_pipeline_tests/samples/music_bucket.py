"""Generated buckets of events and songs, read back by an independent reader.

The loaders of the project are not used.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from obstore.store import LocalStore

from scx_pipeline.samples.songplays.songplays_bucket import (
    GeneratedMusic,
    SongplaysOptions,
    generate,
)

FIELDS = [
    "artist",
    "auth",
    "firstName",
    "gender",
    "itemInSession",
    "lastName",
    "length",
    "level",
    "location",
    "method",
    "page",
    "registration",
    "sessionId",
    "song",
    "status",
    "ts",
    "userAgent",
    "userId",
]


SONG_FIELDS = [
    "num_songs",
    "artist_id",
    "artist_latitude",
    "artist_longitude",
    "artist_location",
    "artist_name",
    "song_id",
    "title",
    "duration",
    "year",
]


OPTIONS = SongplaysOptions(to="2018-12", months=2, events=6000, songs=120, matching=15, seed=5)


def make(folder: Path, options: SongplaysOptions = OPTIONS) -> GeneratedMusic:
    folder.mkdir(exist_ok=True)
    return generate(options, LocalStore(folder))


def files(folder: Path, prefix: str) -> list[Path]:
    return sorted((folder / prefix).rglob("*.json"))


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in files(folder, "log_data") for line in path.read_text().splitlines()]


def songs(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in files(folder, "song_data")]
