"""The sensors of a follower: they build the lake from what a load has published in the warehouse, or load the warehouse from the lake.

Which months are due, and what a run does, is not decided here.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.lake.build.builder import plan_following_build
from scx_pipeline.lake.format.manifest import PartitionState
from scx_pipeline.lake.load.lake_load_plan import LakeLoadPlan, plan_lake_load
from scx_pipeline.model.calendar import UNPARTITIONED, Month
from scx_pipeline.model.star import Star
from scx_pipeline.orchestration.assets.metadata import lake_key
from scx_pipeline.orchestration.assets.table_assets import FROM_LAKE, ROWS_FROM
from scx_pipeline.orchestration.automation.sensors import (
    TICK_LOCK_TIMEOUT,
    TICK_RETRY_SECONDS,
    DueLoads,
    SensorConfig,
    changed_states,
    of_rebuild,
    request_changes,
    run_request,
)
from scx_pipeline.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from scx_pipeline.orchestration.jobs import lake_job_name, warehouse_job_name
from scx_pipeline.orchestration.resources.lake_resource import LakeResource
from scx_pipeline.orchestration.resources.warehouse_resources import BucketResource, WarehouseResource
from scx_pipeline.orchestration.runs.lost_runs import fail_lost_runs
from scx_pipeline.planning.run_requests import Changes, LoadUnit
from scx_pipeline.settings import read_settings

Jobs = Sequence[UnresolvedAssetJobDefinition]
NOT_STARTED_LIMIT = timedelta(minutes=10)
NOTHING_TO_BUILD = (
    "nothing to build: the lake has all that the warehouse has published, or a build waits for SCX_LAKE_SECONDS or after a "
    "failure"
)
NOTHING_TO_LOAD = "nothing to load: the warehouse has all that the lake has published, or a load is in progress or waits after a failure"
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_NOT_ENDED = [status for status in dg.DagsterRunStatus if status not in _ENDED]


def lake_sensor(
    compiled: CompiledStar, jobs: Jobs, config: SensorConfig, wait: timedelta
) -> dg.SensorDefinition:
    """Define the sensor that builds the lake for the months that a load has published in the warehouse.

    A build rewrites its months from all of their objects. So nothing is requested while another one is queued or in progress,
    nor within `wait` after the last one of the same job: what is published meanwhile is built once, afterwards.
    """
    star, names = compiled.star, {job.name for job in jobs}

    @dg.sensor(
        name=f"{star.name}_lake",
        jobs=jobs,
        minimum_interval_seconds=config.seconds,
        default_status=config.status,
        description=f"Builds the lake of {star.name} for the months that a load has published in the warehouse.",
    )
    def request_builds(
        context: dg.SensorEvaluationContext,
        warehouse: WarehouseResource,
        bucket: BucketResource,
        lake: LakeResource,
    ) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        fail_lost_runs(context.instance, read_settings().home)
        recent = {job for job in names if _has_ended_since(context.instance, job, now - wait)}
        if reason := _skip_reason(context.instance, star, names, recent, wait):
            return dg.SkipReason(reason)
        try:
            opened = bucket.open(retry_seconds=TICK_RETRY_SECONDS)
            loaded = warehouse.open(lock_timeout=TICK_LOCK_TIMEOUT)
            plan = plan_following_build(compiled, opened, lake.url, loaded)
        except PipelineError as error:
            return dg.SkipReason(str(error))
        states = changed_states(compiled, plan) if plan else {}
        changes = Changes(states, postponed=[unit for unit in states if _job_of(star, unit) in recent])
        due = request_changes(context.instance, f"{star.name}:lake", changes, context.cursor, now)
        requests = [run_request(lake_job_name(star, item.scope), item) for item in due.requests]
        return _result(requests, due, NOTHING_TO_BUILD)

    return request_builds


def from_lake_sensor(compiled: CompiledStar, jobs: Jobs, config: SensorConfig) -> dg.SensorDefinition:
    """Define the sensor that loads the warehouse from the lake, for the months that a build has published there."""
    star = compiled.star

    @dg.sensor(
        name=f"{star.name}_from_lake",
        jobs=jobs,
        minimum_interval_seconds=config.seconds,
        default_status=config.status,
        description=f"Loads {star.name} from the lake: the months that a build has published there.",
    )
    def request_loads(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource, lake: LakeResource
    ) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        fail_lost_runs(context.instance, read_settings().home)
        try:
            plan = plan_lake_load(compiled, lake.url, warehouse.open(lock_timeout=TICK_LOCK_TIMEOUT))
            plan.check(plan.unpartitioned, plan.months if plan.requires_full_rebuild else ())
        except PipelineError as error:
            return dg.SkipReason(str(error))
        refused = plan.find_refused()
        for reason in refused.values():
            context.log.warning(reason)
        changes = Changes(published_states(plan, refused))
        due = request_changes(context.instance, f"{star.name}:from_lake", changes, context.cursor, now)
        requests = [
            run_request(warehouse_job_name(star, item.scope), item, {ROWS_FROM: FROM_LAKE})
            for item in due.requests
        ]
        return _result(requests, due, next(iter(refused.values()), NOTHING_TO_LOAD))

    return request_loads


def _skip_reason(
    instance: dg.DagsterInstance, star: Star, jobs: Set[str], recent: Set[str], wait: timedelta
) -> str:
    """Return why no build of the star's lake may be requested now; empty if one may be.

    Args:
        recent: Those of the jobs of which a run has ended within `wait`.
    """
    run = _find_unfinished(instance, star, jobs)
    if run:
        return f"a build of the lake is queued or in progress: run {run}"
    if recent == jobs:
        return f"the last build of the lake ended less than {wait.total_seconds():.0f} seconds ago (SCX_LAKE_SECONDS)"
    return ""


def _find_unfinished(instance: dg.DagsterInstance, star: Star, jobs: Set[str]) -> str:
    """Return the ID of a run that will build or builds the star's lake, by any job; empty if there is none.

    A run stays NOT_STARTED if its webserver or daemon ended before it was queued.
    """
    keys = {lake_key(star.name, table.name) for table in star.tables}
    lost = datetime.now(UTC) - NOT_STARTED_LIMIT
    for record in instance.get_run_records(dg.RunsFilter(statuses=_NOT_ENDED)):
        run = record.dagster_run
        if run.status == dg.DagsterRunStatus.NOT_STARTED and record.create_timestamp < lost:
            continue
        if run.job_name in jobs or keys & (run.asset_selection or set()):
            return run.run_id
    return ""


def _has_ended_since(instance: dg.DagsterInstance, job: str, since: datetime) -> bool:
    """Return whether the newest run of a job that has ended did so since a time."""
    records = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=_ENDED), limit=1)
    return any((record.end_time or 0.0) > since.timestamp() for record in records)


def _job_of(star: Star, unit: LoadUnit) -> str:
    return lake_job_name(star, UNPARTITIONED if unit is UNPARTITIONED else star.months())


def published_states(plan: LakeLoadPlan, refused: Collection[Month] = ()) -> Mapping[LoadUnit, str]:
    """Return the build of each month that must be loaded, unless it is refused, and of the unpartitioned tables."""
    months = [month for month in plan.months if month not in refused]
    changed: dict[LoadUnit, str] = {month: _state(plan.manifest.months[month]) for month in months}
    if plan.requires_full_rebuild:
        changed = of_rebuild(changed)
    if plan.unpartitioned and plan.manifest.unpartitioned:
        changed[UNPARTITIONED] = _state(plan.manifest.unpartitioned)
    return changed


def _state(built: PartitionState) -> str:
    return f"{built.state.fingerprint} {built.state.code_version} {built.run}"


def _result(requests: Sequence[dg.RunRequest], due: DueLoads, reason: str) -> dg.SensorResult:
    if not requests:
        return dg.SensorResult(skip_reason=reason, cursor=due.cursor)
    return dg.SensorResult(run_requests=requests, cursor=due.cursor)
