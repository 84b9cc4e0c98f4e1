"""The maintenance job with its weekly schedule.

What maintenance does to a star's tables does not belong here.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.maintenance.maintain import MaintenanceResult, maintain
from scx_pipeline.maintenance.retention import retention_policy
from scx_pipeline.orchestration.assets.events import step_failure
from scx_pipeline.orchestration.assets.metadata import plain_value, table_value
from scx_pipeline.orchestration.assets.table_assets import POOL
from scx_pipeline.orchestration.resources.warehouse_resources import WarehouseResource
from scx_pipeline.orchestration.runs.old_runs import remove_old_runs
from scx_pipeline.settings import read_settings

NAME = "maintain"
SUNDAY_NIGHT = "0 3 * * 0"


def maintenance(stars: Sequence[CompiledStar]) -> dg.Definitions:
    """Define the job that maintains all stars' tables, and its schedule, which is stopped by default."""
    job = _job(stars)
    weekly = dg.ScheduleDefinition(
        name=f"{NAME}_weekly",
        job=job,
        cron_schedule=SUNDAY_NIGHT,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Maintains the warehouse on Sundays at 03:00 UTC.",
    )
    return dg.Definitions(jobs=[job], schedules=[weekly])


def _job(stars: Sequence[CompiledStar]) -> dg.JobDefinition:
    @dg.op(pool=POOL, description="Vacuum, analyze or checkpoint; delete what is not retained; give advice.")
    def maintain_stars(context: dg.OpExecutionContext, warehouse: WarehouseResource) -> None:
        settings, failed = read_settings(), []
        done = []
        policy, log = retention_policy(settings), context.log.info
        for compiled in stars:
            name = compiled.star.name
            try:
                done.append(maintain(compiled, warehouse.open(log), policy, log))
            except PipelineError as error:  # the other stars are still maintained
                context.log.error(f"{name}: {error}")
                failed.append(f"{name}: {error}")
        runs = remove_old_runs(context.instance, settings.keep_runs_days)
        context.add_output_metadata({**_findings(done), "runs removed": runs})
        if failed:
            raise step_failure(PipelineError("; ".join(failed)))

    @dg.job(name=NAME, description="Maintain every star's tables, as scx maintain does.")
    def run() -> None:
        maintain_stars()

    return run


def _findings(done: Sequence[MaintenanceResult]) -> dict[str, Any]:
    """Return the results as a table per star, and the advice as text."""
    found: dict[str, Any] = {}
    for item in done:
        if item.found is None:
            continue
        columns, rows = item.found.as_rows()
        types = {name: _column_type(values) for name, *values in zip(columns, *rows, strict=True)}
        found[item.star] = table_value(types, rows)
        advice = [*(f"removed: {line}" for line in item.expired.describe()), *item.found.all_advice]
        if advice:
            found[f"{item.star} advice"] = dg.MetadataValue.md("\n".join(f"- {line}" for line in advice))
        found |= {f"{item.star} {name}": plain_value(value) for name, value in item.found.facts.items()}
    return found


def _column_type(values: Sequence[object]) -> str:
    kinds = {type(value) for value in values} - {type(None)}
    return "int" if kinds == {int} else "float" if kinds and kinds <= {int, float} else "string"
