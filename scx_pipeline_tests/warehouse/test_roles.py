"""The roles: the loader may only load, and the analyst may only read the stars' tables.

Every test database is created with the project's own roles files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import cursor

from scx_pipeline.errors import WarehouseError
from scx_pipeline.reporting.queries import run_query
from scx_pipeline.services.check_list import doctor_context
from scx_pipeline.services.warehouse_checks import check_write_access
from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.session import Session
from scx_pipeline_tests.loading.test_tables import WIDER
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.load_env import (
    APRIL,
    MARCH,
    LoadEnv,
    create_load_env,
    edited_star,
    job,
    scx_star,
)
from scx_pipeline_tests.support.redshift.cluster import statements
from scx_pipeline_tests.support.redshift.server import ADMIN, READER, USER, StandIn
from scx_pipeline_tests.support.sensor_env import SensorEnv, readings
from scx_pipeline_tests.support.servers.postgres import ANALYST, ROLES, PostgresServer

pytestmark = pytest.mark.reader_independent
Ask = Callable[[Callable[[Session], Any]], Any]


@pytest.fixture
def analyst(request: pytest.FixtureRequest, load_urls: tuple[str, str]) -> Ask:
    """Provide queries as the analyst; on a DuckDB file, by a read-only session."""
    url = load_urls[1]
    if url.startswith("postgresql://"):
        url = request.getfixturevalue("postgres").url("dev", ANALYST)
    elif url.startswith("redshift://"):
        url = request.getfixturevalue("redshift").url(READER)

    def run_as_analyst(what: Callable[[Session], Any]) -> Any:
        with open_warehouse(url, Limits()).open_loaded() as session:
            return what(session)

    return run_as_analyst


def answer(session: Session) -> list[tuple[Any, ...]]:
    """Return the result of the analysts' query."""
    frame = run_query(session, scx_star(), "user_211_in_2021")
    return [tuple(row) for row in frame.itertuples(index=False)]


def put(load_env: LoadEnv, *days: str) -> None:
    for number, day in enumerate(days):
        load_env.put(f"2021/{day[:2]}/{day}.csv", [job(int(day[:2]) * 100 + number, f"2021-{day} 10:00:00")])


# The analyst


def test_the_analysts_query_runs_after_every_load(load_env: LoadEnv, analyst: Ask, tmp_path: Path) -> None:
    put(load_env, "03-05", "04-05")
    load_env.load(MARCH, APRIL)
    assert analyst(answer) == [(2021, 3, "city", 1), (2021, 4, "city", 1)]
    put(load_env, "03-05", "03-06")
    load_env.load(MARCH)
    assert analyst(answer) == [(2021, 3, "city", 2), (2021, 4, "city", 1)]
    load_env.compiled = edited_star(tmp_path, WIDER)  # tables are dropped and created again
    load_env.load("2020-01", APRIL)
    assert analyst(answer) == [(2021, 3, "city", 2), (2021, 4, "city", 1)]


def test_the_analyst_reads_swapped_in_months(sensor_env: SensorEnv, analyst: Ask) -> None:
    for files in ("ab", "abc"):
        for letter in files:
            minute = f"2023-01-01 00:0{files.index(letter)}"
            sensor_env.put_minute(minute, readings(minute, letter))
        sensor_env.january()
        [(count,)] = analyst(lambda session: session.rows("SELECT COUNT(*) FROM dwh.data_sample"))
        assert count == len(sensor_env.readings()) > 0


@contextmanager
def session(redshift: StandIn, user: str = USER) -> Iterator[cursor]:
    """Open a cursor of a stand-in's user that commits each statement."""
    url = redshift.url(user).replace("redshift://", "postgresql://")
    with closing(psycopg2.connect(url)) as con, con.cursor() as run:
        con.autocommit = True
        yield run


FORBIDDEN = (
    "INSERT INTO public.users (user_id) VALUES (1)",
    "DELETE FROM public.users",
    "CREATE TABLE public.mine (a INTEGER)",
    "CREATE SCHEMA mine",
)
OF_SERVERS = (
    "CREATE TEMPORARY TABLE mine (a INTEGER)",
    "CREATE TABLE mine (a INTEGER)",
    "SELECT * FROM scx_pipeline.rejected_rows",
    "SELECT * FROM scx_pipeline.loads",
    "CREATE TABLE scx_pipeline.mine (a INTEGER)",
)


def test_the_analyst_may_do_nothing_but_read(load_env: LoadEnv, analyst: Ask) -> None:
    put(load_env, "03-05")
    load_env.load(MARCH)
    before = load_env.snapshot()
    for sql in FORBIDDEN if load_env.warehouse_url.startswith("duckdb") else (*FORBIDDEN, *OF_SERVERS):
        with pytest.raises(WarehouseError, match="permission denied|read-only"):
            analyst(lambda session, sql=sql: session.execute(sql))
    assert load_env.snapshot() == before


