"""Runs whose process was killed: they are detected and reported as failed, so that nothing waits for them.

Killed services are not tested here.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from scx_pipeline.orchestration.dagster_internals import GRPC_INFO_TAG, WorkerStatus
from scx_pipeline.orchestration.runs.instance import open_instance
from scx_pipeline.orchestration.runs.launcher import CodeServerRunLauncher
from scx_pipeline.orchestration.runs.lost_runs import LOST_RUN_MESSAGE, fail_lost_runs
from scx_pipeline.orchestration.runs.run_locks import lock_run, process_state, run_lock
from scx_pipeline_tests.support.load_env import MARCH, create_load_env, job
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv
from scx_pipeline_tests.support.processes.blocked_loads import blocked_loads, wait_for

ROOT = Path(__file__).parents[3]
STARTED, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE
LOCK_A_RUN = """
import sys, time
from pathlib import Path
from scx_pipeline.orchestration.runs.run_locks import lock_run
file = lock_run(Path(sys.argv[1]), "a-run")
print("locked", flush=True)
time.sleep(600)
"""


@pytest.fixture
def home(dagster_env: DagsterEnv, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set SCX_HOME and DAGSTER_HOME for child processes, and return the former."""
    monkeypatch.setenv("SCX_HOME", str(dagster_env.settings.home))
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_env.settings.dagster_home))
    return dagster_env.settings.home


@pytest.fixture
def lost(dagster_env: DagsterEnv, home: Path) -> dg.DagsterRun:
    """A lost run: its status is STARTED, and no process locks its file."""
    run = create_run_for_test(dagster_env.instance, "scx", status=STARTED)
    file = lock_run(home, run.run_id)
    assert file
    file.close()
    return run


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found
    return found.status


def test_a_process_is_alive_until_it_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LOCK_A_RUN, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "locked\n"
        assert process_state(tmp_path, "a-run") == "alive"
        process.kill()
    assert process_state(tmp_path, "a-run") == "gone"


def test_a_run_that_ended_leaves_no_file(tmp_path: Path) -> None:
    with run_lock(tmp_path, "a-run"):
        assert process_state(tmp_path, "a-run") == "alive"
    assert process_state(tmp_path, "a-run") == "unknown"
    assert not list((tmp_path / "running").iterdir())


def test_the_process_of_an_interrupted_run_is_gone(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), run_lock(tmp_path, "a-run"):
        raise KeyboardInterrupt
    assert process_state(tmp_path, "a-run") == "gone"


def test_a_run_continues_if_its_lock_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "running").write_text("")
    with run_lock(tmp_path, "a-run"):
        assert process_state(tmp_path, "a-run") == "unknown"


