"""Loads that are killed or lose their connection change nothing, and the next load completes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from scx_pipeline.errors import CheckFailedError, WarehouseError
from scx_pipeline_tests.loading.test_concurrency import rebuilt
from scx_pipeline_tests.support.load_env import APRIL, MARCH, MAY, LoadEnv, job, jobs_of, range_of_keys
from scx_pipeline_tests.support.processes.load_process import HOLDING, PAUSE_POINTS, start_load
from scx_pipeline_tests.support.servers.postgres import PostgresServer


@pytest.mark.reader_independent
@pytest.mark.parametrize("point", PAUSE_POINTS)
def test_a_killed_load_changes_nothing_and_the_next_one_converges(point: str, spring: LoadEnv) -> None:
    before, tables = spring.snapshot(), spring.tables()
    spring.put("2021/03/a.csv", [job(30, "2021-03-05 10:00:00", plan_id=7, updated_at="2021-12-01 00:00:00")])
    with start_load(spring.bucket_url, spring.warehouse_url, [MARCH, MAY], "die", point) as other:
        assert other.end() == -9
    assert spring.snapshot() == before
    spring.load(MAY)
    assert spring.tables() == tables, "the leftover staging buffer is removed"
    spring.load(MARCH, APRIL)
    assert spring.snapshot(load_ids=False) == rebuilt(spring)


@pytest.mark.parametrize("point", ["read", "checked"])
def test_a_killed_first_load_leaves_no_visible_state(point: str, load_env: LoadEnv) -> None:
    for number, month in ((3, MARCH), (4, APRIL), (5, MAY)):
        load_env.put(f"2021/0{number}/a.csv", [job(number, f"{month}-05 10:00:00")])
    with start_load(load_env.bucket_url, load_env.warehouse_url, [MARCH, MAY], "die", point) as other:
        assert other.end() == -9
    assert load_env.snapshot() == {}
    assert load_env.changed() == ["2021-02", MARCH, APRIL, MAY]
    load_env.load(MARCH, MAY)
    assert load_env.snapshot(load_ids=False) == rebuilt(load_env)
    assert not [name for name in load_env.tables() if "__staging" in name]


@pytest.mark.reader_independent
@pytest.mark.parametrize(("point", "seconds"), [("listed", 1.0), (HOLDING, 0.5)])
def test_a_load_that_holds_a_month_and_is_killed_changes_nothing_or_publishes_the_others(
    point: str, seconds: float, spring: LoadEnv, tmp_path: Path
) -> None:
    twin = LoadEnv(spring.bucket_url, f"duckdb://{tmp_path}/twin.duckdb")
    twin.load(MARCH, APRIL)
    before = published_and_held(spring)
    assert before == published_and_held(twin)
    spring.put("2021/03/b.csv", [job(39, "2021-03-06 10:00:00", plan_id=2000)])
    spring.put("2021/04/b.csv", [job(49, "2021-04-06 10:00:00", user_id=9)])
    with pytest.raises(CheckFailedError, match="2 of 3 months were published"):
        twin.load(MARCH, MAY)
    after = published_and_held(twin)
    random = Random(seconds)
    for _ in range(3):
        kill_load(spring, [MARCH, MAY], point, random.uniform(0, seconds))
        assert published_and_held(spring) in (before, after)
    with pytest.raises(CheckFailedError, match="2 of 3 months were published"):
        spring.load(MARCH, MAY)
    assert published_and_held(spring) == after


@pytest.mark.reader_independent
@pytest.mark.parametrize(("point", "seconds"), [("listed", 0.6), ("commit", 0.05)])
def test_a_load_of_an_added_object_that_is_killed_changes_nothing_or_publishes_it(
    point: str, seconds: float, spring: LoadEnv, tmp_path: Path
) -> None:
    twin = LoadEnv(spring.bucket_url, f"duckdb://{tmp_path}/twin.duckdb")
    spring.put("2021/03/many.csv", [job(500 + number, "2021-03-10 10:00:00") for number in range(50)])
    for load_env in (twin, spring):
        load_env.load(MARCH, APRIL)
    random = Random(seconds)
    for number in range(3):
        before = published_and_held(spring)
        # Rows of both months, a user who is new or changes, and an event time that exists.
        added = [
            job(200 + number, "2021-03-31 23:50:00", user_id=9),
            job(300 + number, "2021-04-05 10:00:00"),
        ]
        spring.put(f"2021/04/added{number}.csv", added[: 1 + number % 2])
        assert twin.load(MARCH, APRIL).is_addition
        after = published_and_held(twin)
        kill_load(spring, [MARCH, APRIL], point, random.uniform(0, seconds))
        assert published_and_held(spring) in (before, after)
    spring.put("2021/03/last.csv", [job(400, "2021-03-20 10:00:00")])
    for load_env in (twin, spring):
        assert load_env.load(MARCH, APRIL).is_addition
    assert published_and_held(spring) == published_and_held(twin)
    spring.load(MAY)
    assert spring.snapshot(load_ids=False) == rebuilt(spring)


def kill_load(load_env: LoadEnv, months: Sequence[str], point: str, seconds: float) -> None:
    """Load in a process that is killed some seconds after it has reached a point."""
    with start_load(load_env.bucket_url, load_env.warehouse_url, months, "stop", point) as other:
        other.wait_for("stopped")
        other.go_on()
        time.sleep(seconds)
        other.process.kill()
        other.end()


def published_and_held(load_env: LoadEnv) -> tuple[object, object]:
    """Return the rows and the load history without load ids, and the held months."""
    return load_env.snapshot(load_ids=False), load_env.state("held_months", "month, fingerprint, reason")


@pytest.mark.reader_independent
@pytest.mark.parametrize("point", [point for point in PAUSE_POINTS if point != "commit"])
def test_a_lost_connection_changes_nothing(
    point: str, postgres_env: LoadEnv, postgres: PostgresServer
) -> None:
    postgres_env.put("2021/03/a.csv", [job(30, "2021-03-05 10:00:00")])
    postgres_env.load(MARCH)
    before = postgres_env.snapshot()
    postgres_env.put("2021/04/a.csv", [job(40, "2021-04-05 10:00:00")])

    def cut(message: str) -> None:
        if PAUSE_POINTS[point] in message:
            with postgres.superuser() as run:
                run.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'dev'")

    with pytest.raises(WarehouseError, match="postgresql://127.0.0.1:.*; nothing was changed"):
        postgres_env.loader(cut).load(range_of_keys(MARCH, APRIL))
    assert postgres_env.snapshot() == before
    postgres_env.load(MARCH, APRIL)
    assert jobs_of(postgres_env) == [30, 40]


@pytest.mark.reader_independent
def test_database_settings_do_not_change_loaded_rows(
    postgres_env: LoadEnv, duckdb_env: LoadEnv, postgres: PostgresServer
) -> None:
    settings = {
        "TimeZone": "Asia/Seoul",
        "DateStyle": "German, DMY",
        "search_path": "nowhere",
        "work_mem": "64kB",
    }
    with postgres.superuser() as run:
        for name, value in settings.items():
            run.execute(f"ALTER DATABASE dev SET {name} = '{value}'")
    duckdb_env.bucket_url = postgres_env.bucket_url
    postgres_env.put(
        "2021/03/a.csv", [job(n, f"2021-03-{n:02d}T23:30:00+09:00", user_id=n % 3 + 1) for n in range(1, 30)]
    )
    postgres_env.put(
        "2021/04/a.csv", [job(40, "2021-03-31 23:59:59.999999"), job(41, "2021-04-01 00:00:00Z")]
    )
    for load_env in (postgres_env, duckdb_env):
        load_env.load(MARCH, APRIL)
    assert postgres_env.snapshot(load_ids=False) == duckdb_env.snapshot(load_ids=False)
