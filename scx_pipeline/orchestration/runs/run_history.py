"""Runs that ended and checks' last results, as Dagster's instance has them, turned into the facts that alerts are made of.
Only names that stars declare, months, kinds and ids get through: no message of an error, no description of a check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import dagster as dg

from scx_pipeline.alerts.advice import OTHER, PROCESS, kind_of
from scx_pipeline.alerts.facts import CheckState, FinishedRun, Result
from scx_pipeline.alerts.problems import Memory
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.loading.checks import declared_checks
from scx_pipeline.orchestration.assets.events import FAILURE_KIND
from scx_pipeline.orchestration.assets.metadata import asset_key, lake_key
from scx_pipeline.orchestration.dagster_internals import WILL_RETRY_TAG, LatestCheck, latest_checks
from scx_pipeline.orchestration.runs.run_scope import run_scope
from scx_pipeline.reporting.freshness import declared_watches

MOST_RUNS = 200  # that one look reads; the next one goes on from there
OVERLAP = 300.0  # seconds that are read again: clocks differ, and what ended is seen a little later
HORIZON = 3600.0  # seconds that a first look reads: as long as a sensor waits before it asks again
UNDECIDED = 120.0  # seconds in which Dagster notes whether it will try a failed run again
_EVENTS = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}
_ENDS = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]


@dataclass(frozen=True)
class RunHistory:
    """The runs that ended since the last look, those of lately whose events were read, and until when all are known."""

    runs: tuple[FinishedRun, ...]
    seen: Mapping[str, float]
    watermark: float


def read_run_history(
    instance: dg.DagsterInstance,
    stars: Sequence[CompiledStar],
    memory: Memory,
    now: float,
    location: str = "",
) -> RunHistory:
    """The runs that ended since the last look; of a first one, those of the last hour.

    Runs of another code location than the named one are not ours.
    """
    since = memory.watermark or now - HORIZON
    records = instance.get_run_records(
        dg.RunsFilter(statuses=_ENDS, updated_after=datetime.fromtimestamp(since - OVERLAP, UTC)),
        limit=MOST_RUNS, order_by="update_timestamp", ascending=True,
    )  # fmt: skip
    until = records[-1].update_timestamp.timestamp() + OVERLAP if len(records) == MOST_RUNS else now
    seen = {run: ended for run, ended in memory.seen.items() if ended > since - OVERLAP}
    runs, declared = [], declared_states(stars)
    for record in records:
        run, ended = record.dagster_run, record.end_time or record.update_timestamp.timestamp()
        if location and run.remote_job_origin and run.remote_job_origin.location_name != location:
            continue
        found = FinishedRun(run.run_id, run_scope(run, stars), ended)
        if run.run_id not in seen and ended > since - OVERLAP and _is_final(instance, record, now):
            seen[run.run_id] = ended
            runs.append(_read(instance, found, run.status == dg.DagsterRunStatus.FAILURE, declared))
        elif run.status == dg.DagsterRunStatus.SUCCESS:
            runs.append(found)
    return RunHistory(tuple(runs), seen, until)


def _is_final(instance: dg.DagsterInstance, record: dg.RunRecord, now: float) -> bool:
    """Whether Dagster will not try the run again by itself, which it notes a moment after the run has ended."""
    noted = record.dagster_run.tags.get(WILL_RETRY_TAG)
    failed = record.dagster_run.status == dg.DagsterRunStatus.FAILURE
    if failed and noted is None and instance.run_retries_enabled:
        return now - (record.end_time or 0.0) > UNDECIDED
    return noted != "true"


def _read(
    instance: dg.DagsterInstance,
    run: FinishedRun,
    failed: bool,
    declared: Mapping[dg.AssetCheckKey, CheckState],
) -> FinishedRun:
    """What a run's events tell: how its checks came out, and why it failed, if it did."""
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
    gate = dict.fromkeys((state.table, state.name) for state in states if state.result == "failed")
    return replace(
        run,
        failure=(failure or PROCESS) if failed else "",
        checks=tuple(gate),
        states=() if gate else tuple(states),
    )


def _result(check: dg.AssetCheckEvaluation) -> Result:
    if check.passed:
        return "passed"
    return "failed" if check.severity == dg.AssetCheckSeverity.ERROR else "warned"


def _kind(event: dg.DagsterEvent) -> str:
    """The kind of a step's failure: what our own code says, or the class of an exception that nobody foresaw."""
    data = event.step_failure_data
    if data.user_failure_data is not None:
        value = (data.user_failure_data.metadata or {}).get(FAILURE_KIND)
        return kind_of(str(value.value)) if value else OTHER
    error = (data.error.cause or data.error) if data.error else None
    return kind_of((error.cls_name or "").rpartition(".")[2]) if error else OTHER


def declared_states(stars: Sequence[CompiledStar]) -> dict[dg.AssetCheckKey, CheckState]:
    """Every declared check, in the warehouse and in the lake, before it is known how it came out."""
    states = {}
    for name, star in ((compiled.star.name, compiled.star) for compiled in stars):
        for lake, checks, key in (
            (False, [*declared_checks(star), *declared_watches(star)], partial(asset_key, name)),
            (True, declared_checks(star), partial(lake_key, name)),
        ):
            for check in checks:
                state = CheckState(name, check.table, check.name, "unknown", lake)
                states[dg.AssetCheckKey(key(check.table), check.name)] = state
    return states


def read_checks(instance: dg.DagsterInstance, stars: Sequence[CompiledStar]) -> tuple[CheckState, ...]:
    """How each declared check came out last; one that never ran is left out, and one that runs now is unknown."""
    declared = declared_states(stars)
    found = latest_checks(instance, list(declared))
    return tuple(_state(declared[key], latest) for key, latest in found.items() if key in declared)


def _state(state: CheckState, latest: LatestCheck) -> CheckState:
    result: Result = _result(latest.evaluation) if latest.evaluation else "unknown"
    return replace(state, result=result, run_id=latest.run_id, at=latest.created_at)
