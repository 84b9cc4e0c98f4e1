"""What a load does to tables: dimensions by their newest rows, some of the tables, a star whose columns changed.
Rows and months are in test_load.py, checks in test_gate.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.errors import PipelineError, WarehouseError
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    MAY,
    STAGING,
    World,
    edited_star,
    failed_load,
    job,
    scx_star,
)

pytestmark = pytest.mark.whoever_reads


def user(world: World) -> list[tuple[int, int]]:
    return [(user_id, plan) for user_id, plan in world.table("users", "user_id, plan_id")]


def by_month(world: World, **plans: int) -> None:
    """One job of user 1 in each month, with a plan of its own."""
    for number, (month, plan) in enumerate(plans.items(), 1):
        name = month.replace("m", "")
        world.put(f"2021/{name}/a.csv", [job(number, f"2021-{name}-05 10:00:00", user_id=1, plan_id=plan)])


@pytest.mark.parametrize("order", [(MARCH, APRIL, MAY), (MAY, APRIL, MARCH), (APRIL, MAY, MARCH)])
def test_a_dimension_has_its_newest_row_whatever_the_order_of_loads(
    order: tuple[str, ...], world: World
) -> None:
    by_month(world, m03=3, m04=4, m05=5)
    for month in order:
        world.load(month)
    assert user(world) == [(1, 5)]


def test_the_newest_row_is_the_last_updated_and_not_the_last_created(world: World) -> None:
    by_month(world, m04=4, m05=5)
    world.put(
        "2021/03/a.csv",
        [job(9, "2021-03-05 10:00:00", user_id=1, plan_id=3, updated_at="2021-06-01 00:00:00")],
    )
    world.load(MARCH, MAY)
    assert user(world) == [(1, 3)]


def test_an_older_row_comes_back_when_the_newest_disappears(world: World) -> None:
    by_month(world, m03=3, m04=4, m05=5)
    world.load(MARCH, MAY)
    world.put("2021/05/a.csv", [job(8, "2021-05-05 10:00:00", user_id=2, plan_id=8)])
    world.load(MAY)
    assert user(world) == [(1, 4), (2, 8)]
    world.delete("2021/04/a.csv")
    world.load(APRIL)
    assert user(world) == [(1, 3), (2, 8)]
    world.delete("2021/03/a.csv")
    world.load(MARCH)
    assert user(world) == [(2, 8)]


def test_a_reload_leaves_other_months_alone(world: World) -> None:
    by_month(world, m03=3, m04=4)
    world.load(MARCH, APRIL)
    before = world.snapshot(load_ids=False)
    by_month(world, m03=1)  # not loaded
    world.load(APRIL)
    assert world.snapshot(load_ids=False) == before


# ------------------------------------------------------------------ some of the tables


def test_some_tables_are_made_anew_from_the_staging_rows_that_stand(world: World, tmp_path: Path) -> None:
    by_month(world, m03=3, m04=4)
    world.load(MARCH, APRIL)
    by_month(world, m03=7, m04=8)
    changed = world.changed()
    world.compiled = edited_star(tmp_path, sql={"users": ("plan_id,", "plan_id * 10 AS plan_id,")})
    assert set(world.load(MARCH, APRIL, {"users"}).tables) == {"users"}
    assert user(world) == [(1, 40)]
    world.compiled = scx_star()
    assert world.changed() == changed, "a load of some tables reads no objects"


def test_a_staging_table_takes_all_that_is_made_from_it(duck: World) -> None:
    by_month(duck, m03=3)
    report = duck.load(MARCH, tables={STAGING})
    assert set(report.tables) == {table.name for table in duck.compiled.star.tables}
    assert MARCH not in duck.changed()


def test_some_tables_of_a_month_that_was_never_loaded_are_refused(world: World) -> None:
    by_month(world, m03=3)
    world.load(MARCH)
    before = world.snapshot()
    with pytest.raises(
        PipelineError, match="2021-04 of scx was never loaded, so users cannot be made from it"
    ):
        world.load(MARCH, APRIL, {"users"})
    assert world.snapshot() == before


def test_an_unknown_table_is_refused(duck: World) -> None:
    with pytest.raises(
        PipelineError, match="user is no table of scx, which has: staging_cleansed_logs, users"
    ):
        duck.load(MARCH, tables={"user"})


# ------------------------------------------------------------------ a star that changed


WIDER = {"users.plan_id": {"type": "bigint"}}


def test_changed_columns_need_a_load_of_all_months(world: World, tmp_path: Path) -> None:
    by_month(world, m03=3, m04=4)
    world.load(MARCH, APRIL)
    before = world.snapshot()
    world.compiled = edited_star(tmp_path, WIDER)
    told = "public.users differs from its declaration in its columns or its partitioning, so all of scx must be rebuilt in one load, but {} is not part"
    for months, tables, missing in (((MARCH, MARCH), None, APRIL), ((MARCH, APRIL), {"users"}, STAGING)):
        with pytest.raises(WarehouseError, match=told.format(missing) + " of this one: run `scx load scx`"):
            world.load(*months, tables)
        assert world.snapshot() == before
    world.load("2020-01", APRIL)
    assert user(world) == [(1, 4)]
    with world.reading() as session:
        assert dict(session.existing_columns("public", "users"))["plan_id"].lower() == "bigint"
    assert {name: rows for name, rows in world.snapshot(load_ids=False).items() if name == FACTS} == {
        FACTS: before[FACTS]
    }


def test_a_rebuild_that_fails_leaves_the_old_tables(world: World, tmp_path: Path) -> None:
    by_month(world, m03=3, m04=4)
    world.load(MARCH, APRIL)
    world.compiled = edited_star(tmp_path, WIDER)
    world.put("2021/04/a.csv", [job(1, "2021-04-05 10:00:00")])
    failed_load(world, MARCH, APRIL)
    with world.reading() as session:
        assert dict(session.existing_columns("public", "users"))["plan_id"].lower() == "integer"


def test_a_new_column_of_the_fact_is_filled_by_a_load_of_all_months(world: World, tmp_path: Path) -> None:
    by_month(world, m03=3, m04=4)
    world.load(MARCH, APRIL)
    world.compiled = edited_star(
        tmp_path,
        {f"{FACTS}.plan_id": {"type": "integer"}},
        {FACTS: ("upload_time\n", "upload_time,\n    plan_id\n")},
    )
    world.load(MARCH, APRIL)
    assert world.table(FACTS, "job_id, plan_id") == [(1, 3), (2, 4)]
