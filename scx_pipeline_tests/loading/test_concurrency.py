"""Concurrent loads and readers, in threads and in processes, and loads that are killed."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread

import pytest

from scx_pipeline.errors import WarehouseBusyError, WarehouseError
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    MAY,
    LoadEnv,
    create_load_env,
    job,
    jobs_of,
)
from scx_pipeline_tests.support.processes.load_process import LoadProcess, start_load

IMPATIENT = Limits(memory="400MB", threads=2, lock_timeout=0.2)


@contextmanager
def stopped_elsewhere(
    load_env: LoadEnv, first: str, last: str = "", point: str = "checked"
) -> Iterator[LoadProcess]:
    """Run a load in another process that pauses at the given point."""
    with start_load(
        load_env.bucket_url, load_env.warehouse_url, [first, last or first], "stop", point
    ) as other:
        other.wait_for("stopped")
        yield other


def resume_when(condition: Callable[[], bool], other: LoadProcess) -> Thread:
    """Let the other process continue as soon as the condition is true."""

    def watch() -> None:
        deadline = time.monotonic() + 20
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        other.go_on()

    thread = Thread(target=watch)
    thread.start()
    return thread


def rebuilt(load_env: LoadEnv) -> dict[str, object]:
    """Return the tables of a build from scratch."""
    with tempfile.TemporaryDirectory(prefix="scx-rebuilt-") as folder:
        other = LoadEnv(load_env.bucket_url, f"duckdb://{folder}/dev.duckdb")
        other.load(MARCH, MAY)
        return dict(other.snapshot(load_ids=False))


def holder(load_env: LoadEnv, other: LoadProcess) -> str:
    """Return how a message names the lock holder: DuckDB knows its process, PostgreSQL the server process."""
    if load_env.warehouse.capabilities.name == "duckdb":
        return rf"PID {other.process.pid}\b"
    return r"server process \d+"


# ------------------------------------------------------------------ two loads


@pytest.mark.reader_independent
def test_a_load_waits_for_a_load_of_another_process(spring: LoadEnv) -> None:
    with stopped_elsewhere(spring, MARCH, APRIL) as other:
        thread = resume_when(lambda: bool(spring.messages), other)
        spring.load(MAY)
        thread.join()
        assert other.end() == 0
    [message] = spring.messages
    assert re.match("waiting for .*" + holder(spring, other), message)
    assert spring.snapshot(load_ids=False) == rebuilt(spring)


@pytest.mark.reader_independent
def test_a_load_that_times_out_waiting_names_the_lock_holder(spring: LoadEnv) -> None:
    before = spring.snapshot()
    spring.limits = IMPATIENT
    with (
        stopped_elsewhere(spring, MAY) as other,
        pytest.raises(WarehouseError, match=holder(spring, other)) as caught,
    ):
        spring.load(MARCH)
    assert "waited 0.2 s (SCX_LOCK_TIMEOUT): wait for that run, or stop it" in str(caught.value)
    spring.limits = Limits()
    assert spring.snapshot() == before, "the other load was killed"


@pytest.mark.reader_independent
def test_concurrent_loads_of_the_same_month_create_no_duplicates(spring: LoadEnv) -> None:
    with stopped_elsewhere(spring, MARCH, MAY, "half way") as other:
        thread = resume_when(lambda: bool(spring.messages), other)
        spring.load(MARCH, MAY)
        thread.join()
        assert other.end() == 0
    assert len(spring.state("loads")) == 3
    assert jobs_of(spring) == [30, 31, 32, 40, 41, 42, 50, 51, 52]
    assert spring.snapshot(load_ids=False) == rebuilt(spring)


@pytest.mark.reader_independent
def test_a_load_that_waited_reads_the_current_state_of_the_bucket(spring: LoadEnv) -> None:
    with stopped_elsewhere(spring, MAY) as other:

        def is_waiting() -> bool:
            if spring.messages:
                spring.put("2021/05/b.csv", [job(99, "2021-05-06 10:00:00")])
            return bool(spring.messages)

        thread = resume_when(is_waiting, other)
        spring.load(MAY)
        thread.join()
    assert 99 in jobs_of(spring)
    assert MAY not in spring.changed()


@pytest.mark.reader_independent
def test_loads_in_threads_of_a_process_run_one_after_the_other(spring: LoadEnv) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(spring.load, [MARCH, APRIL, MAY, MAY]))
    assert len(spring.state("loads")) == 5
    assert spring.snapshot(load_ids=False) == rebuilt(spring)


@pytest.mark.reader_independent
def test_a_thread_stops_waiting_at_the_lock_timeout(spring: LoadEnv) -> None:
    spring.limits = IMPATIENT
    with spring.warehouse.transaction("scx"), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(spring.load, MAY)
        with pytest.raises(WarehouseBusyError, match="another run of this process|server process"):
            waiting.result(20)
    spring.limits = Limits()
    spring.load(MAY)
    assert 50 in jobs_of(spring)


# ------------------------------------------------------------------ readers


@pytest.mark.reader_independent
def test_readers_in_threads_see_the_rows_of_exactly_one_load(spring: LoadEnv) -> None:
    done: list[bool] = []

    def read() -> set[tuple[int, int]]:
        seen = set()
        while not done:
            with spring.open_loaded() as session:
                one = f"SELECT (SELECT count(*) FROM public.{FACTS}), (SELECT count(*) FROM public.staging_cleansed_logs)"
                seen.add(session.rows(one)[0])
        return seen

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for round in range(3):
                spring.put("2021/05/b.csv", [job(90 + n, "2021-05-06 10:00:00") for n in range(round)])
                spring.load(MARCH if round == 1 else MAY, MAY)
        finally:
            done.append(True)
        seen = set.union(*(reader.result() for reader in readers))
    assert seen <= {(6, 6), (9, 9), (10, 10), (11, 11)}


@pytest.mark.reader_independent
@pytest.mark.parametrize("last", [APRIL, MAY])
def test_a_long_reader_sees_its_snapshot_while_a_load_commits(last: str, postgres_env: LoadEnv) -> None:
    """The load replaces one of the published months, or all of them."""
    for number, month in ((3, MARCH), (4, APRIL), (5, MAY)):
        postgres_env.put(f"2021/0{number}/a.csv", [job(number, f"{month}-05 10:00:00", plan_id=number)])
    postgres_env.load(MARCH, MAY)
    with postgres_env.open_loaded() as session:
        query = "SELECT job_id, plan_id FROM public.auto_classification_logs JOIN public.users USING (user_id) ORDER BY 1"
        before = session.rows(query)
        postgres_env.put(
            "2021/03/a.csv", [job(33, "2021-03-05 10:00:00", plan_id=9, updated_at="2021-12-01 00:00:00")]
        )
        with stopped_elsewhere(postgres_env, MARCH, last) as other:
            assert postgres_env.table(FACTS, "job_id") == [(3,), (4,), (5,)], "new readers need not wait"
            other.go_on()
            assert other.end() == 0
        assert session.rows(query) == before == [(3, 5), (4, 5), (5, 5)]
    assert postgres_env.table("users", "plan_id") == [(9,)]
    assert sorted(jobs_of(postgres_env)) == [4, 5, 33]


@pytest.mark.reader_independent
def test_a_load_waits_for_a_reader_of_the_same_process(duckdb_env: LoadEnv) -> None:
    duckdb_env.put("2021/03/a.csv", [job(3, "2021-03-05 10:00:00")])
    duckdb_env.load(MARCH)
    with ThreadPoolExecutor(1) as pool:
        with duckdb_env.open_loaded():
            waiting = pool.submit(duckdb_env.load, MARCH)
            while not duckdb_env.messages:
                time.sleep(0.01)
        waiting.result(20)
    assert "another thread of this process" in duckdb_env.messages[0]


@pytest.mark.reader_independent
def test_readers_of_a_process_may_have_different_limits(duckdb_env: LoadEnv) -> None:
    duckdb_env.put("a.csv", [job(1, "2021-03-05 10:00:00")])
    duckdb_env.load(MARCH)
    frugal = create_load_env(duckdb_env.bucket_path.parent)
    frugal.limits = Limits(memory="100MB", threads=1)
    with duckdb_env.open_loaded() as first, frugal.open_loaded() as second:
        assert first.rows("SELECT count(*) FROM public.projects") == second.rows(
            "SELECT count(*) FROM public.projects"
        )


@pytest.mark.reader_independent
def test_overlapping_readers_do_not_block_a_load_of_the_same_process_forever(duckdb_env: LoadEnv) -> None:
    """Each reads until the next one does, so the file always has a reader unless one lets the load go first."""
    duckdb_env.put("2021/03/a.csv", [job(3, "2021-03-05 10:00:00")])
    duckdb_env.load(MARCH)
    done: list[bool] = []
    reading = [0]

    def read() -> None:
        while not done:
            with duckdb_env.open_loaded():
                mine = reading[0] = reading[0] + 1
                until = time.monotonic() + 0.5
                while not done and reading[0] == mine and time.monotonic() < until:
                    time.sleep(0.001)

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            while reading[0] < 4:
                time.sleep(0.01)
            duckdb_env.load(MARCH)
        finally:
            done.append(True)
        assert [reader.result() for reader in readers] == [None, None]


# ------------------------------------------------------------------ kill -9


# ------------------------------------------------------------------ cut connections and odd servers
