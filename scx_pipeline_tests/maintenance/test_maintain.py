"""`scx maintain`: expired rows are deleted, all or none, and the published tables still equal a build from scratch."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scx_pipeline.errors import LakeError, PipelineError, WarehouseError
from scx_pipeline.lake.build.unload import Unloader
from scx_pipeline.maintenance.maintain import maintain, preview_maintenance
from scx_pipeline.maintenance.retention import RetentionPolicy, purgeable_tables
from scx_pipeline.warehouse.warehouse import Warehouse
from scx_pipeline_tests.maintenance.months_to_maintain import FEBRUARY, put, run_maintenance
from scx_pipeline_tests.support.broken_statements import InterruptedLoad, failing_statement
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    LIMITS,
    MARCH,
    MAY,
    STAGING,
    LoadEnv,
    edited_star,
    jobs_of,
    range_of_keys,
    scx_star,
)
from scx_pipeline_tests.support.music_env import music_star
from scx_pipeline_tests.support.sensor_env import create_sensor_env, readings, sensor_star

pytestmark = pytest.mark.reader_independent
NEWEST = RetentionPolicy(staging_months=1)
LATER = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=100)
PUBLISHED = (FACTS, "users", "projects", "time")


def months_of_staging(load_env: LoadEnv) -> list[int]:
    return sorted({created.month for (created,) in load_env.table(STAGING, "created_at")})


def published(load_env: LoadEnv) -> dict[str, list[tuple[object, ...]]]:
    return {name: load_env.table(name) for name in PUBLISHED}


# ------------------------------------------------------------------ staging


def test_only_staging_rows_of_expired_months_are_deleted(spring: LoadEnv) -> None:
    before, objects = published(spring), spring.state("objects")
    result = run_maintenance(spring, NEWEST)
    assert result.expired.staging == {STAGING: range_of_keys(FEBRUARY, APRIL).months}
    assert months_of_staging(spring) == [5]
    assert published(spring) == before
    assert spring.state("objects") == objects
    assert spring.changed() == []
    assert not run_maintenance(spring, NEWEST).expired


def test_reloading_a_purged_month_restores_its_staging_rows_until_the_next_maintenance(
    spring: LoadEnv,
) -> None:
    run_maintenance(spring, NEWEST)
    put(spring, MARCH, 7, 8)
    assert spring.changed() == [FEBRUARY, MARCH], "the file may have rows of the month before"
    spring.load_changed()
    assert months_of_staging(spring) == [3, 5]
    assert run_maintenance(spring, NEWEST).expired.staging == {STAGING: range_of_keys(FEBRUARY, MARCH).months}
    assert jobs_of(spring) == [307, 308, 401, 402, 403, 501]


def test_tables_cannot_be_built_from_purged_staging_rows(duckdb_spring: LoadEnv) -> None:
    run_maintenance(duckdb_spring, NEWEST)
    before = duckdb_spring.snapshot()
    message = r"the staging rows of 2021-03 of scx have been purged \(SCX_KEEP_STAGING_MONTHS\), so users cannot be built"
    with pytest.raises(PipelineError, match=message):
        duckdb_spring.load(MARCH, MAY, {"users"})
    assert duckdb_spring.snapshot() == before
    assert set(duckdb_spring.load(MAY, MAY, {"users"}).tables) == {"users"}


def test_changed_columns_are_rebuilt_from_the_objects(duckdb_spring: LoadEnv, tmp_path: Path) -> None:
    run_maintenance(duckdb_spring, NEWEST)
    duckdb_spring.compiled = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    duckdb_spring.load("2020-01", MAY)
    assert months_of_staging(duckdb_spring) == [3, 4, 5]


def test_only_staging_tables_that_nothing_depends_on_are_purgeable() -> None:
    assert [table.name for table in purgeable_tables(scx_star())] == [STAGING]
    assert purgeable_tables(sensor_star()) == []
    assert purgeable_tables(music_star()) == []


def test_an_unload_names_the_purged_months(duckdb_spring: LoadEnv, tmp_path: Path) -> None:
    duckdb_env = duckdb_spring
    run_maintenance(duckdb_env, NEWEST)
    lake = (tmp_path / "lake").as_uri()
    with pytest.raises(LakeError) as caught:
        Unloader(duckdb_env.compiled, duckdb_env.warehouse).run(lake)
    assert str(caught.value) == (
        "2021-02…2021-04 of scx cannot be unloaded because their staging rows were purged (SCX_KEEP_STAGING_MONTHS): "
        "run `scx load scx --from 2021-02 --to 2021-04` to load them again, or unload the other months: --from 2021-05 --to 2021-05"
    )
    assert (
        Unloader(duckdb_env.compiled, duckdb_env.warehouse, range_of_keys(MAY)).run(lake).tables[0].rows == 1
    )


@pytest.mark.postgres
def test_partitions_of_purged_months_are_dropped(postgres_url: str, tmp_path: Path) -> None:
    """Purging would do this to a staging table without a key if facts were built from it."""
    sensors = create_sensor_env(tmp_path, postgres_url)
    for month in ("2023-01", "2023-02"):
        sensors.put_minute(f"{month}-01 00:00", readings(f"{month}-01 00:00"))
    sensors.loader().load(range_of_keys("2023-01", "2023-02"))
    with sensors.warehouse.transaction("sensor_readings") as session:
        session.begin()
        session.tables.clear_partition("dwh", sensor_star().star.tables[0], range_of_keys("2023-01"))
    assert [table for table in sensors.tables() if table.startswith("dwh.")] == [
        "dwh.data_sample",
        "dwh.data_sample_2023_02",
        *(
            f"dwh.{table.name}"
            for table in sorted(sensor_star().star.derived_tables, key=lambda item: item.name)
        ),
    ]
    assert len(sensors.readings()) == 2


# ------------------------------------------------------------------ rejected rows and the history


def test_expired_rejected_rows_are_deleted_and_stay_counted(spring: LoadEnv) -> None:
    assert (
        run_maintenance(
            spring, RetentionPolicy(rejected_days=100), LATER - timedelta(days=1)
        ).expired.rejected
        == 0
    )
    assert run_maintenance(spring, RetentionPolicy(rejected_days=99), LATER).expired.rejected == 2
    assert spring.state("rejected_rows") == []
    assert sum(count for (count,) in spring.state("objects", "rows_rejected")) == 2
    spring.load(MARCH)
    assert len(spring.state("rejected_rows")) == 2, "they were rejected again"


def test_superseded_loads_are_deleted_with_their_check_results(spring: LoadEnv) -> None:
    put(spring, MARCH, 1)
    spring.load(MARCH)
    put(spring, MARCH, 2)
    last = spring.load(MARCH)
    assert run_maintenance(spring, RetentionPolicy(loads_days=99), LATER).expired.loads == 1
    assert len(spring.state("loads")) == 2
    checked = {load for (load,) in spring.state("check_results", "load_id")}
    assert len(checked) == 2
    assert last.load_id in checked


# ------------------------------------------------------------------ all or nothing, and one at a time


def test_interrupted_maintenance_deletes_nothing(spring: LoadEnv) -> None:
    policy = RetentionPolicy(staging_months=1, rejected_days=1, loads_days=1)
    before, statements = spring.snapshot(), 0
    while True:
        with failing_statement((statements, False)) as broken, suppress(InterruptedLoad):
            maintain(spring.compiled, spring.warehouse, policy, now=LATER)
        if spring.snapshot() != before:
            break
        assert broken
        statements += 3
    assert statements > 8
    assert months_of_staging(spring) == [5]
    assert spring.state("rejected_rows") == []


def test_a_dry_run_changes_nothing_and_reports_what_it_would_do(spring: LoadEnv) -> None:
    before = spring.snapshot()
    message = preview_maintenance(spring.compiled, spring.warehouse, RetentionPolicy(2, 1, 1), LATER)
    assert message.expired.describe() == ["rows of staging_cleansed_logs: 2021-02…2021-03", "2 rejected rows"]
    assert message.statements
    assert message.after is None
    assert spring.snapshot() == before


def test_maintenance_waits_for_a_load_until_the_lock_timeout(spring: LoadEnv) -> None:
    spring.limits = replace(LIMITS, lock_timeout=0.2)
    with (
        LockHolder(spring.warehouse),
        pytest.raises(WarehouseError, match="is being (loaded|written) by|is in use by"),
    ):
        run_maintenance(spring, NEWEST)
    assert months_of_staging(spring) == [3, 4, 5]


class LockHolder:
    """Holds the star's lock in another thread for the duration of a block."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse, self.taken, self.done = warehouse, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with self.warehouse.transaction("scx"):
            self.taken.set()
            self.done.wait(20)

    def __enter__(self) -> None:
        self.thread.start()
        assert self.taken.wait(20)

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()


def test_an_empty_warehouse_needs_nothing(load_env: LoadEnv) -> None:
    assert run_maintenance(load_env, NEWEST).found is None


# ------------------------------------------------------------------ what the engines find


# ------------------------------------------------------------------ the promise


def test_loads_and_maintenance_in_any_order_equal_a_build_from_scratch(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    rng = random.Random(load_env.warehouse.capabilities.name)  # a different history on each engine
    months = (MARCH, APRIL, MAY)
    for month in months:
        put(load_env, month, *rng.sample(range(1, 50), 3))
    for _ in range(9):
        action, month = rng.choice(("put", "load", "load", "maintain")), rng.choice(months)
        if action == "put":
            put(load_env, month, *rng.sample(range(1, 50), rng.randrange(4)))
        elif action == "load":
            load_env.load(month, rng.choice([other for other in months if other >= month]))
        else:
            run_maintenance(load_env, RetentionPolicy(rng.choice((1, 2)), 1, 1), LATER)
    load_env.load_changed()
    run_maintenance(load_env, NEWEST, LATER)
    assert load_env.changed() == []
    built = LoadEnv(load_env.bucket_url, f"duckdb://{tmp_path}/built.duckdb")
    built.load_changed()
    assert published(load_env) == published(built)
