"""One star's Definitions: assets, checks, job, schedule and sensor, put together.
Which stars there are, and the settings they run with, is decided in `definitions` and the command."""

from __future__ import annotations

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.orchestration.assets.freshness_checks import watching_checks
from scx_pipeline.orchestration.assets.lake_assets import lake_assets, lake_jobs
from scx_pipeline.orchestration.assets.report_asset import report_asset
from scx_pipeline.orchestration.assets.table_assets import source_assets, table_assets
from scx_pipeline.orchestration.automation.sensors import (
    SensorConfig,
    hourly_schedule,
    object_sensor,
    report_sensor,
    star_jobs,
)
from scx_pipeline.orchestration.resources.lake_resource import lake_resource
from scx_pipeline.orchestration.resources.warehouse_resources import resources
from scx_pipeline.orchestration.runs.lost_runs import holding_executor
from scx_pipeline.settings import Settings, read_settings

_KINDS = {"postgres": "postgresql"}


def build_star(compiled: CompiledStar) -> dg.Definitions:
    """Everything Dagster knows of a star, its resources aside."""
    settings = read_settings()
    scheme = settings.warehouse.partition(":")[0]
    tables = table_assets(compiled, _KINDS.get(scheme, scheme))
    jobs, report = star_jobs(compiled), report_asset(compiled)
    rhythm = SensorConfig(settings.sensor_seconds, dg.DefaultSensorStatus(settings.sensors.upper()))
    return dg.Definitions(
        assets=[*source_assets(compiled), *tables, *report, *lake_assets(compiled)],
        asset_checks=[watching_checks(compiled)],
        jobs=[*jobs, *lake_jobs(compiled)],
        schedules=[hourly_schedule(compiled, job) for job in jobs],
        sensors=[
            object_sensor(compiled, jobs, rhythm),
            *([report_sensor(compiled, rhythm)] if report else []),
        ],
    )


def with_resources(stars: dg.Definitions, settings: Settings) -> dg.Definitions:
    """A star's, or all stars', definitions made runnable with these settings.

    One process per run: its steps share the warehouse's connection limits, and a step in a process of its own would
    cost more than most loads.
    """
    return dg.Definitions.merge(
        stars,
        dg.Definitions(
            resources={**resources(settings), "lake": lake_resource(settings)},
            executor=holding_executor(settings.home.absolute()),
        ),
    )
