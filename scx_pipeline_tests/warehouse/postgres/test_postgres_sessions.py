"""Sessions on PostgreSQL: whatever the role, the server, a pooler or the network do, the same rows, or one line that says why not.
Loads that wait for each other are in test_concurrency.py, timeouts of statements in test_statement_timeout.py."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

from scx_pipeline.errors import WarehouseBusyError, WarehouseError
from scx_pipeline.maintenance.maintain import RetentionPolicy, maintain
from scx_pipeline.warehouse.postgres import commit_status, session_settings
from scx_pipeline.warehouse.postgres import postgres_warehouse as engine
from scx_pipeline.warehouse.session import Session
from scx_pipeline_tests.loading.test_concurrency import stopped_elsewhere
from scx_pipeline_tests.support.load_env import (
    APRIL,
    LIMITS,
    MARCH,
    MAY,
    World,
    folder_world,
    job,
    jobs_of,
    range_of_keys,
)
from scx_pipeline_tests.support.music_env import MusicWorld, event
from scx_pipeline_tests.support.sensor_env import SensorWorld, readings
from scx_pipeline_tests.support.servers.pgbouncer import pgbouncer, program
from scx_pipeline_tests.support.servers.postgres import LOADER, PostgresServer
from scx_pipeline_tests.support.servers.proxy import Proxy, proxy

# Each of these, set for the role, has changed what a load does, or would if the load did not set it.
HOSTILE = {
    "client_encoding": "LATIN1",
    "DateStyle": "German, DMY",
    "TimeZone": "Asia/Seoul",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "search_path": "nowhere, pg_catalog",
    "statement_timeout": "10s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "transaction_timeout": "10s",
    "exit_on_error": "on",
}
TEXTS = ("Brücke", "한국어", "\N{GRINNING FACE} a\\b'c", "Ελλάς")


def put_spring(world: World) -> None:
    """March to May, each with texts that no single-byte encoding has all of."""
    for number, month in enumerate((MARCH, APRIL, MAY), 3):
        rows = [
            job(number * 10 + n, f"{month}-05 10:00:00", user_id=n + 1, project_name=text)
            for n, text in enumerate(TEXTS)
        ]
        world.put(f"2021/0{number}/a.csv", rows)


@pytest.fixture
def spring(pg: World) -> World:
    put_spring(pg)
    return pg


@contextmanager
def altered(server: PostgresServer, where: str, settings: dict[str, str]) -> Iterator[None]:
    """The settings of the role or the database `dev`, for as long as the block lasts."""
    with server.superuser() as run:
        for name, value in settings.items():
            text = value if name == "search_path" else f"'{value}'"
            run.execute(f"ALTER {where} SET {name} = {text}")
    try:
        yield
    finally:
        with server.superuser() as run:
            run.execute(f"ALTER {where} RESET ALL")


def sensors_in(folder: Path, url: str) -> SensorWorld:
    """Two minutes of readings, whose table has a partition of each month."""
    world = SensorWorld(folder_world(folder / "sensors").bucket_url, url)
    for minute in ("2023-01-01 00:00", "2023-02-01 00:01"):
        world.put_minute(minute, readings(minute))
    return world


# ------------------------------------------------------------------ settings of others


@pytest.mark.whoever_reads
@pytest.mark.parametrize("where", [f"ROLE {LOADER}", "DATABASE dev", "environment"])
def test_the_settings_of_a_role_a_database_or_the_environment_change_no_row(
    where: str, spring: World, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duck = World(spring.bucket_url, f"duckdb://{tmp_path}/dev.duckdb")
    sensors = sensors_in(tmp_path, spring.warehouse_url)
    if where == "environment":
        monkeypatch.setenv(
            "PGOPTIONS", " ".join(f"-c {name}={value.replace(' ', '')}" for name, value in HOSTILE.items())
        )
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
        load_spring_and_january(spring, duck, sensors)
    else:
        with altered(postgres, where, HOSTILE):
            load_spring_and_january(spring, duck, sensors)
    assert {text for (text,) in spring.table("staging_cleansed_logs", "project_name")} == set(TEXTS)


def load_spring_and_january(pg: World, duck: World, sensors: SensorWorld) -> None:
    for world in (pg, duck):
        world.load(MARCH, MAY)
        world.load(APRIL)  # alone, while others stand
    assert pg.snapshot(load_ids=False) == duck.snapshot(load_ids=False)
    assert pg.changed() == duck.changed()
    sensors.loader().load(range_of_keys("2023-01", "2023-02"))
    sensors.january()
    assert len(sensors.readings()) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [("statement_timeout", "0"), ("lock_timeout", "20s"), ("idle_in_transaction_session_timeout", "0"), ("transaction_timeout", "0"),
     ("row_security", "off"), ("search_path", '"$user", public'), ("transaction_isolation", "read committed")],
)  # fmt: skip
def test_a_load_has_timeouts_and_a_visibility_of_its_own(
    name: str, value: str, pg: World, postgres: PostgresServer
) -> None:
    role = {"statement_timeout": "5s", "lock_timeout": "5s", "transaction_timeout": "5s", "search_path": "nowhere",
            "idle_in_transaction_session_timeout": "5s", "default_transaction_isolation": "serializable"}  # fmt: skip
    with altered(postgres, f"ROLE {LOADER}", role), pg.warehouse.transaction("scx") as session:
        assert session.rows("SELECT current_setting(%s)", [name]) == [(value,)]


def test_who_reads_keeps_the_statement_timeout_of_the_role_unless_there_is_one_of_ours(
    spring: World, postgres: PostgresServer
) -> None:
    spring.load(MARCH)
    asked = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
    with altered(postgres, f"ROLE {LOADER}", {"statement_timeout": "5s", "lock_timeout": "5s"}):
        assert spring.rows(asked) == [("5s", "20s")]
        spring.limits = replace(LIMITS, statement_timeout=7)
        assert spring.rows(asked) == [("7s", "20s")]


def test_a_server_that_ends_pausing_transactions_ends_no_load(
    spring: World, postgres: PostgresServer
) -> None:
    with altered(postgres, f"ROLE {LOADER}", {"idle_in_transaction_session_timeout": "50ms"}):
        spring.loader(lambda message: time.sleep(0.1)).load(range_of_keys(MARCH))
    assert jobs_of(spring) == [30, 31, 32, 33]


def test_rows_that_a_policy_hides_from_the_load_are_an_error(spring: World, postgres: PostgresServer) -> None:
    spring.load(MARCH)
    before = spring.snapshot()
    with postgres.superuser("dev") as run:
        run.execute("ALTER TABLE public.users ENABLE ROW LEVEL SECURITY")
        run.execute("ALTER TABLE public.users FORCE ROW LEVEL SECURITY")
        run.execute("CREATE POLICY partly ON public.users USING (user_id = 1)")
    with pytest.raises(WarehouseError, match="row-level security") as caught:
        spring.load(APRIL)
    assert "\n" not in str(caught.value)
    with postgres.superuser("dev") as run:
        run.execute("ALTER TABLE public.users DISABLE ROW LEVEL SECURITY")
    assert spring.snapshot() == before


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding_is_refused_by_one_line(
    encoding: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    with postgres.superuser() as run:
        run.execute(
            f"CREATE DATABASE texts TEMPLATE template0 ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
        )
    try:
        world = folder_world(tmp_path, postgres.url("texts"))
        put_spring(world)
        for attempt in (lambda: world.load(MARCH), world.plan, world.snapshot):
            with pytest.raises(WarehouseError, match=rf"encoding {encoding}, .*ENCODING 'UTF8'") as caught:
                attempt()
            assert "\n" not in str(caught.value)
    finally:
        with postgres.superuser() as run:
            run.execute("DROP DATABASE texts WITH (FORCE)")


# ------------------------------------------------------------------ at the same time


@pytest.mark.whoever_reads
@pytest.mark.parametrize("isolation", ["serializable", "repeatable read"])
def test_a_load_that_waited_sees_what_was_published_meanwhile_whatever_the_isolation(
    isolation: str, spring: World, postgres: PostgresServer, tmp_path: Path
) -> None:
    settings = {"default_transaction_isolation": isolation}
    with altered(postgres, "DATABASE dev", settings), ThreadPoolExecutor(4) as pool:
        list(pool.map(spring.load, [MARCH, APRIL, MAY, MARCH]))
    duck = World(spring.bucket_url, f"duckdb://{tmp_path}/dev.duckdb")
    duck.load(MARCH, MAY)
    assert spring.snapshot(load_ids=False) == duck.snapshot(load_ids=False)


def test_the_first_loads_of_two_stars_into_an_empty_database_do_not_meet(
    spring: World, tmp_path: Path
) -> None:
    music = MusicWorld(folder_world(tmp_path / "music").bucket_url, spring.warehouse_url)
    music.put_key("log_data/2018/11/2018-11-01-events.json", events("2018-11-01 10:00:00"))
    with stopped_elsewhere(spring, MARCH) as other:  # which has all its tables by now
        music.loader().load(range_of_keys("2018-11"))
        other.go_on()
        assert other.end() == 0
    assert len(music.table("songplays")) == 1
    assert jobs_of(spring) == [30, 31, 32, 33]
    assert len(spring.state("loads")) == 2


def events(*moments: str) -> bytes:
    import json

    return "\n".join(json.dumps(event(1, n, moment)) for n, moment in enumerate(moments)).encode()


def test_a_first_load_that_fails_leaves_nothing_that_counts(spring: World) -> None:
    spring.put("2021/03/b.csv", [job(30, "2021-03-06 10:00:00", user_id=None)])
    with pytest.raises(Exception, match="nothing was changed"):
        spring.load(MARCH)
    with spring.warehouse.reader() as session:
        assert session is None
    spring.delete("2021/03/b.csv")
    spring.load(MARCH)
    assert jobs_of(spring) == [30, 31, 32, 33]


def test_the_holder_of_a_lock_is_found_among_locks_with_the_same_number(
    spring: World, postgres: PostgresServer
) -> None:
    """A key of two numbers whose second is ours, and ours in another database, are other locks."""
    import zlib

    key = zlib.crc32(b"scx_pipeline scx")
    spring.limits = replace(LIMITS, lock_timeout=0.1)
    second = key - (1 << 32) if key >= 1 << 31 else key
    with (
        postgres.superuser() as elsewhere,
        postgres.superuser("dev") as other,
        spring.warehouse.transaction("scx") as session,
    ):
        elsewhere.execute("SELECT pg_advisory_lock(%s)", [key])
        other.execute("SELECT pg_advisory_lock(0, %s)", [second])
        [(holder,)] = session.rows("SELECT pg_backend_pid()")
        with pytest.raises(WarehouseBusyError, match=rf"server process {holder}\b"):
            spring.load(MARCH)


# ------------------------------------------------------------------ PgBouncer


@pytest.fixture
def pooled(postgres: PostgresServer, spring: World) -> Iterator[World]:
    """Loads through a pooler that gives each transaction another connection of the server."""
    if program() is None:
        pytest.skip("needs PgBouncer: apt-get install pgbouncer")
    with pgbouncer(postgres, "dev") as pooler:
        yield World(spring.bucket_url, pooler.url("dev"))


def test_loads_through_pgbouncer_in_transaction_mode_give_the_same_rows(
    pooled: World, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere")  # which a pooler refuses
    duck = World(pooled.bucket_url, f"duckdb://{tmp_path}/dev.duckdb")
    with altered(postgres, f"ROLE {LOADER}", HOSTILE):
        for world in (pooled, duck):
            for month in (MARCH, APRIL, MAY, APRIL, MARCH):
                world.load(month)
        assert pooled.snapshot(load_ids=False) == duck.snapshot(load_ids=False)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(pooled.load, [MARCH, MAY]))
        assert pooled.snapshot(load_ids=False) == duck.snapshot(load_ids=False)
        sensors = sensors_in(tmp_path, pooled.warehouse_url)
        sensors.january()
        sensors.january()
        assert len(sensors.readings()) == 2
        assert maintain(pooled.compiled, pooled.warehouse, RetentionPolicy()).after is not None
        with pooled.warehouse.alone("scx") as session:
            for _ in range(4):  # each on another connection
                assert session.rows("SELECT format_type('text'::regtype, -1)") == [("text",)]


def test_loads_through_pgbouncer_leave_its_connections_as_they_were(pooled: World) -> None:
    pooled.load(MARCH)
    pooled.plan()
    maintain(pooled.compiled, pooled.warehouse, RetentionPolicy())
    left = set()
    with closing(psycopg2.connect(pooled.warehouse_url)) as con, con.cursor() as cursor:
        con.autocommit = True
        for _ in range(6):
            cursor.execute(
                "SELECT current_setting('lock_timeout'), current_setting('search_path'), current_setting('extra_float_digits'),"
                " (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),"
                " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
            )
            left.add(cursor.fetchone())
    assert left == {("0", '"$user", public', "1", 0, 0)}


def test_a_pooler_that_gives_each_statement_another_connection_is_refused_by_one_line(
    postgres: PostgresServer, spring: World
) -> None:
    if program() is None:
        pytest.skip("needs PgBouncer: apt-get install pgbouncer")
    with pgbouncer(postgres, "dev", "statement") as pooler:
        world = World(spring.bucket_url, pooler.url("dev"))
        with pytest.raises(WarehouseError, match="pool_mode = transaction or session") as caught:
            world.load(MARCH)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------ a COMMIT whose answer is lost


@pytest.fixture
def lossy(postgres: PostgresServer, spring: World) -> Iterator[tuple[World, Proxy]]:
    """March loaded, and a world whose connections can be lost."""
    spring.load(MARCH)
    with proxy(postgres.port) as between:
        yield World(spring.bucket_url, between.url(spring.warehouse_url)), between


def test_a_load_whose_commit_was_done_succeeds_though_the_answer_is_lost(
    lossy: tuple[World, Proxy], spring: World
) -> None:
    world, between = lossy
    between.loses = "answer"
    world.load(APRIL)
    assert between.lost == 1
    assert world.told[-1].endswith("has committed the load")
    assert jobs_of(spring) == [30, 31, 32, 33, 40, 41, 42, 43]
    assert len(spring.state("loads")) == 2


@pytest.mark.parametrize("loses", ["commit", "silently"])
def test_a_load_whose_commit_did_not_arrive_has_surely_changed_nothing(
    loses: str, lossy: tuple[World, Proxy], spring: World
) -> None:
    world, between = lossy
    before = spring.snapshot()
    between.loses = loses
    with pytest.raises(WarehouseError, match=r"connection was lost.*; nothing was changed$") as caught:
        world.load(APRIL)
    assert "\n" not in str(caught.value)
    assert between.lost == 1
    assert spring.snapshot() == before
    spring.load(APRIL)  # the lock is not held any more
    assert len(jobs_of(spring)) == 8


@pytest.mark.parametrize("loses", ["answer", "commit"])
def test_where_nobody_can_say_whether_a_load_was_committed_the_line_says_so(
    loses: str, lossy: tuple[World, Proxy], spring: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_status, "PATIENCE", 0.2)
    world, between = lossy
    between.loses, between.and_closes = loses, True
    with pytest.raises(WarehouseError, match="does not say whether it was: check `scx status`") as caught:
        world.load(APRIL)
    assert "\n" not in str(caught.value)
    assert "nothing was changed" not in str(caught.value)
    assert len(jobs_of(spring)) == (8 if loses == "answer" else 4)


# ------------------------------------------------------------------ URLs


def test_a_url_of_a_socket_loads(spring: World, postgres: PostgresServer, tmp_path: Path) -> None:
    folder = Path("/tmp") / f"scx-{postgres.pid}"  # the path of a socket may have some hundred characters
    folder.mkdir()
    parts = urlsplit(spring.warehouse_url)
    url = f"postgresql://{parts.username}:{parts.password}@/dev?host={folder}"
    try:
        with proxy(postgres.port, folder / ".s.PGSQL.5432"):
            world = World(spring.bucket_url, url)
            world.load(MARCH)
            assert jobs_of(world) == [30, 31, 32, 33]
            assert world.warehouse.url == f"postgresql:///dev?host={folder}&port=5432"
    finally:
        (folder / ".s.PGSQL.5432").unlink(missing_ok=True)
        folder.rmdir()


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("postgresql://u:se:cret@a:5432,b:5432/dev", "names several hosts: write the one that takes writes"),
        ("postgresql://u:pass@se,cret@127.0.0.1:1/dev", "cannot be read"),
        ("postgresql://u:pass@secret@127.0.0.1:1/dev", "cannot be read"),
        ("postgresql://u:secret@/dev", "names no host"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str, match: str) -> None:
    with pytest.raises(WarehouseError, match=match) as caught:
        engine.open_url(url, LIMITS, print).reader().__enter__()
    assert "\n" not in str(caught.value)
    assert "cret" not in str(caught.value)


# ------------------------------------------------------------------ what the server refuses


def in_a_load(world: World, *statements: str) -> str:
    """The one line that says what a statement in a load met."""
    with pytest.raises(WarehouseError) as caught, world.warehouse.transaction("scx") as session:
        for statement in statements:
            session.execute(statement)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; nothing was changed")
    return str(caught.value)


def raising(state: str, message: str = "as if") -> str:
    """A statement that the server answers with this SQLSTATE."""
    return f"DO $$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = '{state}'; END $$"


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("53100", "make room on the server's disk"),
        ("53200", "too little memory"),
        ("22001", "a text is longer than its column"),
        ("25P03", "ends idle transactions"),
        ("25P04", "ends long transactions"),
        ("57014", "the role's statement_timeout"),
        ("2BP01", "drop that, and create it again"),
        ("57P01", "an administrator ended the session"),
        ("42P01", "dropped or renamed"),
        ("42601", "SQLSTATE 42601"),
        ("XX000", "SQLSTATE XX000"),
        ("22P02", "SQLSTATE 22P02"),
        ("0A000", "SQLSTATE 0A000"),
    ],
)
def test_what_the_server_refuses_is_one_line_with_what_to_do_or_its_sqlstate(
    state: str, advice: str, pg: World
) -> None:
    assert advice in in_a_load(pg, raising(state))


def test_a_text_that_is_no_unicode_is_one_line(pg: World) -> None:
    with (
        pytest.raises(WarehouseError, match=r"b\\udcff.csv' is not Unicode text") as caught,
        pg.warehouse.transaction("scx") as session,
    ):
        session.rows("SELECT %s", ["a/b\udcff.csv"])
    assert "\n" not in str(caught.value)


def test_a_server_with_all_its_connections_in_use_is_one_line(pg: World, postgres: PostgresServer) -> None:
    with (
        limited(postgres, 1),
        closing(psycopg2.connect(pg.warehouse_url)),
        pytest.raises(WarehouseError, match="too many connections.*max_connections") as caught,
    ):
        pg.plan()
    assert "\n" not in str(caught.value)


@contextmanager
def limited(server: PostgresServer, connections: int) -> Iterator[None]:
    with server.superuser() as run:
        run.execute(f"ALTER ROLE {LOADER} CONNECTION LIMIT {connections}")
    try:
        yield
    finally:
        with server.superuser() as run:
            run.execute(f"ALTER ROLE {LOADER} CONNECTION LIMIT -1")


def test_a_lock_that_another_session_has_is_waited_for_as_long_as_was_said(
    spring: World, postgres: PostgresServer
) -> None:
    spring.load(MARCH)
    spring.limits = replace(LIMITS, lock_timeout=0.2)
    with postgres.superuser("dev") as run:
        run.execute("BEGIN")
        run.execute("LOCK TABLE public.users")
        with pytest.raises(WarehouseBusyError, match=r"waited 0.2 s \(SCX_LOCK_TIMEOUT\)") as caught:
            spring.load(APRIL)
        run.execute("ROLLBACK")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("state", ["40P01", "40001"])
def test_a_transaction_that_another_session_broke_off_begins_again(
    state: str, pg: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PAUSE", 0.01)
    attempts: list[Session] = []

    def work(session: Session) -> str:
        attempts.append(session)
        session.execute("CREATE TABLE public.made (n int)")
        if len(attempts) == 1:
            session.execute(raising(state))
        return "done"

    assert pg.warehouse.run("scx", work) == "done"
    assert len(attempts) == 2
    assert "trying again" in pg.told[0]


def test_a_transaction_that_is_always_broken_off_ends_by_one_line(
    pg: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PAUSE", 0.01)
    attempts: list[Session] = []

    def work(session: Session) -> None:
        attempts.append(session)
        session.execute(raising("40P01", "deadlock detected"))

    with pytest.raises(WarehouseError, match="deadlock detected.*; nothing was changed$") as caught:
        pg.warehouse.run("scx", work)
    assert len(attempts) == engine.ATTEMPTS
    assert "\n" not in str(caught.value)


def test_a_load_that_another_session_deadlocks_with_begins_again_and_publishes(
    spring: World, postgres: PostgresServer
) -> None:
    """The other one has what the load wants, and then wants what the load has."""
    spring.load(MARCH)
    before: Sequence[int] = jobs_of(spring)
    with postgres.superuser("dev") as run, ThreadPoolExecutor(1) as pool:
        run.execute("SET deadlock_timeout = '1h'")  # so that the load is the one that finds out
        run.execute("BEGIN")
        run.execute("LOCK TABLE scx_pipeline.loads")

        def want_more() -> None:
            run.execute("LOCK TABLE public.users")
            run.execute("ROLLBACK")

        def go_on(message: str) -> None:
            if "checks in" in message and not wanting:
                wanting.append(pool.submit(want_more))
                time.sleep(0.1)

        wanting: list[Future[None]] = []
        spring.loader(go_on).load(range_of_keys(APRIL))
        wanting[0].result()
    assert "deadlock detected" in spring.told[0]
    assert len(jobs_of(spring)) == 2 * len(before)


def test_every_setting_of_a_session_is_in_the_handbook() -> None:
    text = (Path(__file__).parents[3] / "docs" / "operate.md").read_text("utf-8")
    ours = {**session_settings.of_load(LIMITS), **session_settings.MEMORY, "client_encoding": "UTF8"}
    assert [name for name in ours if f"`{name}`" not in text] == []
