"""The job and the weekly schedule that look after the warehouse, and what is removed of Dagster's own runs.
What is done for a star, and what is kept, is in `engine.upkeep`."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from scx_pipeline.declarations.star_folder import load_star, star_names, stars_folder
from scx_pipeline.errors import PipelineError
from scx_pipeline.maintenance.maintain import MaintenanceResult, RetentionPolicy, maintain
from scx_pipeline.orchestration.assets.events import failure
from scx_pipeline.orchestration.assets.table_assets import POOL
from scx_pipeline.orchestration.resources.warehouse_resources import WarehouseResource
from scx_pipeline.settings import Settings, read_settings

NAME = "maintain"
SUNDAY_NIGHT = "0 3 * * 0"
CHUNK = 500  # events that are asked for at a time
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def maintenance() -> dg.Definitions:
    """The job that looks after all stars' tables, and a schedule of it, stopped until somebody starts it."""
    job = _job()
    weekly = dg.ScheduleDefinition(
        name=f"{NAME}_weekly",
        job=job,
        cron_schedule=SUNDAY_NIGHT,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Looks after the warehouse on Sundays at 03:00 UTC.",
    )
    return dg.Definitions(jobs=[job], schedules=[weekly])


def _job() -> dg.JobDefinition:
    @dg.op(
        name="look_after", pool=POOL, description="Vacuum, analyze or checkpoint; advice; what is not kept."
    )
    def look_after(context: dg.OpExecutionContext, warehouse: WarehouseResource) -> None:
        settings, failed = read_settings(), []
        done = []
        for name in star_names():
            try:
                done.append(_look_after(context, warehouse, name, settings))
            except PipelineError as error:  # the others are looked after all the same
                context.log.error(f"{name}: {error}")
                failed.append(f"{name}: {error}")
        runs = _remove_old(context.instance, settings.keep_runs_days)
        context.add_output_metadata({**_findings(done), "runs removed": runs})
        if failed:
            raise failure(PipelineError("; ".join(failed)))

    @dg.job(name=NAME, description="Look after every star's tables: scx maintain, as a run.")
    def run() -> None:
        look_after()

    return run


def _look_after(
    context: dg.OpExecutionContext, warehouse: WarehouseResource, name: str, settings: Settings
) -> MaintenanceResult:
    policy = RetentionPolicy(
        settings.keep_staging_months, settings.keep_rejected_days, settings.keep_loads_days
    )
    log = context.log.info
    return maintain(load_star(stars_folder() / name), warehouse.open(log), policy, log)


def _findings(done: Sequence[MaintenanceResult]) -> dict[str, Any]:
    """What was found, as tables, and what else there is to do."""
    found: dict[str, Any] = {}
    for item in done:
        if item.found is None:
            continue
        columns, rows = item.found.as_rows()
        records = [dg.TableRecord(dict(zip(columns, map(_plain, row), strict=True))) for row in rows]
        schema = dg.TableSchema(columns=[dg.TableColumn(name, _kind(records, name)) for name in columns])
        found[item.star] = dg.MetadataValue.table(records, schema)
        advice = [*(f"removed: {line}" for line in item.expired.told()), *item.found.all_advice]
        if advice:
            found[f"{item.star} advice"] = dg.MetadataValue.md("\n".join(f"- {line}" for line in advice))
        found |= {f"{item.star} {name}": _plain(value) for name, value in item.found.facts.items()}
    return found


def _plain(value: object) -> str | int | float | None:
    return value if isinstance(value, str | int | float) or value is None else str(value)


def _kind(records: Sequence[dg.TableRecord], name: str) -> str:
    kinds = {type(record.data[name]) for record in records} - {type(None)}
    return "int" if kinds == {int} else "float" if kinds and kinds <= {int, float} else "string"


# ------------------------------------------------------------------ Dagster's own runs


def _remove_old(instance: dg.DagsterInstance, days: int) -> int:
    return remove_runs(instance, old_runs(instance, days)) if days else 0


def old_runs(instance: dg.DagsterInstance, days: int) -> list[str]:
    """The runs that ended so long ago, but for those whose events show what of an asset or a month was made last.

    With a run go its events, and a month without any would show as never made. The sensors of objects look a run up by the
    key they asked with: one that is gone is asked for again, if its month is due all the same.
    """
    before = datetime.now(UTC) - timedelta(days=days)
    filters = dg.RunsFilter(statuses=ENDED, updated_before=before)
    found = [record.dagster_run.run_id for record in instance.get_run_records(filters)]
    kept = set(_made_last(instance)) if found else set()
    return [run_id for run_id in found if run_id not in kept]


def remove_runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> int:
    """Remove these runs and their events; how many."""
    for run_id in run_ids:
        instance.delete_run(run_id)
    return len(run_ids)


def _made_last(instance: dg.DagsterInstance) -> Iterator[str]:
    """The runs that made, or observed, an asset or one of its months last."""
    storage = instance.event_log_storage
    for key in instance.get_asset_keys():
        for kind, fetch in _fetches(instance).items():
            yield from (record.run_id for record in fetch(key, limit=1).records)
            numbers = [*storage.get_latest_storage_id_by_partition(key, kind).values()]
            for start in range(0, len(numbers), CHUNK):
                wanted = dg.AssetRecordsFilter(key, storage_ids=numbers[start : start + CHUNK])
                yield from (record.run_id for record in fetch(wanted, limit=CHUNK).records)


def _fetches(instance: dg.DagsterInstance) -> dict[dg.DagsterEventType, Callable[..., Any]]:
    return {
        dg.DagsterEventType.ASSET_MATERIALIZATION: instance.fetch_materializations,
        dg.DagsterEventType.ASSET_OBSERVATION: instance.fetch_observations,
    }
