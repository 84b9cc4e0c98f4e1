"""The sensors of a follower: they build the lake from what a load has published in the warehouse, or load the warehouse from the lake.

Which months are due, and what a run does, is not decided here.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.lake.build.builder import plan_following_build
from scx_pipeline.lake.format.manifest import PartitionState
from scx_pipeline.lake.load.lake_load_plan import LakeLoadPlan, plan_lake_load
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.star import Star
from scx_pipeline.orchestration.assets.table_assets import FROM_LAKE, ROWS_FROM
from scx_pipeline.orchestration.automation.sensors import (
    TICK_LOCK_TIMEOUT,
    TICK_RETRY_SECONDS,
    DueLoads,
    SensorConfig,
    changed_states,
    request_changes,
)
from scx_pipeline.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from scx_pipeline.orchestration.jobs import lake_job_name, warehouse_job_name
from scx_pipeline.orchestration.partitions import range_tags
from scx_pipeline.orchestration.resources.lake_resource import LakeResource
from scx_pipeline.orchestration.resources.warehouse_resources import BucketResource, WarehouseResource
from scx_pipeline.orchestration.runs.lost_runs import fail_lost_runs
from scx_pipeline.planning.run_requests import LoadUnit
from scx_pipeline.settings import read_settings

Jobs = Sequence[UnresolvedAssetJobDefinition]
_ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
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
        if _find_jobs(context.instance, names, statuses=_NOT_ENDED):
            return dg.SkipReason("a build of the lake is queued or in progress")
        recent = _find_jobs(context.instance, names, created_after=now - wait)
        if recent == names:
            return dg.SkipReason(
                f"the last build of the lake is less than {wait.total_seconds():.0f} seconds old (SCX_LAKE_SECONDS)"
            )
        try:
            opened = bucket.open(retry_seconds=TICK_RETRY_SECONDS)
            loaded = warehouse.open(lock_timeout=TICK_LOCK_TIMEOUT)
            plan = plan_following_build(compiled, opened, lake.url, loaded)
        except PipelineError as error:
            return dg.SkipReason(str(error))
        changed = changed_states(compiled, plan) if plan else {}
        postponed = [unit for unit in changed if _job_of(star, unit) in recent]
        due = request_changes(
            context.instance, f"{star.name}:lake", changed, context.cursor, now, postponed=postponed
        )
        requests = [
            dg.RunRequest(
                item.key, job_name=lake_job_name(star, item.scope), tags=dict(range_tags(item.scope))
            )
            for item in due.requests
        ]
        return _result(
            requests, due, "the lake has what the warehouse has published, or its next build waits"
        )

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
            plan.check(plan.unpartitioned, plan.months)
        except PipelineError as error:
            return dg.SkipReason(str(error))
        changed = _published_states(plan)
        due = request_changes(context.instance, f"{star.name}:from_lake", changed, context.cursor, now)
        requests = [
            dg.RunRequest(
                item.key,
                job_name=warehouse_job_name(star, item.scope),
                tags={**range_tags(item.scope), ROWS_FROM: FROM_LAKE},
            )
            for item in due.requests
        ]
        return _result(
            requests, due, "the warehouse has what the lake has published, or its run is in progress"
        )

    return request_loads


def _find_jobs(instance: dg.DagsterInstance, jobs: Collection[str], **filters: Any) -> set[str]:
    """Return those of the jobs that have a run which passes the filters of `RunsFilter`."""
    return {job for job in jobs if instance.get_runs_count(dg.RunsFilter(job_name=job, **filters))}


def _job_of(star: Star, unit: LoadUnit) -> str:
    return lake_job_name(star, UNPARTITIONED if unit is UNPARTITIONED else star.months())


def _published_states(plan: LakeLoadPlan) -> Mapping[LoadUnit, str]:
    """Return the build of each month that must be loaded, and of the unpartitioned tables."""
    changed: dict[LoadUnit, str] = {month: _state(plan.manifest.months[month]) for month in plan.months}
    if plan.unpartitioned and plan.manifest.unpartitioned:
        changed[UNPARTITIONED] = _state(plan.manifest.unpartitioned)
    return changed


def _state(built: PartitionState) -> str:
    return f"{built.state.fingerprint} {built.state.code_version} {built.run}"


def _result(requests: Sequence[dg.RunRequest], due: DueLoads, reason: str) -> dg.SensorResult:
    if not requests:
        return dg.SensorResult(skip_reason=reason, cursor=due.cursor)
    return dg.SensorResult(run_requests=requests, cursor=due.cursor)
