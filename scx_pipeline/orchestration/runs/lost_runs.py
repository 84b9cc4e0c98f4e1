"""Lost runs: Dagster shows them as running, but their process has ended. They are reported as failed, so nothing waits for them.

Requesting their months again does not belong here.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from scx_pipeline.orchestration.runs.run_locks import runs_without_process

LOST_RUN_MESSAGE = (
    "The run's process ended without reporting a result: it was killed, or its machine went down. Its load was published "
    "completely or not at all; months that are still due are requested again."
)


def fail_lost_runs(instance: dg.DagsterInstance, home: Path) -> list[str]:
    """Report unfinished runs whose process has ended as failed, and return their ids."""
    lost = []
    for run_id, path in runs_without_process(home):
        run = instance.get_run_by_id(run_id)
        if run is None:  # it belongs to another instance
            continue
        if not run.is_finished:
            instance.report_run_failed(run, LOST_RUN_MESSAGE)
            lost.append(run_id)
        path.unlink(missing_ok=True)
    return lost
