"""Runs that load from the lake because of their tags, and what they record."""

from __future__ import annotations

import pytest

from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.lake.format.manifest import read_manifest
from scx_pipeline.orchestration.assets.table_assets import FROM_LAKE, LAKE_URL, ROWS_FROM
from scx_pipeline_tests.support.lake.lake_loads import LakeLoadEnv
from scx_pipeline_tests.support.load_env import FACTS, STAGING, job, jobs_of, range_of_keys, scx_star
from scx_pipeline_tests.support.orchestration.dagster_env import STAR, DagsterEnv, failure

MARCH = "2021-03"
TAGS = {ROWS_FROM: FROM_LAKE}
TABLES = [table.name for table in scx_star().star.tables]


@pytest.fixture
def built(dagster_env: DagsterEnv) -> DagsterEnv:
    """An environment with a lake at its default URL, and without a bucket."""
    dagster_env.load_env.put(
        "2021/03/jobs.csv", [job(1, "2021-03-05 10:00:00"), job(2, "2021-03-06 11:00:00", user_id=7)]
    )
    LakeLoadEnv(dagster_env.load_env, dagster_env.settings.lake).builder().load(
        range_of_keys(MARCH, "2021-04")
    )
    dagster_env.load_env.bucket_path.rename(dagster_env.load_env.bucket_path.with_name("moved"))
    return dagster_env


def test_a_run_with_the_tag_loads_from_the_lake_of_the_settings(built: DagsterEnv) -> None:
    result = built.run(MARCH, tags=TAGS)
    assert result.success
    assert jobs_of(built.load_env) == [1, 2]
    manifest = read_manifest(open_lake_store(built.settings.lake, STAR), STAR)
    for name in TABLES:
        metadata = built.materializations(name)[MARCH]
        assert metadata["rows_from"] == f"{built.settings.lake}/{STAR}"
        assert (metadata["manifest"], metadata["lake_run"]) == (manifest.number, manifest.run)
    march = built.materializations(STAGING)[MARCH]
    assert (march["objects"], march["rows_read"], march["dagster/partition_row_count"]) == (1, 2, 2)
    assert march["fingerprint"] == manifest.months[range_of_keys(MARCH).first].state.fingerprint
    assert all(check.passed for check in result.get_asset_check_evaluations() if check.blocking)


def test_a_run_may_name_the_lake(built: DagsterEnv) -> None:
    folder = built.load_env.bucket_path.parent
    (folder / "lake").rename(folder / "other")
    assert "has no data of scx yet" in failure(built.run(MARCH, tags=TAGS))
    assert built.run(MARCH, tags={**TAGS, LAKE_URL: (folder / "other").as_uri()}).success


def test_a_lake_run_of_some_tables_or_with_an_unknown_tag_value_is_refused(built: DagsterEnv) -> None:
    message = failure(built.run(MARCH, tables=[FACTS], tags=TAGS))
    assert message.startswith("a load from the lake loads all partitioned tables of scx")
    message = failure(built.run(MARCH, tags={ROWS_FROM: "sea"}))
    assert message == "the run's tag scx/from is 'sea': write lake, or leave the tag out to load the objects"


def test_a_month_that_is_missing_in_the_lake_is_named(built: DagsterEnv) -> None:
    message = failure(built.run(MARCH, "2021-05", tags=TAGS))
    assert "does not have 2021-05 of scx" in message
    assert built.count(FACTS) == 0
