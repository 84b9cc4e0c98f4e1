"""`scx adopt`, `scx drop`, `scx reset` and the tables that `scx plan` lists: output, JSON and exit codes."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from scx_pipeline_tests.support.scx_command import Scx


@contextmanager
def warehouse(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(home / "dev.duckdb") as con:
        yield con


def test_plan_load_and_doctor_name_a_foreign_table_until_it_is_adopted(
    scx: Scx, bucket: Path, home: Path
) -> None:
    with warehouse(home) as con:
        con.execute("CREATE SCHEMA public; CREATE TABLE public.users AS SELECT 7 AS who, 'me' AS name")
    assert "no load can start: public.users was not created by this pipeline" in scx("plan", "scx").out
    [blocked] = json.loads(scx("plan", "scx", "--json").out)["blocked"]
    assert "scx adopt scx users" in blocked
    examined = " ".join(scx("doctor").out.split())
    assert "fix tables" in examined
    assert (
        "→ declare another `schema:`, run `scx adopt`, or rename the tables that belong to no star"
        in examined
    )
    result = scx("load", "scx")
    assert (result.code, "scx adopt scx users" in result.err) == (1, True)
    shown = scx("adopt", "scx", "users")
    assert shown.code == 0
    assert "scx: 1 table would be adopted" in shown.out
    assert "who INTEGER, name VARCHAR" in shown.out
    assert "to adopt them, run this again with --yes" in shown.out
    assert scx("load", "scx").code == 1
    adopted = json.loads(scx("adopt", "scx", "--all", "--yes", "--json").out)
    assert (adopted["adopted"], [item["table"] for item in adopted["tables"]]) == (True, ["public.users"])
    assert scx("load", "scx").code == 0
    assert "tables no table of others" in " ".join(scx("doctor").out.split())


def test_adopt_requires_either_tables_or_all(scx: Scx, home: Path) -> None:
    for arguments in ((), ("users", "--all")):
        result = scx("adopt", "scx", *arguments)
        assert (result.code, "name tables of the star, or use --all" in result.err) == (1, True)


def test_adopt_explains_why_there_is_nothing_to_adopt(scx: Scx, bucket: Path, home: Path) -> None:
    result = scx("adopt", "scx", "users")
    assert (result.code, "public.users does not exist yet: the next load creates it" in result.out) == (
        0,
        True,
    )
    with warehouse(home) as con:
        con.execute("CREATE SCHEMA public; CREATE TABLE public.users AS SELECT 7 AS who")
    result = scx("adopt", "scx", "users", "projects")
    assert "scx: 1 table would be adopted" in result.out
    assert "public.projects does not exist yet" in result.out
    assert "public.users does" not in result.out
    assert scx("adopt", "scx", "users", "--yes").code == 0
    assert "public.users was adopted already: the next load rebuilds it" in scx("adopt", "scx", "users").out
    assert scx("load", "scx").code == 0
    result = scx("adopt", "scx", "users", "--yes")
    assert (result.code, "public.users was created by this pipeline: nothing to adopt" in result.out) == (
        0,
        True,
    )
    result = scx("adopt", "scx", "--all")
    assert result.code == 0
    assert "none of the tables of scx was created by others: nothing to adopt" in result.out


def test_drop_describes_what_it_removes_for_tables_that_are_not_dropped(
    scx: Scx, bucket: Path, home: Path
) -> None:
    assert scx("load", "scx").code == 0
    record = (
        "INSERT INTO scx_pipeline.tables SELECT * REPLACE ('{}' AS table_name, '{}' AS star)"
        " FROM scx_pipeline.tables WHERE table_name = 'users'"
    )
    with warehouse(home) as con:
        con.execute("CREATE TABLE public.people AS SELECT 7 AS who")
        con.execute(record.format("people", "scx"))
    result = scx("drop").out
    assert "0 tables would be dropped" in result
    assert "to drop them" not in result
    assert "none of them is dropped; with --yes, only their record is removed" in result
    assert "history" not in result
    with warehouse(home) as con:
        con.execute("CREATE TABLE public.gone AS SELECT * FROM public.users")
        con.execute(record.format("gone", "old"))
        con.execute(record.format("never", "older"))
    result = scx("drop").out
    assert "1 table would be dropped" in result
    assert (
        "to drop it, run this again with --yes; this also removes the record of the other tables"
        " and the load history of the removed stars old, older" in result
    )
    result = scx("drop", "older").out
    assert (
        "none of them is dropped; with --yes, only their record and the load history of the removed star older are removed"
        in result
    )
    result = scx("drop", "--yes").out
    assert "1 table dropped" in result
    assert (
        "removed as well: the record of the other tables and the load history of the removed stars old, older"
        in result
    )
    with warehouse(home) as con:
        assert con.sql("SELECT * FROM public.people").fetchall() == [(7,)]
    assert "--yes" not in scx("drop").out


def test_plan_names_leftover_tables_until_they_are_dropped(scx: Scx, bucket: Path, home: Path) -> None:
    assert scx("load", "scx").code == 0
    assert "0 tables would be dropped" in scx("drop").out
    # As an earlier declaration, and a star that was removed since, left them.
    with warehouse(home) as con:
        con.execute("CREATE TABLE public.people AS SELECT * FROM public.users")
        con.execute("CREATE TABLE public.gone AS SELECT * FROM public.users")
        for star, table in (("scx", "people"), ("old", "gone")):
            con.execute(
                f"INSERT INTO scx_pipeline.tables SELECT * REPLACE ('{table}' AS table_name, '{star}' AS star)"
                " FROM scx_pipeline.tables WHERE table_name = 'users'"
            )
    assert json.loads(scx("plan", "scx", "--json").out)["leftovers"] == ["public.people"]
    result = scx("plan").out
    assert "scx: 0 months due" in result
    assert (
        "no longer declared: public.people of scx (as the pipeline created it); see `scx drop scx`" in result
    )
    assert "no longer declared: public.gone of old" in result
    shown = scx("drop")
    assert (shown.code, "2 tables would be dropped" in shown.out) == (0, True)
    dropped = json.loads(scx("drop", "old", "--yes", "--json").out)
    assert [item["table"] for item in dropped["tables"]] == ["gone"]
    assert scx("drop", "--yes").code == 0
    with warehouse(home) as con:
        names = {name for (name,) in con.sql("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert "users" in names
    assert not names & {"people", "gone"}
    assert scx("drop", "never").code == 1


def test_analyze_before_the_first_load_prints_one_line(scx: Scx, bucket: Path) -> None:
    assert scx("load", "scx").code == 0
    result = scx("analyze", "songplays")
    assert result.code == 1
    assert "does not exist yet, so songplays cannot be queried: run `scx load songplays` first" in " ".join(
        result.err.split()
    )


def test_reset_shows_what_goes_and_asks(
    scx: Scx, bucket: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scx("load", "scx").code == 0
    answers = iter(["n\n", "y\n"])
    monkeypatch.setattr(sys, "stdin", io.StringIO(next(answers)))
    result = scx("reset", "scx")
    assert result.code == 1
    assert "scx: 7 tables to remove" in result.out
    assert "public.auto_classification_logs" in result.out
    assert "of rejected_rows" in result.out
    assert "Remove all of this? [y/N]" in result.out
    assert "4: 2020-12" not in scx("status").out
    monkeypatch.setattr(sys, "stdin", io.StringIO(next(answers)))
    assert scx("reset", "scx").out.endswith("removed; `scx load scx` loads it again\n")
    assert "4: 2020-12…2021-03" in scx("status").out
    assert scx("reset", "scx").out == "scx: nothing was loaded or created: nothing to remove\n"
    assert scx("load", "scx").code == 0
    assert "none none 300" in " ".join(scx("status").out.split())


def test_reset_for_a_script_needs_yes(scx: Scx, bucket: Path, home: Path) -> None:
    assert scx("load", "scx").code == 0
    shown = json.loads(scx("reset", "scx", "users", "--json").out)
    assert (shown["removed"], [item["table"] for item in shown["tables"]]) == (False, ["users", "scx__users"])
    assert json.loads(scx("plan", "scx", "--json").out)["due"] == []
    assert json.loads(scx("reset", "scx", "users", "--yes", "--json").out)["removed"] is True
    [reason] = {item["reason"] for item in json.loads(scx("plan", "scx", "--json").out)["due"]}
    assert reason == "public.users does not exist yet: all months are rebuilt"
    assert scx("load", "scx").code == 0
    assert scx("reset", "scx", "nothing").err.startswith("error: nothing is not a table of scx")


def test_reset_names_the_tables_that_it_leaves_alone(scx: Scx, bucket: Path, home: Path) -> None:
    with warehouse(home) as con:
        con.execute("CREATE SCHEMA public; CREATE TABLE public.users AS SELECT 7 AS who")
    result = scx("reset", "scx", "--yes")
    assert (result.code, result.out.splitlines()) == (
        0,
        [
            "scx: nothing was loaded or created: nothing to remove",
            "left alone: public.users was created or changed by others",
        ],
    )
