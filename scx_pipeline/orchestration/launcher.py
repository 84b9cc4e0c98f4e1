"""The run launcher of a deployment: runs in the code server's own processes, as Dagster's, and sees when they are gone.
What a run does, and how a failed one is asked for again, lives elsewhere."""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._grpc.types import GetCurrentRunsResult
from dagster._serdes import deserialize_value


class CodeServerRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, that asks the code server whether a run is still there.

    A code server that goes down takes its runs with it. To Dagster they would go on until `max_runtime_seconds`, and
    their months would wait as long. The code server must be `dagster api grpc`, as `scx serve code` starts it.
    """

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> CodeServerRunLauncher:
        """Dagster's way of making it."""
        return cls(inst_data=inst_data, **config_value)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """It does, so that run monitoring asks."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the server that the run was started on still has it.

        A server that does not answer tells nothing: it may be back in a moment, and the run with it if only the network
        was away. It counts as running; the limit on its time remains. So does a run of the `scx` command, which is in
        no server.
        """
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the run was started in no code server")
        try:
            found = deserialize_value(client.get_current_runs(), GetCurrentRunsResult)
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the code server does not answer")
        if run.run_id in found.current_runs:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, "the code server was started anew, or the run's process has ended"
        )
