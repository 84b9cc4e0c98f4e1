"""Who may do what: one loads and may do no more, the other reads the stars' tables and nothing else.
The statements that make it so are the project's own files, which every database of the tests is made with."""

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
from scx_pipeline.services.doctor import _warehouse as examine_warehouse
from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.session import Session
from scx_pipeline_tests.loading.test_tables import WIDER
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.load_env import APRIL, MARCH, World, edited_star, folder_world, job, scx_star
from scx_pipeline_tests.support.redshift.cluster import statements
from scx_pipeline_tests.support.redshift.server import ADMIN, READER, USER, StandIn
from scx_pipeline_tests.support.sensor_env import SensorWorld, readings
from scx_pipeline_tests.support.servers.postgres import ANALYST, ROLES, PostgresServer

pytestmark = pytest.mark.whoever_reads
Ask = Callable[[Callable[[Session], Any]], Any]


@pytest.fixture
def analyst(request: pytest.FixtureRequest, place: tuple[str, str]) -> Ask:
    """What asks the warehouse as the one who only reads; of a DuckDB file, by a session that only reads."""
    url = place[1]
    if url.startswith("postgresql://"):
        url = request.getfixturevalue("postgres").url("dev", ANALYST)
    elif url.startswith("redshift://"):
        url = request.getfixturevalue("redshift").url(READER)

    def ask(what: Callable[[Session], Any]) -> Any:
        with open_warehouse(url, Limits()).reading() as session:
            return what(session)

    return ask


def answer(session: Session) -> list[tuple[Any, ...]]:
    """The answer to the analysts' own query."""
    frame = run_query(session, scx_star(), "user_211_in_2021")
    return [tuple(row) for row in frame.itertuples(index=False)]


def put(world: World, *days: str) -> None:
    for number, day in enumerate(days):
        world.put(f"2021/{day[:2]}/{day}.csv", [job(int(day[:2]) * 100 + number, f"2021-{day} 10:00:00")])


# ------------------------------------------------------------------ who reads


def test_the_analysts_query_runs_after_every_load(world: World, analyst: Ask, tmp_path: Path) -> None:
    put(world, "03-05", "04-05")
    world.load(MARCH, APRIL)
    assert analyst(answer) == [(2021, 3, "city", 1), (2021, 4, "city", 1)]
    put(world, "03-05", "03-06")
    world.load(MARCH)
    assert analyst(answer) == [(2021, 3, "city", 2), (2021, 4, "city", 1)]
    world.compiled = edited_star(tmp_path, WIDER)  # tables are dropped, and made anew
    world.load("2020-01", APRIL)
    assert analyst(answer) == [(2021, 3, "city", 2), (2021, 4, "city", 1)]


def test_months_that_were_swapped_in_are_read(sensors: SensorWorld, analyst: Ask) -> None:
    for files in ("ab", "abc"):
        for letter in files:
            minute = f"2023-01-01 00:0{files.index(letter)}"
            sensors.put_minute(minute, readings(minute, letter))
        sensors.january()
        [(count,)] = analyst(lambda session: session.rows("SELECT COUNT(*) FROM dwh.data_sample"))
        assert count == len(sensors.readings()) > 0


@contextmanager
def session(redshift: StandIn, user: str = USER) -> Iterator[cursor]:
    """A cursor of a stand-in's user, in which every statement commits by itself."""
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


def test_the_analyst_may_do_nothing_else(world: World, analyst: Ask) -> None:
    put(world, "03-05")
    world.load(MARCH)
    before = world.snapshot()
    for sql in FORBIDDEN if world.warehouse_url.startswith("duckdb") else (*FORBIDDEN, *OF_SERVERS):
        with pytest.raises(WarehouseError, match="permission denied|read-only"):
            analyst(lambda session, sql=sql: session.execute(sql))
    assert world.snapshot() == before


