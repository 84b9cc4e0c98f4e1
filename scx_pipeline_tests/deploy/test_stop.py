"""The code server as `scx serve code` starts it, stopped in several phases: it ends soon, and its runs are not lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.launcher import DefaultRunLauncher
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._grpc.client import DagsterGrpcClient

from scx_pipeline.orchestration.build import build_star, with_resources
from scx_pipeline.orchestration.partitions import range_tags
from scx_pipeline.orchestration.runs.instance import open_instance
from scx_pipeline.orchestration.runs.lost_runs import fail_lost_runs
from scx_pipeline.settings import Settings, read_settings
from scx_pipeline_tests.support.load_env import MARCH, LoadEnv, create_load_env, job, range_of_keys, scx_star
from scx_pipeline_tests.support.processes.blocked_loads import blocked_loads, wait_for
from scx_pipeline_tests.support.servers.ports import LOOPBACK, Launch, free_ports, running
from tools.local_services.services import session_processes

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 30.0  # supervise.STOP_SECONDS, on a slow machine
LOADING, SERVING = "Starting Dagster code server", "Started Dagster code server"


@dataclass
class CodeServer:
    """The code server's processes, its output, and the instance that its runs are recorded in."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int
    instance: dg.DagsterInstance
    settings: Settings

    def wait_for_output(self, text: str) -> None:
        wait_for(text, lambda: text in self.log.read_text(errors="replace"))

    def launch(self, month: str) -> dg.DagsterRun:
        """Start a run of the scx star, as the daemon does."""
        origin = GrpcServerCodeLocationOrigin(host=LOOPBACK, port=self.port, location_name="scx_pipeline")
        run = self.instance.create_run_for_job(
            with_resources(build_star(scx_star(), self.settings), self.settings).resolve_job_def("scx"),
            tags=range_tags(range_of_keys(month)),
            remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(origin, "__repository__"), "scx"),
        )
        client = DagsterGrpcClient(host=LOOPBACK, port=self.port)
        DefaultRunLauncher.launch_run_from_grpc_client(self.instance, run, client)
        return run

    def stop(self) -> int:
        """Stop it as Docker does, wait until all its processes have ended, and return its exit code."""
        self.process.terminate()
        code = self.process.wait(STOP_SECONDS)
        wait_for(
            "all its processes ended",
            lambda: all(
                item.status() == psutil.STATUS_ZOMBIE for item in session_processes(self.process.pid)
            ),
        )
        return code


@pytest.fixture
def load_env(tmp_path: Path, postgres_url: str) -> LoadEnv:
    """Return a bucket, and a PostgreSQL database with the star's tables."""
    load_env = create_load_env(tmp_path, postgres_url)
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    load_env.load(MARCH)
    load_env.put("2021/03/b.csv", [job(2, "2021-03-06 10:00:00")])
    return load_env


@pytest.fixture
def server(tmp_path: Path, load_env: LoadEnv, monkeypatch: pytest.MonkeyPatch) -> Iterator[CodeServer]:
    """Start the code server of that environment."""
    home, folder = tmp_path / "home", tmp_path / "server"
    folder.mkdir()
    for name, value in {
        "PYTHONPATH": str(ROOT),
        "SCX_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "SCX_BUCKET_URL": load_env.bucket_url,
        "SCX_WAREHOUSE_URL": load_env.warehouse_url,
    }.items():
        monkeypatch.setenv(name, value)
    [port] = free_ports(1)
    settings = read_settings()
    with open_instance(settings.dagster_home) as instance:
        scx = str(Path(sys.executable).with_name("scx"))
        launch = Launch([scx, "serve", "code", "--port", str(port)], folder, dict(os.environ))
        with running(launch) as process:
            yield CodeServer(process, launch.log, port, instance, settings)


def test_the_code_server_stops_while_it_loads_the_definitions(server: CodeServer) -> None:
    server.wait_for_output(LOADING)
    assert server.stop() == 0
    assert SERVING not in server.log.read_text()


def test_the_code_server_stops_during_a_run_and_the_run_is_marked_as_failed(
    server: CodeServer, load_env: LoadEnv
) -> None:
    server.wait_for_output(SERVING)
    with blocked_loads(load_env.warehouse_url) as load_waits:
        run = server.launch(MARCH)
        wait_for("the load waits", load_waits)
        assert server.stop() == 0
        wait_for("the database has rolled back", lambda: not load_waits())
    fail_lost_runs(server.instance, server.settings.home)
    assert status_of(server.instance, run) == dg.DagsterRunStatus.FAILURE
    assert load_env.rows("SELECT job_id FROM public.auto_classification_logs") == [(1,)]
    load_env.load(MARCH)
    assert load_env.rows("SELECT job_id FROM public.auto_classification_logs ORDER BY 1") == [(1,), (2,)]


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found
    return found.status
