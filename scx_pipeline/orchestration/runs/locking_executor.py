"""The executor of launched runs: it locks the run's file, so that other processes can see whether the run's process exists.

Which runs are lost is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import dagster as dg

from scx_pipeline.orchestration.runs.run_locks import lock_run

_locked_files: list[IO[bytes] | None] = []  # until this process ends, which is after the run's last event


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
