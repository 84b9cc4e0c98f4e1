"""The maintenance job with its weekly schedule, and the removal of old Dagster runs.

What maintenance does to a star's tables does not belong here.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from scx_pipeline.declarations.star_folder import load_star, star_names, stars_folder
from scx_pipeline.errors import PipelineError
from scx_pipeline.maintenance.maintain import MaintenanceResult, maintain
from scx_pipeline.maintenance.retention import retention_policy
from scx_pipeline.orchestration.assets.events import step_failure
from scx_pipeline.orchestration.assets.metadata import plain_value, table_value
from scx_pipeline.orchestration.assets.table_assets import POOL
from scx_pipeline.orchestration.resources.warehouse_resources import WarehouseResource
from scx_pipeline.settings import Settings, read_settings

NAME = "maintain"
SUNDAY_NIGHT = "0 3 * * 0"
EVENTS_PER_REQUEST = 500
FINISHED_STATUSES = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def maintenance() -> dg.Definitions:
    """Define the job that maintains all stars' tables, and its schedule, which is stopped by default."""
    job = _job()
    weekly = dg.ScheduleDefinition(
        name=f"{NAME}_weekly",
        job=job,
        cron_schedule=SUNDAY_NIGHT,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Maintains the warehouse on Sundays at 03:00 UTC.",
    )
    return dg.Definitions(jobs=[job], schedules=[weekly])


def _job() -> dg.JobDefinition:
    @dg.op(pool=POOL, description="Vacuum, analyze or checkpoint; delete what is not retained; give advice.")
    def maintain_stars(context: dg.OpExecutionContext, warehouse: WarehouseResource) -> None:
        settings, failed = read_settings(), []
        done = []
        for name in star_names():
            try:
                done.append(_maintain_star(context, warehouse, name, settings))
            except PipelineError as error:  # the other stars are still maintained
                context.log.error(f"{name}: {error}")
                failed.append(f"{name}: {error}")
        runs = _remove_old_runs(context.instance, settings.keep_runs_days)
        context.add_output_metadata({**_findings(done), "runs removed": runs})
        if failed:
            raise step_failure(PipelineError("; ".join(failed)))

    @dg.job(name=NAME, description="Maintain every star's tables, as scx maintain does.")
    def run() -> None:
        maintain_stars()

    return run


def _maintain_star(
    context: dg.OpExecutionContext, warehouse: WarehouseResource, name: str, settings: Settings
) -> MaintenanceResult:
    log = context.log.info
    return maintain(load_star(stars_folder() / name), warehouse.open(log), retention_policy(settings), log)


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


# ------------------------------------------------------------------ Dagster's own runs


def _remove_old_runs(instance: dg.DagsterInstance, days: int) -> int:
    return remove_runs(instance, old_runs(instance, days)) if days else 0


def old_runs(instance: dg.DagsterInstance, days: int) -> list[str]:
    """Return the runs that ended more than so many days ago and hold no latest event of an asset or a partition.

    Deleting a run deletes its events, and a partition without events is shown as never materialized. The object sensors look
    up runs by run key: a run that was deleted is requested again if its month is still due.
    """
    before = datetime.now(UTC) - timedelta(days=days)
    filters = dg.RunsFilter(statuses=FINISHED_STATUSES, updated_before=before)
    found = [record.dagster_run.run_id for record in instance.get_run_records(filters)]
    kept = set(_latest_runs(instance)) if found else set()
    return [run_id for run_id in found if run_id not in kept]


def remove_runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> int:
    """Delete these runs and their events; return their number."""
    for run_id in run_ids:
        instance.delete_run(run_id)
    return len(run_ids)


def _latest_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    """Yield the runs with the latest materialization or observation of an asset or one of its partitions."""
    storage = instance.event_log_storage
    for key in instance.get_asset_keys():
        for kind, fetch in _fetches(instance).items():
            yield from (record.run_id for record in fetch(key, limit=1).records)
            numbers = [*storage.get_latest_storage_id_by_partition(key, kind).values()]
            for start in range(0, len(numbers), EVENTS_PER_REQUEST):
                wanted = dg.AssetRecordsFilter(key, storage_ids=numbers[start : start + EVENTS_PER_REQUEST])
                yield from (record.run_id for record in fetch(wanted, limit=EVENTS_PER_REQUEST).records)


def _fetches(instance: dg.DagsterInstance) -> dict[dg.DagsterEventType, Callable[..., Any]]:
    return {
        dg.DagsterEventType.ASSET_MATERIALIZATION: instance.fetch_materializations,
        dg.DagsterEventType.ASSET_OBSERVATION: instance.fetch_observations,
    }
