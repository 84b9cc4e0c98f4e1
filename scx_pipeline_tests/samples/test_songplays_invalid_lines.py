"""Invalid lines, duplicates and options of the songplays generator.

Clean events do not belong here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scx_pipeline.samples.songplays import event_lines
from scx_pipeline.samples.songplays.invalid_lines import INVALID_KINDS
from scx_pipeline.samples.songplays.songplays_bucket import (
    GeneratedMusic,
    SongplaysOptions,
)
from scx_pipeline_tests.samples.music_bucket import OPTIONS, events, files, make


def test_the_requested_numbers_of_invalid_lines_and_duplicates_are_added(
    clean: tuple[Path, GeneratedMusic], tmp_path: Path
) -> None:
    folder, report = clean
    count = 2 * len(INVALID_KINDS)
    noisy = make(tmp_path, replace(OPTIONS, bad_lines=count, duplicates=30))
    assert (noisy.bad_lines, noisy.duplicates, noisy.events) == (count, 30, report.events)
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


def kind_of_invalid_line(line: str) -> str:
    """The generator's kinds, recognised independently."""
    if line[0] in "[0123456789":
        return "an array" if line[0] == "[" else "a bare number"
    if not line.endswith("}"):
        return "cut off"
    item = json.loads(line)
    if item["itemInSession"] == 2.5:
        return "half an item"
    if item["ts"] == "noon":
        return "a word for a timestamp"
    if isinstance(item["song"], dict):
        return "an object for a song"
    if item["ts"] < 10**10:
        return "seconds for milliseconds"
    return "an escaped NUL" if "\0" in item["song"] else "half a surrogate pair"


def test_invalid_lines_are_of_every_kind_and_have_sessions_of_their_own(tmp_path: Path) -> None:
    make(tmp_path, replace(OPTIONS, bad_lines=5 * len(INVALID_KINDS)))
    lines = [line for path in files(tmp_path, "log_data") for line in path.read_text().splitlines()]
    bad = [line for line in lines if not is_good(line)]
    assert Counter(map(kind_of_invalid_line, bad)) == dict.fromkeys(INVALID_KINDS, 5)
    sessions = {json.loads(line)["sessionId"] for line in lines if is_good(line)}
    own = [match[1] for line in bad if (match := re.search(r'"sessionId":(\d+),', line))]
    assert len(set(own)) == len(own) >= 5 * (len(INVALID_KINDS) - 2)
    assert not {int(session) for session in own} & sessions


@pytest.mark.parametrize(
    ("count", "bad_lines", "duplicates"), [(1, 9, 1), (3, 90, 3), (30, 4, 30), (300, 27, 299)]
)
def test_a_small_log_contains_all_requested_invalid_lines(
    tmp_path: Path, count: int, bad_lines: int, duplicates: int
) -> None:
    options = SongplaysOptions(events=count, bad_lines=bad_lines, duplicates=duplicates)
    report = make(tmp_path, options)
    lines = [line for path in files(tmp_path, "log_data") for line in path.read_text().splitlines()]
    good = [line for line in lines if is_good(line)]
    assert (report.bad_lines, report.duplicates) == (bad_lines, duplicates)
    assert (len(lines) - len(good), len(good) - len(set(good))) == (bad_lines, duplicates)


def test_clean_events_do_not_depend_on_the_block_size(
    clean: tuple[Path, GeneratedMusic], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_lines, "BLOCK_EVENTS", 17)
    report = make(tmp_path, replace(OPTIONS, bad_lines=50, duplicates=500))
    assert (report.bad_lines, report.duplicates, report.matched) == (50, 500, clean[1].matched)
    for path in files(clean[0], "log_data"):
        lines = (tmp_path / path.relative_to(clean[0])).read_text().splitlines()
        once = list(dict.fromkeys(line for line in lines if is_good(line)))
        assert once == path.read_text().splitlines()


@pytest.mark.parametrize(
    ("options", "message"),
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
def test_invalid_options_are_rejected_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make(tmp_path, replace(OPTIONS, **options))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_log_can_cover_the_first_and_the_last_year(tmp_path: Path) -> None:
    for to in ("2000-12", "2059-12"):
        report = make(
            tmp_path / to, SongplaysOptions(to=to, months=12, events=200, songs=0, matching=0, bad_lines=9)
        )
        lines = [line for path in files(tmp_path / to, "log_data") for line in path.read_text().splitlines()]
        assert report.events + report.bad_lines == len(lines) == 209


@pytest.mark.parametrize("events_", [1, 2, 30])
def test_very_small_logs_are_generated(tmp_path: Path, events_: int) -> None:
    report = make(tmp_path, SongplaysOptions(events=events_, songs=0, matching=0))
    assert (report.events, report.songs, len(events(tmp_path))) == (events_, 0, events_)
