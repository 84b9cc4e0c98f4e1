"""The lake in Dagster: its assets, checks and jobs, and runs with DuckDB.

Runs with Spark and the details of a build are not tested here.
"""

from __future__ import annotations

import dagster as dg
import pytest

from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.lake.format.manifest import Manifest, read_manifest
from scx_pipeline.loading.checks.declared_checks import declared_checks
from scx_pipeline.orchestration.build import build_star, with_resources
from scx_pipeline.orchestration.execute import RunOutcome, open_runner
from scx_pipeline.orchestration.jobs import lake_job_name
from scx_pipeline.orchestration.partitions import monthly, range_tags
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.load_env import APRIL, FACTS, MARCH, STAGING, job, range_of_keys
from scx_pipeline_tests.support.music_env import music_star
from scx_pipeline_tests.support.orchestration.dagster_env import QUIET, DagsterEnv, failure


def lake_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["scx", "lake", name])


def manifest(dagster_env: DagsterEnv) -> Manifest:
    return read_manifest(open_lake_store(dagster_env.settings.lake, "scx"), "scx")


def build(dagster_env: DagsterEnv, first: str, last: str = "") -> RunOutcome:
    """Run a build as `scx lake build` does."""
    star = dagster_env.load_env.compiled.star
    with open_runner(
        dagster_env.load_env.compiled,
        dagster_env.settings,
        dagster_env.messages.append,
        lambda scope: lake_job_name(star, scope),
    ) as run:
        return run(range_of_keys(first, last))


@pytest.fixture(scope="module")
def music() -> dg.Definitions:
    settings = Settings(lake_url="s3://scx-lake/stars")
    return with_resources(build_star(music_star(), settings), settings)


def test_tables_of_the_lake_depend_on_each_other_and_on_the_sources(music: dg.Definitions) -> None:
    specs = [spec for spec in music.resolve_all_asset_specs() if "lake" in spec.key.path]
    dependencies = {
        spec.key.path[-1]: {"/".join(dep.asset_key.path[1:]) for dep in spec.deps} for spec in specs
    }
    assert dependencies == {
        "staging_events": {"log_data", "log_data_csv"},
        "staging_songs": {"song_data"},
        **{name: {"lake/staging_songs"} for name in ("songs", "artists")},
        **{name: {"lake/staging_events"} for name in ("users", "time")},
        "songplays": {"lake/staging_events", "lake/songs", "lake/artists"},
    }
    assert {spec.key.path[-1]: spec.metadata["folders"] for spec in specs} == {
        **dict.fromkeys(("staging_events", "songplays", "time"), "year, month"),
        **dict.fromkeys(("staging_songs", "artists", "users"), "none"),
        "songs": "year, artist_id",
    }
    months = {spec.key.path[-1] for spec in specs if spec.partitions_def == monthly(music_star().star)}
    assert months == {"staging_events", "users", "time", "songplays"}


def test_every_declared_check_exists_in_the_lake_too(music: dg.Definitions) -> None:
    found = {key for key in music.resolve_asset_graph().asset_check_keys if "lake" in key.asset_key.path}
    star = music_star().star
    assert {(key.asset_key.path[-1], key.name) for key in found} == {
        (check.table, check.name) for check in declared_checks(star)
    }


def test_a_build_materializes_every_table_by_month_with_its_numbers_and_checks(
    dagster_env: DagsterEnv,
) -> None:
    dagster_env.load_env.put(
        "2021/03/a.csv", [job(1, "2021-03-05 10:00:00"), job(2, "2021-03-06 10:00:00", user_id=7)]
    )
    dagster_env.load_env.put("2021/04/a.csv", [job(3, "2021-04-05 10:00:00")])
    outcome = build(dagster_env, MARCH, APRIL)
    assert outcome.success, outcome.error
    assert outcome.rows[FACTS] == {MARCH: 2, APRIL: 1}
    assert outcome.rows["users"] == {MARCH: 2, APRIL: 1}
    assert outcome.numbers["objects_read"] == 2
    assert {check["name"] for check in outcome.checks if not check["passed"]} == set()
    assert any("publishing files" in line for line in dagster_env.messages)
    records = dagster_env.instance.fetch_materializations(lake_key(FACTS), limit=10).records
    assert {record.partition_key for record in records} == {MARCH, APRIL}
    assert [str(month) for month in manifest(dagster_env).months] == [MARCH, APRIL]


def test_a_check_that_fails_is_recorded_and_nothing_is_materialized(dagster_env: DagsterEnv) -> None:
    dagster_env.load_env.put(
        "2021/03/a.csv", [job(1, "2021-03-05 10:00:00"), job(2, "2021-03-06 10:00:00", plan_id=2000)]
    )
    result = dagster_env.definitions.resolve_job_def("scx_lake_job").execute_in_process(
        instance=dagster_env.instance,
        tags=dict(range_tags(range_of_keys(MARCH))),
        run_config=QUIET,
        raise_on_error=False,
    )
    assert not result.success
    message = failure(result)
    assert f"range_plan_id on {STAGING}" in message
    assert "was not published, nothing was changed" in message
    assert [check.check_name for check in result.get_asset_check_evaluations() if not check.passed] == [
        "range_plan_id"
    ]
    assert dagster_env.instance.fetch_materializations(lake_key(STAGING), limit=1).records == []
    assert manifest(dagster_env).months == {}


def test_a_run_without_a_month_says_what_to_do(dagster_env: DagsterEnv) -> None:
    result = dagster_env.definitions.resolve_job_def("scx_lake_job").execute_in_process(
        instance=dagster_env.instance, run_config=QUIET, raise_on_error=False
    )
    assert "no month was selected" in failure(result)


def test_builds_of_one_star_run_one_after_the_other(dagster_env: DagsterEnv) -> None:
    graph = dagster_env.definitions.resolve_asset_graph()
    node = graph.get(lake_key(FACTS)).assets_def.op
    assert node.pool == "scx_lake"
