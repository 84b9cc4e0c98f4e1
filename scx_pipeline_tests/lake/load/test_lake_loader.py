"""Loads from the lake leave a warehouse as loads from the objects do.

Building and verifying a lake, and loads that fail, are not tested here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.lake.build.unload import Unloader
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline_tests.lake.load.opened_states import (
    DUCKDB_S3,
    POSTGRES,
    REDSHIFT,
    REDSHIFT_S3,
    Where,
    open_state,
)
from scx_pipeline_tests.support.lake.lake_loads import (
    STARS,
    BucketState,
    LakeLoadEnv,
    open_lake_load_env,
    read_all_tables,
    without_history,
)
from scx_pipeline_tests.support.load_env import APRIL, MARCH, LoadEnv, job, jobs_of, range_of_keys

ONE_OF_EACH = [pytest.param("duckdb"), POSTGRES, REDSHIFT_S3]
WAREHOUSES_BY_STAR = {
    "scx": ONE_OF_EACH,
    "songplays": [*ONE_OF_EACH, DUCKDB_S3, REDSHIFT],
    "sensor_readings": [*ONE_OF_EACH, DUCKDB_S3, REDSHIFT],
    "traffic": [*ONE_OF_EACH],
}


def assert_loaded(loads: LakeLoadEnv, state: BucketState) -> None:
    found = read_all_tables(loads.load_env)
    for name, rows in without_history(state.tables).items():
        assert found.get(name) == rows, name
    assert without_history(found).keys() == without_history(state.tables).keys()
    assert (loads.due(), loads.due_raw()) == ([], [])


@pytest.mark.parametrize(
    ("star", "where"),
    [
        pytest.param(star, *warehouse.values, marks=warehouse.marks)
        for star, warehouses in WAREHOUSES_BY_STAR.items()
        for warehouse in warehouses
    ],
    indirect=["where"],
)
def test_a_load_from_the_lake_equals_one_from_the_objects(
    star: str, where: Where, states: Callable[[str], list[BucketState]]
) -> None:
    first, second = states(star)
    before, after = open_state(star, first, where), open_state(star, second, where)
    assert before.load() == first.loads
    assert_loaded(before, first)
    assert read_all_tables(before.load_env) == first.tables
    assert after.load() == second.loads != []
    assert_loaded(after, second)
    assert read_all_tables(after.load_env) == second.tables


@pytest.mark.parametrize("where", [POSTGRES], indirect=True)
@pytest.mark.parametrize("star", STARS)
def test_loads_from_the_lake_and_from_the_objects_can_alternate(
    star: str, where: Where, states: Callable[[str], list[BucketState]]
) -> None:
    first, second = states(star)
    before, after = open_state(star, first, where), open_state(star, second, where)
    before.load_raw()
    assert before.due() == []
    after.load()
    before.load_raw()  # an older state
    assert after.load() != []
    assert without_history(read_all_tables(after.load_env)) == without_history(second.tables)
    assert after.due_raw() == []


def test_a_lake_that_was_unloaded_or_built_month_by_month_can_be_loaded(
    loads: LakeLoadEnv, tmp_path: Path
) -> None:
    """The counts of an object that two loads have read are those of the later load."""
    for month in ("2021-04", "2021-03", "2021-06", "2021-05"):
        loads.builder().load(range_of_keys(month))
    loads.load()
    reference = LoadEnv(loads.load_env.bucket_url, f"duckdb://{tmp_path}/raw.duckdb")
    LakeLoadEnv(reference, "").load_raw()
    wanted = without_history(read_all_tables(reference))
    assert without_history(read_all_tables(loads.load_env)) == wanted
    unloaded = (tmp_path / "unloaded").as_uri()
    Unloader(reference.compiled, reference.warehouse).run(unloaded)
    other = LakeLoadEnv(replace(loads.load_env, warehouse_url=f"duckdb://{tmp_path}/other.duckdb"), unloaded)
    other.load()
    assert read_all_tables(other.load_env) == read_all_tables(reference)


def test_a_single_month_can_be_loaded(loads: LakeLoadEnv) -> None:
    """An object that also has rows of other months is recorded, but those months are not."""
    report = loads.load_month(APRIL)
    assert (report.objects, report.rejected) == (1, 1)
    assert sorted(jobs_of(loads.load_env))[:3] == [4, 200, 201]
    assert [str(month) for (month,) in loads.load_env.rows("SELECT month FROM scx_pipeline.months")] == [
        APRIL
    ]
    assert loads.due() == [range_of_keys("2021-02", MARCH), range_of_keys("2021-05", "2021-06")]


def test_objects_of_months_that_differ_from_the_lake_stay_recorded(loads: LakeLoadEnv) -> None:
    """The lake knows of deleted objects only for months that the warehouse has in the same version."""
    loads.load()
    rows = [job(600 + number, f"2021-06-{number + 1:02d} 10:00:00") for number in range(25)]
    key = loads.load_env.put("2021/06/new.csv", [*rows, job(67, "2021-06-07", user_id="x")])
    loads.load_raw()
    for month in (MARCH, "2021-05"):  # the file may hold rows of May
        loads.load_month(month)
        assert key in {key for (key,) in loads.load_env.state("objects", "object_key")}
    assert [row for row in loads.load_env.state("rejected_rows", "object_key") if row == (key,)]
    loads.load()
    assert key not in {key for (key,) in loads.load_env.state("objects", "object_key")}
    loads.load_raw()
    assert loads.due_raw() == []


def test_stale_months_of_the_lake_are_stale_in_the_warehouse(tmp_path: Path) -> None:
    env = open_lake_load_env("songplays", tmp_path)
    STARS["songplays"][1](env.load_env)
    env.build()
    env.load()
    STARS["songplays"][2](env.load_env)
    env.builder().refresh()
    env.loader().refresh()
    stale = {month: reason for month, (reason, _) in env.manifest.stale.items()}
    assert stale
    assert _stale(env.load_env) == stale
    month = min(stale)
    env.load_month(str(month))  # it is stale in the lake, too
    assert _stale(env.load_env) == stale
    env.builder().load(MonthRange(month, month))
    assert env.plan().months == [month]
    env.load_month(str(month))
    assert month not in _stale(env.load_env)


def _stale(load_env: LoadEnv) -> dict[Month, str]:
    return {Month.parse(month): reason for month, reason in load_env.state("stale_months", "month, reason")}
