"""The last failed run of each star, with its message, read from the Dagster instance.

Messages may contain keys and values of rows: they are shown to operators, and alerts do not contain them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.model.calendar import Month
from scx_pipeline.orchestration.runs.run_scope import run_scope

MAX_RUNS = 200  # of the last runs that ended
_ENDS = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
_FAILURES = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}


@dataclass(frozen=True)
class FailedRun:
    """A run that failed: its work and months, when it ended (UTC), and the first line of its message."""

    run_id: str
    work: str
    months: tuple[Month, ...]
    ended_at: datetime
    message: str


def find_failed_runs(
    instance: dg.DagsterInstance, stars: Sequence[CompiledStar], loaded_at: Mapping[str, datetime]
) -> dict[str, FailedRun]:
    """Return the last failed run of each star, unless the star succeeded since: a run of the same work, or a load.

    Args:
        loaded_at: When each star was last loaded, possibly by a run of another instance, in UTC.
    """
    records = instance.get_run_records(
        dg.RunsFilter(statuses=_ENDS), limit=MAX_RUNS, order_by="update_timestamp", ascending=False
    )
    found: dict[str, FailedRun] = {}
    succeeded = set()
    for record in records:
        run, scope = record.dagster_run, run_scope(record.dagster_run, stars)
        ended_at = _utc(record.end_time) if record.end_time else record.update_timestamp.replace(tzinfo=None)
        if run.status == dg.DagsterRunStatus.SUCCESS:
            succeeded.add((scope.star, scope.work))
            continue
        is_resolved = (scope.star, scope.work) in succeeded or (
            not scope.work.startswith("lake_") and ended_at <= loaded_at.get(scope.star, datetime.min)
        )
        if scope.star and scope.star not in found and not is_resolved:
            message = _failure_message(instance, run.run_id)
            months = tuple(sorted(scope.months))
            found[scope.star] = FailedRun(run.run_id, scope.work, months, ended_at, message)
    return found


def step_failure_message(event: dg.DagsterEvent) -> str:
    """Return the message of a failed step; that of an unexpected error begins with its class."""
    data = event.step_failure_data
    if data.user_failure_data is not None:
        return data.user_failure_data.description or ""
    return (data.error.cause or data.error).message.strip() if data.error else ""


def _failure_message(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return the first line of the message of the first step that failed, or of the run."""
    events = [entry.dagster_event for entry in instance.all_logs(run_id, of_type=_FAILURES)]
    messages = [step_failure_message(event) for event in events if event and event.is_step_failure]
    messages += [event.message or "" for event in events if event and not event.is_step_failure]
    return next((message.splitlines()[0] for message in messages if message.strip()), "")


def _utc(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC).replace(tzinfo=None)
