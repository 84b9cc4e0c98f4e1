"""Loads and readers side by side, in threads and in processes, and loads that are killed half way.
Loads that fail by themselves are in test_gate.py and test_bad_input.py."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread

import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    MAY,
    World,
    folder_world,
    job,
    jobs_of,
    range_of_keys,
)
from scx_pipeline_tests.support.load_process import MOMENTS, Other, loading_elsewhere
from scx_pipeline_tests.support.servers.postgres import PostgresServer

IMPATIENT = Limits(memory="400MB", threads=2, lock_timeout=0.2)


@pytest.fixture
def spring(world: World) -> World:
    """March to May in the bucket, and all of them loaded but for May."""
    for number, month in enumerate((MARCH, APRIL, MAY), 3):
        world.put(
            f"2021/0{number}/a.csv",
            [job(number * 10 + n, f"{month}-05 10:00:00", user_id=n + 1) for n in range(3)],
        )
    world.load(MARCH, APRIL)
    return world


@contextmanager
def stopped_elsewhere(world: World, first: str, last: str = "", moment: str = "checked") -> Iterator[Other]:
    """A load in another process that has come so far and waits."""
    with loading_elsewhere(
        world.bucket_url, world.warehouse_url, [first, last or first], "stop", moment
    ) as other:
        other.wait_for("stopped")
        yield other


def let_go_when(told: Callable[[], bool], other: Other) -> Thread:
    """Let the other process go on as soon as something was told."""

    def watch() -> None:
        deadline = time.monotonic() + 20
        while not told() and time.monotonic() < deadline:
            time.sleep(0.01)
        other.go_on()

    thread = Thread(target=watch)
    thread.start()
    return thread


def rebuilt(world: World) -> dict[str, object]:
    """What a build from nothing holds."""
    with tempfile.TemporaryDirectory(prefix="scx-rebuilt-") as folder:
        other = World(world.bucket_url, f"duckdb://{folder}/dev.duckdb")
        other.load(MARCH, MAY)
        return dict(other.snapshot(load_ids=False))


def holder(world: World, other: Other) -> str:
    """How a message names who has the lock: DuckDB knows the process, PostgreSQL the one of its server."""
    if world.warehouse.capabilities.name == "duckdb":
        return rf"PID {other.process.pid}\b"
    return r"server process \d+"


# ------------------------------------------------------------------ two loads


@pytest.mark.whoever_reads
def test_a_second_process_waits_and_then_loads(spring: World) -> None:
    with stopped_elsewhere(spring, MARCH, APRIL) as other:
        thread = let_go_when(lambda: bool(spring.told), other)
        spring.load(MAY)
        thread.join()
        assert other.end() == 0
    [told] = spring.told
    assert re.match("waiting for .*" + holder(spring, other), told)
    assert spring.snapshot(load_ids=False) == rebuilt(spring)


@pytest.mark.whoever_reads
def test_who_waits_too_long_is_told_the_holder(spring: World) -> None:
    before = spring.snapshot()
    spring.limits = IMPATIENT
    with (
        stopped_elsewhere(spring, MAY) as other,
        pytest.raises(WarehouseError, match=holder(spring, other)) as caught,
    ):
        spring.load(MARCH)
    assert "waited 0.2 s (SCX_LOCK_TIMEOUT): wait for that run, or stop it" in str(caught.value)
    spring.limits = Limits()
    assert spring.snapshot() == before, "the other was stopped for good"


@pytest.mark.whoever_reads
def test_the_same_month_twice_at_once_has_no_duplicates(spring: World) -> None:
    with stopped_elsewhere(spring, MARCH, MAY, "half way") as other:
        thread = let_go_when(lambda: bool(spring.told), other)
        spring.load(MARCH, MAY)
        thread.join()
        assert other.end() == 0
    assert len(spring.state("loads")) == 3
    assert jobs_of(spring) == [30, 31, 32, 40, 41, 42, 50, 51, 52]
    assert spring.snapshot(load_ids=False) == rebuilt(spring)


@pytest.mark.whoever_reads
def test_a_load_that_waited_takes_the_bucket_as_it_is_then(spring: World) -> None:
    with stopped_elsewhere(spring, MAY) as other:

        def told() -> bool:
            if spring.told:
                spring.put("2021/05/b.csv", [job(99, "2021-05-06 10:00:00")])
            return bool(spring.told)

        thread = let_go_when(told, other)
        spring.load(MAY)
        thread.join()
    assert 99 in jobs_of(spring)
    assert MAY not in spring.changed()


@pytest.mark.whoever_reads
def test_threads_of_a_process_load_one_after_the_other(spring: World) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(spring.load, [MARCH, APRIL, MAY, MAY]))
    assert len(spring.state("loads")) == 5
    assert spring.snapshot(load_ids=False) == rebuilt(spring)


@pytest.mark.whoever_reads
def test_a_thread_waits_no_longer_than_it_may(spring: World) -> None:
    spring.limits = IMPATIENT
    with spring.warehouse.transaction("scx"), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(spring.load, MAY)
        with pytest.raises(WarehouseError, match="another run of this process|server process"):
            waiting.result(20)
    spring.limits = Limits()
    spring.load(MAY)
    assert 50 in jobs_of(spring)


# ------------------------------------------------------------------ readers


@pytest.mark.whoever_reads
def test_readers_in_threads_see_one_load_or_the_other(spring: World) -> None:
    """And never part of one, nor an error."""
    done: list[bool] = []

    def read() -> set[tuple[int, int]]:
        seen = set()
        while not done:
            with spring.reading() as session:
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


@pytest.mark.whoever_reads
@pytest.mark.parametrize("last", [APRIL, MAY])
def test_a_long_reader_sees_its_snapshot_while_a_load_commits(last: str, pg: World) -> None:
    """Whether the load replaces one of the months that stand or all of them."""
    for number, month in ((3, MARCH), (4, APRIL), (5, MAY)):
        pg.put(f"2021/0{number}/a.csv", [job(number, f"{month}-05 10:00:00", plan_id=number)])
    pg.load(MARCH, MAY)
    with pg.reading() as session:
        query = "SELECT job_id, plan_id FROM public.auto_classification_logs JOIN public.users USING (user_id) ORDER BY 1"
        before = session.rows(query)
        pg.put("2021/03/a.csv", [job(33, "2021-03-05 10:00:00", plan_id=9, updated_at="2021-12-01 00:00:00")])
        with stopped_elsewhere(pg, MARCH, last) as other:
            assert pg.table(FACTS, "job_id") == [(3,), (4,), (5,)], "new readers need not wait"
            other.go_on()
            assert other.end() == 0
        assert session.rows(query) == before == [(3, 5), (4, 5), (5, 5)]
    assert pg.table("users", "plan_id") == [(9,)]
    assert sorted(jobs_of(pg)) == [4, 5, 33]


@pytest.mark.whoever_reads
def test_a_load_waits_for_a_reader_of_the_same_process(duck: World) -> None:
    duck.put("2021/03/a.csv", [job(3, "2021-03-05 10:00:00")])
    duck.load(MARCH)
    with ThreadPoolExecutor(1) as pool:
        with duck.reading():
            waiting = pool.submit(duck.load, MARCH)
            while not duck.told:
                time.sleep(0.01)
        waiting.result(20)
    assert "another thread of this process" in duck.told[0]


@pytest.mark.whoever_reads
def test_readers_of_a_process_may_have_different_limits(duck: World) -> None:
    duck.put("a.csv", [job(1, "2021-03-05 10:00:00")])
    duck.load(MARCH)
    frugal = folder_world(duck.bucket_path.parent)
    frugal.limits = Limits(memory="100MB", threads=1)
    with duck.reading() as first, frugal.reading() as second:
        assert first.rows("SELECT count(*) FROM public.projects") == second.rows(
            "SELECT count(*) FROM public.projects"
        )


@pytest.mark.whoever_reads
def test_readers_that_take_turns_do_not_keep_a_load_of_the_same_process_out(duck: World) -> None:
    """Each reads until the next one does, so that the file is never without a reader unless one lets the load go first."""
    duck.put("2021/03/a.csv", [job(3, "2021-03-05 10:00:00")])
    duck.load(MARCH)
    done: list[bool] = []
    reading = [0]

    def read() -> None:
        while not done:
            with duck.reading():
                mine = reading[0] = reading[0] + 1
                until = time.monotonic() + 0.5
                while not done and reading[0] == mine and time.monotonic() < until:
                    time.sleep(0.001)

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            while reading[0] < 4:
                time.sleep(0.01)
            duck.load(MARCH)
        finally:
            done.append(True)
        assert [reader.result() for reader in readers] == [None, None]


# ------------------------------------------------------------------ kill -9


@pytest.mark.whoever_reads
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_load_changes_nothing_and_the_next_one_converges(moment: str, spring: World) -> None:
    before, tables = spring.snapshot(), spring.tables()
    spring.put("2021/03/a.csv", [job(30, "2021-03-05 10:00:00", plan_id=7, updated_at="2021-12-01 00:00:00")])
    with loading_elsewhere(spring.bucket_url, spring.warehouse_url, [MARCH, MAY], "die", moment) as other:
        assert other.end() == -9
    assert spring.snapshot() == before
    spring.load(MAY)
    assert spring.tables() == tables, "the landing that was left is gone"
    spring.load(MARCH, APRIL)
    assert spring.snapshot(load_ids=False) == rebuilt(spring)


@pytest.mark.parametrize("moment", ["landed", "checked"])
def test_a_killed_first_load_leaves_nothing_that_counts(moment: str, world: World) -> None:
    for number, month in ((3, MARCH), (4, APRIL), (5, MAY)):
        world.put(f"2021/0{number}/a.csv", [job(number, f"{month}-05 10:00:00")])
    with loading_elsewhere(world.bucket_url, world.warehouse_url, [MARCH, MAY], "die", moment) as other:
        assert other.end() == -9
    assert world.snapshot() == {}
    assert world.changed() == ["2021-02", MARCH, APRIL, MAY]
    world.load(MARCH, MAY)
    assert world.snapshot(load_ids=False) == rebuilt(world)
    assert not [name for name in world.tables() if "landing" in name]


# ------------------------------------------------------------------ cut connections and odd servers


@pytest.mark.whoever_reads
@pytest.mark.parametrize("moment", [moment for moment in MOMENTS if moment != "commit"])
def test_a_connection_that_is_cut_changes_nothing(moment: str, pg: World, postgres: PostgresServer) -> None:
    pg.put("2021/03/a.csv", [job(30, "2021-03-05 10:00:00")])
    pg.load(MARCH)
    before = pg.snapshot()
    pg.put("2021/04/a.csv", [job(40, "2021-04-05 10:00:00")])

    def cut(message: str) -> None:
        if MOMENTS[moment] in message:
            with postgres.superuser() as run:
                run.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'dev'")

    with pytest.raises(WarehouseError, match="postgresql://127.0.0.1:.*; nothing was changed"):
        pg.loader(cut).load(range_of_keys(MARCH, APRIL))
    assert pg.snapshot() == before
    pg.load(MARCH, APRIL)
    assert jobs_of(pg) == [30, 40]


@pytest.mark.whoever_reads
def test_the_settings_of_a_server_do_not_matter(pg: World, duck: World, postgres: PostgresServer) -> None:
    settings = {
        "TimeZone": "Asia/Seoul",
        "DateStyle": "German, DMY",
        "search_path": "nowhere",
        "work_mem": "64kB",
    }
    with postgres.superuser() as run:
        for name, value in settings.items():
            run.execute(f"ALTER DATABASE dev SET {name} = '{value}'")
    duck.bucket_url = pg.bucket_url
    pg.put(
        "2021/03/a.csv", [job(n, f"2021-03-{n:02d}T23:30:00+09:00", user_id=n % 3 + 1) for n in range(1, 30)]
    )
    pg.put("2021/04/a.csv", [job(40, "2021-03-31 23:59:59.999999"), job(41, "2021-04-01 00:00:00Z")])
    for world in (pg, duck):
        world.load(MARCH, APRIL)
    assert pg.snapshot(load_ids=False) == duck.snapshot(load_ids=False)
