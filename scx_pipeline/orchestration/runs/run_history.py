"""Runs that ended and the latest results of checks, read from the Dagster instance for alerts.

Only names that stars declare, months, kinds and ids are returned: no error messages, no descriptions of checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import dagster as dg

from scx_pipeline.alerts.advice import OTHER, PROCESS, public_kind
from scx_pipeline.alerts.observations import CheckState, FinishedRun, Result
from scx_pipeline.alerts.problems import SensorState
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.loading.checks.declared_checks import declared_checks
from scx_pipeline.orchestration.assets.events import FAILURE_KIND
from scx_pipeline.orchestration.assets.metadata import PUBLISHED, asset_key, lake_key
from scx_pipeline.orchestration.dagster_internals import WILL_RETRY_TAG, LatestCheck, latest_checks
from scx_pipeline.orchestration.runs.run_scope import run_scope
from scx_pipeline.reporting.freshness import declared_freshness_checks

MAX_RUNS = 200  # read by one tick; the next one continues from there
OVERLAP_SECONDS = 300.0  # read again by each tick: clocks differ, and ended runs are visible with a delay
FIRST_LOOKBACK_SECONDS = 3600.0  # read by the first tick: the longest delay before a request is repeated
RETRY_DECISION_SECONDS = 120.0  # within which Dagster stores whether it retries a failed run
_EVENTS = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}
_ENDS = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]


@dataclass(frozen=True)
class RunHistory:
    """Runs that ended since the last tick."""

    runs: tuple[FinishedRun, ...]
    seen: Mapping[str, float]  # recently ended run whose events were read → when it ended
    watermark: float  # until when all ended runs are known


def read_run_history(
    instance: dg.DagsterInstance,
    stars: Sequence[CompiledStar],
    state: SensorState,
    now: float,
    location: str = "",
) -> RunHistory:
    """Return the runs that ended since the last tick, or within the last hour if there was none.

    Args:
        location: The code location whose runs are returned; empty: all.
    """
    since = state.watermark or now - FIRST_LOOKBACK_SECONDS
    records = instance.get_run_records(
        dg.RunsFilter(statuses=_ENDS, updated_after=datetime.fromtimestamp(since - OVERLAP_SECONDS, UTC)),
        limit=MAX_RUNS, order_by="update_timestamp", ascending=True,
    )  # fmt: skip
    until = records[-1].update_timestamp.timestamp() + OVERLAP_SECONDS if len(records) == MAX_RUNS else now
    seen = {run: ended for run, ended in state.seen.items() if ended > since - OVERLAP_SECONDS}
    runs, declared = [], declared_check_states(stars)
    for record in records:
        run, ended = record.dagster_run, record.end_time or record.update_timestamp.timestamp()
        if location and run.remote_job_origin and run.remote_job_origin.location_name != location:
            continue
        found = FinishedRun(run.run_id, run_scope(run, stars), ended)
        if run.run_id not in seen and ended > since - OVERLAP_SECONDS and _is_final(instance, record, now):
            seen[run.run_id] = ended
            runs.append(_read(instance, found, run.status == dg.DagsterRunStatus.FAILURE, declared))
        elif run.status == dg.DagsterRunStatus.SUCCESS:
            runs.append(found)
    return RunHistory(tuple(runs), seen, until)


def _is_final(instance: dg.DagsterInstance, record: dg.RunRecord, now: float) -> bool:
    """Return whether Dagster will not retry the run automatically, which it stores shortly after the run has ended."""
    will_retry = record.dagster_run.tags.get(WILL_RETRY_TAG)
    failed = record.dagster_run.status == dg.DagsterRunStatus.FAILURE
    if failed and will_retry is None and instance.run_retries_enabled:
        return now - (record.end_time or 0.0) > RETRY_DECISION_SECONDS
    return will_retry != "true"


def _read(
    instance: dg.DagsterInstance,
    run: FinishedRun,
    failed: bool,
    declared: Mapping[dg.AssetCheckKey, CheckState],
) -> FinishedRun:
    """Complete a run with the results of its checks and the kind of its failure, from its events."""
    failure, states = "", []
    for entry in instance.all_logs(run.run_id, of_type=_EVENTS):
        event = entry.dagster_event
        if event and event.is_step_failure:
            failure = failure or _kind(event)
        elif event:
            check = event.asset_check_evaluation_data
            if check.asset_check_key in declared:
                state = declared[check.asset_check_key]
                states.append(replace(state, result=_result(check), run_id=run.run_id, at=entry.timestamp))
    blocking = dict.fromkeys((state.table, state.name) for state in states if state.result == "failed")
    return replace(
        run,
        failure=(failure or PROCESS) if failed else "",
        checks=tuple(blocking),
        states=() if blocking else tuple(states),
    )


def _result(check: dg.AssetCheckEvaluation) -> Result:
    """Return the result of a check; unless it failed, it is unknown if the load was not published."""
    if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
        return "failed"
    published = check.metadata.get(PUBLISHED)
    if published is not None and not published.value:
        return "unknown"
    return "passed" if check.passed else "warned"


def _kind(event: dg.DagsterEvent) -> str:
    """Return the kind of a step's failure, or the class of an unexpected exception."""
    data = event.step_failure_data
    if data.user_failure_data is not None:
        value = (data.user_failure_data.metadata or {}).get(FAILURE_KIND)
        return public_kind(str(value.value)) if value else OTHER
    error = (data.error.cause or data.error) if data.error else None
    return public_kind((error.cls_name or "").rpartition(".")[2]) if error else OTHER


def declared_check_states(stars: Sequence[CompiledStar]) -> dict[dg.AssetCheckKey, CheckState]:
    """Return all declared checks of the warehouse and the lake, with unknown results."""
    states = {}
    for name, star in ((compiled.star.name, compiled.star) for compiled in stars):
        for lake, checks, key in (
            (False, [*declared_checks(star), *declared_freshness_checks(star)], partial(asset_key, name)),
            (True, declared_checks(star), partial(lake_key, name)),
        ):
            for check in checks:
                state = CheckState(name, check.table, check.name, "unknown", lake)
                states[dg.AssetCheckKey(key(check.table), check.name)] = state
    return states


def read_checks(instance: dg.DagsterInstance, stars: Sequence[CompiledStar]) -> tuple[CheckState, ...]:
    """Return the latest result of each declared check that ever ran; it is unknown while the check is running."""
    declared = declared_check_states(stars)
    found = latest_checks(instance, list(declared))
    return tuple(_state(declared[key], latest) for key, latest in found.items() if key in declared)


def _state(state: CheckState, latest: LatestCheck) -> CheckState:
    result: Result = _result(latest.evaluation) if latest.evaluation else "unknown"
    return replace(state, result=result, run_id=latest.run_id, at=latest.created_at)
