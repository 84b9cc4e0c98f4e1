"""A star's schedules, and the sensors of its objects and its report: what starts runs automatically.

Which months are due, and what a run does, is not decided here.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.loading.changes import PendingChanges, find_pending_changes
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.orchestration.assets.metadata import asset_key
from scx_pipeline.orchestration.automation.source_observations import observe_sources
from scx_pipeline.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from scx_pipeline.orchestration.jobs import warehouse_job_name
from scx_pipeline.orchestration.partitions import range_tags
from scx_pipeline.orchestration.resources.warehouse_resources import BucketResource, WarehouseResource
from scx_pipeline.orchestration.runs.lost_runs import fail_lost_runs
from scx_pipeline.planning.changed_months import ChangedMonth
from scx_pipeline.planning.run_requests import (
    Changes,
    LoadRequest,
    LoadUnit,
    RunState,
    due_requests,
    read_cursor,
    write_cursor,
)
from scx_pipeline.planning.selection import Selection
from scx_pipeline.settings import read_settings

RUN_KEY = "dagster/run_key"  # the tag that Dagster gives a run for its request's key
# Dagster ends a tick after DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS, by default 60, so a tick does not wait long for a locked
# warehouse or a busy bucket: the next one tries again.
TICK_LOCK_TIMEOUT = 5.0
TICK_RETRY_SECONDS = 20.0
_FAILED = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@dataclass(frozen=True)
class SensorConfig:
    """How often a deployment's sensors tick, and whether they are running by default."""

    seconds: int
    status: dg.DefaultSensorStatus


@dataclass(frozen=True)
class DueLoads:
    """The loads to request now."""

    requests: Sequence[LoadRequest]
    cursor: str
    # What is requested for the first time in its present state.
    new_units: Sequence[LoadUnit]