# PostgreSQL's settings prevent these first; the analyst's missing rights must prevent them as well.
@pytest.mark.postgres
@pytest.mark.parametrize("sql", [*FORBIDDEN, *OF_SERVERS])
def test_the_analyst_lacks_rights_even_without_the_settings(
    postgres_env: LoadEnv, postgres: PostgresServer, sql: str
) -> None:
    put(postgres_env, "03-05")
    postgres_env.load(MARCH)
    with postgres.superuser("dev") as run:
        run.execute(f"SET ROLE {ANALYST}")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run.execute(sql)


# The loader

TOO_MUCH = ("CREATE SCHEMA mine", "CREATE DATABASE mine", "GRANT ALL ON DATABASE dev TO PUBLIC")


@pytest.mark.postgres
@pytest.mark.parametrize(
    "sql", [*TOO_MUCH, "CREATE ROLE mine", "COPY (SELECT 1) TO PROGRAM 'true'", "DROP SCHEMA dwh"]
)
def test_the_loader_of_postgres_may_only_load(postgres_url: str, sql: str) -> None:
    with closing(psycopg2.connect(postgres_url)) as con, con.cursor() as run:
        con.autocommit = True
        if sql.startswith("GRANT"):  # which PostgreSQL answers by a warning
            run.execute(sql)
            assert "no privileges were granted" in con.notices[-1]
            return
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run.execute(sql)


@pytest.mark.parametrize("sql", ["CREATE SCHEMA mine", "CREATE USER mine PASSWORD DISABLE"])
def test_the_loader_of_redshift_may_only_load(redshift: StandIn, sql: str) -> None:
    with session(redshift) as run, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run.execute(sql)


@pytest.mark.parametrize("engine", engines.SERVERS)
def test_a_star_added_later_requires_the_roles_statements_again(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    load_env = create_load_env(tmp_path, request.getfixturevalue(f"{engine}_url"))
    put(load_env, "03-05")
    star = load_env.compiled.star.model_copy(update={"schema_name": "elsewhere"})
    load_env.compiled = replace(load_env.compiled, star=star)
    with pytest.raises(WarehouseError) as caught:
        load_env.load(MARCH)
    assert str(caught.value) == (
        "the schema elsewhere does not exist, and this user may not create it: have an administrator run what `scx roles` prints "
        "(again, after a star was added); nothing was changed"
    )


# scx doctor, and the statements


def test_doctor_accepts_the_loader(load_env: LoadEnv) -> None:
    found = check_write_access(doctor_context(Settings(warehouse_url=load_env.warehouse_url)))
    assert "may create tables in dwh, public, songplays, and load rows" in found
    with load_env.warehouse.open_if_loaded() as session:
        assert session is None, "nothing stays of the trial"


@pytest.mark.postgres
def test_doctor_reports_what_to_run_if_a_schema_is_missing_or_not_writable(
    postgres_env: LoadEnv, postgres: PostgresServer
) -> None:
    with postgres.superuser("dev") as run:
        run.execute("REVOKE CREATE ON SCHEMA songplays FROM scx_loader")
    with pytest.raises(WarehouseError, match="permission denied for schema songplays .*`scx roles`"):
        check_write_access(doctor_context(Settings(warehouse_url=postgres_env.warehouse_url)))
    with postgres.superuser("dev") as run:
        run.execute("DROP SCHEMA songplays")
    with pytest.raises(WarehouseError, match="the schema songplays does not exist, .*`scx roles`"):
        check_write_access(doctor_context(Settings(warehouse_url=postgres_env.warehouse_url)))


@pytest.mark.postgres
def test_the_roles_statements_of_postgres_are_repeatable_and_run_by_the_databases_owner(
    postgres_env: LoadEnv, postgres: PostgresServer
) -> None:
    put(postgres_env, "03-05")
    postgres_env.load(MARCH)
    sql = (ROLES / "postgresql.sql").read_text("utf-8")
    with postgres.superuser("dev") as run:
        run.execute(sql)
        run.execute("CREATE DATABASE boss_s")
        run.execute("CREATE ROLE boss CREATEROLE")
        run.execute("ALTER DATABASE boss_s OWNER TO boss")
    with postgres.superuser("boss_s") as run:
        run.execute("SET ROLE boss")
        for name in ("boss_loader", "boss_analyst"):
            sql = sql.replace(f"scx_{name.partition('_')[2]}", name)
        for _ in range(2):
            run.execute(sql.replace('DATABASE "dev"', 'DATABASE "boss_s"'))
        run.execute("SELECT has_schema_privilege('boss_loader', 'songplays', 'CREATE')")
        assert run.fetchall() == [(True,)]
        run.execute("SELECT FROM pg_auth_members WHERE member = 'boss'::regrole AND inherit_option")
        assert not run.rowcount
    put(postgres_env, "03-05", "03-06")
    assert postgres_env.load(MARCH).loaded == 2


def test_the_roles_statements_of_redshift_are_repeatable_except_for_users(redshift: StandIn) -> None:
    with session(redshift, ADMIN) as run:
        for sql in statements():
            if sql.startswith("CREATE USER"):
                with pytest.raises(psycopg2.errors.DuplicateObject):
                    run.execute(sql)
            else:
                run.execute(sql)
