"""`scx check`, `scx schema`, `scx ddl`, `scx load --create-only` and `scx test`: output, JSON and exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scx_pipeline.declarations.declaration_schema import declaration_schema
from scx_pipeline_tests.support.scx_command import Scx
from scx_pipeline_tests.support.stars import StarCopy

# scx check


def test_check_of_valid_stars_prints_one_line_per_star_and_needs_nothing_else(scx: Scx, home: Path) -> None:
    result = scx("check")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "scx: valid, with 5 tables from 1 source",
        "sensor_readings: valid, with 4 tables from 1 source",
        "songplays: valid, with 7 tables from 3 sources",
    ]
    assert not home.exists()


def test_check_reports_the_first_mistake_of_each_star_with_file_and_line(
    scx: Scx, copies: dict[str, StarCopy]
) -> None:
    line = copies["scx"].replace("format: csv", "formet: csv")
    copies["songplays"].replace("FROM staging_songs", "FROM staging_sings", "sql/songs.sql")
    result = scx("check")
    assert (result.code, result.out) == (1, "")
    first, second = result.err.splitlines()
    assert first == (
        f"error: {copies['scx'].path('defs.yaml')}, line {line}: unknown key 'formet'; did you mean 'format'?"
    )
    assert second.startswith(f"error: {copies['songplays'].path('sql/songs.sql')}, line ")
    assert second.endswith("unknown table 'staging_sings'; did you mean staging_songs?")


def test_check_of_one_star_ignores_the_mistakes_of_others(scx: Scx, copies: dict[str, StarCopy]) -> None:
    copies["songplays"].replace("format: json\n", "format: xml\n")
    assert scx("check", "scx").code == 0
    result = scx("check", "scx", "songplays", "--json")
    stars = json.loads(result.out)["stars"]
    assert result.code == 1
    assert stars["scx"]["sources"] == ["auto_classify_jobs"]
    assert "defs.yaml, line " in stars["songplays"]["error"]


def test_check_of_an_unknown_star_suggests_a_name(scx: Scx) -> None:
    result = scx("check", "sxc")
    assert (result.code, result.err) == (1, "error: there is no star 'sxc'; did you mean scx?\n")


# scx schema


def test_schema_prints_the_json_schema_of_a_declaration(scx: Scx, home: Path) -> None:
    result = scx("schema")
    assert (result.code, json.loads(result.out)) == (0, declaration_schema())
    assert not home.exists()


# scx ddl and scx load --create-only


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("duckdb", 'CREATE TABLE "public"."projects" ("project_id" INTEGER, '),
        ("postgresql", 'ALTER TABLE "public"."projects" ADD PRIMARY KEY ("project_id")'),
        ("redshift", '"plan_id" integer) DISTSTYLE ALL SORTKEY ("user_id");'),
    ],
)
def test_ddl_prints_the_statements_of_an_engine_without_a_warehouse(
    scx: Scx, home: Path, engine: str, expected: str
) -> None:
    result = scx("ddl", "scx", "--engine", engine)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[:2] == [
        'CREATE SCHEMA IF NOT EXISTS "public";',
        'CREATE SCHEMA IF NOT EXISTS "scx_pipeline";',
    ]
    assert any(expected in line for line in lines)
    assert all(line.endswith(";") for line in lines)
    assert not home.exists()


def test_ddl_prints_by_default_for_the_engine_of_the_settings(
    scx: Scx, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scx("ddl", "scx").out == scx("ddl", "scx", "--engine", "duckdb").out
    monkeypatch.setenv("SCX_WAREHOUSE_URL", "redshift://me:secret@127.0.0.1:9/dev?staging=s3://b/p")
    assert scx("ddl", "scx").out == scx("ddl", "scx", "--engine", "redshift").out


def test_load_with_create_only_creates_tables_and_needs_no_bucket(scx: Scx, home: Path) -> None:
    created = json.loads(scx("load", "scx", "--create-only", "--json").out)["created"]
    assert created[:2] == ["public.staging_cleansed_logs", "public.users"]
    result = scx("load", "scx", "--create-only")
    assert (result.code, result.out, result.err) == (0, "scx: all tables exist as declared\n", "")
    assert "nothing is loaded yet" in scx("status", "scx").out
    assert not (home / "dagster").exists()


def test_load_with_create_only_refuses_months(scx: Scx, home: Path) -> None:
    for arguments in (("--month", "2021-01"), ("--all",), ("--from", "lake")):
        result = scx("load", "scx", "--create-only", *arguments)
        assert (result.code, result.err) == (
            1,
            "error: --create-only loads no months: leave the other options out\n",
        )
    assert not home.exists()


# scx test


def test_test_runs_the_cases_of_a_star_on_a_database_of_its_own(scx: Scx, home: Path) -> None:
    result = scx("test", "sensor_readings")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[-1] == "sensor_readings: 9 cases passed, 0 failed on duckdb"
    assert len(lines) == 10
    assert all(line.startswith("passed: master_") for line in lines[:-1])
    assert not home.exists()


def test_test_shows_the_rows_that_differ_and_exits_with_1(scx: Scx, copies: dict[str, StarCopy]) -> None:
    line = copies["scx"].replace("a microsecond decides:", "a millisecond decides:", "cases/users.yaml")
    copies["scx"].replace(
        "expect:\n    - {user_id: 211, plan_id: 1}",
        "expect:\n    - {user_id: 211, plan_id: 7}",
        "cases/users.yaml",
    )
    result = scx("test", "scx")
    assert (result.code, result.err) == (1, "")
    path = copies["scx"].path("cases/users.yaml")
    shown = result.out.splitlines()
    start = shown.index(f"failed: {path}, line {line}: a millisecond decides: published at once on duckdb")
    assert [row.split() for row in shown[start + 1 : start + 4]] == [
        ["user_id", "plan_id"],
        ["expected", "211", "7"],
        ["but", "found", "211", "1"],
    ]
    assert shown[-1] == "scx: 26 cases passed, 1 failed on duckdb"


def test_test_reports_invalid_cases_and_stars_and_runs_the_others(
    scx: Scx, copies: dict[str, StarCopy]
) -> None:
    copies["songplays"].replace("format: json\n", "format: xml\n")
    for path in copies["scx"].path("cases").glob("*.yaml"):
        path.unlink()
    copies["scx"].write(
        "cases/users.yaml", "one: {given: {nothing: []}, expect: []}\ntwo: {given: {}, expect: []}\n"
    )
    result = scx("test", "--json")
    stars = json.loads(result.out)["stars"]
    assert result.code == 1
    assert "defs.yaml, line " in stars["songplays"]["error"]
    assert stars["scx"]["cases"] == [
        {
            "table": "users",
            "case": "one",
            "passed": False,
            "problem": "given: users does not read 'nothing'; it may be: staging_cleansed_logs",
            "columns": [],
            "missing": [],
            "unexpected": [],
        },
        {
            "table": "users",
            "case": "two",
            "passed": True,
            "problem": "",
            "columns": [],
            "missing": [],
            "unexpected": [],
        },
    ]


def test_test_of_a_star_without_cases_says_where_they_belong(scx: Scx, copies: dict[str, StarCopy]) -> None:
    shutil.rmtree(copies["scx"].path("cases"))
    result = scx("test", "scx")
    folder = copies["scx"].path("cases")
    assert (result.code, result.out) == (0, f"scx: no cases; they belong to {folder}/<table>.yaml\n")


def test_test_runs_on_another_warehouse_unless_it_has_tables_of_the_star(
    scx: Scx, home: Path, tmp_path: Path
) -> None:
    url = f"duckdb://{tmp_path}/other.duckdb"
    assert scx("test", "sensor_readings", "--warehouse", url).code == 0
    assert (tmp_path / "other.duckdb").exists()
    assert scx("load", "sensor_readings", "--create-only").code == 0
    result = scx("test", "sensor_readings", "--warehouse", f"duckdb://{home}/dev.duckdb")
    assert result.code == 1
    assert "cases run only in a database without tables of sensor_readings" in result.err
