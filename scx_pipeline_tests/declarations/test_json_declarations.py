"""Errors in how columns are read from JSON sources, with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline_tests.declarations.test_star_folder import DEFS, mistake_after
from scx_pipeline_tests.support.stars import StarCopy


@pytest.fixture
def music(tmp_path: Path) -> StarCopy:
    """A copy of the star songplays that the test may change."""
    return StarCopy.of("songplays", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("feild: userId", None, "unknown key 'feild'; did you mean 'field'?"),
        ("units: milliseconds", None, "unknown key 'units'; did you mean 'unit'?"),
        ("null_text:", None, "unknown key 'null_text'; did you mean 'null_values'?"),
        ("unit: milliseconds", "unit: ms", "unit: Input should be 'seconds', 'milliseconds' or 'microseconds'"),
        ("format: json_lines", "format: jsonl", "format: Input should be 'csv', 'json_lines', 'json' or 'parquet'"),
        ("field: userId", 'field: "user..id"', "user_id: 'user..id' is not a field path: write the field's name, or"),
        ("field: userId", "field: 'a\"b'", "user_id: 'a\"b' is not a field path: write the field's name, or outer.inner"),
        ('null_values: [""]', 'null_values: ""', "null_values: Input should be a valid tuple"),
        ('null_values: [""]', "null_values: [null]", "null_values.0: Input should be a valid string"),
    ],
)  # fmt: skip
def test_an_invalid_source_option_of_a_column_is_reported_with_its_line(
    music: StarCopy, old: str, new: str | None, message: str
) -> None:
    valid = {
        "feild: userId": "field: userId",
        "units: milliseconds": "unit: milliseconds",
        "null_text:": "null_values:",
    }
    assert message in (
        mistake_after(music, valid[old], old) if new is None else mistake_after(music, old, new)
    )


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("staging_events", "{name: status, type: integer,", "{name: status, type: integer, unit: seconds,", "status has a unit, so it must be a timestamp"),
        ("songs", "{name: year, type: integer, desc", "{name: year, field: Year, type: integer, desc", "year says how it is read from a source, which only columns of staging tables can do"),
        ("artists", "      sequence_by: [year, song_id]\n", "", "it has no event_time, so it is unpartitioned and needs key and sequence_by"),
        ("songs", "      key: [song_id]\n", "", "it has no event_time, so it is unpartitioned and needs key and sequence_by"),
    ],
)  # fmt: skip
def test_a_contradicting_table_is_reported_with_its_line(
    music: StarCopy, table: str, old: str, new: str, message: str
) -> None:
    music.replace(old, new)
    text = music.path(DEFS).read_text("utf-8")
    line = text[: text.index(f"    - name: {table}\n")].count("\n") + 1
    assert music.mistake().startswith(f"{DEFS}, line {line}: tables.")
    assert music.mistake().endswith(f": table {table}: {message}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("      event_time: ts\n      null_values", "      null_values", "table staging_events: event_time must be left out, as in source log_data"),
        ("      source: song_data\n", "      source: song_data\n      event_time: at\n      key: [song_id]\n      sequence_by: [year]\n",
         "table staging_songs: event_time must be left out, as in source song_data"),
        ("      sources: [log_data, log_data_csv]\n", "      source: song_data\n", "table staging_events: event_time must be left out, as in source song_data"),
        ("field: userAgent", "field: userId.agent", "table staging_events: user_id reads the field userId as a value, and user_agent reads inside it"),
        ("      sequence_by: [year]\n      dist: all\n      sort: [song_id]\n      partition_by: [year, artist_id]\n      columns:\n        - {name: song_id,", "      sequence_by: [year]\n      dist: all\n      sort: [song_id]\n      partition_by: [year, artist_id]\n      columns:\n        - {name: song_id, references: time,",
         "table songs: song_id references time, but an unpartitioned table can reference only unpartitioned tables"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_match_its_source_or_references_is_reported(
    music: StarCopy, old: str, new: str, message: str
) -> None:
    music.replace(old, new)
    table, _, rest = message.removeprefix("table ").partition(": ")
    before, _, declared = music.path(DEFS).read_text("utf-8").partition(f"    - name: {table}\n")
    line, column = before.count("\n") + 1, f"        - {{name: {rest.split(' ')[0]},"
    if column in declared:
        line += declared.partition(column)[0].count("\n") + 1
    assert music.mistake() == f"{DEFS}, line {line}: {message}"
