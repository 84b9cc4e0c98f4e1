"""The scratch database of a PostgreSQL load: the same rows as by PostgreSQL's own SQL, and no files left."""

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
from scx_pipeline.warehouse.postgres.postgres_session import PostgresSession
from scx_pipeline_tests.support.load_env import APRIL, MARCH, LoadEnv, job
from scx_pipeline_tests.support.processes.load_process import start_load

pytestmark = pytest.mark.postgres


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide an empty folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def spring(postgres_env: LoadEnv) -> LoadEnv:
    """Provide two months: names that collations order differently, duplicate jobs, empty values, equal event times."""
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
        duplicates = [
            row | {"updated_at": f"{month}-28 11:00:00", "ground_profile": "forest"} for row in rows[:3]
        ]
        postgres_env.put(f"2021/0{number}/a.csv", [*rows, *duplicates])
    return postgres_env


def test_the_scratch_database_produces_the_same_rows_as_the_servers_sql(spring: LoadEnv) -> None:
    """A load of derived tables only has no scratch database: the server builds them from the existing staging rows."""
    assert spring.load(MARCH, APRIL).deduplicated == 6
    by_scratch = spring.snapshot(load_ids=False)
    derived = {table.name for table in spring.compiled.star.derived_tables}
    with spring.warehouse.transaction("scx") as session:
        session.execute("UPDATE public.auto_classification_logs SET ground_profile = 'wrong'")
        session.execute("UPDATE public.users SET plan_id = -1")
        session.execute("DELETE FROM public.time")
    assert spring.snapshot(load_ids=False) != by_scratch
    assert set(spring.load(MARCH, APRIL, tables=derived).tables) == derived
    assert spring.snapshot(load_ids=False) == by_scratch


def test_a_load_leaves_no_file_whether_it_succeeds_or_fails(spring: LoadEnv, temporary: Path) -> None:
    spring.load(MARCH)
    assert list(temporary.iterdir()) == []
    spring.put("2021/04/b.csv", ["not a row"] * 90)
    with pytest.raises(CheckFailedError):
        spring.load(APRIL)
    assert list(temporary.iterdir()) == []


def test_the_files_of_a_killed_load_are_removed_by_the_next_one(spring: LoadEnv, temporary: Path) -> None:
    with start_load(spring.bucket_url, spring.warehouse_url, [MARCH, MARCH], "die", "checked") as other:
        assert other.end() == -9
    [left] = temporary.iterdir()
    assert (left / "scratch.duckdb").exists()
    set_old_times(left)
    spring.load(MARCH)
    assert list(temporary.iterdir()) == []


def test_the_files_of_a_running_load_are_not_removed(spring: LoadEnv, temporary: Path) -> None:
    other = temporary / "scx-other"
    other.mkdir()
    with (other / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        set_old_times(other)
        spring.load(MARCH)
        assert list(temporary.iterdir()) == [other]


def test_a_full_temporary_folder_is_reported_with_its_setting(spring: LoadEnv, temporary: Path) -> None:
    spring.load(MARCH)
    before = spring.snapshot()
    with files_of_at_most(10_000), pytest.raises(WarehouseError) as caught:
        spring.load(MARCH, APRIL)
    assert f"{temporary} (TMPDIR)" in str(caught.value)
    assert "nothing was changed" in str(caught.value)
    assert spring.snapshot() == before
    assert list(temporary.iterdir()) == []


def set_old_times(folder: Path) -> None:
    """Set the times of the folder and its files to an hour ago."""
    os.utime(folder, (time.time() - 3600, time.time() - 3600))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Limit the files of this process to a size in bytes, like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_failed_load_does_not_wait_for_the_server(postgres_env: LoadEnv) -> None:
    outcome: list[BaseException] = []

    def sleep() -> None:
        try:
            session.execute("SELECT pg_sleep(600)")
        except psycopg2.Error as error:
            outcome.append(error)
            raise

    with pytest.raises(KeyboardInterrupt), postgres_env.warehouse.transaction("scx") as session:
        assert isinstance(session, PostgresSession)
        session.jobs.add(sleep)
        wait_until_asleep(postgres_env)
        raise KeyboardInterrupt
    assert [type(error) for error in outcome] == [psycopg2.errors.QueryCanceled]


def test_an_error_in_a_background_job_fails_the_next_statement(postgres_env: LoadEnv) -> None:
    done: list[str] = []
    with (
        pytest.raises(WarehouseError, match='relation "missing" does not exist'),
        postgres_env.warehouse.transaction("scx") as session,
    ):
        assert isinstance(session, PostgresSession)
        session.execute("CREATE TABLE public.created (n int)")
        session.jobs.add(lambda: done.append(str(session.execute("SELECT 1"))))
        session.jobs.add(lambda: done.append(str(session.execute("SELECT * FROM missing"))))
        session.jobs.add(lambda: done.append("after it"))
        session.execute("SELECT 1")
    assert done == ["1"]
    with closing(psycopg2.connect(postgres_env.warehouse_url)) as con, con.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.created')")
        assert cursor.fetchone() == (None,)


def test_a_long_wait_for_the_server_is_reported(
    postgres_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scx_pipeline.warehouse.postgres.binary_copy.PROGRESS_MESSAGE_SECONDS", 0.01)
    with postgres_env.warehouse.transaction("scx") as session:
        assert isinstance(session, PostgresSession)
        session.execute("CREATE TEMPORARY TABLE numbers (n bigint)")
        with duckdb.connect() as con:
            rows = con.sql("SELECT unnest(range(1000)) AS n").to_arrow_reader(100)
            session.jobs.copy("numbers", "n", session.jobs.encode(rows))
            session.jobs.add(lambda: session.execute("SELECT pg_sleep(0.2)") and None)
            assert session.rows("SELECT count(*) FROM numbers") == [(1000,)]
    assert set(postgres_env.messages) == {"waiting for the server: numbers, 1,000 rows sent"}


def wait_until_asleep(load_env: LoadEnv) -> None:
    """Wait until a statement of the server sleeps."""
    with closing(psycopg2.connect(load_env.warehouse_url)) as con, con.cursor() as cursor:
        con.autocommit = True
        for _ in range(2000):
            cursor.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            if cursor.fetchone():
                return
            time.sleep(0.01)
    raise AssertionError("it does not sleep")
