"""Loads of tables: dimensions from their latest rows, selected tables, and a star whose columns changed."""

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
    LoadEnv,
    edited_star,
    failed_load,
    job,
    scx_star,
)

pytestmark = pytest.mark.reader_independent


def user(load_env: LoadEnv) -> list[tuple[int, int]]:
    return [(user_id, plan) for user_id, plan in load_env.table("users", "user_id, plan_id")]


def by_month(load_env: LoadEnv, **plans: int) -> None:
    """Put one job of user 1 into each month, each with a different plan."""
    for number, (month, plan) in enumerate(plans.items(), 1):
        name = month.replace("m", "")
        load_env.put(f"2021/{name}/a.csv", [job(number, f"2021-{name}-05 10:00:00", user_id=1, plan_id=plan)])


@pytest.mark.parametrize("order", [(MARCH, APRIL, MAY), (MAY, APRIL, MARCH), (APRIL, MAY, MARCH)])
def test_a_dimension_has_the_latest_row_whatever_the_order_of_loads(
    order: tuple[str, ...], load_env: LoadEnv
) -> None:
    by_month(load_env, m03=3, m04=4, m05=5)
    for month in order:
        load_env.load(month)
    assert user(load_env) == [(1, 5)]


def test_the_latest_row_is_the_last_updated_and_not_the_last_created(load_env: LoadEnv) -> None:
    by_month(load_env, m04=4, m05=5)
    load_env.put(
        "2021/03/a.csv",
        [job(9, "2021-03-05 10:00:00", user_id=1, plan_id=3, updated_at="2021-06-01 00:00:00")],
    )
    load_env.load(MARCH, MAY)
    assert user(load_env) == [(1, 3)]


def test_an_older_row_is_restored_when_the_latest_is_deleted(load_env: LoadEnv) -> None:
    by_month(load_env, m03=3, m04=4, m05=5)
    load_env.load(MARCH, MAY)
    load_env.put("2021/05/a.csv", [job(8, "2021-05-05 10:00:00", user_id=2, plan_id=8)])
    load_env.load(MAY)
    assert user(load_env) == [(1, 4), (2, 8)]
    load_env.delete("2021/04/a.csv")
    load_env.load(APRIL)
    assert user(load_env) == [(1, 3), (2, 8)]
    load_env.delete("2021/03/a.csv")
    load_env.load(MARCH)
    assert user(load_env) == [(2, 8)]


def test_a_reload_does_not_change_other_months(load_env: LoadEnv) -> None:
    by_month(load_env, m03=3, m04=4)
    load_env.load(MARCH, APRIL)
    before = load_env.snapshot(load_ids=False)
    by_month(load_env, m03=1)  # not loaded
    load_env.load(APRIL)
    assert load_env.snapshot(load_ids=False) == before


# ------------------------------------------------------------------ some of the tables


def test_selected_tables_are_rebuilt_from_the_current_staging_rows(load_env: LoadEnv, tmp_path: Path) -> None:
    by_month(load_env, m03=3, m04=4)
    load_env.load(MARCH, APRIL)
    by_month(load_env, m03=7, m04=8)
    changed = load_env.changed()
    load_env.compiled = edited_star(tmp_path, sql={"users": ("plan_id,", "plan_id * 10 AS plan_id,")})
    assert set(load_env.load(MARCH, APRIL, {"users"}).tables) == {"users"}
    assert user(load_env) == [(1, 40)]
    load_env.compiled = scx_star()
    assert load_env.changed() == changed, "a load of some tables reads no objects"


def test_loading_a_staging_table_also_builds_all_dependent_tables(duckdb_env: LoadEnv) -> None:
    by_month(duckdb_env, m03=3)
    report = duckdb_env.load(MARCH, tables={STAGING})
    assert set(report.tables) == {table.name for table in duckdb_env.compiled.star.tables}
    assert MARCH not in duckdb_env.changed()


def test_building_selected_tables_of_a_month_that_was_never_loaded_is_refused(load_env: LoadEnv) -> None:
    by_month(load_env, m03=3)
    load_env.load(MARCH)
    before = load_env.snapshot()
    with pytest.raises(
        PipelineError, match="2021-04 of scx was never loaded, so users cannot be built from it"
    ):
        load_env.load(MARCH, APRIL, {"users"})
    assert load_env.snapshot() == before


def test_an_unknown_table_is_refused(duckdb_env: LoadEnv) -> None:
    with pytest.raises(
        PipelineError, match="user is not a table of scx, which has: staging_cleansed_logs, users"
    ):
        duckdb_env.load(MARCH, tables={"user"})


# ------------------------------------------------------------------ a star that changed


WIDER = {"users.plan_id": {"type": "bigint"}}


def test_changed_columns_require_a_load_of_all_months(load_env: LoadEnv, tmp_path: Path) -> None:
    by_month(load_env, m03=3, m04=4)
    load_env.load(MARCH, APRIL)
    before = load_env.snapshot()
    load_env.compiled = edited_star(tmp_path, WIDER)
    message = r"public.users does not match its declaration \(columns or partitioning\), so all of scx must be rebuilt in one load, but {} is not part"
    for months, tables, missing in (((MARCH, MARCH), None, APRIL), ((MARCH, APRIL), {"users"}, STAGING)):
        with pytest.raises(
            WarehouseError, match=message.format(missing) + " of this load: run `scx load scx`"
        ):
            load_env.load(*months, tables)
        assert load_env.snapshot() == before
    load_env.load("2020-01", APRIL)
    assert user(load_env) == [(1, 4)]
    with load_env.open_loaded() as session:
        assert dict(session.catalog.table_columns("public", "users"))["plan_id"].lower() == "bigint"
    assert {name: rows for name, rows in load_env.snapshot(load_ids=False).items() if name == FACTS} == {
        FACTS: before[FACTS]
    }


def test_a_failed_rebuild_keeps_the_old_tables(load_env: LoadEnv, tmp_path: Path) -> None:
    by_month(load_env, m03=3, m04=4)
    load_env.load(MARCH, APRIL)
    load_env.compiled = edited_star(tmp_path, WIDER)
    load_env.put("2021/04/a.csv", [job(1, "2021-04-05 10:00:00")])
    failed_load(load_env, MARCH, APRIL)
    with load_env.open_loaded() as session:
        assert dict(session.catalog.table_columns("public", "users"))["plan_id"].lower() == "integer"


def test_a_new_column_of_the_fact_is_filled_by_a_load_of_all_months(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    by_month(load_env, m03=3, m04=4)
    load_env.load(MARCH, APRIL)
    load_env.compiled = edited_star(
        tmp_path,
        {f"{FACTS}.plan_id": {"type": "integer"}},
        {FACTS: ("upload_time\n", "upload_time,\n    plan_id\n")},
    )
    load_env.load(MARCH, APRIL)
    assert load_env.table(FACTS, "job_id, plan_id") == [(1, 3), (2, 4)]
