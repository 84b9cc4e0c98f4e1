"""Runs whose process is gone while Dagster takes them for running: they are reported as failed, so that nothing waits for them.
How a process is seen to be gone is in `running`; when a failed run's months are requested again, in `due`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import dagster as dg

from scx_pipeline.orchestration.runs.run_locks import hold, runs_without_process

LOST = (
    "The run's process ended without a report: it was killed, or its machine went down. Its load was published in whole "
    "or not at all; months that are still due are requested again."
)
_held: list[IO[bytes] | None] = []  # until this process ends, which is after the run's last event


def fail_lost_runs(instance: dg.DagsterInstance, home: Path) -> list[str]:
    """Report the unfinished runs whose process is gone as failed; their ids."""
    lost = []
    for run_id, path in runs_without_process(home):
        run = instance.get_run_by_id(run_id)
        if run is None:  # another instance's
            continue
        if not run.is_finished:
            instance.report_run_failed(run, LOST)
            lost.append(run_id)
        path.unlink(missing_ok=True)
    return lost


class HoldingExecutor(dg.Executor):
    """An executor in one process, which holds the run's file until that process ends."""

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
        """Hold the run's file and execute the steps."""
        _held.append(hold(self._home, plan_context.run_id))
        yield from self._executor.execute(plan_context, execution_plan)


def holding_executor(home: Path) -> dg.ExecutorDefinition:
    """Make the executor of runs that are launched: all steps in the run's one process, which others can see."""
    create = dg.in_process_executor.executor_creation_fn
    assert create
    schema: Any = dg.in_process_executor.config_schema
    return dg.ExecutorDefinition(
        name="in_process",
        config_schema=schema,
        executor_creation_fn=lambda context: HoldingExecutor(create(context), home),
    )
