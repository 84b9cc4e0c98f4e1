"""The SQL cases of every star on DuckDB and PostgreSQL, and the errors about invalid cases."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from scx_pipeline.cases.case_file import Case, CaseError, read_cases, read_star_cases
from scx_pipeline.cases.case_run import CaseResult, run_case, run_cases, shown_rows
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.declared_stars import find_stars
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.errors import WarehouseError
from scx_pipeline.loading.targets import publish
from scx_pipeline.loading.targets.prepare import create_tables
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.warehouse import Warehouse

CASES = [
    pytest.param(case, id=f"{name}-{case.table}-{case.name}")
    for name in find_stars([stars_folder()])
    for path in sorted((stars_folder() / name / "cases").glob("*.yaml"))
    for case in read_cases(path)
]


@cache
def compiled(name: str) -> CompiledStar:
    return load_star(stars_folder() / name)


@pytest.mark.parametrize("case", CASES)
def test_case(case: Case, warehouse: Warehouse) -> None:
    result = run_case(case, compiled(case.path.parent.parent.name), warehouse)
    assert result.passed, message_of(result)


@pytest.mark.parametrize("name", find_stars([stars_folder()]))
def test_every_derived_table_has_cases(name: str) -> None:
    with_cases = {path.stem for path in (stars_folder() / name / "cases").glob("*.yaml") if read_cases(path)}
    assert with_cases == {table.name for table in compiled(name).star.derived_tables}


# Invalid cases

SOUND = """
some case:
  given:
    staging_cleansed_logs:
      - {job_id: 1, user_id: 211, email_encrypted: a, created_at: 2021-04-01 08:00:00}
  expect:
    - {user_id: 211, email_encrypted: a}
