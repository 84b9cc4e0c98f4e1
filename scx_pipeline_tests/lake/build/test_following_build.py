"""What is due in a lake that follows the warehouse, and in a warehouse that follows the lake, without Dagster.

When it is requested is not tested here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.build.builder import plan_following_build
from scx_pipeline.loading.changes import PendingChanges
from scx_pipeline.orchestration.automation.followers import published_states
from scx_pipeline.orchestration.automation.sensors import changed_states
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline_tests.support.lake.lake_loads import LakeLoadEnv, open_lake_load_env
from scx_pipeline_tests.support.load_env import MARCH, MAY, edited_star, failed_load, range_of_keys
from scx_pipeline_tests.support.year_of_jobs import REFUSED_VALUE, file_of, job_of, put_files

# Jobs of the last day of a month may be in the file of the next one, so these files are of four months.
FILES = {file_of(month): [job_of(month)] for month in (MARCH, "2021-06")}
WITH_FILES = ["2021-02", MARCH, MAY, "2021-06"]
ALL = ("2021-02", "2021-06")


@pytest.fixture
def loads(tmp_path: Path) -> LakeLoadEnv:
    """A bucket with files of March and June; an empty lake and an empty warehouse."""
    found = open_lake_load_env("scx", tmp_path)
    put_files(found.load_env, FILES)
    return found


def plan(loads: LakeLoadEnv) -> PendingChanges | None:
    env = loads.load_env
    return plan_following_build(env.compiled, env.bucket, loads.lake, env.warehouse)


def due(loads: LakeLoadEnv) -> list[str]:
    found = plan(loads)
    return [str(item.month) for item in found.changed] if found else []


def change_column(loads: LakeLoadEnv, folder: Path) -> None:
    loads.load_env.compiled = edited_star(folder, {"time.hour": {"type": "bigint"}})


def drop_table(loads: LakeLoadEnv) -> None:
    """Drop a table of the warehouse, after which all its months must be loaded at once."""
    with loads.load_env.warehouse.transaction("a user") as session:
        session.execute("DROP TABLE public.users")


def months(found: Sequence[object]) -> list[str]:
    return [str(month) for month in found]


def test_after_a_change_of_columns_all_months_of_the_lake_are_due_at_once(
    loads: LakeLoadEnv, tmp_path: Path
) -> None:
    loads.load_env.load(*ALL)
    loads.build()
    assert months(sorted(loads.manifest.months)) == WITH_FILES
    change_column(loads, tmp_path)
    assert due(loads) == [], "no load has published another version"
    loads.load_env.load(*ALL)
    found = plan(loads)
    assert found
    assert due(loads) == ["2021-02", MARCH, "2021-04", MAY, "2021-06"]
    assert len(set(changed_states(loads.load_env.compiled, found).values())) == 1
    loads.builder().load(range_of_keys(*ALL))
    assert plan(loads) is None


def test_after_a_change_of_columns_nothing_is_due_while_a_month_is_held(
    loads: LakeLoadEnv, tmp_path: Path
) -> None:
    loads.load_env.load(*ALL)
    loads.build()
    change_column(loads, tmp_path)
    loads.load_env.load(*ALL)
    put_files(loads.load_env, REFUSED_VALUE)
    failed_load(loads.load_env, MARCH)
    assert due(loads) == []


def test_a_held_month_is_not_due_while_the_tables_of_the_warehouse_differ(loads: LakeLoadEnv) -> None:
    loads.load_env.load(*ALL)
    put_files(loads.load_env, REFUSED_VALUE)
    failed_load(loads.load_env, MARCH)
    assert due(loads) == ["2021-02", MAY, "2021-06"]
    drop_table(loads)
    assert due(loads) == ["2021-02", MAY, "2021-06"]


def test_the_bucket_is_not_listed_for_a_month_without_objects_that_a_load_has_recorded(
    loads: LakeLoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads.load_env.load(*ALL)
    loads.build()
    listed: list[str] = []
    list_objects = Bucket.list_objects
    monkeypatch.setattr(
        Bucket,
        "list_objects",
        lambda bucket, prefix: (listed.append(prefix), list_objects(bucket, prefix))[1],
    )
    assert due(loads) == []
    assert listed == []
    put_files(loads.load_env, {file_of(MARCH): [job_of(MARCH, plan_id=2)]})
    loads.load_env.load(*ALL)
    listed.clear()
    assert due(loads) == ["2021-02", MARCH]
    assert len(listed) == 1


def test_unpartitioned_tables_without_objects_are_not_due(tmp_path: Path) -> None:
    loads = open_lake_load_env("songplays", tmp_path)
    loads.load_env.loader().refresh()
    assert plan(loads) is None


def test_a_warehouse_whose_tables_differ_is_loaded_at_once_or_not_at_all(loads: LakeLoadEnv) -> None:
    loads.build()
    loads.load()
    drop_table(loads)
    message = (
        r"^public.users does not exist yet, so all months of scx must be loaded at once, but the lake .*/lake/scx does not have 2021-04: "
        r"run `scx lake build scx --from 2021-02 --to 2021-06` first$"
    )
    with pytest.raises(LakeError, match=message):
        loads.plan()
    loads.builder().load(range_of_keys(*ALL))
    states = published_states(loads.plan())
    assert months(list(states)) == ["2021-02", MARCH, "2021-04", MAY, "2021-06"]
    assert len(set(states.values())) == 1
    loads.builder().load(range_of_keys(MARCH))
    assert set(states.values()).isdisjoint(published_states(loads.plan()).values())
    loads.loader().load(range_of_keys(*ALL))
    assert loads.plan().months == []


def test_months_of_another_version_do_not_keep_the_others_waiting(loads: LakeLoadEnv, tmp_path: Path) -> None:
    loads.build()
    sql = {"time": ("EXTRACT(HOUR FROM created_at)", "EXTRACT(HOUR FROM created_at) + 0")}
    loads.load_env.compiled = edited_star(tmp_path, sql=sql)
    loads.builder().load(range_of_keys(MAY, "2021-06"))
    refused = loads.plan().find_refused()
    assert months(list(refused)) == ["2021-02", MARCH]
    assert "run `scx lake build scx --month 2021-02` first" in next(iter(refused.values()))
    assert months(list(published_states(loads.plan(), refused))) == [MAY, "2021-06"]
