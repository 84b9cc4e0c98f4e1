"""The rows of the songplays star that follow from events and songs, computed in plain Python.

Which events a load publishes does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from scx_pipeline_tests.support.music_env import MusicEnv
from scx_pipeline_tests.support.snapshots import Row

Record = dict[str, Any]


def expected_rows(events: Iterable[Record], songs: Sequence[Record]) -> dict[str, list[Row]]:
    """Return the rows of the facts and dimensions that follow from events and the songs, computed in plain Python."""
    plays = [record for record in events if record["page"] == "NextSong"]
    known = {row["song_id"]: row for row in sorted(songs, key=_song_rank)}
    artists = {row["artist_id"]: row for row in sorted(songs, key=_artist_rank)}
    users = {row["userId"]: row for row in sorted(plays, key=_event_rank) if row["userId"]}
    return {
        "songs": _ordered(
            (r["song_id"], r["title"], r["artist_id"], r["year"], r["duration"]) for r in known.values()
        ),
        "artists": _ordered(
            (
                r["artist_id"],
                r["artist_name"],
                r["artist_location"],
                r["artist_latitude"],
                r["artist_longitude"],
            )
            for r in artists.values()
        ),
        "users": _ordered(
            (int(i), r["firstName"], r["lastName"], r["gender"], r["level"]) for i, r in users.items()
        ),
        "songplays": _ordered(
            _play_row(row, list(known.values()), {i: r["artist_name"] for i, r in artists.items()})
            for row in plays
        ),
    }


def _song_rank(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["year"], row["title"].encode(), row["artist_id"], row["duration"]


def _artist_rank(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["year"], row["song_id"], row["artist_name"].encode()


def _event_rank(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["ts"], row["sessionId"], row["itemInSession"]


def _play_row(row: dict[str, Any], songs: list[dict[str, Any]], names: dict[str, str]) -> Row:
    event_time = datetime.fromtimestamp(row["ts"] / 1000, UTC).replace(tzinfo=None)
    wanted = (row["song"], row["artist"], row["length"])
    matches = [s for s in songs if (s["title"], names[s["artist_id"]], s["duration"]) == wanted]
    found = min(matches, key=lambda s: str(s["song_id"]), default=None)
    return (
        row["sessionId"] * 100_000 + row["itemInSession"],
        event_time,
        int(row["userId"]) if row["userId"] else None,
        row["level"],
        found and found["song_id"],
        found and found["artist_id"],
        row["sessionId"],
        row["location"],
        row["userAgent"],
    )


def _ordered(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=repr)


def by_month(load_env: MusicEnv) -> dict[str, list[Row]]:
    """Return the published plays with their songs, by loaded month."""
    found: dict[str, list[Row]] = {month: [] for (month, *_) in load_env.state("months", "month, load_id")}
    for start, play, song_id, artist_id in load_env.plays("start_time, songplay_id, song_id, artist_id"):
        found[f"{start:%Y-%m}"].append((play, song_id, artist_id))
    return {month: _ordered(rows) for month, rows in found.items()}


def expected_by_month(load_env: MusicEnv) -> dict[str, list[Row]]:
    """Return the same, computed from the published songs and staging rows."""
    names: dict[str, str] = dict(load_env.table("artists", "artist_id, name"))
    songs = [
        {"song_id": song_id, "title": title, "artist_id": artist, "duration": duration}
        for song_id, title, artist, duration in load_env.table("songs", "song_id, title, artist_id, duration")
    ]
    found: dict[str, list[Row]] = {}
    columns = "ts, session_id, item_in_session, song, artist, length, page"
    for ts, session, item, title, artist, length, page in load_env.table("staging_events", columns):
        if page == "NextSong":
            same = [
                s
                for s in songs
                if (s["title"], names[s["artist_id"]], s["duration"]) == (title, artist, length)
            ]
            best = min(same, key=lambda s: str(s["song_id"]), default=None)
            row = (session * 100_000 + item, best and best["song_id"], best and best["artist_id"])
            found.setdefault(f"{ts:%Y-%m}", []).append(row)
    return {month: _ordered(rows) for month, rows in found.items()}