# PostgreSQL's settings keep the analyst from it first; his rights must do so as well.
@pytest.mark.postgres
@pytest.mark.parametrize("sql", [*FORBIDDEN, *OF_SERVERS])
def test_the_analysts_rights_hold_without_the_settings(pg: World, postgres: PostgresServer, sql: str) -> None:
    put(pg, "03-05")
    pg.load(MARCH)
    with postgres.superuser("dev") as run:
        run.execute(f"SET ROLE {ANALYST}")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run.execute(sql)


# ------------------------------------------------------------------ who loads

TOO_MUCH = ("CREATE SCHEMA mine", "CREATE DATABASE mine", "GRANT ALL ON DATABASE dev TO PUBLIC")


@pytest.mark.postgres
@pytest.mark.parametrize(
    "sql", [*TOO_MUCH, "CREATE ROLE mine", "COPY (SELECT 1) TO PROGRAM 'true'", "DROP SCHEMA dwh"]
)
def test_who_loads_into_postgres_may_do_no_more(postgres_url: str, sql: str) -> None:
    with closing(psycopg2.connect(postgres_url)) as con, con.cursor() as run:
        con.autocommit = True
        if sql.startswith("GRANT"):  # which PostgreSQL answers by a warning
            run.execute(sql)
            assert "no privileges were granted" in con.notices[-1]
            return
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run.execute(sql)


@pytest.mark.parametrize("sql", ["CREATE SCHEMA mine", "CREATE USER mine PASSWORD DISABLE"])
def test_who_loads_into_redshift_may_do_no_more(redshift: StandIn, sql: str) -> None:
    with session(redshift) as run, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run.execute(sql)


@pytest.mark.parametrize("engine", engines.SERVERS)
def test_a_star_that_was_added_later_needs_the_roles_anew(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    world = folder_world(tmp_path, request.getfixturevalue(f"{engine}_url"))
    put(world, "03-05")
    star = world.compiled.star.model_copy(update={"schema_name": "elsewhere"})
    world.compiled = replace(world.compiled, star=star)
    with pytest.raises(WarehouseError) as caught:
        world.load(MARCH)
    assert str(caught.value) == (
        "there is no schema elsewhere, and this user may not create one: have an administrator run what `scx roles` prints "
        "(again, after a star was added); nothing was changed"
    )


# ------------------------------------------------------------------ scx doctor, and the statements themselves


def test_doctor_is_content_with_who_loads(world: World) -> None:
    found = examine_warehouse(Settings(warehouse_url=world.warehouse_url))
    assert "may create tables in dwh, public, songplays, and load rows" in found
    with world.warehouse.reader() as session:
        assert session is None, "nothing stays of the trial"


@pytest.mark.postgres
def test_doctor_says_what_to_run_where_a_schema_is_missing_or_closed(
    pg: World, postgres: PostgresServer
) -> None:
    with postgres.superuser("dev") as run:
        run.execute("REVOKE CREATE ON SCHEMA songplays FROM scx_loader")
    with pytest.raises(WarehouseError, match="permission denied for schema songplays .*`scx roles`"):
        examine_warehouse(Settings(warehouse_url=pg.warehouse_url))
    with postgres.superuser("dev") as run:
        run.execute("DROP SCHEMA songplays")
    with pytest.raises(WarehouseError, match="there is no schema songplays, .*`scx roles`"):
        examine_warehouse(Settings(warehouse_url=pg.warehouse_url))


@pytest.mark.postgres
def test_the_statements_of_postgres_may_be_run_again_and_by_the_databases_owner(
    pg: World, postgres: PostgresServer
) -> None:
    put(pg, "03-05")
    pg.load(MARCH)
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
    put(pg, "03-05", "03-06")
    assert pg.load(MARCH).loaded == 2


def test_the_statements_of_redshift_may_be_run_again_but_for_its_users(redshift: StandIn) -> None:
    with session(redshift, ADMIN) as run:
        for sql in statements():
            if sql.startswith("CREATE USER"):
                with pytest.raises(psycopg2.errors.DuplicateObject):
                    run.execute(sql)
            else:
                run.execute(sql)
