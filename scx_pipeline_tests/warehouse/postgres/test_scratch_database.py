"""The DuckDB file beside a PostgreSQL load: same rows as PostgreSQL's own SQL, nothing left behind, no room told.
What a load publishes on any engine is compared in test_purity.py."""

from __future__ import annotations

import fcntl
import os
import resource
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import psycopg2
import pytest

from scx_pipeline.errors import CheckFailedError, WarehouseError
from scx_pipeline.storage.temporary_folder import LOCK
from scx_pipeline.warehouse.postgres.postgres_warehouse import PostgresSession
from scx_pipeline_tests.support.load_env import APRIL, MARCH, World, job
from scx_pipeline_tests.support.load_process import loading_elsewhere

pytestmark = pytest.mark.postgres


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def spring(pg: World) -> World:
    """Two months in the bucket: names that compare differently by collation, doubled jobs, empty values, equal times."""
    for number, month in ((3, MARCH), (4, APRIL)):
        rows = [
            job(
                number * 100 + n,
                f"{month}-{1 + n % 28:02} {n % 24:02}:00:0{n % 3}",
                user_id=n % 5,
                plan_id=n % 3,
                project_id=n % 7,
                project_name=("Ärger", "apple", "Zebra", "", "서울")[n % 5],
                updated_at=f"{month}-28 10:00:00",
            )
            for n in range(40)
        ]
        doubled = [
            row | {"updated_at": f"{month}-28 11:00:00", "ground_profile": "forest"} for row in rows[:3]
        ]
        pg.put(f"2021/0{number}/a.csv", [*rows, *doubled])
    return pg


def test_it_makes_the_same_rows_as_the_server_s_own_sql(spring: World) -> None:
    """A load of derived tables alone has no workbench: they are made from the staging rows that stand, by the server."""
    assert spring.load(MARCH, APRIL).deduplicated == 6
    made = spring.snapshot(load_ids=False)
    derived = {table.name for table in spring.compiled.star.derived}
    with spring.warehouse.transaction("scx") as session:
        session.execute("UPDATE public.auto_classification_logs SET ground_profile = 'wrong'")
        session.execute("UPDATE public.users SET plan_id = -1")
        session.execute("DELETE FROM public.time")
    assert spring.snapshot(load_ids=False) != made
    assert set(spring.load(MARCH, APRIL, tables=derived).tables) == derived
    assert spring.snapshot(load_ids=False) == made


def test_a_load_leaves_no_file_whether_it_is_published_or_not(spring: World, temporary: Path) -> None:
    spring.load(MARCH)
    assert list(temporary.iterdir()) == []
    spring.put("2021/04/b.csv", ["not a row"] * 90)
    with pytest.raises(CheckFailedError):
        spring.load(APRIL)
    assert list(temporary.iterdir()) == []


def test_what_a_killed_load_left_is_removed_by_the_next_one(spring: World, temporary: Path) -> None:
    with loading_elsewhere(
        spring.bucket_url, spring.warehouse_url, [MARCH, MARCH], "die", "checked"
    ) as other:
        assert other.end() == -9
    [left] = temporary.iterdir()
    assert (left / "workbench.duckdb").exists()
    long_ago(left)
    spring.load(MARCH)
    assert list(temporary.iterdir()) == []


def test_what_another_load_works_on_is_not_removed(spring: World, temporary: Path) -> None:
    other = temporary / "scx-other"
    other.mkdir()
    with (other / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        long_ago(other)
        spring.load(MARCH)
        assert list(temporary.iterdir()) == [other]


def test_no_room_for_it_is_told_with_the_folder_and_its_setting(spring: World, temporary: Path) -> None:
    spring.load(MARCH)
    before = spring.snapshot()
    with files_of_at_most(10_000), pytest.raises(WarehouseError) as told:
        spring.load(MARCH, APRIL)
    assert f"{temporary} (TMPDIR)" in str(told.value)
    assert "nothing was changed" in str(told.value)
    assert spring.snapshot() == before
    assert list(temporary.iterdir()) == []


def long_ago(folder: Path) -> None:
    """Make the folder look as if nothing happened in it for an hour."""
    os.utime(folder, (time.time() - 3600, time.time() - 3600))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file of this process may grow beyond the size in bytes, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_load_that_is_broken_off_does_not_wait_for_the_server(pg: World) -> None:
    outcome: list[BaseException] = []

    def sleep() -> None:
        try:
            session.execute("SELECT pg_sleep(600)")
        except psycopg2.Error as error:
            outcome.append(error)
            raise

    with pytest.raises(KeyboardInterrupt), pg.warehouse.transaction("scx") as session:
        assert isinstance(session, PostgresSession)
        session.jobs.add(sleep)
        until_it_sleeps(pg)
        raise KeyboardInterrupt
    assert [type(error) for error in outcome] == [psycopg2.errors.QueryCanceled]


def test_what_fails_behind_is_told_by_the_next_statement_and_nothing_more_is_done(pg: World) -> None:
    done: list[str] = []
    with (
        pytest.raises(WarehouseError, match='relation "missing" does not exist'),
        pg.warehouse.transaction("scx") as session,
    ):
        assert isinstance(session, PostgresSession)
        session.execute("CREATE TABLE public.made (n int)")
        session.jobs.add(lambda: done.append(str(session.execute("SELECT 1"))))
        session.jobs.add(lambda: done.append(str(session.execute("SELECT * FROM missing"))))
        session.jobs.add(lambda: done.append("after it"))
        session.execute("SELECT 1")
    assert done == ["1"]
    with closing(psycopg2.connect(pg.warehouse_url)) as con, con.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.made')")
        assert cursor.fetchone() == (None,)


def test_a_long_wait_for_the_server_is_told(pg: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scx_pipeline.warehouse.postgres.binary_copy.PATIENCE", 0.01)
    with pg.warehouse.transaction("scx") as session:
        assert isinstance(session, PostgresSession)
        session.execute("CREATE TEMPORARY TABLE numbers (n bigint)")
        with duckdb.connect() as con:
            rows = con.sql("SELECT unnest(range(1000)) AS n").to_arrow_reader(100)
            session.jobs.copy("numbers", "n", session.jobs.encode(rows))
            session.jobs.add(lambda: session.execute("SELECT pg_sleep(0.2)") and None)
            assert session.rows("SELECT count(*) FROM numbers") == [(1000,)]
    assert set(pg.told) == {"waiting for the server: numbers, 1,000 rows sent"}


def until_it_sleeps(world: World) -> None:
    """Wait until some statement of the server sleeps."""
    with closing(psycopg2.connect(world.warehouse_url)) as con, con.cursor() as cursor:
        con.autocommit = True
        for _ in range(2000):
            cursor.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            if cursor.fetchone():
                return
            time.sleep(0.01)
    raise AssertionError("it does not sleep")
