"""Runs that ended and checks' last results, as Dagster's instance has them, turned into the facts that alerts are made of.
Only names that stars declare, months, kinds and ids get through: no message of an error, no description of a check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)
from dagster._core.storage.dagster_run import DagsterRun, RunRecord
from dagster._core.storage.tags import PARTITION_NAME_TAG, WILL_RETRY_TAG

from scx_pipeline.alerts.facts import LOAD, REFRESH, CheckState, EndedRun, Result, Target
from scx_pipeline.alerts.finding import Memory
from scx_pipeline.alerts.kinds import OTHER, PROCESS, kind_of
from scx_pipeline.engine.checks import DeclaredCheck, declared_checks
from scx_pipeline.engine.sql import CompiledStar
from scx_pipeline.engine.watch import declared_watches
from scx_pipeline.orchestration.lake_assets import lake_job_name
from scx_pipeline.orchestration.metadata import asset_key, lake_key
from scx_pipeline.orchestration.outcome import FAILURE_KIND
from scx_pipeline.orchestration.partitions import RANGE_END, RANGE_START
from scx_pipeline.orchestration.triggers import refresh_name
from scx_pipeline.spec import Month, Span, Star

MOST_RUNS = 200  # that one look reads; the next one goes on from there
OVERLAP = 300.0  # seconds that are read again: clocks differ, and what ended is seen a little later
HORIZON = 3600.0  # seconds before what is known in which a failure counts: as long as a sensor waits before it asks again
UNDECIDED = 120.0  # seconds in which Dagster notes whether it will try a failed run again
_EVENTS = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}
_ENDS = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]


@dataclass(frozen=True)
class Ended:
    """The runs that ended since the last look, the failures among them that were seen, and until when all are known."""

    runs: tuple[EndedRun, ...]
    seen: Mapping[str, float]
    watermark: float


def read_ended(
    instance: dg.DagsterInstance,
    stars: Sequence[CompiledStar],
    memory: Memory,
    now: float,
    location: str = "",
) -> Ended:
    """The runs that ended since the last look; of a first one, those of the last hour.

    Runs of another code location than the named one are not ours.
    """
    since = memory.watermark or now - HORIZON
    records = instance.get_run_records(
        dg.RunsFilter(statuses=_ENDS, updated_after=datetime.fromtimestamp(since - OVERLAP, UTC)),
        limit=MOST_RUNS, order_by="update_timestamp", ascending=True,
    )  # fmt: skip
    until = records[-1].update_timestamp.timestamp() + OVERLAP if len(records) == MOST_RUNS else now
    seen = {run: ended for run, ended in memory.seen.items() if ended > since - HORIZON}
    runs = []
    for record in records:
        run, ended = record.dagster_run, record.end_time or record.update_timestamp.timestamp()
        origin = run.remote_job_origin
        if location and origin and origin.location_name != location:
            continue
        if run.status == dg.DagsterRunStatus.SUCCESS:
            runs.append(EndedRun(run.run_id, target_of(run, stars), ended))
        elif run.run_id not in seen and ended > since - HORIZON and _is_final(instance, record, now):
            seen[run.run_id] = ended
            runs.append(_failed(instance, run, ended, stars))
    return Ended(tuple(runs), seen, until)


def _is_final(instance: dg.DagsterInstance, record: RunRecord, now: float) -> bool:
    """Whether Dagster will not try the run again by itself, which it notes a moment after the run has ended."""
    noted = record.dagster_run.tags.get(WILL_RETRY_TAG)
    if noted is None and instance.run_retries_enabled:
        return now - (record.end_time or 0.0) > UNDECIDED
    return noted != "true"


def _failed(
    instance: dg.DagsterInstance, run: DagsterRun, ended: float, stars: Sequence[CompiledStar]
) -> EndedRun:
    target = target_of(run, stars)
    declared = {(item.table, item.name) for compiled in stars for item in _declared(compiled.star)}
    failure, checks = "", []
    for entry in instance.all_logs(run.run_id, of_type=_EVENTS):
        event = entry.dagster_event
        if event and event.is_step_failure and not failure:
            failure = _kind(event)
        elif event and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            named = (check.asset_key.path[-1], check.check_name)
            blocking = not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
            if blocking and named in declared and named not in checks:
                checks.append(named)
    return EndedRun(run.run_id, target, ended, failure or PROCESS, tuple(checks))


def _kind(event: dg.DagsterEvent) -> str:
    """The kind of a step's failure: what our own code says, or the class of an exception that nobody foresaw."""
    data = event.step_failure_data
    if data.user_failure_data is not None:
        value = (data.user_failure_data.metadata or {}).get(FAILURE_KIND)
        return kind_of(str(value.value)) if value else OTHER
    error = (data.error.cause or data.error) if data.error else None
    return kind_of((error.cls_name or "").rpartition(".")[2]) if error else OTHER


