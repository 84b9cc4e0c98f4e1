"""Runs that load from the lake, by their tags, as the command and the UI's launchpad make them; and what they record.
What stands in the warehouse afterwards is tested in lake/."""

from __future__ import annotations

import pytest

from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.lake.format.manifest import read_manifest
from scx_pipeline.orchestration.assets.table_assets import FROM_LAKE, LAKE_URL, ROWS_FROM
from scx_pipeline_tests.support.dagster_env import STAR, Desk, failure
from scx_pipeline_tests.support.lake_loads import Loads
from scx_pipeline_tests.support.load_env import FACTS, STAGING, job, jobs_of, range_of_keys, scx_star

MARCH = "2021-03"
TAGS = {ROWS_FROM: FROM_LAKE}
TABLES = [table.name for table in scx_star().star.tables]


@pytest.fixture
def built(desk: Desk) -> Desk:
    """A desk with a lake, where the settings have it by default, and without a bucket any more."""
    desk.world.put(
        "2021/03/jobs.csv", [job(1, "2021-03-05 10:00:00"), job(2, "2021-03-06 11:00:00", user_id=7)]
    )
    Loads(desk.world, desk.settings.lake).builder().load(range_of_keys(MARCH, "2021-04"))
    desk.world.bucket_path.rename(desk.world.bucket_path.with_name("gone"))
    return desk


def test_a_run_with_the_tag_loads_from_the_lake_of_the_settings(built: Desk) -> None:
    result = built.run(MARCH, tags=TAGS)
    assert result.success
    assert jobs_of(built.world) == [1, 2]
    manifest = read_manifest(open_lake_store(built.settings.lake, STAR), STAR)
    for name in TABLES:
        told = built.materializations(name)[MARCH]
        assert told["rows_from"] == f"{built.settings.lake}/{STAR}"
        assert (told["manifest"], told["lake_run"]) == (manifest.number, manifest.run)
    march = built.materializations(STAGING)[MARCH]
    assert (march["objects"], march["rows_read"], march["dagster/partition_row_count"]) == (1, 2, 2)
    assert march["fingerprint"] == manifest.months[range_of_keys(MARCH).first].state.fingerprint
    assert all(check.passed for check in result.get_asset_check_evaluations() if check.blocking)


def test_a_run_may_name_the_lake(built: Desk) -> None:
    folder = built.world.bucket_path.parent
    (folder / "lake").rename(folder / "other")
    assert "has nothing of scx yet" in failure(built.run(MARCH, tags=TAGS))
    assert built.run(MARCH, tags={**TAGS, LAKE_URL: (folder / "other").as_uri()}).success


def test_a_run_of_some_tables_is_refused_and_so_is_another_word(built: Desk) -> None:
    told = failure(built.run(MARCH, tables=[FACTS], tags=TAGS))
    assert told.startswith("a load from the lake makes all of the tables of scx that have months")
    told = failure(built.run(MARCH, tags={ROWS_FROM: "sea"}))
    assert told == "the run's tag scx/from is 'sea': write lake, or leave the tag out to load the objects"


def test_a_month_that_the_lake_has_not_is_told(built: Desk) -> None:
    told = failure(built.run(MARCH, "2021-05", tags=TAGS))
    assert "2021-05 of scx does not stand in the lake" in told
    assert built.count(FACTS) == 0
