"""Invalid JSON: rejected with file, line, column and reason, or the file refused; never a silent NULL."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scx_pipeline.errors import CheckFailedError, SourceFileError
from scx_pipeline_tests.support.music_env import EVENTS, SONGS, MusicEnv, event, lines, song

DAY = "2018-11-10"
KEY = f"{EVENTS}2018/11/{DAY}-events.json"
GOOD = [event(1, item, f"{DAY} 10:{item:02d}:00") for item in range(40)]
DEEP = 100_000


def text(**values: object) -> str:
    """Return a valid event's line, with these values in place of its own."""
    return json.dumps(event(2, 0, f"{DAY} 12:00:00", **values))


def raw(field: str, value: str) -> str:
    """A good event's line in which the field has the value as it is written here."""
    return text(**{field: "@"}).replace('"@"', value)


QUARANTINED: dict[str, tuple[str, str | None, str]] = {
    "a truncated line": (text()[:100], None, "is not JSON: Unterminated string starting at character 98"),
    "an array": ("[1, 2]", None, "is not an object"),
    "a number": ("12", None, "is not an object"),
    "null": ("null", None, "is not an object"),
    "a lone surrogate": (raw("song", '"\\ud800"'), None, "has half a surrogate pair"),
    "an escaped NUL": (raw("song", '"a\\u0000b"'), "song", "holds a NUL character"),
    "a raw control character": (
        raw("song", '"a\x01b"'),
        None,
        "is not JSON: Invalid control character at character ",
    ),
    "two objects on a line": (f"{text()} {text()}", None, "is not JSON: Extra data at character "),
    "a field twice": (text()[:-1] + ', "song": "other"}', None, "has a field twice"),
    "seconds for milliseconds": (
        text(ts=1541850000),
        "ts",
        "1970-01-18 20:17:30 is before the star's first month, 2018-01; in seconds it would be 2018-11-10",
    ),
    "a word for a timestamp": (text(ts="noon"), "ts", "'noon' is not a number of milliseconds"),
    "a timestamp without a value": (text(ts=None), "ts", "is empty, and must not be"),
    "a timestamp as an empty text": (text(ts=""), "ts", "is empty, and must not be"),
    "an object for a text": (text(song={"title": "Undo"}), "song", """'{"title":"Undo"}' is not a text"""),
    "a number for a text": (text(song=1979), "song", "'1979' is not a text"),
    "a boolean for a text": (text(song=True), "song", "'true' is not a text"),
    "an array for a text": (text(artist=["a"]), "artist", """'["a"]' is not a text"""),
    "a word for a number": (text(userId="fifteen"), "user_id", "'fifteen' is not an integer"),
    "a fraction for an integer": (text(itemInSession=2.5), "item_in_session", "'2.5' is not an integer"),
    "a boolean for a number": (text(status=True), "status", "'true' is not an integer"),
    "an object for a number": (text(length={}), "length", "'{}' is not a finite number"),
    "no finite number": (raw("length", "NaN"), "length", "'NaN' is not a finite number"),
    "a number too large": (raw("length", "1e400"), "length", "is not a finite number"),
    "an integer too large": (text(userId=99999999999), "user_id", "'99999999999' is not an integer"),
    "a text too long": (text(location="ü" * 257), "location", "is longer than 512 bytes"),
    "a field that is missing": (
        json.dumps({name: value for name, value in event(2, 0, f"{DAY} 12:00:00").items() if name != "page"}),
        "page",
        "is empty, and must not be",
    ),
    "a field in other letters": (
        text().replace('"sessionId"', '"sessionid"'),
        "session_id",
        "is empty, and must not be",
    ),
}


