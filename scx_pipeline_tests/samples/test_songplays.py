"""What the generator of events and songs puts into a bucket, read again by an independent reader.
What a load makes of it is tested in pipeline/."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore

from scx_pipeline.samples.songplays import event_lines
from scx_pipeline.samples.songplays.songplays_bucket import (
    BAD_KINDS,
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


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GeneratedMusic]:
    folder = tmp_path_factory.mktemp("music")
    return folder, make(folder)


def files(folder: Path, prefix: str) -> list[Path]:
    return sorted((folder / prefix).rglob("*.json"))


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in files(folder, "log_data") for line in path.read_text().splitlines()]


def songs(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in files(folder, "song_data")]


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


def test_only_so_many_songs_match_as_were_asked_for(
    clean: tuple[Path, GeneratedMusic], tmp_path: Path
) -> None:
    folder, _ = clean
    played = {(item["song"], item["artist"], item["length"]) for item in events(folder)}
    matching = [
        item for item in songs(folder) if (item["title"], item["artist_name"], item["duration"]) in played
    ]
    assert 10 <= len(matching) <= OPTIONS.matching  # the least popular ones may go unplayed
    assert make(tmp_path, replace(OPTIONS, matching=0)).matched == 0


def test_the_same_options_give_the_same_bytes_and_another_seed_others(
    clean: tuple[Path, GeneratedMusic], tmp_path: Path
) -> None:
    folder, report = clean
    assert make(tmp_path / "again") == report
    make(tmp_path / "other", replace(OPTIONS, seed=6))
    first = [path.read_bytes() for path in files(folder, "log_data")]
    assert first == [path.read_bytes() for path in files(tmp_path / "again", "log_data")]
    assert first != [path.read_bytes() for path in files(tmp_path / "other", "log_data")]


def test_the_bytes_are_those_of_every_other_machine(tmp_path: Path) -> None:
    """If this fails after a change that was meant to change the log, put the new digest here; if it fails on
    another machine or with another numpy or Arrow, the generator's promise is broken."""
    make(tmp_path, replace(OPTIONS, bad_lines=20, duplicates=40))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files(tmp_path, ""))).hexdigest()
    assert digest == "94641e137b6c4a441ded84b3c77b8f3bd8c06cb1c8fedf6025f37b91059f6e24"


def test_texts_are_escaped_as_in_the_public_data_set(clean: tuple[Path, GeneratedMusic]) -> None:
    """Slashes of the log are escaped and those of the songs are not: what matches has other bytes."""
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