def object_sensor(
    compiled: CompiledStar, jobs: Sequence[UnresolvedAssetJobDefinition], config: SensorConfig
) -> dg.SensorDefinition:
    """Define the sensor that requests a run for each contiguous range of months whose objects are new, changed or deleted.

    If objects of unpartitioned tables changed, these tables are requested first, and then the months that they make stale.
    """
    star = compiled.star

    @dg.sensor(
        name=f"{star.name}_objects",
        jobs=jobs,
        minimum_interval_seconds=config.seconds,
        default_status=config.status,
        description=f"Loads the changes of {star.name}: months whose objects are new, changed or deleted.",
    )
    def request_loads(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource, bucket: BucketResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            due, selection = _due(context.instance, compiled, warehouse, bucket, context.cursor)
        except PipelineError as error:
            return dg.SkipReason(str(error))
        if not due.requests:
            return dg.SensorResult(
                skip_reason="no month has changed, or its run is in progress", cursor=due.cursor
            )
        return dg.SensorResult(
            run_requests=[run_request(warehouse_job_name(star, item.scope), item) for item in due.requests],
            cursor=due.cursor,
            asset_events=observe_sources(context.instance, star, selection, due.new_units),
        )

    return request_loads


def load_schedule(compiled: CompiledStar, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """Define a schedule that loads the job's changes every hour, or as declared, as an alternative to the sensor.

    Every hour, unpartitioned tables are loaded ten minutes earlier, since they may make months stale. Of a declared schedule they
    are loaded at the same time, and the months that they make stale by the next one.
    """
    star = compiled.star
    unpartitioned = job.name == warehouse_job_name(star, UNPARTITIONED)
    what = "the unpartitioned tables" if unpartitioned else "the months"
    suffix, when = ("schedule", f"At {star.schedule} UTC") if star.schedule else ("hourly", "Once an hour")

    @dg.schedule(
        name=f"{star.name}_refresh_{suffix}" if unpartitioned else f"{star.name}_{suffix}",
        job=job,
        cron_schedule=star.schedule or ("50 * * * *" if unpartitioned else "0 * * * *"),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"{when}, loads {what} of {star.name} whose objects have changed.",
    )
    def load_changed(
        context: dg.ScheduleEvaluationContext, warehouse: WarehouseResource, bucket: BucketResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        try:
            due, _ = _due(context.instance, compiled, warehouse, bucket, None, unpartitioned)
        except PipelineError as error:
            return dg.SkipReason(str(error))
        time = f"{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"
        return [
            run_request(job.name, LoadRequest(f"{item.key}:{time}", item.scope)) for item in due.requests
        ] or dg.SkipReason("nothing has changed")

    return load_changed


def report_sensor(compiled: CompiledStar, config: SensorConfig) -> dg.AutomationConditionSensorDefinition:
    """Define the sensor that refreshes the report after every load; it replaces `default_automation_condition_sensor`."""
    star = compiled.star
    return dg.AutomationConditionSensorDefinition(
        f"{star.name}_report",
        target=dg.AssetSelection.assets(asset_key(star.name, "report")),
        minimum_interval_seconds=config.seconds,
        default_status=config.status,
        description=f"Refreshes the report of {star.name} after every load.",
    )


def _due(
    instance: dg.DagsterInstance,
    compiled: CompiledStar,
    warehouse: WarehouseResource,
    bucket: BucketResource,
    cursor: str | None,
    unpartitioned: bool | None = None,
) -> tuple[DueLoads, Selection]:
    """Return the requests for due loads, and the current objects.

    Args:
        unpartitioned: Whether to return unpartitioned tables only, or months only; None returns both. A schedule has no
            cursor, so it could not hold back months whose unpartitioned tables failed to load.
    """
    now = datetime.now(UTC)
    fail_lost_runs(instance, read_settings().home)  # or else their months would not be requested
    plan = find_pending_changes(
        compiled,
        bucket.open(retry_seconds=TICK_RETRY_SECONDS),
        warehouse.open(lock_timeout=TICK_LOCK_TIMEOUT),
    )
    changed = changed_states(compiled, plan)
    if unpartitioned is not None:
        changed = {part: state for part, state in changed.items() if (part == UNPARTITIONED) == unpartitioned}
    held = {} if plan.requires_full_rebuild else plan.held
    return request_changes(instance, compiled.star.name, Changes(changed, held), cursor, now), plan.selection


def changed_states(compiled: CompiledStar, plan: PendingChanges) -> dict[LoadUnit, str]:
    """Return the state of objects and code of everything that has changed."""
    changed: dict[LoadUnit, str] = {item.month: _state(compiled, plan, item) for item in plan.changed}
    if plan.requires_full_rebuild:
        changed = of_rebuild(changed)
    if plan.unpartitioned:
        changed[UNPARTITIONED] = (
            f"{plan.selection.unpartitioned_fingerprint} {compiled.unpartitioned_version}"
        )
    return changed


def of_rebuild(changed: Mapping[LoadUnit, str]) -> dict[LoadUnit, str]:
    """Return one state for all months, which are requested at once: a change in any month requests all of them again."""
    state = hashlib.sha256("\n".join(changed.values()).encode()).hexdigest()[:16]
    return dict.fromkeys(changed, f"rebuild {state}")


def request_changes(
    instance: dg.DagsterInstance, prefix: str, changes: Changes, cursor: str | None, now: datetime
) -> DueLoads:
    """Return the requests that are due for what has changed, given those in the cursor; `due_requests` has the rules."""
    run_state, records = cache(partial(_run_state, instance)), read_cursor(cursor)
    requests, new = due_requests(prefix, changes, records, run_state, now)
    states = {unit: record.state for unit, record in records.items()}
    new_units = [unit for unit, record in new.items() if states.get(unit) != record.state]
    return DueLoads(requests, write_cursor(new), new_units)


def _state(compiled: CompiledStar, plan: PendingChanges, item: ChangedMonth) -> str:
    """Return what a month would be loaded from. If it was held because of other months, a change of these is a new state."""
    fingerprints = map(plan.selection.fingerprint, (item.month, *item.resolved))
    return " ".join([*fingerprints, compiled.version, plan.stale.get(item.month, "")]).rstrip()


def _run_state(instance: dg.DagsterInstance, run_key: str) -> tuple[RunState, datetime | None]:
    """Return the state of the run with a run key, and when it ended."""
    records = instance.get_run_records(dg.RunsFilter(tags={RUN_KEY: run_key}), limit=1)
    if not records:
        return "absent", None
    status, ended = records[0].dagster_run.status, records[0].end_time
    ended_at = datetime.fromtimestamp(ended, UTC) if ended else None
    if status == dg.DagsterRunStatus.SUCCESS:
        return "succeeded", ended_at
    return ("failed" if status in _FAILED else "running"), ended_at


def run_request(job_name: str, request: LoadRequest, tags: Mapping[str, str] = {}) -> dg.RunRequest:
    """Return the request of a run of a job, which loads or builds what is requested, with more tags."""
    return dg.RunRequest(request.key, job_name=job_name, tags={**range_tags(request.scope), **tags})