def test_bad_lines_are_rejected_with_line_and_reason(music_env: MusicEnv) -> None:
    """All of them in one file, each after so many good lines that no limit is reached."""
    written: list[str | dict[str, Any]] = []
    for number, (line, _, _) in enumerate(QUARANTINED.values()):
        written += [event(number + 10, item, f"{DAY} 10:00:00") for item in range(24)] + ["", line]
    music_env.put_day(DAY, written)
    music_env.load("2018-11")
    found = music_env.rows(
        'SELECT object_key, line, column_name, reason, "raw" FROM scx_pipeline.rejected_rows ORDER BY line'
    )
    for (name, (line, column, reason)), row in zip(QUARANTINED.items(), found, strict=True):
        assert row[:3] == (KEY, written.index(line) + 1, column), name
        assert reason in row[3], name
        assert row[4] == line.replace("\0", "\\0"), name
    bad, good = len(QUARANTINED), 24 * len(QUARANTINED)
    assert music_env.table("songplays", "COUNT(*)") == [(good,)]
    counted = "SELECT rows_read, rows_loaded, rows_rejected FROM scx_pipeline.objects"
    assert music_env.rows(counted) == [(good + bad, good, bad)]


def test_bytes_that_are_not_utf_8_are_rejected(music_env: MusicEnv) -> None:
    music_env.put_day(DAY, lines(GOOD) + text(song="@").encode().replace(b"@", b"\xff"))
    music_env.load("2018-11")
    [(line, reason)] = music_env.state("rejected_rows", "line, reason")
    assert (line, reason) == (41, "is not UTF-8")


def test_nesting_of_any_depth_is_ignored_or_rejected(music_env: MusicEnv) -> None:
    deep = "[" * DEEP + "]" * DEEP
    music_env.put_day(DAY, [*GOOD, raw("song", deep), text()[:-1] + f', "more": {deep}}}', deep])
    report = music_env.load("2018-11")
    assert music_env.state("rejected_rows", "line, column_name, reason") == [
        (41, "song", f"'{deep[:80]}' is not a text"),
        (43, None, "is not an object"),
    ]
    assert [check.message for check in report.warnings if check.name == "declared_fields"] == [
        f"'more' is not declared, and was not loaded, in {KEY}"
    ]


@pytest.mark.reader_independent
def test_a_bad_line_is_found_in_a_large_file_that_threads_share(music_env: MusicEnv) -> None:
    many = [json.dumps(event(7, item, f"{DAY} 10:00:00")) for item in range(60_000)]
    many[54_321] = many[54_321][:50]
    many[12_345] = "[]"
    music_env.put_day(DAY, ("\r\n".join(many)).encode())
    music_env.load("2018-11")
    assert music_env.state("rejected_rows", "line") == [(12_346,), (54_322,)]
    assert music_env.table("staging_events", "COUNT(*)") == [(59_998,)]


def test_lines_may_end_in_any_way_and_begin_with_a_byte_order_mark(music_env: MusicEnv) -> None:
    music_env.put_day(DAY, b"\xef\xbb\xbf" + "\r\n".join(json.dumps(item) for item in GOOD).encode())
    music_env.load("2018-11")
    assert music_env.table("staging_events", "COUNT(*)") == [(40,)]
    assert not music_env.state("rejected_rows")


def test_fields_may_come_in_any_order_and_numbers_as_texts(music_env: MusicEnv) -> None:
    turned = [dict(reversed(item.items())) | {"ts": str(item["ts"]), "status": "200"} for item in GOOD]
    music_env.put_day(DAY, turned)
    report = music_env.load("2018-11")
    assert music_env.table("staging_events", "COUNT(*), MIN(status)") == [(40, 200)]
    assert not report.warnings


def test_an_undeclared_field_is_reported(music_env: MusicEnv) -> None:
    music_env.put_day(DAY, [*GOOD[:39], GOOD[39] | {"referrer": "x"}])
    report = music_env.load("2018-11")
    assert [(check.name, check.message) for check in report.warnings] == [
        ("declared_fields", f"'referrer' is not declared, and was not loaded, in {KEY}")
    ]


def test_a_renamed_field_is_reported(music_env: MusicEnv) -> None:
    for day in (DAY, "2018-11-11"):
        renamed = [
            {("city" if name == "location" else name): value for name, value in item.items()} for item in GOOD
        ]
        music_env.put_day(day, [item | {"sessionId": int(day[-2:])} for item in renamed])
    report = music_env.load("2018-11")
    assert [check.message for check in report.warnings] == [
        f"'city' is not declared, and was not loaded, in 2 files, such as {KEY}; "
        f"no record has 'location' in 2 files, such as {KEY}"
    ]


