"""The definitions of a star: assets, checks, jobs, schedules, sensors, resources.

Nothing is executed here.
"""

from __future__ import annotations

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_shared.serdes import serialize_value

from scx_pipeline import definitions
from scx_pipeline.loading.checks.declared_checks import declared_checks
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.star import Star
from scx_pipeline.orchestration.partitions import monthly, range_of_keys
from scx_pipeline.reporting.freshness import declared_freshness_checks
from scx_pipeline_tests.support.load_env import scx_star
from scx_pipeline_tests.support.music_env import music_star
from scx_pipeline_tests.support.orchestration.dagster_env import TABLES, key, specs_of
from scx_pipeline_tests.support.sensor_env import sensor_star

STAR = scx_star().star
DERIVED = [table.name for table in STAR.derived_tables]
UNPARTITIONED_TABLES = {"staging_songs", "songs", "artists"}
SENSORS = {
    f"{star}_{what}" for star in ("scx", "songplays", "sensor_readings") for what in ("objects", "report")
} | {"alerts"}
PASSWORD = "hunter2-is-no-secret"


@pytest.fixture(scope="module")
def music(project: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return specs_of(project, "songplays")


def test_every_source_and_table_and_the_report_is_an_asset_below_its_star(project: dg.Definitions) -> None:
    found = {item.to_user_string() for item in project.resolve_asset_graph().get_all_asset_keys()}
    others = [table.name for table in music_star().star.tables]
    readings = [table.name for table in sensor_star().star.tables]
    assert found == {
        *(f"scx/{name}" for name in [*TABLES, "auto_classify_jobs", "report"]),
        *(f"songplays/{name}" for name in [*others, "log_data", "song_data", "report"]),
        *(f"sensor_readings/{name}" for name in [*readings, "readings", "report"]),
        *(f"scx/lake/{name}" for name in TABLES),
        *(f"songplays/lake/{name}" for name in others),
        *(f"sensor_readings/lake/{name}" for name in readings),
    }


def test_without_a_configured_lake_there_are_no_lake_assets_checks_and_jobs(
    project: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCX_LAKE_URL", raising=False)
    repository, graph = definitions.defs().get_repository_def(), project.resolve_asset_graph()
    found = repository.asset_graph
    assert found.get_all_asset_keys() == {key for key in graph.get_all_asset_keys() if "lake" not in key.path}
    assert found.asset_check_keys == {
        item for item in graph.asset_check_keys if "lake" not in item.asset_key.path
    }
    assert not [name for name in repository.job_names if "lake" in name]


def test_each_star_of_a_lake_that_follows_has_a_sensor_for_the_jobs_of_its_lake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCX_LAKE_URL", "s3://scx-lake/stars")
    monkeypatch.setenv("SCX_FOLLOWER", "lake")
    assert _sensors() == SENSORS | {"scx_lake", "songplays_lake", "sensor_readings_lake"}
    sensor = definitions.defs().get_repository_def().get_sensor_def("songplays_lake")
    assert {target.job_name for target in sensor.targets} == {
        "songplays_lake_job",
        "songplays_lake_refresh_job",
    }
    assert sensor.minimum_interval_seconds == 30
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED


def test_a_warehouse_that_follows_the_lake_is_not_loaded_from_objects_automatically(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCX_LAKE_URL", "s3://scx-lake/stars")
    monkeypatch.setenv("SCX_FOLLOWER", "warehouse")
    assert _sensors() == {name.replace("_objects", "_from_lake") for name in SENSORS}
    repository = definitions.defs().get_repository_def()
    assert {item.name for item in repository.schedule_defs} == {"maintain_weekly"}
    sensor = repository.get_sensor_def("songplays_from_lake")
    assert {target.job_name for target in sensor.targets} == {"songplays", "songplays_refresh_job"}
    assert sensor.minimum_interval_seconds == 30


def _sensors() -> set[str]:
    """Return the names of the sensors that the settings of the environment define."""
    return {item.name for item in definitions.defs().get_repository_def().sensor_defs}


def test_assets_depend_on_the_assets_they_are_derived_from(specs: dict[str, dg.AssetSpec]) -> None:
    dependencies = {name: {dep.asset_key.path[-1] for dep in spec.deps} for name, spec in specs.items()}
    assert dependencies == {
        "auto_classify_jobs": set(),
        "staging_cleansed_logs": {"auto_classify_jobs"},
        **{name: {"staging_cleansed_logs"} for name in DERIVED},
        "report": {"auto_classification_logs"},
    }


def test_tables_depend_on_unpartitioned_tables_as_on_others(music: dict[str, dg.AssetSpec]) -> None:
    assert {name: {dep.asset_key.path[-1] for dep in spec.deps} for name, spec in music.items()} == {
        "log_data": set(),
        "song_data": set(),
        "staging_events": {"log_data"},
        "staging_songs": {"song_data"},
        **{name: {"staging_songs"} for name in ("songs", "artists")},
        **{name: {"staging_events"} for name in ("users", "time")},
        "songplays": {"staging_events", "songs", "artists"},
        "report": {"songplays", "songs", "artists"},
    }


def test_unpartitioned_tables_have_no_partitions_and_are_loaded_together(
    project: dg.Definitions, music: dict[str, dg.AssetSpec]
) -> None:
    assert {name for name, spec in music.items() if spec.partitions_def is None} == {
        "song_data",
        *UNPARTITIONED_TABLES,
        "report",
    }
    node = project.resolve_asset_graph().get(dg.AssetKey(["songplays", "songs"])).assets_def
    assert {item.path[-1] for item in node.keys} == UNPARTITIONED_TABLES
    assert node.can_subset


def test_sources_have_monthly_partitions_or_none(project: dg.Definitions) -> None:
    graph, months = project.resolve_asset_graph(), monthly(music_star().star)
    for name, partitions, kind in (("log_data", months, "json_lines"), ("song_data", None, "json")):
        source = graph.get(dg.AssetKey(["songplays", name]))
        assert source.is_observable
        assert source.partitions_def == partitions
        assert source.kinds == {"file", kind}
        assert source.metadata["prefix"] == f"{name}/"


def test_a_star_has_a_job_for_its_months_and_one_for_unpartitioned_tables(project: dg.Definitions) -> None:
    star = music_star().star
    freshness = {("songplays", item.name) for item in declared_freshness_checks(star)}
    checks = {(item.table, item.name) for item in declared_checks(star)}
    for name, tables, partitions, others in (
        ("songplays", {table.name for table in star.monthly_tables}, monthly(star), freshness),
        ("songplays_refresh_job", UNPARTITIONED_TABLES, None, set()),
    ):
        job = project.resolve_job_def(name)
        assert {item.path[-1] for item in job.asset_layer.selected_asset_keys} == tables
        found = {
            (item.asset_key.path[-1], item.name) for item in job.asset_layer.asset_graph.asset_check_keys
        }
        assert found == {check for check in checks if check[0] in tables} | others
        assert job.partitions_def == partitions
        assert job.executor_def.name == dg.in_process_executor.name


def test_a_star_with_unpartitioned_tables_has_a_job_and_a_schedule_for_them(project: dg.Definitions) -> None:
    repository = project.get_repository_def()
    jobs = {name for name in repository.job_names if not name.startswith("__")}
    lakes = {"scx_lake_job", "songplays_lake_job", "songplays_lake_refresh_job", "sensor_readings_lake_job"}
    assert jobs == {"scx", "songplays", "songplays_refresh_job", "sensor_readings", "maintain", *lakes}
    assert {item.name: item.cron_schedule for item in repository.schedule_defs} == {
        "scx_hourly": "0 * * * *",
        "songplays_hourly": "0 * * * *",
        "songplays_refresh_hourly": "50 * * * *",
        "sensor_readings_hourly": "0 * * * *",
        "maintain_weekly": "0 3 * * 0",
    }
    sensor = repository.get_sensor_def("songplays_objects")
    assert {target.job_name for target in sensor.targets} == {"songplays", "songplays_refresh_job"}


@pytest.mark.parametrize("star", [STAR, music_star().star], ids=lambda star: star.name)
def test_only_checks_that_can_fail_a_load_are_blocking(project: dg.Definitions, star: Star) -> None:
    graph = project.resolve_asset_graph()
    of_star = [item for item in graph.asset_check_keys if item.asset_key.path[0] == star.name]
    blocking = {(item.asset_key.path[-1], item.name): graph.get(item).blocking for item in of_star}
    declared = {(item.table, item.name): item.severity == "error" for item in declared_checks(star)}
    freshness = {(item.table, item.name): False for item in declared_freshness_checks(star)}
    assert blocking == declared | freshness
    assert {name for _, name in freshness} == {"freshness", "volume"}
    assert {name for (_, name), blocks in blocking.items() if not blocks} >= {"declared_fields", "freshness"}
    assert all(blocking[table, name] for table, name in declared if name.startswith(("unique", "not_null")))
    assert all(graph.get(item).description for item in of_star)


def test_checks_are_named_after_what_they_check(project: dg.Definitions) -> None:
    found = {
        check.name
        for check in project.resolve_asset_graph().asset_check_keys
        if check.asset_key == key("staging_cleansed_logs")
    }
    assert {
        "row_count",
        "row_reconciliation",
        "rejected_rows",
        "unique_job_id",
        "not_null_created_at",
        "accepted_values_switch_xy",
        "range_plan_id",
    } <= found


def test_all_tables_are_one_asset_definition_that_can_be_run_in_part(project: dg.Definitions) -> None:
    tables = _tables(project)
    assert tables.keys == {key(name) for name in TABLES}
    assert tables.can_subset
    assert tables.node_def.name == "scx_load"


def test_a_backfill_of_any_months_is_a_single_run(project: dg.Definitions) -> None:
    assert _tables(project).backfill_policy == dg.BackfillPolicy.single_run()


@pytest.mark.parametrize(
    ("url", "pools"),
    [
        ("duckdb:///data/dev.duckdb", {"warehouse"}),
        ("postgresql://scx@db.example/dev", {"scx_warehouse", "songplays_warehouse"}),
        ("redshift://scx@rs.example/dev", {"scx_warehouse", "songplays_warehouse"}),
    ],
)
def test_loads_of_different_stars_have_their_own_pools_unless_the_database_has_a_single_writer(
    url: str, pools: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", url)
    graph = definitions.defs().resolve_asset_graph()
    names = ("scx/users", "songplays/users", "songplays/songs")
    nodes = [graph.get(dg.AssetKey.from_user_string(name)).assets_def.op for name in names]
    assert {node.pool for node in nodes} == pools


def _tables(project: dg.Definitions) -> dg.AssetsDefinition:
    return project.resolve_asset_graph().get(key("users")).assets_def


def test_partitions_range_from_the_first_month_to_the_current_one() -> None:
    keys = monthly(STAR).get_partition_keys()
    assert keys[0] == "2020-01"
    assert keys[-1] == str(Month.current())
    assert [Month.parse(item) for item in keys] == STAR.months().months
    assert range_of_keys(keys) == STAR.months()


def test_the_job_loads_all_tables_and_runs_all_their_checks(project: dg.Definitions) -> None:
    job = project.resolve_job_def("scx")
    layer = job.asset_layer
    assert set(layer.selected_asset_keys) == {key(name) for name in TABLES}
    assert len(layer.asset_graph.asset_check_keys) == len(declared_checks(STAR)) + len(
        declared_freshness_checks(STAR)
    )
    assert job.executor_def.name == dg.in_process_executor.name
    assert isinstance(job.partitions_def, dg.TimeWindowPartitionsDefinition)


def test_the_schedule_and_the_sensors_are_stopped_by_default(
    project: dg.Definitions,
) -> None:
    schedule = project.resolve_schedule_def("scx_hourly")
    assert schedule.cron_schedule == "0 * * * *"
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    sensors = {item.name: item for item in project.sensors or ()}
    assert sensors.keys() == SENSORS
    for sensor in sensors.values():
        assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
        assert sensor.description
    assert sensors["scx_objects"].minimum_interval_seconds == 30


def test_the_report_has_no_default_automation_sensor(project: dg.Definitions) -> None:
    repository = project.get_repository_def()
    assert {item.name for item in repository.sensor_defs} == SENSORS


def test_a_password_of_the_warehouse_is_in_no_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", f"postgresql://scx:{PASSWORD}@db.example/warehouse")
    project = definitions.defs()
    snapshot = serialize_value(RepositorySnap.from_def(project.get_repository_def()))
    assert "SCX_WAREHOUSE_URL" in snapshot
    assert PASSWORD not in snapshot
    assert PASSWORD not in repr([vars(item) for item in (project.resources or {}).values()])
    spec = project.resolve_asset_graph().get(key("users"))
    assert spec.kinds == {"postgresql", "table"}
    assert spec.metadata["dagster/table_name"] == "warehouse.public.users"
