"""The run launcher: runs are processes of the code server, as with Dagster's own, and one whose process is gone is noticed.
What a run does, and how a failed one is requested again, lives elsewhere."""

from __future__ import annotations

import json
import socket
from typing import Any

import dagster as dg

from scx_pipeline.orchestration.dagster_internals import (
    GRPC_INFO_TAG,
    CheckRunHealthResult,
    DagsterUserCodeUnreachableError,
    GetCurrentRunsResult,
    WorkerStatus,
)
from scx_pipeline.orchestration.runs.run_locks import process_of
from scx_pipeline.settings import read_settings

ANSWER_SECONDS = 5.0


class CodeServerRunLauncher(dg.DefaultRunLauncher):
    """Dagster's default launcher, which also finds out whether a run's process is still there.

    A code server that goes down takes its runs with it. To Dagster they would go on until `max_runtime_seconds`, and
    their months would wait as long. Run monitoring asks `check_run_worker_health`.
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
        """Whether the run's process is there: by its file, if this machine has it, else by the server that started it."""
        process = process_of(read_settings().home, run.run_id)
        if process == "unknown":
            return self._ask_server(run)
        if process == "alive":
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the run's process ended without a report")

    def _ask_server(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the server that the run was started on still has it.

        A server elsewhere that does not answer says nothing: it may be back in a moment, and the run with it if only the
        network was away. It counts as running; the limit on its time remains. So does a run that was started in no server.
        """
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the run was started in no code server")
        if _is_closed(json.loads(run.tags[GRPC_INFO_TAG]).get("socket")):
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the code server of this machine is gone")
        try:
            found = dg.deserialize_value(client.get_current_runs(), GetCurrentRunsResult)
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the code server does not answer")
        if run.run_id in found.current_runs:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, "the code server was restarted, or the run's process has ended"
        )


def _is_closed(path: str | None) -> bool:
    """Whether nothing listens on a socket of this machine's, which a server that is only slow does."""
    if path is None:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(ANSWER_SECONDS)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:
            return False
    return False