FILES: dict[str, tuple[bytes, str]] = {
    "UTF-16": ("\n".join(map(json.dumps, GOOD)).encode("utf-16"), "not UTF-8 (it looks like UTF-16)"),
    "a line longer than 16 MiB": (
        lines([*GOOD, text(song="x" * (40 << 20))]),
        "a line is longer than 16 MiB",
    ),
}


@pytest.mark.parametrize("case", FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_read_is_named_and_changes_nothing(
    music_env: MusicEnv, case: tuple[bytes, str]
) -> None:
    content, expected = case
    music_env.put_day("2018-11-09", GOOD[:5])
    music_env.load("2018-11")
    before = music_env.snapshot()
    music_env.put_day(DAY, content)
    with pytest.raises(SourceFileError) as caught:
        music_env.load("2018-11")
    assert KEY in str(caught.value)
    assert expected in str(caught.value)
    assert music_env.snapshot() == before


def test_too_many_bad_lines_prevent_the_load_of_the_month(music_env: MusicEnv) -> None:
    music_env.put_day(DAY, [*GOOD, *["[]"] * 3])
    with pytest.raises(
        CheckFailedError, match=f"3 of 43 rows were rejected .*{KEY}, line 41: is not an object"
    ):
        music_env.load("2018-11")


# ------------------------------------------------------------------ documents

DOCUMENTS: dict[str, tuple[bytes, list[tuple[int | None, str | None, str]]]] = {
    "a truncated document": (b'{"song_id": "SO1", ', [(1, None, "is not JSON: Expecting property name")]),
    "a text": (b'"SO1"', [(1, None, "is not an object")]),
    "an array with a number": (
        b"[\n  %s,\n  12\n]" % json.dumps(song("SO1")).encode(),
        [(3, None, "is not an object")],
    ),
    "an array that is not closed": (
        b'\n[{"song_id": "SO1"}',
        [(2, None, "is not JSON: Expecting ',' delimiter")],
    ),
    "a pretty-printed one with a word for a year": (
        json.dumps([song("SO1"), song("SO2", year="long ago")], indent=1).encode(),
        [(14, "year", "'long ago' is not an integer")],
    ),
    "Latin-1": (
        json.dumps(song("SO1", title="Bjork")).encode().replace(b"o", b"\xf6"),
        [(1, None, "is not UTF-8")],
    ),
    "a NUL": (json.dumps(song("SO1", title="a\0b")).encode(), [(1, "title", "holds a NUL character")]),
}


def test_bad_documents_are_rejected_with_line_and_reason(music_env: MusicEnv) -> None:
    for number in range(200):
        music_env.put_song(f"good{number}", song(f"GOOD{number}"))
    keys = {name: music_env.put_song(f"bad {name}", content) for name, (content, _) in DOCUMENTS.items()}
    music_env.refresh()
    rows = music_env.rows(
        "SELECT object_key, line, column_name, reason FROM scx_pipeline.rejected_rows ORDER BY line"
    )
    for name, (_, expected) in DOCUMENTS.items():
        found = [row[1:] for row in rows if row[0] == keys[name]]
        assert [row[:2] for row in found] == [row[:2] for row in expected], name
        assert all(reason in row[2] for (_, _, reason), row in zip(expected, found, strict=True)), found
    assert len(rows) == sum(len(expected) for _, expected in DOCUMENTS.values())


def test_a_document_larger_than_16_mib_is_refused_and_named(music_env: MusicEnv) -> None:
    music_env.put_song("huge", song("SO1", title="x" * (17 << 20)))
    with pytest.raises(
        SourceFileError, match=f"{SONGS}huge.json: the document is larger than 16 MiB; write its objects"
    ):
        music_env.refresh()


def test_a_damaged_compressed_document_is_refused_and_named(music_env: MusicEnv) -> None:
    music_env.put_key(f"{SONGS}a.json.gz", b"\x1f\x8b\x08\x00 no gzip")
    with pytest.raises(
        SourceFileError, match=f"{SONGS}a.json.gz: the compressed file is damaged or truncated"
    ):
        music_env.refresh()
