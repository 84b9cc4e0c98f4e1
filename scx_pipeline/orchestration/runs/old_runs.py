"""The removal of old Dagster runs, except those that hold an asset's latest events.

When they are removed is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

EVENTS_PER_REQUEST = 500
FINISHED_STATUSES = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def remove_old_runs(instance: dg.DagsterInstance, days: int) -> int:
    """Delete the old runs and return their number; 0 days keep all of them."""
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
