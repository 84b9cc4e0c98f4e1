"""The Definitions of stars: assets, checks, jobs, schedules and sensors of each, and the alerts, maintenance and resources of all.

Which stars there are is not decided here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.orchestration.assets.freshness_checks import freshness_checks
from scx_pipeline.orchestration.assets.lake_assets import lake_assets
from scx_pipeline.orchestration.assets.report_asset import report_asset
from scx_pipeline.orchestration.assets.table_assets import Database, source_assets, table_assets
from scx_pipeline.orchestration.automation.alerting import alert_sensor
from scx_pipeline.orchestration.automation.followers import from_lake_sensor, lake_sensor
from scx_pipeline.orchestration.automation.maintenance import maintenance
from scx_pipeline.orchestration.automation.sensors import (
    SensorConfig,
    load_schedule,
    object_sensor,
    report_sensor,
)
from scx_pipeline.orchestration.jobs import lake_jobs, warehouse_jobs
from scx_pipeline.orchestration.resources.lake_resource import lake_resource
from scx_pipeline.orchestration.resources.warehouse_resources import resources
from scx_pipeline.orchestration.runs.locking_executor import locking_executor
from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.open_warehouse import capabilities_of, connection_info


def build_stars(stars: Sequence[CompiledStar], settings: Settings) -> dg.Definitions:
    """Build the definitions of stars, with their operations and resources, but without an executor."""
    return dg.Definitions.merge(
        *(build_star(compiled, settings) for compiled in stars), build_operations(stars, settings)
    )


def build_operations(stars: Sequence[CompiledStar], settings: Settings) -> dg.Definitions:
    """Build what there is once for all stars: the alert sensor and maintenance, with resources."""
    alerts = dg.Definitions(sensors=[alert_sensor(settings, stars)], resources=shared_resources(settings))
    return dg.Definitions.merge(alerts, maintenance(stars))


def build_star(compiled: CompiledStar, settings: Settings) -> dg.Definitions:
    """Build a star's definitions, without resources. The lake's are among them if SCX_LAKE_URL is set."""
    tables = table_assets(compiled, _database(settings.warehouse))
    report = report_asset(compiled)
    sensor_config = SensorConfig(settings.sensor_seconds, dg.DefaultSensorStatus(settings.sensors.upper()))
    loads, lake = (
        _load_automation(compiled, settings, sensor_config),
        _lake(compiled, settings, sensor_config),
    )
    reports = [report_sensor(compiled, sensor_config)] if report else []
    return dg.Definitions.merge(
        dg.Definitions(
            assets=[*source_assets(compiled, settings.bucket), *tables, *report],
            asset_checks=[freshness_checks(compiled)],
            sensors=reports,
        ),
        loads,
        lake,
    )


def _load_automation(compiled: CompiledStar, settings: Settings, config: SensorConfig) -> dg.Definitions:
    """Return the jobs that load the warehouse, and what starts them: changes of the objects, or the lake if it is followed."""
    jobs = warehouse_jobs(compiled, run_executor(settings))
    if settings.follower == "warehouse":
        return dg.Definitions(jobs=jobs, sensors=[from_lake_sensor(compiled, jobs, config)])
    return dg.Definitions(
        jobs=jobs,
        schedules=[load_schedule(compiled, job) for job in jobs],
        sensors=[object_sensor(compiled, jobs, config)],
    )


def _lake(compiled: CompiledStar, settings: Settings, config: SensorConfig) -> dg.Definitions:
    """Return the lake's assets and jobs, and the sensor that starts these if the lake is the follower; nothing without a lake."""
    if not settings.lake_url:
        return dg.Definitions()
    jobs = lake_jobs(compiled, run_executor(settings))
    wait = timedelta(seconds=settings.lake_seconds)
    sensors = [lake_sensor(compiled, jobs, config, wait)] if settings.follower == "lake" else []
    return dg.Definitions(assets=lake_assets(compiled, settings.lake), jobs=jobs, sensors=sensors)


def _database(url: str) -> Database:
    """Return the database that the warehouse's URL names."""
    capabilities, name = capabilities_of(url), str(connection_info(url)["database"])
    return Database(capabilities.name, name, capabilities.has_single_writer)


def with_resources(stars: dg.Definitions, settings: Settings) -> dg.Definitions:
    """Add the resources of the settings and the executor to definitions of one or more stars.

    All steps of a run execute in one process: they share the warehouse's connection limits, and a process per step would
    cost more than most loads.
    """
    return dg.Definitions.merge(
        stars,
        dg.Definitions(resources=shared_resources(settings), executor=run_executor(settings)),
    )


@cache
def run_executor(settings: Settings) -> dg.ExecutorDefinition:
    """Return the executor of the stars' jobs."""
    return locking_executor(settings.home.absolute())


@cache
def shared_resources(settings: Settings) -> Mapping[str, dg.ConfigurableResource]:  # type: ignore[type-arg]
    """Return the resources of the settings. Dagster merges definitions only if a resource is one object in all of them."""
    return {**resources(settings), "lake": lake_resource(settings)}
