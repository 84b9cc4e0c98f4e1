"""Lost runs: Dagster shows them as running, but their process has ended. They are reported as failed, so nothing waits for them.

Requesting their months again does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import dagster as dg

from scx_pipeline.orchestration.runs.run_locks import lock_run, runs_without_process

LOST_RUN_MESSAGE = (
    "The run's process ended without reporting a result: it was killed, or its machine went down. Its load was published "
    "completely or not at all; months that are still due are requested again."
)
_locked_files: list[IO[bytes] | None] = []  # until this process ends, which is after the run's last event


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


class LockingExecutor(dg.Executor):
    """An in-process executor that keeps the run's file locked until the process ends."""

    def __init__(self, executor: dg.Executor, home: Path) -> None:
        self._executor = executor
        self._home = home

    @property
    def retries(self) -> Any:
        return self._executor.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._executor.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Lock the run's file and execute the steps."""
        _locked_files.append(lock_run(self._home, plan_context.run_id))
        yield from self._executor.execute(plan_context, execution_plan)


def locking_executor(home: Path) -> dg.ExecutorDefinition:
    """Define the executor of launched runs: all steps in one process, whose existence other processes can check."""
    create = dg.in_process_executor.executor_creation_fn
    assert create
    schema: Any = dg.in_process_executor.config_schema
    return dg.ExecutorDefinition(
        name="in_process",
        config_schema=schema,
        executor_creation_fn=lambda context: LockingExecutor(create(context), home),
    )