"""


def message_of(result: CaseResult) -> str:
    """Return the problem and the rows that differ, as text."""
    lines = [
        f"  {what} {', '.join(map(': '.join, zip(result.columns, values, strict=True)))}"
        for what, *values in shown_rows(result)
    ]
    return "\n".join([str(result.case.error(result.problem)), *lines])


def failure(tmp_path: Path, text: str, table: str = "users", star: str = "scx") -> str:
    """Return the error about a case of a star, on DuckDB."""
    path = tmp_path / star / "cases" / f"{table}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")

    warehouse = open_warehouse(f"duckdb://{tmp_path}/dev.duckdb", Limits())
    try:
        [result] = [run_case(case, compiled(star), warehouse) for case in read_cases(path)]
    except CaseError as error:
        message = str(error)
    else:
        assert not result.passed
        message = message_of(result)
    return message.removeprefix(f"{path.parent}/")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "staging_cleansed_logs",
            "staging_logs",
            "given: users does not read 'staging_logs'; did you mean staging_cleansed_logs?",
        ),
        (
            "staging_cleansed_logs",
            "projects",
            "given: users does not read 'projects'; it may be: staging_cleansed_logs",
        ),
        (
            "{job_id: 1, user_id",
            "{job_id: 1, userid",
            "row 1: staging_cleansed_logs has no column 'userid'; did you mean user_id?",
        ),
        (
            "- {user_id: 211, email",
            "- {user_id: 211, plan: 1, email",
            "expect: row 1: users has no column 'plan'; did you mean plan_id?",
        ),
        ("job_id: 1, ", "", "given: staging_cleansed_logs, row 1: must have a value of job_id"),
        (
            ", created_at: 2021-04-01 08:00:00",
            "",
            "given: staging_cleansed_logs, row 1: must have a value of created_at",
        ),
        (
            "email_encrypted: a, ",
            "email_encrypted: 010203, ",
            "row 1: email_encrypted is varchar(150), but 4227 is of type int: quote it",
        ),
        (
            "user_id: 211, email_encrypted: a, ",
            "user_id: x, ",
            "row 1: user_id is integer, but 'x' is of type str",
        ),
        (
            "user_id: 211, email_encrypted: a, ",
            "user_id: true, ",
            "row 1: user_id is integer, but True is of type bool",
        ),
        (
            "2021-04-01 08:00:00",
            "yesterday",
            "row 1: created_at is timestamp, but 'yesterday' is of type str",
        ),
        (
            "a}\n",
            "a}\n    - {user_id: 212}\n",
            "expect: row 2 names other columns than row 1: email_encrypted",
        ),
    ],
)
def test_an_invalid_case_is_reported_with_its_location(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in SOUND
    message = failure(tmp_path, SOUND.replace(old, new, 1))
    assert message.startswith("users.yaml, line 2: some case: ")
    assert message.endswith(expected)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "    - {user_id: 211, email_encrypted: a}\n",
            "    []\n",
            "but found user_id: 211, email_encrypted: 'a', plan_id: None",
        ),
        (
            "a}\n",
            "b}\n",
            "expected user_id: 211, email_encrypted: 'b'\n  but found user_id: 211, email_encrypted: 'a'",
        ),
        (
            "a}\n",
            "a}\n" * 1 + "    - {user_id: 211, email_encrypted: a}\n",
            "expected user_id: 211, email_encrypted: 'a'",
        ),
    ],
)
def test_missing_and_unexpected_rows_are_shown(tmp_path: Path, old: str, new: str, expected: str) -> None:
    message = failure(tmp_path, SOUND.replace(old, new))
    assert message == f"users.yaml, line 2: some case: published at once on duckdb\n  {expected}"


@pytest.mark.parametrize(
    ("table", "text", "expected"),
    [
        (
            "songplays",
            "x: {given: {songs: [{title: a}]}, expect: []}\n",
            "given: songs, row 1: must have a value of song_id",
        ),
        (
            "songs",
            "x: {given: {staging_songs: [{song_id: SO1, year: 7}]}, expect: [{song_id: SO1, year: 8}]}\n",
            "published at once on duckdb\n  expected song_id: 'SO1', year: 8\n  but found song_id: 'SO1', year: 7",
        ),
    ],
)
def test_unpartitioned_tables_are_filled_and_compared_like_others(
    tmp_path: Path, table: str, text: str, expected: str
) -> None:
    assert failure(tmp_path, text, table, "songplays") == f"{table}.yaml, line 1: x: {expected}"


def test_publishing_an_unpartitioned_table_again_must_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        publish, "_equal", lambda session, column: "n.song_id = t.song_id AND n.year = t.year"
    )
    text = "x: {given: {staging_songs: [{song_id: SO1, year: 7}, {song_id: SO2}]}, expect: [{song_id: SO1}, {song_id: SO2}]}\n"
    message = failure(tmp_path, text, "songs", "songplays")
    assert message == "songs.yaml, line 1: x: 2 rows written when it was published a second time"


@pytest.mark.parametrize(
    "text",
    [
        "x: 1\n",
        "x: {given: {}}\n",
        "x: {given: {}, expects: []}\n",
        "x: {given: [], expect: []}\n",
        "x: {given: {users: }, expect: []}\n",
        "x: {given: {}, expect: [1]}\n",
    ],
)
def test_a_case_must_have_given_and_expected_rows(tmp_path: Path, text: str) -> None:
    assert (
        failure(tmp_path, text)
        == "users.yaml, line 1: x: a case is `given:` with the rows of tables, and `expect:` with rows"
    )


@pytest.mark.parametrize("text", [SOUND + SOUND, SOUND.replace("job_id: 1", "job_id: 1, job_id: 2")])
def test_a_duplicate_key_in_a_case_is_reported_with_its_line(tmp_path: Path, text: str) -> None:
    message = failure(tmp_path, text)
    assert "is a duplicate key" in message
    assert "line" in message


@pytest.mark.parametrize("table", ["staging_cleansed_logs", "nothing"])
def test_cases_of_tables_that_are_not_derived_are_refused(tmp_path: Path, table: str) -> None:
    assert f"{table!r} is not a derived table; " in failure(tmp_path, SOUND, table)


# Running all cases of a star


def test_all_cases_run_one_after_the_other_and_leave_nothing(warehouse: Warehouse) -> None:
    """The cases of one table: what a case leaves would change the next."""
    star = compiled("songplays")
    cases = read_cases(star.folder / "cases" / "users.yaml")
    results = list(run_cases(cases, star, warehouse))
    assert [(item.case.name, item.problem) for item in results] == [(case.name, "") for case in cases]
    with warehouse.open_read_only() as session:
        assert session is not None
        assert session.catalog.find_relations("songplays", ["users", "staging_events"]) == {}


def test_cases_do_not_run_where_tables_of_the_star_exist(warehouse: Warehouse) -> None:
    star = compiled("songplays")
    warehouse.run("songplays", lambda session: create_tables(session, star))
    with pytest.raises(WarehouseError, match="has a table songplays.staging_events: cases run only in"):
        list(run_cases(read_star_cases(star), star, warehouse))
    with warehouse.open_read_only() as session:
        assert session is not None
        assert session.catalog.has_table("songplays", "users")


def test_an_invalid_case_does_not_keep_others_from_running(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    path.write_text(
        SOUND.replace("some case", "first").replace("user_id: 211", "user: 211", 1) + SOUND, "utf-8"
    )
    warehouse = open_warehouse(f"duckdb://{tmp_path}/dev.duckdb", Limits())
    first, second = run_cases(read_cases(path), compiled("scx"), warehouse)
    assert (
        first.problem
        == "given: staging_cleansed_logs, row 1: staging_cleansed_logs has no column 'user'; did you mean user_id?"
    )
    assert second.passed