def test_a_session_counts_its_events_in_order_of_time_and_belongs_to_one_user(
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


def test_a_file_holds_the_events_of_its_day(clean: tuple[Path, GeneratedMusic]) -> None:
    from datetime import UTC, datetime

    folder, _ = clean
    for path in files(folder, "log_data"):
        days = {
            f"{datetime.fromtimestamp(json.loads(line)['ts'] / 1000, UTC):%Y-%m-%d}"
            for line in path.read_text().splitlines()
        }
        assert days == {path.name.removesuffix("-events.json")}
        assert path.parent.as_posix().endswith(path.name[:7].replace("-", "/"))


def test_pages_are_visited_as_often_as_in_the_public_data_set(clean: tuple[Path, GeneratedMusic]) -> None:
    folder, report = clean
    pages = Counter(item["page"] for item in events(folder))
    assert pages["NextSong"] / report.events == pytest.approx(6820 / 8056, abs=0.03)
    assert report.logged_out / report.events == pytest.approx(286 / 8056, abs=0.01)
    for item in events(folder):
        assert (item["song"] is not None) == (item["page"] == "NextSong")
        assert (item["userId"] == "") == (item["auth"] == "Logged Out") == (item["firstName"] is None)


def test_a_session_may_cross_midnight_and_the_end_of_a_month(tmp_path: Path) -> None:
    make(tmp_path, replace(OPTIONS, events=30_000, songs=0, matching=0))
    november, december = (
        {
            json.loads(line)["sessionId"]
            for line in (tmp_path / "log_data/2018" / name).read_text().splitlines()
        }
        for name in ("11/2018-11-30-events.json", "12/2018-12-01-events.json")
    )
    assert 0 < len(november & december) < len(december) / 4


def test_a_level_changes_after_a_submit_and_only_then(clean: tuple[Path, GeneratedMusic]) -> None:
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


def test_names_are_of_many_scripts(clean: tuple[Path, GeneratedMusic]) -> None:
    folder, _ = clean
    texts = {item["song"] or "" for item in events(folder)}
    assert any("서울" in text for text in texts)
    assert any("🎵" in text for text in texts)


def test_songs_lie_in_the_folders_that_their_names_say_and_artists_are_always_the_same(
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


def test_bad_lines_and_duplicates_are_added_in_known_numbers(
    clean: tuple[Path, GeneratedMusic], tmp_path: Path
) -> None:
    folder, report = clean
    count = 2 * len(BAD_KINDS)
    dirty = make(tmp_path, replace(OPTIONS, bad_lines=count, duplicates=30))
    assert (dirty.bad_lines, dirty.duplicates, dirty.events) == (count, 30, report.events)
    good = Counter(line for path in files(folder, "log_data") for line in path.read_text().splitlines())
    found = Counter(line for path in files(tmp_path, "log_data") for line in path.read_text().splitlines())
    assert not good - found
    extra = found - good
    assert sum(extra.values()) == count + 30
    assert sum(number for line, number in extra.items() if line in good) == 30


def _is_text(value: object) -> bool:
    return value is None or (isinstance(value, str) and re.search("[\\0\ud800-\udfff]", value) is None)


def is_good(line: str) -> bool:
    try:
        item = json.loads(line)
    except ValueError:
        return False
    return (
        isinstance(item, dict)
        and _is_text(item["song"])
        and isinstance(item["itemInSession"], int)
        and isinstance(item["ts"], int)
        and item["ts"] > 10**12
    )


def kinds_of_badness(line: str) -> str:
    """The same kinds as the generator's, told apart by what is read here."""
    if line[0] in "[0123456789":
        return "an array" if line[0] == "[" else "a bare number"
    if not line.endswith("}"):
        return "cut off"
    item = json.loads(line)
    if item["itemInSession"] == 2.5:
        return "half an item"
    if item["ts"] == "noon":
        return "a word for a moment"
    if isinstance(item["song"], dict):
        return "an object for a song"
    if item["ts"] < 10**10:
        return "seconds for milliseconds"
    return "an escaped NUL" if "\0" in item["song"] else "half a surrogate pair"


def test_bad_lines_are_of_every_kind_and_hide_behind_no_good_one(tmp_path: Path) -> None:
    make(tmp_path, replace(OPTIONS, bad_lines=5 * len(BAD_KINDS)))
    lines = [line for path in files(tmp_path, "log_data") for line in path.read_text().splitlines()]
    bad = [line for line in lines if not is_good(line)]
    assert Counter(map(kinds_of_badness, bad)) == dict.fromkeys(BAD_KINDS, 5)
    sessions = {json.loads(line)["sessionId"] for line in lines if is_good(line)}
    own = [match[1] for line in bad if (match := re.search(r'"sessionId":(\d+),', line))]
    assert len(set(own)) == len(own) >= 5 * (len(BAD_KINDS) - 2)
    assert not {int(session) for session in own} & sessions


@pytest.mark.parametrize(
    ("count", "bad_lines", "duplicates"), [(1, 9, 1), (3, 90, 3), (30, 4, 30), (300, 27, 299)]
)
def test_a_small_log_gets_all_its_dirt(tmp_path: Path, count: int, bad_lines: int, duplicates: int) -> None:
    options = SongplaysOptions(events=count, bad_lines=bad_lines, duplicates=duplicates)
    report = make(tmp_path, options)
    lines = [line for path in files(tmp_path, "log_data") for line in path.read_text().splitlines()]
    good = [line for line in lines if is_good(line)]
    assert (report.bad_lines, report.duplicates) == (bad_lines, duplicates)
    assert (len(lines) - len(good), len(good) - len(set(good))) == (bad_lines, duplicates)


def test_the_clean_events_do_not_depend_on_the_size_of_a_piece(
    clean: tuple[Path, GeneratedMusic], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_lines, "LINES", 17)
    report = make(tmp_path, replace(OPTIONS, bad_lines=50, duplicates=500))
    assert (report.bad_lines, report.duplicates, report.matched) == (50, 500, clean[1].matched)
    for path in files(clean[0], "log_data"):
        lines = (tmp_path / path.relative_to(clean[0])).read_text().splitlines()
        once = list(dict.fromkeys(line for line in lines if is_good(line)))
        assert once == path.read_text().splitlines()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"to": "2018-13"}, "to must be a month as YYYY-MM"),
        ({"months": 0}, "months must be 1 or more"),
        ({"events": 0}, "events must be 1 or more"),
        ({"songs": -1}, "songs must be 0 or more"),
        ({"matching": 121}, r"matching must be from 0 to songs \(120\)"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"bad_lines": -1}, "bad_lines must be 0 or more"),
        ({"duplicates": 6001}, r"duplicates must be from 0 to events \(6000\)"),
        ({"months": 600}, "to and months must keep the log within 2000 and 2059"),
    ],
)
def test_options_that_make_no_log_are_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        make(tmp_path, replace(OPTIONS, **options))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_log_may_fill_the_first_and_the_last_year(tmp_path: Path) -> None:
    for to in ("2000-12", "2059-12"):
        report = make(
            tmp_path / to, SongplaysOptions(to=to, months=12, events=200, songs=0, matching=0, bad_lines=9)
        )
        lines = [line for path in files(tmp_path / to, "log_data") for line in path.read_text().splitlines()]
        assert report.events + report.bad_lines == len(lines) == 209


@pytest.mark.parametrize("events_", [1, 2, 30])
def test_small_logs_are_made_too(tmp_path: Path, events_: int) -> None:
    report = make(tmp_path, SongplaysOptions(events=events_, songs=0, matching=0))
    assert (report.events, report.songs, len(events(tmp_path))) == (events_, 0, events_)