def test_a_lost_run_is_reported_as_failed_once_and_the_reason_is_named(
    dagster_env: DagsterEnv, lost: dg.DagsterRun
) -> None:
    assert fail_lost_runs(dagster_env.instance, dagster_env.settings.home) == [lost.run_id]
    assert fail_lost_runs(dagster_env.instance, dagster_env.settings.home) == []
    assert status_of(dagster_env.instance, lost) == FAILURE
    [event] = dagster_env.instance.all_logs(lost.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert event.dagster_event
    assert event.dagster_event.message == LOST_RUN_MESSAGE


def test_a_run_with_a_process_is_not_changed(dagster_env: DagsterEnv, home: Path) -> None:
    run = create_run_for_test(dagster_env.instance, "scx", status=STARTED)
    with run_lock(home, run.run_id):
        assert fail_lost_runs(dagster_env.instance, home) == []
    assert status_of(dagster_env.instance, run) == STARTED


def test_a_finished_run_keeps_its_status(dagster_env: DagsterEnv, home: Path) -> None:
    run = create_run_for_test(dagster_env.instance, "scx", status=dg.DagsterRunStatus.SUCCESS)
    file = lock_run(home, run.run_id)
    assert file
    file.close()
    assert fail_lost_runs(dagster_env.instance, home) == []
    assert status_of(dagster_env.instance, run) == dg.DagsterRunStatus.SUCCESS
    assert process_state(home, run.run_id) == "unknown"


def test_a_run_of_another_instance_is_not_changed(
    dagster_env: DagsterEnv, home: Path, tmp_path: Path
) -> None:
    with open_instance(tmp_path / "other") as other:
        run = create_run_for_test(other, "scx", status=STARTED)
        file = lock_run(home, run.run_id)
        assert file
        file.close()
        assert fail_lost_runs(dagster_env.instance, home) == []
        assert fail_lost_runs(other, home) == [run.run_id]


def test_the_next_load_reports_lost_runs(dagster_env: DagsterEnv, lost: dg.DagsterRun) -> None:
    dagster_env.load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    assert dagster_env.load(MARCH).success
    assert status_of(dagster_env.instance, lost) == FAILURE
    assert not list((dagster_env.settings.home / "running").iterdir())


def test_the_object_sensor_reports_lost_runs(dagster_env: DagsterEnv, lost: dg.DagsterRun) -> None:
    sensor = dagster_env.definitions.resolve_sensor_def("scx_objects")
    resources = {name: dagster_env.definitions.resources[name] for name in ("warehouse", "bucket")}  # type: ignore[index]
    with dg.build_sensor_context(dagster_env.instance, resources=resources) as context:
        sensor.evaluate_tick(context)
    assert status_of(dagster_env.instance, lost) == FAILURE


def launcher(instance: dg.DagsterInstance) -> CodeServerRunLauncher:
    """Return the launcher that a new DAGSTER_HOME configures."""
    found = instance.run_launcher
    assert isinstance(found, CodeServerRunLauncher)
    assert found.supports_check_run_worker_health
    return found


def test_run_monitoring_fails_a_lost_run_and_keeps_a_live_one(
    dagster_env: DagsterEnv, home: Path, lost: dg.DagsterRun
) -> None:
    live = create_run_for_test(dagster_env.instance, "scx", status=STARTED)
    health = launcher(dagster_env.instance).check_run_worker_health
    with run_lock(home, live.run_id):
        assert health(live).status == WorkerStatus.RUNNING
    assert health(lost).status == WorkerStatus.NOT_FOUND
    assert health(live).status == WorkerStatus.RUNNING  # unknown without a file


@pytest.fixture
def on_socket(dagster_env: DagsterEnv, home: Path, tmp_path: Path) -> Callable[[], dg.DagsterRun]:
    """Return a function that creates a run of a local code server, without a lock file."""
    tags = {GRPC_INFO_TAG: f'{{"host": "localhost", "socket": "{tmp_path}/sock"}}'}
    return lambda: create_run_for_test(dagster_env.instance, "scx", status=STARTED, tags=tags)


def test_run_monitoring_fails_a_run_whose_local_code_server_is_gone(
    dagster_env: DagsterEnv, on_socket: Callable[[], dg.DagsterRun], tmp_path: Path
) -> None:
    health = launcher(dagster_env.instance).check_run_worker_health
    assert health(on_socket()).status == WorkerStatus.NOT_FOUND
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "sock"))
    assert health(on_socket()).status == WorkerStatus.NOT_FOUND  # as after a kill: the socket's name remains


def test_run_monitoring_keeps_a_run_whose_code_server_listens_without_responding(
    dagster_env: DagsterEnv,
    on_socket: Callable[[], dg.DagsterRun],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DAGSTER_GRPC_TIMEOUT_SECONDS", "1")
    with socket.socket(socket.AF_UNIX) as slow:
        slow.bind(str(tmp_path / "sock"))
        slow.listen()
        assert (
            launcher(dagster_env.instance).check_run_worker_health(on_socket()).status == WorkerStatus.RUNNING
        )


def test_a_killed_load_of_the_command_is_reported_by_scx_status(
    dagster_env: DagsterEnv, home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_env = create_load_env(home / "pg", postgres_url)
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    load_env.load(MARCH)
    for name, value in {
        "SCX_BUCKET_URL": load_env.bucket_url,
        "SCX_WAREHOUSE_URL": load_env.warehouse_url,
        "PYTHONPATH": str(ROOT),
    }.items():
        monkeypatch.setenv(name, value)
    scx = [sys.executable, "-m", "scx_pipeline.cli.main"]
    with blocked_loads(postgres_url) as load_waits:
        with subprocess.Popen([*scx, "load", "scx", "--month", MARCH], stderr=subprocess.DEVNULL) as load:
            wait_for("the load waits", load_waits)
            load.send_signal(signal.SIGKILL)
        [run] = dagster_env.instance.get_runs()
        assert run.status == STARTED
        done = subprocess.run([*scx, "status", "scx", "--json"], capture_output=True, text=True, check=True)
    assert f"run {run.run_id} no longer has a process" in done.stderr
    assert status_of(dagster_env.instance, run) == FAILURE
