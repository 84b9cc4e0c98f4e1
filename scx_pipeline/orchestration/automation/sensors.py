"""A star's job, hourly schedule, and sensors of its objects and report: what makes a run start by itself.
Which months are due is decided in `due`; what a run does is in `assets`."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.loading.changes import plan_star
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.orchestration.assets.metadata import asset_key
from scx_pipeline.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from scx_pipeline.orchestration.partitions import monthly, range_tags
from scx_pipeline.orchestration.resources.warehouse_resources import BucketResource, WarehouseResource
from scx_pipeline.orchestration.runs.lost_runs import fail_lost_runs
from scx_pipeline.planning.run_requests import (
    Part,
    Request,
    RunState,
    due_requests,
    read_cursor,
    write_cursor,
)
from scx_pipeline.settings import read_settings

RUN_KEY = "dagster/run_key"  # the tag that Dagster gives a run for its request's key
TICK_LOCK_TIMEOUT = 5.0  # a tick rather comes again than waits for a run that writes the warehouse
TICK_RETRY_SECONDS = (
    20.0  # and than waits for a busy bucket: Dagster ends it after DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS, 60
)
_FAILED = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@dataclass(frozen=True)
class SensorConfig:
    """How a deployment's sensors look: how often, and whether before anybody has started them in the UI."""

    seconds: int
    status: dg.DefaultSensorStatus


def refresh_name(star: Star) -> str:
    """The name of the job that makes a star's tables without months anew."""
    return f"{star.name}_refresh_job"


def star_jobs(compiled: CompiledStar) -> list[UnresolvedAssetJobDefinition]:
    """The job that loads all the star's tables with months, and then runs the watching checks; and the one for those
    without, where there are any."""
    star = compiled.star
    months = dg.define_asset_job(
        star.name,
        selection=_selection(star, star.monthly),
        description=f"Load months of {star.name}: all its tables that have months, in one transaction.",
        partitions_def=monthly(star),
    )
    if not star.unpartitioned:
        return [months]
    refresh = dg.define_asset_job(
        refresh_name(star),
        selection=_selection(star, star.unpartitioned),
        description=f"Make the tables of {star.name} that have no months anew, in one transaction.",
    )
    return [months, refresh]


def _selection(star: Star, tables: Sequence[Table]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(asset_key(star.name, table.name) for table in tables))


def object_sensor(
    compiled: CompiledStar, jobs: Sequence[UnresolvedAssetJobDefinition], rhythm: SensorConfig
) -> dg.SensorDefinition:
    """Ask for every month whose objects are new, changed or gone, each contiguous span in one run.

    Where objects without months changed, the tables they go into are asked for first, and then the months that these
    have made stale.
    """
    star = compiled.star

    @dg.sensor(
        name=f"{star.name}_objects",
        jobs=jobs,
        minimum_interval_seconds=rhythm.seconds,
        default_status=rhythm.status,
        description=f"Loads what has changed of {star.name}: months whose objects are new, changed or gone.",
    )
    def watch(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource, bucket: BucketResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            requests, cursor = _due(context.instance, compiled, warehouse, bucket, context.cursor)
        except PipelineError as error:
            return dg.SkipReason(str(error))
        if not requests:
            return dg.SensorResult(
                skip_reason="no month has changed, or its run is on its way", cursor=cursor
            )
        return dg.SensorResult(
            run_requests=[_run_request(star, request) for request in requests], cursor=cursor
        )

    return watch


def hourly_schedule(compiled: CompiledStar, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """Once an hour, load what the job can load and has changed: for those who rather have a rhythm than a sensor.

    What has no months comes ten minutes earlier, since it may make months stale.
    """
    star = compiled.star
    unpartitioned = job.name != star.name
    what = "the tables without months" if unpartitioned else "the months"

    @dg.schedule(
        name=f"{star.name}_refresh_hourly" if unpartitioned else f"{star.name}_hourly",
        job=job,
        cron_schedule="50 * * * *" if unpartitioned else "0 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Once an hour, loads {what} of {star.name} whose objects have changed.",
    )
    def load_changed(
        context: dg.ScheduleEvaluationContext, warehouse: WarehouseResource, bucket: BucketResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        try:
            requests, _ = _due(context.instance, compiled, warehouse, bucket, None, unpartitioned)
        except PipelineError as error:
            return dg.SkipReason(str(error))
        hour = f"{context.scheduled_execution_time:%Y-%m-%dT%H}"
        return [
            _run_request(star, Request(f"{item.key}:{hour}", item.scope)) for item in requests
        ] or dg.SkipReason("nothing has changed")

    return load_changed


def report_sensor(compiled: CompiledStar, rhythm: SensorConfig) -> dg.AutomationConditionSensorDefinition:
    """Renew the report after every load, by a name that says so (Dagster's own is default_automation_condition_sensor)."""
    star = compiled.star
    return dg.AutomationConditionSensorDefinition(
        f"{star.name}_report",
        target=dg.AssetSelection.assets(asset_key(star.name, "report")),
        minimum_interval_seconds=rhythm.seconds,
        default_status=rhythm.status,
        description=f"Renews the report of {star.name} after every load.",
    )


def _due(
    instance: dg.DagsterInstance,
    compiled: CompiledStar,
    warehouse: WarehouseResource,
    bucket: BucketResource,
    cursor: str | None,
    unpartitioned: bool | None = None,
) -> tuple[list[Request], str]:
    """What is due, and the cursor that remembers it: of the tables without months alone, or of the months alone, if
    `whole` says so. A schedule remembers nothing, so its months could not know that the songs' run has failed."""
    now = datetime.now(UTC)
    fail_lost_runs(instance, read_settings().home)  # or their months would wait for them
    plan = plan_star(
        compiled,
        bucket.open(retry_seconds=TICK_RETRY_SECONDS),
        warehouse.open(lock_timeout=TICK_LOCK_TIMEOUT),
    )
    changed: dict[Part, str] = {
        item.month: f"{plan.selection.fingerprint(item.month)} {compiled.version} {plan.stale.get(item.month, '')}".rstrip()
        for item in plan.changed
    }
    if plan.together:  # one request: what changes of a month asks for all of them again
        state = hashlib.sha256("\n".join(map(str, changed.values())).encode()).hexdigest()[:16]
        changed = dict.fromkeys(changed, f"rebuild {state}")
    if plan.unpartitioned:
        changed[UNPARTITIONED] = (
            f"{plan.selection.unpartitioned_fingerprint} {compiled.unpartitioned_version}"
        )
    if unpartitioned is not None:
        changed = {part: state for part, state in changed.items() if (part == UNPARTITIONED) == unpartitioned}

    @cache
    def run_state(key: str) -> tuple[RunState, datetime | None]:
        records = instance.get_run_records(dg.RunsFilter(tags={RUN_KEY: key}), limit=1)
        if not records:
            return "absent", None
        status, ended = records[0].dagster_run.status, records[0].end_time
        moment = datetime.fromtimestamp(ended, UTC) if ended else None
        if status == dg.DagsterRunStatus.SUCCESS:
            return "succeeded", moment
        return ("failed" if status in _FAILED else "running"), moment

    requests, memory = due_requests(compiled.star.name, changed, read_cursor(cursor), run_state, now)
    return requests, write_cursor(memory)


def _run_request(star: Star, request: Request) -> dg.RunRequest:
    name = star.name if request.scope else refresh_name(star)
    return dg.RunRequest(run_key=request.key, job_name=name, tags=dict(range_tags(request.scope)))
