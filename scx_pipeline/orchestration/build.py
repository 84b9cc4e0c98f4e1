"""One star's Definitions: its assets, checks, jobs, schedules and sensors.

Which stars there are is not decided here.
"""

from __future__ import annotations

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.orchestration.assets.freshness_checks import freshness_checks
from scx_pipeline.orchestration.assets.lake_assets import lake_assets
from scx_pipeline.orchestration.assets.report_asset import report_asset
from scx_pipeline.orchestration.assets.table_assets import Database, source_assets, table_assets
from scx_pipeline.orchestration.automation.sensors import (
    SensorConfig,
    hourly_schedule,
    object_sensor,
    report_sensor,
)
from scx_pipeline.orchestration.jobs import lake_jobs, warehouse_jobs
from scx_pipeline.orchestration.resources.lake_resource import lake_resource
from scx_pipeline.orchestration.resources.warehouse_resources import resources
from scx_pipeline.orchestration.runs.locking_executor import locking_executor
from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.open_warehouse import capabilities_of, connection_info


def build_star(compiled: CompiledStar, settings: Settings) -> dg.Definitions:
    """Build a star's definitions, without resources. The lake's are among them if SCX_LAKE_URL is set."""
    tables = table_assets(compiled, _database(settings.warehouse))
    jobs, report = warehouse_jobs(compiled), report_asset(compiled)
    sensor_config = SensorConfig(settings.sensor_seconds, dg.DefaultSensorStatus(settings.sensors.upper()))
    lake = lake_assets(compiled, settings.lake) if settings.lake_url else []
    return dg.Definitions(
        assets=[*source_assets(compiled, settings.bucket), *tables, *report, *lake],
        asset_checks=[freshness_checks(compiled)],
        jobs=[*jobs, *(lake_jobs(compiled) if lake else [])],
        schedules=[hourly_schedule(compiled, job) for job in jobs],
        sensors=[
            object_sensor(compiled, jobs, sensor_config),
            *([report_sensor(compiled, sensor_config)] if report else []),
        ],
    )


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
        dg.Definitions(
            resources={**resources(settings), "lake": lake_resource(settings)},
            executor=locking_executor(settings.home.absolute()),
        ),
    )
