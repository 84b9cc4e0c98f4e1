"""The run launcher: runs are processes of the code server, as with Dagster's default launcher, and their health is checked.

Requesting failed runs again does not belong here.
"""

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
from scx_pipeline.orchestration.runs.run_locks import process_state
from scx_pipeline.settings import read_settings

PROBE_TIMEOUT_SECONDS = 5.0


class CodeServerRunLauncher(dg.DefaultRunLauncher):
    """Dagster's default launcher, extended by a check whether a run's process still exists.

    A code server that goes down takes its runs with it. Without this check, Dagster would show them as running until
    `max_runtime_seconds`, and their months would not be loaded until then. Run monitoring calls `check_run_worker_health`.
    """

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> CodeServerRunLauncher:
        """Create the launcher from dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """True, so that run monitoring calls the check."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the run's process exists, from its lock file on this machine or from the server that started it."""
        process = process_state(read_settings().home, run.run_id)
        if process == "unknown":
            return self._ask_server(run)
        if process == "alive":
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, "the run's process ended without reporting a result"
        )

    def _ask_server(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Ask the server that started the run whether it still executes it.

        If a server on another machine does not respond, the run counts as running: the network may be down temporarily, and
        the run's time limit still applies. A run that was not started by a server counts as running, too.
        """
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the run was started in no code server")
        if _is_closed(json.loads(run.tags[GRPC_INFO_TAG]).get("socket")):
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the code server of this machine is gone")
        try:
            found = dg.deserialize_value(client.get_current_runs(), GetCurrentRunsResult)
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the code server does not respond")
        if run.run_id in found.current_runs:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, "the code server was restarted, or the run's process has ended"
        )


def _is_closed(path: str | None) -> bool:
    """Return whether nothing listens on a socket of this machine; a slow server still listens."""
    if path is None:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_TIMEOUT_SECONDS)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:
            return False
    return False
