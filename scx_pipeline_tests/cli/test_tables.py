"""`scx adopt`, `scx drop` and what `scx plan` says of tables: what they print, their JSON and their exit codes.
What they do to a warehouse is in ownership/test_ownership.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from scx_pipeline_tests.cli.conftest import Scx


@contextmanager
def warehouse(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(home / "dev.duckdb") as con:
        yield con


def test_a_foreign_table_is_named_by_plan_load_and_doctor_and_adopted_on_demand(
    scx: Scx, bucket: Path, home: Path
) -> None:
    with warehouse(home) as con:
        con.execute("CREATE SCHEMA public; CREATE TABLE public.users AS SELECT 7 AS who, 'me' AS name")
    assert "no load can start: public.users was not made by this pipeline" in scx("plan", "scx").out
    [blocked] = json.loads(scx("plan", "scx", "--json").out)["blocked"]
    assert "scx adopt scx users" in blocked
    examined = " ".join(scx("doctor").out.split())
    assert "mend tables" in examined
    assert (
        "→ as it says: declare another `schema:`, run `scx adopt`, or rename what belongs to no star"
        in examined
    )
    told = scx("load", "scx")
    assert (told.code, "scx adopt scx users" in told.err) == (1, True)
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


def test_adopt_wants_tables_or_all(scx: Scx, home: Path) -> None:
    for arguments in ((), ("users", "--all")):
        told = scx("adopt", "scx", *arguments)
        assert (told.code, "give either tables of the star or --all" in told.err) == (1, True)


def test_adopt_says_why_there_is_nothing_to_adopt(scx: Scx, bucket: Path, home: Path) -> None:
    told = scx("adopt", "scx", "users")
    assert (told.code, "public.users does not exist yet: the next load creates it" in told.out) == (0, True)
    with warehouse(home) as con:
        con.execute("CREATE SCHEMA public; CREATE TABLE public.users AS SELECT 7 AS who")
    told = scx("adopt", "scx", "users", "projects")
    assert "scx: 1 table would be adopted" in told.out
    assert "public.projects does not exist yet" in told.out
    assert "public.users does" not in told.out
    assert scx("adopt", "scx", "users", "--yes").code == 0
    assert "public.users was adopted already: the next load rebuilds it" in scx("adopt", "scx", "users").out
    assert scx("load", "scx").code == 0
    told = scx("adopt", "scx", "users", "--yes")
    assert (told.code, "public.users was made by this pipeline: nothing to adopt" in told.out) == (0, True)
    told = scx("adopt", "scx", "--all")
    assert told.code == 0
    assert "none of the tables of scx was made by others: nothing to adopt" in told.out


def test_drop_says_what_yes_would_do_to_tables_that_are_left_alone(
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
    told = scx("drop").out
    assert "0 tables would be dropped" in told
    assert "to drop them" not in told
    assert "none of them is dropped; with --yes, only their record is removed" in told
    assert "history" not in told
    with warehouse(home) as con:
        con.execute("CREATE TABLE public.gone AS SELECT * FROM public.users")
        con.execute(record.format("gone", "old"))
        con.execute(record.format("never", "older"))
    told = scx("drop").out
    assert "1 table would be dropped" in told
    assert (
        "to drop it, run this again with --yes; this also removes the record of the other tables"
        " and the load history of the removed stars old, older" in told
    )
    told = scx("drop", "older").out
    assert (
        "none of them is dropped; with --yes, only their record and the load history of the removed star older are removed"
        in told
    )
    told = scx("drop", "--yes").out
    assert "1 table dropped" in told
    assert (
        "removed as well: the record of the other tables and the load history of the removed stars old, older"
        in told
    )
    with warehouse(home) as con:
        assert con.sql("SELECT * FROM public.people").fetchall() == [(7,)]
    assert "--yes" not in scx("drop").out


def test_leftovers_are_named_by_plan_and_dropped_on_demand(scx: Scx, bucket: Path, home: Path) -> None:
    assert scx("load", "scx").code == 0
    assert "0 tables would be dropped" in scx("drop").out
    with warehouse(
        home
    ) as con:  # as an earlier declaration, and a star that was removed since, had left them
        con.execute("CREATE TABLE public.people AS SELECT * FROM public.users")
        con.execute("CREATE TABLE public.gone AS SELECT * FROM public.users")
        for star, table in (("scx", "people"), ("old", "gone")):
            con.execute(
                f"INSERT INTO scx_pipeline.tables SELECT * REPLACE ('{table}' AS table_name, '{star}' AS star)"
                " FROM scx_pipeline.tables WHERE table_name = 'users'"
            )
    assert json.loads(scx("plan", "scx", "--json").out)["leftovers"] == ["public.people"]
    told = scx("plan").out
    assert "scx: 0 months are due" in told
    assert "no longer declared: public.people of scx (as the pipeline made it); see `scx drop scx`" in told
    assert "no longer declared: public.gone of old" in told
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


def test_analyze_before_a_star_s_first_load_is_one_line(scx: Scx, bucket: Path) -> None:
    assert scx("load", "scx").code == 0
    told = scx("analyze", "songplays")
    assert told.code == 1
    assert "does not exist yet, so songplays cannot be queried: run `scx load songplays` first" in " ".join(
        told.err.split()
    )
