"""How mistakes in a star's defs.yaml are told: file, line, and what to write instead.
What the facts mean is tested with `spec`, mistakes in SQL files with `sql`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star, parse_star, star_names, stars_folder
from scx_pipeline.errors import DeclarationError
from scx_pipeline.model.calendar import Month
from scx_pipeline_tests.support.stars import StarCopy

USERS_KEY = "      key: [user_id]\n"
DEFS = "defs.yaml"


@pytest.mark.parametrize("name", star_names())
def test_the_projects_stars_are_sound(name: str) -> None:
    compiled = load_star(stars_folder() / name)
    assert compiled.star.name == name, "a star's folder is named as the star"
    assert compiled.folder == stars_folder() / name
    assert {table.name for table in compiled.order} == {table.name for table in compiled.star.derived}


def test_a_star_is_read_from_its_folder(scx: CompiledStar) -> None:
    assert "scx" in star_names()
    assert scx.star.schema_name == "public"
    assert scx.star.first_month == Month(2020, 1)
    assert [table.name for table in scx.star.staging] == ["staging_cleansed_logs"]
    assert [table.name for table in scx.star.derived] == [
        "users",
        "projects",
        "time",
        "auto_classification_logs",
    ]
    assert scx.star.table("users").column("email_encrypted").max_bytes == 150


def test_only_folders_with_a_declaration_are_stars(tmp_path: Path) -> None:
    StarCopy.of("scx", tmp_path)
    (tmp_path / "notes").mkdir()
    assert star_names(tmp_path) == ["scx"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("owners:", "owner:", "unknown key 'owner'; did you mean 'owners'?"),
        (
            "      event_time: created_at",
            "      event_tme: created_at",
            "unknown key 'event_tme'; did you mean 'event_time'?",
        ),
        (
            "          allowed_lateness_days:",
            "          allowed_lateness_day:",
            "unknown key 'allowed_lateness_day'; did you mean 'allowed_lateness_days'?",
        ),
        (
            USERS_KEY,
            f"{USERS_KEY}      sequence: [job_id]\n",
            "unknown key 'sequence'; did you mean 'sequence_by'?",
        ),
        ("  schema: public", "  schema_name: public", "unknown key 'schema_name'; did you mean 'schema'?"),
        ("title:", "heading:", "unknown key 'heading'; known here: name, title, chart"),
        ("{kind: bar, x:", "{kid: bar, x:", "unknown key 'kid'; did you mean 'kind'?"),
        (
            "{name: job_id, type: integer, nullable: false",
            "{name: job_id, type: integer, nulable: false",
            "unknown key 'nulable'; did you mean 'nullable'?",
        ),
    ],
)
def test_an_unknown_key_is_told_with_its_line_and_the_nearest_one(
    star: StarCopy, old: str, new: str, told: str
) -> None:
    line = star.replace(old, new) + new.count("\n", 0, -1)
    assert star.mistake().startswith(f"{DEFS}, line {line}: {told}")


def mistake_after(star: StarCopy, old: str, new: str) -> str:
    """What is told after the replacement, if on the line of the replacement."""
    line = star.replace(old, new)
    mistake = star.mistake()
    place = re.match(rf"{DEFS}, line (\d+): ", mistake)
    assert place, mistake
    assert int(place[1]) == line, f"{mistake}\n(but the mistake is on line {line})"
    return mistake[place.end() :]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "first_month: 2020-01",
            "first_month: 2020",
            "first_month: '2020' is not a month: write it as YYYY-MM, for example 2021-04",
        ),
        ("first_month: 2020-01", "first_month: 2020-01-01", "first_month: '2020-01-01' is not a month"),
        (
            "type: varchar(150)",
            "type: text",
            "tables.0.columns.20.type: unknown type 'text': use smallint, integer",
        ),
        (
            "type: varchar(150)",
            "type: varchar(70000)",
            "varchar(70000) is more than a text can have on every engine, 65535 bytes",
        ),
        (
            "reject_limit: 0.05",
            "reject_limit: 5",
            "sources.0.reject_limit: Input should be less than or equal to 1",
        ),
        ("format: csv", "format: xml", "sources.0.format: Input should be 'csv'"),
        (
            "role: dimension",
            "role: dimensions",
            "tables.1.role: Input should be 'staging', 'dimension' or 'fact'",
        ),
        ("owners: [team:data]", "owners: team:data", "owners: Input should be a valid tuple"),
        (
            "allowed_lateness_days: 1 ",
            "allowed_lateness_days: soon ",
            "sources.0.files.1.allowed_lateness_days: Input should be a valid integer",
        ),
        ("name: scx", "name: S c x", "name: 'S c x' is not a name that every engine takes"),
        ("{year}/{month}/**.csv*", "{year}/**.csv*", "must name both {year} and {month}, or neither"),
        (
            "{year}/{month}/**.csv*",
            "{yaer}/{month}/**.csv*",
            "has {yaer}: the fields are {year}, {month} and {day}",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_with_its_line(
    star: StarCopy, old: str, new: str, told: str
) -> None:
    assert told in mistake_after(star, old, new)


@pytest.mark.parametrize(
    ("old", "told"),
    [
        ("  first_month: 2020-01\n", "the key 'first_month' is missing (first_month)"),
        ("  schema: public\n", "the key 'schema' is missing (schema)"),
        ("      format: csv\n", "the key 'format' is missing (sources.0.format)"),
        ("      role: staging\n", "the key 'role' is missing (tables.0.role)"),
        (
            "      title: Ground profile by month, for the busiest user\n",
            "the key 'title' is missing (queries.0.title)",
        ),
    ],
)
def test_a_missing_key_is_told_with_the_line_of_where_it_belongs(star: StarCopy, old: str, told: str) -> None:
    line = star.replace(old, "")
    mistake = star.mistake()
    assert mistake.endswith(f": {told}")
    place = re.match(rf"{DEFS}, line (\d+)", mistake)
    assert place
    assert int(place[1]) < line


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("source: auto_classify_jobs", "source: jobs", "source jobs is not declared"),
        ("references: projects", "references: project", "project_id references project, which is no table"),
        (
            "equal_row_count: staging_cleansed_logs",
            "equal_row_count: staging",
            "equal_row_count names staging, which is no table",
        ),
        (USERS_KEY, "      key: [user]\n", "table users: key column user is not among its columns"),
        (
            "sequence_by: [updated_at]",
            "sequence_by: [updatd_at]",
            "table staging_cleansed_logs: sequence_by names updatd_at, which is none of its columns",
        ),
        (USERS_KEY, "", "so it is kept by key and needs key and sequence_by"),
    ],
)
def test_facts_that_contradict_each_other_are_told(star: StarCopy, old: str, new: str, told: str) -> None:
    star.replace(old, new)
    mistake = star.mistake()
    assert mistake.startswith(f"{DEFS}, line ")
    assert told in mistake


def test_a_contradiction_within_a_table_is_told_with_the_tables_line(star: StarCopy) -> None:
    star.replace(USERS_KEY, "      key: [user]\n")
    text = star.path(DEFS).read_text("utf-8")
    line = text[: text.index("    - name: users")].count("\n") + 1
    assert star.mistake().startswith(f"{DEFS}, line {line}: ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (USERS_KEY, USERS_KEY * 2),
        ("  schema: public\n", "  schema: public\n  schema: private\n"),
        ("{kind: bar, x: month", "{kind: bar,\nx: year, x: month"),
    ],
)
def test_a_key_that_stands_twice_is_told_not_overwritten(star: StarCopy, old: str, new: str) -> None:
    line = star.replace(old, new)
    key = re.search(r"(\w+): [^:]*\Z", new)
    assert key
    assert star.mistake() == f"{DEFS}, line {line + 1}: the key {key[1]!r} stands here twice"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("attributes:\n  name: [scx\n", "line 3: did not find expected ',' or ']'"),
        ("attributes:\n\tname: scx\n", "line 2: found character that cannot start any token"),
        ("attributes:\n  name: scx\n name: scx\n", "line 3: did not find expected"),
        ("a: 1\n---\nb: 2\n", "line 2: but found another document"),
        ("attributes: *nowhere\n", "line 1: found undefined alias"),
        ("attributes: !!python/object:os.system {}\n", "line 1: could not determine a constructor"),
        ("", "line 1: the star's facts must stand under `attributes:`"),
        ("just text", "line 1: the star's facts must stand under `attributes:`"),
        ("type: x\nname: scx\n", "line 1: the star's facts must stand under `attributes:`"),
        ("attributes: []\n", "line 1: the star's facts must stand under `attributes:`"),
        ("attributes: {}\n", "line 1: the key 'name' is missing (name)"),
        ("attributes:\n  name: 'nul \0'\n", "control characters are not allowed"),
        ("attributes: &a\n  name: scx\n  again: *a\n", "line 3: unknown key 'again'"),
    ],
)
def test_what_is_no_declaration_is_told(star: StarCopy, text: str, told: str) -> None:
    star.write(DEFS, text)
    mistake = star.mistake()
    assert mistake.startswith(DEFS)
    assert told in mistake


def test_a_file_in_another_encoding_is_told(star: StarCopy) -> None:
    star.path(DEFS).write_bytes("attributes: {description: größe}".encode("latin-1"))
    assert star.mistake() == f"{DEFS}: not UTF-8; save it as UTF-8"


def test_a_missing_declaration_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"defs\.yaml: cannot be read \(No such file or directory\)"):
        load_star(tmp_path)


def test_facts_from_elsewhere_than_a_file_are_told_without_a_line() -> None:
    with pytest.raises(DeclarationError, match=r"^somewhere: the key 'name' is missing \(name\)$"):
        parse_star({}, Path("somewhere"))


# How what is read from JSON is declared


@pytest.fixture
def music(tmp_path: Path) -> StarCopy:
    """A copy of the star songplays that the test may change."""
    return StarCopy.of("songplays", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("feild: userId", None, "unknown key 'feild'; did you mean 'field'?"),
        ("units: milliseconds", None, "unknown key 'units'; did you mean 'unit'?"),
        ("null_text:", None, "unknown key 'null_text'; did you mean 'null_values'?"),
        ("unit: milliseconds", "unit: ms", "unit: Input should be 'seconds', 'milliseconds' or 'microseconds'"),
        ("format: json_lines", "format: jsonl", "format: Input should be 'csv', 'json_lines', 'json' or 'parquet'"),
        ("field: userId", 'field: "user..id"', "field: 'user..id' is not the way to a field: write its name, or"),
        ("field: userId", "field: 'a\"b'", "field: 'a\"b' is not the way to a field: write its name, or outer.inner"),
        ('null_values: [""]', 'null_values: ""', "null_values: Input should be a valid tuple"),
        ('null_values: [""]', "null_values: [null]", "null_values.0: Input should be a valid string"),
    ],
)  # fmt: skip
def test_how_a_value_is_read_is_told_with_its_line(
    music: StarCopy, old: str, new: str | None, told: str
) -> None:
    sound = {
        "feild: userId": "field: userId",
        "units: milliseconds": "unit: milliseconds",
        "null_text:": "null_values:",
    }
    assert told in (mistake_after(music, sound[old], old) if new is None else mistake_after(music, old, new))


@pytest.mark.parametrize(
    ("table", "old", "new", "told"),
    [
        ("staging_events", "{name: status, type: integer,", "{name: status, type: integer, unit: seconds,", "status has a unit, and must be a timestamp"),
        ("songs", "{name: year, type: integer, desc", "{name: year, field: Year, type: integer, desc", "year says how it is read from a source, which only staging tables are"),
        ("artists", "      sequence_by: [year, song_id]\n", "", "it has no event_time, so it is made whole and needs key and sequence_by"),
        ("songs", "      key: [song_id]\n", "", "it has no event_time, so it is made whole and needs key and sequence_by"),
        ("staging_events", "field: userAgent", "field: userId.agent", "user_id takes the field userId as a value, and user_agent looks into it"),
    ],
)  # fmt: skip
def test_a_table_that_is_read_in_two_ways_is_told_with_its_line(
    music: StarCopy, table: str, old: str, new: str, told: str
) -> None:
    music.replace(old, new)
    text = music.path(DEFS).read_text("utf-8")
    line = text[: text.index(f"    - name: {table}\n")].count("\n") + 1
    assert music.mistake().startswith(f"{DEFS}, line {line}: tables.")
    assert music.mistake().endswith(f": table {table}: {told}")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("      event_time: ts\n      null_values", "      null_values", "table staging_events: event_time must be left out, as in source log_data"),
        ("      source: song_data\n", "      source: song_data\n      event_time: at\n      key: [song_id]\n      sequence_by: [year]\n",
         "table staging_songs: event_time must be left out, as in source song_data"),
        ("      source: log_data\n", "      source: song_data\n", "table staging_events: event_time must be left out, as in source song_data"),
        ("      format: json_lines\n", "      format: csv\n", "table staging_events: first_name names a field, which a csv source has none of: its header names columns"),
        ("      sequence_by: [year]\n      dist: all\n      sort: [song_id]\n      partition_by: [year, artist_id]\n      columns:\n        - {name: song_id,", "      sequence_by: [year]\n      dist: all\n      sort: [song_id]\n      partition_by: [year, artist_id]\n      columns:\n        - {name: song_id, references: time,",
         "table songs: it has no months, and song_id references time, which has"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_its_source_or_what_it_refers_to_is_told(
    music: StarCopy, old: str, new: str, told: str
) -> None:
    music.replace(old, new)
    assert music.mistake() == f"{DEFS}, line 3: {told}"
