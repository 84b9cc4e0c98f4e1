"""Events, songs and report of the songplays generator, verified by an independent reader.

Invalid lines do not belong here.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scx_pipeline.samples.songplays.songplays_bucket import (
    GeneratedMusic,
)
from scx_pipeline_tests.samples.music_bucket import FIELDS, OPTIONS, SONG_FIELDS, events, files, make, songs


def test_events_and_songs_have_the_fields_of_the_public_data_set_in_its_order(
    clean: tuple[Path, GeneratedMusic],
) -> None:
    folder, _ = clean
    assert all(list(item) == FIELDS for item in events(folder))
    assert all(list(item) == SONG_FIELDS for item in songs(folder))


def test_the_report_counts_what_an_independent_reader_counts(clean: tuple[Path, GeneratedMusic]) -> None:
    folder, report = clean
    log, known = events(folder), songs(folder)
    plays = [item for item in log if item["page"] == "NextSong"]
    by_song = {(item["title"], item["artist_name"], item["duration"]) for item in known}
    paths = files(folder, "")
    assert report == GeneratedMusic(
        objects=len(paths),
        bytes=sum(path.stat().st_size for path in paths),
        events=len(log),
        songplays=len(plays),
        users=len({item["userId"] for item in plays}),
        songs=len({item["song_id"] for item in known}),
        artists=len({item["artist_id"] for item in known}),
        times=len({item["ts"] for item in plays}),
        matched=sum((item["song"], item["artist"], item["length"]) in by_song for item in plays),
        logged_out=sum(item["userId"] == "" for item in log),
        events_by_month={month: report.events_by_month[month] for month in ("2018-11", "2018-12")},
    )
    assert report.events == OPTIONS.events == sum(report.events_by_month.values())
    assert report.songs == OPTIONS.songs
    assert report.matched > 100


def test_no_more_songs_match_than_requested(clean: tuple[Path, GeneratedMusic], tmp_path: Path) -> None:
    folder, _ = clean
    played = {(item["song"], item["artist"], item["length"]) for item in events(folder)}
    matching = [
        item for item in songs(folder) if (item["title"], item["artist_name"], item["duration"]) in played
    ]
    assert 10 <= len(matching) <= OPTIONS.matching  # the least popular songs may not be played
    assert make(tmp_path, replace(OPTIONS, matching=0)).matched == 0


def test_the_same_options_give_the_same_bytes_and_another_seed_gives_others(
    clean: tuple[Path, GeneratedMusic], tmp_path: Path
) -> None:
    folder, report = clean
    assert make(tmp_path / "again") == report
    make(tmp_path / "other", replace(OPTIONS, seed=6))
    first = [path.read_bytes() for path in files(folder, "log_data")]
    assert first == [path.read_bytes() for path in files(tmp_path / "again", "log_data")]
    assert first != [path.read_bytes() for path in files(tmp_path / "other", "log_data")]


def test_the_bytes_are_the_same_on_every_machine(tmp_path: Path) -> None:
    """If this fails after a change that was meant to change the log, put the new digest here; if it fails on
    another machine or with another numpy or Arrow, the generator is not deterministic."""
    make(tmp_path, replace(OPTIONS, bad_lines=20, duplicates=40))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files(tmp_path, ""))).hexdigest()
    assert digest == "94641e137b6c4a441ded84b3c77b8f3bd8c06cb1c8fedf6025f37b91059f6e24"


def test_texts_are_escaped_as_in_the_public_data_set(clean: tuple[Path, GeneratedMusic]) -> None:
    """Slashes are escaped in the log but not in the songs, so matching texts have different bytes."""
    folder, _ = clean
    for path in files(folder, "log_data"):
        text = path.read_text()
        assert text.isascii()
        assert text.count("/") == text.count(r"\/") > 0
        for line in text.splitlines():
            again = json.dumps(json.loads(line), separators=(",", ":")).replace("/", r"\/")
            assert line == again
    documents = [path.read_text() for path in files(folder, "song_data")]
    assert all(text == json.dumps(json.loads(text)) for text in documents)
    played = {(item["song"], item["artist"], item["length"]) for item in events(folder)}
    assert any(
        "/" in item["artist_name"]
        for item in songs(folder)
        if (item["title"], item["artist_name"], item["duration"]) in played
    )


def test_sessions_number_their_events_chronologically_and_belong_to_one_user(
    clean: tuple[Path, GeneratedMusic],
) -> None:
    folder, _ = clean
    sessions: dict[int, list[dict[str, Any]]] = {}
    for item in events(folder):
        sessions.setdefault(item["sessionId"], []).append(item)
    for items in sessions.values():
        ordered = sorted(items, key=lambda item: item["itemInSession"])
        assert [item["itemInSession"] for item in ordered] == list(range(len(items)))
        assert [item["ts"] for item in ordered] == sorted(item["ts"] for item in items)
        assert len({item["userId"] for item in items} - {""}) <= 1


def test_a_file_contains_only_events_of_its_day(clean: tuple[Path, GeneratedMusic]) -> None:
    from datetime import UTC, datetime

    folder, _ = clean
    for path in files(folder, "log_data"):
        days = {
            f"{datetime.fromtimestamp(json.loads(line)['ts'] / 1000, UTC):%Y-%m-%d}"
            for line in path.read_text().splitlines()
        }
        assert days == {path.name.removesuffix("-events.json")}
        assert path.parent.as_posix().endswith(path.name[:7].replace("-", "/"))


def test_page_frequencies_match_the_public_data_set(clean: tuple[Path, GeneratedMusic]) -> None:
    folder, report = clean
    pages = Counter(item["page"] for item in events(folder))
    assert pages["NextSong"] / report.events == pytest.approx(6820 / 8056, abs=0.03)
    assert report.logged_out / report.events == pytest.approx(286 / 8056, abs=0.01)
    for item in events(folder):
        assert (item["song"] is not None) == (item["page"] == "NextSong")
        assert (item["userId"] == "") == (item["auth"] == "Logged Out") == (item["firstName"] is None)


def test_sessions_can_extend_past_midnight_and_the_end_of_a_month(tmp_path: Path) -> None:
    make(tmp_path, replace(OPTIONS, events=30_000, songs=0, matching=0))
    november, december = (
        {
            json.loads(line)["sessionId"]
            for line in (tmp_path / "log_data/2018" / name).read_text().splitlines()
        }
        for name in ("11/2018-11-30-events.json", "12/2018-12-01-events.json")
    )
    assert 0 < len(november & december) < len(december) / 4


def test_a_level_changes_only_after_a_submit_page(clean: tuple[Path, GeneratedMusic]) -> None:
    levels: dict[str, list[dict[str, Any]]] = {}
    for item in sorted(events(clean[0]), key=lambda item: item["ts"]):
        if item["userId"]:
            levels.setdefault(item["userId"], []).append(item)
    changes: Counter[str] = Counter()
    for items in levels.values():
        for now, then in pairwise(items):
            if now["level"] != then["level"]:
                changes[now["page"]] += 1
                assert now["level"] == {"Submit Upgrade": "free", "Submit Downgrade": "paid"}[now["page"]]
    assert set(changes) == {"Submit Upgrade", "Submit Downgrade"}
    last = Counter(items[-1]["level"] for items in levels.values())
    assert min(last["free"], last["paid"]) > 5


def test_texts_contain_several_scripts(clean: tuple[Path, GeneratedMusic]) -> None:
    folder, _ = clean
    texts = {item["song"] or "" for item in events(folder)}
    assert any("서울" in text for text in texts)
    assert any("🎵" in text for text in texts)


def test_songs_are_stored_in_the_folders_of_their_names_and_artists_are_consistent(
    clean: tuple[Path, GeneratedMusic],
) -> None:
    folder, _ = clean
    for path in files(folder, "song_data"):
        assert path.parent.relative_to(folder / "song_data").as_posix() == "/".join(path.name[2:5])
    artists: dict[str, set[str]] = {}
    for item in songs(folder):
        facts = [item[name] for name in SONG_FIELDS if name.startswith("artist_")]
        artists.setdefault(item["artist_id"], set()).add(json.dumps(facts))
    assert all(len(found) == 1 for found in artists.values())
    assert len(artists) < len(songs(folder))
