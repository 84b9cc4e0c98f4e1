"""One star's Definitions: assets, checks, job, schedule and sensor, put together.
Resources and the executor are added once for all stars, in `definitions`."""

from __future__ import annotations

import dagster as dg

from scx_pipeline.engine.sql import CompiledStar
from scx_pipeline.orchestration.assets import source_assets, table_assets
from scx_pipeline.orchestration.report import report_asset
from scx_pipeline.orchestration.triggers import hourly_schedule, object_sensor, report_sensor, star_job
from scx_pipeline.orchestration.watching import watching_checks
from scx_pipeline.settings import read_settings

_KINDS = {"postgres": "postgresql"}


def build_star(compiled: CompiledStar) -> dg.Definitions:
    """Everything Dagster knows of a star, its resources aside."""
    scheme = read_settings().warehouse.partition(":")[0]
    tables = table_assets(compiled, _KINDS.get(scheme, scheme))
    job, report = star_job(compiled), report_asset(compiled)
    return dg.Definitions(
        assets=[*source_assets(compiled), tables, *report],
        asset_checks=[watching_checks(compiled)],
        jobs=[job],
        schedules=[hourly_schedule(compiled, job)],
        sensors=[object_sensor(compiled, job), *([report_sensor(compiled)] if report else [])],
    )
