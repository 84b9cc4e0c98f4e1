"""Concurrent loads into PostgreSQL, and transactions that are retried."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.errors import WarehouseBusyError, WarehouseError
from scx_pipeline.warehouse.postgres import postgres_warehouse as engine
from scx_pipeline.warehouse.session import Session
from scx_pipeline_tests.loading.test_concurrency import stopped_elsewhere
from scx_pipeline_tests.support.load_env import (
    APRIL,
    LIMITS,
    MARCH,
    MAY,
    LoadEnv,
    create_load_env,
    job,
    jobs_of,
    range_of_keys,
)
from scx_pipeline_tests.support.music_env import MusicEnv, event
from scx_pipeline_tests.support.servers.postgres import PostgresServer
from scx_pipeline_tests.warehouse.postgres.spring_loads import alter_settings, raise_sqlstate


@pytest.mark.reader_independent
@pytest.mark.parametrize("isolation", ["serializable", "repeatable read"])
def test_a_load_that_waited_sees_what_was_published_in_the_meantime_at_any_isolation(
    isolation: str, spring: LoadEnv, postgres: PostgresServer, tmp_path: Path
) -> None:
    settings = {"default_transaction_isolation": isolation}
    with alter_settings(postgres, "DATABASE dev", settings), ThreadPoolExecutor(4) as pool:
        list(pool.map(spring.load, [MARCH, APRIL, MAY, MARCH]))
    duckdb_env = LoadEnv(spring.bucket_url, f"duckdb://{tmp_path}/dev.duckdb")
    duckdb_env.load(MARCH, MAY)
    assert spring.snapshot(load_ids=False) == duckdb_env.snapshot(load_ids=False)


def test_first_loads_of_two_stars_into_an_empty_database_do_not_conflict(
    spring: LoadEnv, tmp_path: Path
) -> None:
    music_env = MusicEnv(create_load_env(tmp_path / "music").bucket_url, spring.warehouse_url)
    music_env.put_key("log_data/2018/11/2018-11-01-events.json", events("2018-11-01 10:00:00"))
    with stopped_elsewhere(spring, MARCH) as other:  # all its tables exist by now
        music_env.loader().load(range_of_keys("2018-11"))
        other.go_on()
        assert other.end() == 0
    assert len(music_env.table("songplays")) == 1
    assert jobs_of(spring) == [30, 31, 32, 33]
    assert len(spring.state("loads")) == 2


def events(*event_times: str) -> bytes:
    import json

    return "\n".join(json.dumps(event(1, n, event_time)) for n, event_time in enumerate(event_times)).encode()


def test_a_failed_first_load_leaves_the_warehouse_empty(spring: LoadEnv) -> None:
    spring.put("2021/03/b.csv", [job(30, "2021-03-06 10:00:00", user_id=None)])
    with pytest.raises(Exception, match="nothing was changed"):
        spring.load(MARCH)
    with spring.warehouse.open_if_loaded() as session:
        assert session is None
    spring.delete("2021/03/b.csv")
    spring.load(MARCH)
    assert jobs_of(spring) == [30, 31, 32, 33]


def test_the_holder_of_a_lock_is_found_among_locks_with_the_same_number(
    spring: LoadEnv, postgres: PostgresServer
) -> None:
    """Keys of two numbers, and keys in another database, are different locks."""
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


@pytest.mark.parametrize("state", ["40P01", "40001"])
def test_a_transaction_that_conflicts_with_another_is_retried(
    state: str, postgres_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.PostgresWarehouse, "first_retry_seconds", 0.01)
    attempts: list[Session] = []

    def work(session: Session) -> str:
        attempts.append(session)
        session.execute("CREATE TABLE public.created (n int)")
        if len(attempts) == 1:
            session.execute(raise_sqlstate(state))
        return "done"

    assert postgres_env.warehouse.run("scx", work) == "done"
    assert len(attempts) == 2
    assert "trying again" in postgres_env.messages[0]


def test_a_transaction_that_always_conflicts_fails_with_one_line(
    postgres_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.PostgresWarehouse, "first_retry_seconds", 0.01)
    attempts: list[Session] = []

    def work(session: Session) -> None:
        attempts.append(session)
        session.execute(raise_sqlstate("40P01", "deadlock detected"))

    with pytest.raises(WarehouseError, match="deadlock detected.*; nothing was changed$") as caught:
        postgres_env.warehouse.run("scx", work)
    assert len(attempts) == engine.PostgresWarehouse.max_attempts
    assert "\n" not in str(caught.value)


def test_a_deadlocked_load_is_retried_and_publishes(spring: LoadEnv, postgres: PostgresServer) -> None:
    """The other session holds a lock that the load needs, and then waits for one that the load holds."""
    spring.load(MARCH)
    before: Sequence[int] = jobs_of(spring)
    with postgres.superuser("dev") as run, ThreadPoolExecutor(1) as pool:
        run.execute("SET deadlock_timeout = '1h'")  # so that the load detects the deadlock
        run.execute("BEGIN")
        run.execute("LOCK TABLE scx_pipeline.loads")

        def lock_users() -> None:
            run.execute("LOCK TABLE public.users")
            run.execute("ROLLBACK")

        def go_on(message: str) -> None:
            if "checks in" in message and not waiting:
                waiting.append(pool.submit(lock_users))
                time.sleep(0.1)

        waiting: list[Future[None]] = []
        spring.loader(go_on).load(range_of_keys(APRIL))
        waiting[0].result()
    assert "deadlock detected" in spring.messages[0]
    assert len(jobs_of(spring)) == 2 * len(before)
