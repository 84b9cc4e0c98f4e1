"""Errors in a star's defs.yaml, with file, line and a suggestion.

Errors in SQL files do not belong here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.declared_stars import find_stars
from scx_pipeline.declarations.star_folder import load_star, parse_star, stars_folder
from scx_pipeline.errors import DeclarationError
from scx_pipeline.model.calendar import Month
from scx_pipeline_tests.support.stars import StarCopy

USERS_KEY = "      key: [user_id]\n"


DEFS = "defs.yaml"


@pytest.mark.parametrize("name", find_stars([stars_folder()]))
def test_the_projects_stars_are_valid(name: str) -> None:
    compiled = load_star(stars_folder() / name)
    assert compiled.star.name == name, "a star's folder is named as the star"
    assert compiled.folder == stars_folder() / name
    assert {table.name for table in compiled.build_order} == {
        table.name for table in compiled.star.derived_tables
    }


def test_a_star_is_read_from_its_folder(scx_star: CompiledStar) -> None:
    assert scx_star.star.schema_name == "public"
    assert scx_star.star.first_month == Month(2020, 1)
    assert [table.name for table in scx_star.star.staging_tables] == ["staging_cleansed_logs"]
    assert [table.name for table in scx_star.star.derived_tables] == [
        "users",
        "projects",
        "time",
        "auto_classification_logs",
    ]
    assert scx_star.star.table("users").column("email_encrypted").max_bytes == 150


@pytest.mark.parametrize(
    ("old", "new", "message"),
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
def test_an_unknown_key_is_reported_with_its_line_and_a_suggestion(
    star: StarCopy, old: str, new: str, message: str
) -> None:
    line = star.replace(old, new) + new.count("\n", 0, -1)
    assert star.mistake().startswith(f"{DEFS}, line {line}: {message}")


def mistake_after(star: StarCopy, old: str, new: str) -> str:
    """The error after a replacement; it must name the line of the replacement."""
    line = star.replace(old, new)
    mistake = star.mistake()
    place = re.match(rf"{DEFS}, line (\d+): ", mistake)
    assert place, mistake
    assert int(place[1]) == line, f"{mistake}\n(but the replacement is on line {line})"
    return mistake[place.end() :]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "owners:",
            "schedule: every day\n  owners:",
            "schedule: 'every day' is not a cron schedule: write, for example",
        ),
        ("owners:", "tags: {a b: c}\n  owners:", "tags: a b: 'c' is not a tag of Dagster"),
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
            "varchar(70000) exceeds 65535 bytes, the longest text that every engine supports",
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
            "sources.0.files.2.allowed_lateness_days: Input should be a valid integer",
        ),
        ("name: scx", "name: S c x", "name: 'S c x' is not a valid name on every engine"),
        ("{year}/{month}/**.csv*", "{year}/**.csv*", "must name both {year} and {month}, or neither"),
        (
            "{year}/{month}/**.csv*",
            "{yaer}/{month}/**.csv*",
            "has {yaer}: the fields are {year}, {month} and {day}",
        ),
    ],
)
def test_an_invalid_value_is_reported_with_its_line(star: StarCopy, old: str, new: str, message: str) -> None:
    assert message in mistake_after(star, old, new)


@pytest.mark.parametrize(
    ("old", "message"),
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
def test_a_missing_key_is_reported_with_the_line_of_its_parent(
    star: StarCopy, old: str, message: str
) -> None:
    line = star.replace(old, "")
    mistake = star.mistake()
    assert mistake.endswith(f": {message}")
    place = re.match(rf"{DEFS}, line (\d+)", mistake)
    assert place
    assert int(place[1]) < line


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source: auto_classify_jobs", "source: jobs", "source jobs is not declared"),
        (
            "references: projects",
            "references: project",
            "project_id references project, which is not a table",
        ),
        (
            "equal_row_count: staging_cleansed_logs",
            "equal_row_count: staging",
            "equal_row_count names staging, which is not a table",
        ),
        (USERS_KEY, "      key: [user]\n", "table users: key column user is not among its columns"),
        (
            "sequence_by: [updated_at]",
            "sequence_by: [updatd_at]",
            "table staging_cleansed_logs: sequence_by names updatd_at, which is not one of its columns",
        ),
        (USERS_KEY, "", "so it holds one row per key and needs key and sequence_by"),
    ],
)
def test_contradicting_declarations_are_reported(star: StarCopy, old: str, new: str, message: str) -> None:
    star.replace(old, new)
    mistake = star.mistake()
    assert mistake.startswith(f"{DEFS}, line ")
    assert message in mistake


def test_a_contradiction_within_a_table_is_reported_with_the_line_of_the_table(star: StarCopy) -> None:
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
def test_a_duplicate_key_is_reported_with_its_line(star: StarCopy, old: str, new: str) -> None:
    line = star.replace(old, new)
    key = re.search(r"(\w+): [^:]*\Z", new)
    assert key
    assert star.mistake() == f"{DEFS}, line {line + 1}: duplicate key {key[1]!r}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attributes:\n  name: [scx\n", "line 3: did not find expected ',' or ']'"),
        ("attributes:\n\tname: scx\n", "line 2: found character that cannot start any token"),
        ("attributes:\n  name: scx\n name: scx\n", "line 3: did not find expected"),
        ("a: 1\n---\nb: 2\n", "line 2: but found another document"),
        ("attributes: *nowhere\n", "line 1: found undefined alias"),
        ("attributes: !!python/object:os.system {}\n", "line 1: could not determine a constructor"),
        ("", "line 1: the star must be declared under `attributes:`"),
        ("just text", "line 1: the star must be declared under `attributes:`"),
        ("type: x\nname: scx\n", "line 1: the star must be declared under `attributes:`"),
        ("attributes: []\n", "line 1: the star must be declared under `attributes:`"),
        ("attributes: {}\n", "line 1: the key 'name' is missing (name)"),
        ("attributes:\n  name: 'nul \0'\n", "control characters are not allowed"),
        ("attributes: &a\n  name: scx\n  again: *a\n", "line 3: unknown key 'again'"),
    ],
)
def test_a_file_without_a_declaration_is_reported(star: StarCopy, text: str, message: str) -> None:
    star.write(DEFS, text)
    mistake = star.mistake()
    assert mistake.startswith(DEFS)
    assert message in mistake


def test_a_file_that_is_not_utf_8_is_reported(star: StarCopy) -> None:
    star.path(DEFS).write_bytes("attributes: {description: größe}".encode("latin-1"))
    assert star.mistake() == f"{DEFS}: not UTF-8; save it as UTF-8"


def test_a_missing_declaration_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"defs\.yaml: cannot be read \(No such file or directory\)"):
        load_star(tmp_path)


def test_an_error_without_yaml_positions_has_no_line() -> None:
    with pytest.raises(DeclarationError, match=r"^somewhere: the key 'name' is missing \(name\)$"):
        parse_star({}, Path("somewhere"))


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        (
            "    - name: projects\n",
            "    - name: auto_classify_jobs\n",
            "    - name: auto_classify_jobs\n      role",
            "a source and a table are both named auto_classify_jobs: rename one of them",
        ),
        (
            "      source: auto_classify_jobs\n",
            "      source: jobs\n",
            "    - name: staging_cleansed_logs\n",
            "table staging_cleansed_logs: source jobs is not declared",
        ),
        (
            "      reject_limit: 0.05\n",
            "      reject_limit: 0.05\n      warn_above: 0.1\n",
            "    - name: auto_classify_jobs\n",
            "source auto_classify_jobs: warn_above is 0.1",
        ),
    ],
)
def test_a_rule_that_relates_several_parts_is_reported_at_the_part_that_breaks_it(
    star: StarCopy, old: str, new: str, place: str, message: str
) -> None:
    star.replace(old, new)
    text = star.path(DEFS).read_text("utf-8")
    line = text[: text.index(place)].count("\n") + 1
    mistake = star.mistake()
    assert mistake.startswith(f"{DEFS}, line {line}: ")
    assert message in mistake