def target_of(run: DagsterRun, stars: Sequence[CompiledStar]) -> Target:
    """What a run was to make, by its job, or by the assets that somebody chose in the UI."""
    keys = {key.to_user_string() for key in run.asset_selection or ()}
    checked = {item.asset_key.to_user_string() for item in run.asset_check_selection or ()}
    for compiled in stars:
        star = compiled.star
        jobs = _jobs(star)
        if run.job_name in jobs or _are_of(star, keys or checked):
            what, known = jobs.get(run.job_name, ("", frozenset()))
            if not what:
                what, known = _chosen(star, keys)
            tables = tuple(sorted(key.rpartition("/")[2] for key in keys & known))
            return Target(star.name, what, _months(run), () if keys >= known else tables)
    return Target("", kind_of(run.job_name), _months(run))


def _are_of(star: Star, keys: Iterable[str]) -> bool:
    keys = list(keys)
    return bool(keys) and all(key.startswith(f"{star.name}/") for key in keys)


def _roads(star: Star) -> dict[str, frozenset[str]]:
    """What runs of a star can be for, and the assets that each makes."""
    months, whole = [table.name for table in star.monthly], [table.name for table in star.whole]
    return {
        LOAD: frozenset(f"{star.name}/{name}" for name in months),
        REFRESH: frozenset(f"{star.name}/{name}" for name in whole),
        "lake_load": frozenset(f"{star.name}/lake/{name}" for name in months),
        "lake_refresh": frozenset(f"{star.name}/lake/{name}" for name in whole),
        "report": frozenset({f"{star.name}/report"}),
    }


def _jobs(star: Star) -> dict[str, tuple[str, frozenset[str]]]:
    roads = _roads(star)
    names = {
        star.name: LOAD,
        refresh_name(star): REFRESH,
        lake_job_name(star, star.months()): "lake_load",
        lake_job_name(star, None): "lake_refresh",
    }
    return {name: (what, roads[what]) for name, what in names.items()}


def _chosen(star: Star, keys: set[str]) -> tuple[str, frozenset[str]]:
    """The road that makes all the chosen assets; of several roads at once, or none, nothing more is said."""
    for what, known in _roads(star).items():
        if keys and keys <= known:
            return what, known
    return ("assets", frozenset()) if keys else ("checks", frozenset())


def _months(run: DagsterRun) -> frozenset[Month]:
    """The months that a run's tags name; what is no month is left out."""
    tags = run.tags
    first = tags.get(RANGE_START) or tags.get(PARTITION_NAME_TAG, "")
    try:
        return frozenset(Span(Month.parse(first), Month.parse(tags.get(RANGE_END) or first)))
    except ValueError:
        return frozenset()


def _declared(star: Star) -> list[DeclaredCheck]:
    return [*declared_checks(star), *declared_watches(star)]


def read_checks(instance: dg.DagsterInstance, stars: Sequence[CompiledStar]) -> tuple[CheckState, ...]:
    """How each declared check came out last, in the warehouse and in the lake; one that never ran is left out."""
    wanted: dict[dg.AssetCheckKey, CheckState] = {}
    for name, compiled in ((compiled.star.name, compiled) for compiled in stars):
        for lake, checks, key in (
            (False, _declared(compiled.star), partial(asset_key, name)),
            (True, declared_checks(compiled.star), partial(lake_key, name)),
        ):
            for check in checks:
                state = CheckState(name, check.table, check.name, "unknown", lake)
                wanted[dg.AssetCheckKey(key(check.table), check.name)] = state
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(wanted))
    return tuple(_state(wanted[key], record) for key, record in found.items() if key in wanted)


def _state(state: CheckState, record: AssetCheckExecutionRecord) -> CheckState:
    result: Result = "unknown"
    if record.status == AssetCheckExecutionRecordStatus.SUCCEEDED:
        result = "passed"
    elif record.status == AssetCheckExecutionRecordStatus.FAILED:
        severe = record.evaluation and record.evaluation.severity == dg.AssetCheckSeverity.ERROR
        result = "failed" if severe else "warned"
    return CheckState(
        state.star, state.table, state.name, result, state.lake, record.run_id, record.create_timestamp
    )
