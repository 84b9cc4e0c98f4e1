"""Runs whose process was killed: they are noticed by whatever looks next, and nothing waits for them.
A killed `dagster dev` is in deploy/test_dev_killed.py, killed services in deploy/test_compose.py."""

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
from scx_pipeline.orchestration.runs.lost_runs import LOST, fail_lost_runs
from scx_pipeline.orchestration.runs.run_locks import held, hold, process_of
from scx_pipeline_tests.support.blocked import blocked_loads, wait_for
from scx_pipeline_tests.support.dagster_env import Desk
from scx_pipeline_tests.support.load_env import MARCH, folder_world, job

ROOT = Path(__file__).parents[3]
STARTED, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE
HOLD = "import sys, time; from pathlib import Path; from scx_pipeline.orchestration.runs.run_locks import hold; held = hold(Path(sys.argv[1]), 'a-run'); print('held', flush=True); time.sleep(600)"


@pytest.fixture
def home(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The desk's SCX_HOME, as the settings of its processes have it."""
    monkeypatch.setenv("SCX_HOME", str(desk.settings.home))
    monkeypatch.setenv("DAGSTER_HOME", str(desk.settings.dagster_home))
    return desk.settings.home


@pytest.fixture
def lost(desk: Desk, home: Path) -> dg.DagsterRun:
    """A run that was killed: it counts as started, and its file is locked by no process."""
    run = create_run_for_test(desk.instance, "scx", status=STARTED)
    file = hold(home, run.run_id)
    assert file
    file.close()
    return run


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found
    return found.status


def test_a_process_is_alive_until_it_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        assert process_of(tmp_path, "a-run") == "alive"
        process.kill()
    assert process_of(tmp_path, "a-run") == "gone"


def test_a_run_that_ended_leaves_no_file(tmp_path: Path) -> None:
    with held(tmp_path, "a-run"):
        assert process_of(tmp_path, "a-run") == "alive"
    assert process_of(tmp_path, "a-run") == "unknown"
    assert not list((tmp_path / "running").iterdir())


def test_a_run_that_was_interrupted_has_no_process_any_more(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), held(tmp_path, "a-run"):
        raise KeyboardInterrupt
    assert process_of(tmp_path, "a-run") == "gone"


def test_a_run_goes_on_where_no_file_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "running").write_text("")
    with held(tmp_path, "a-run"):
        assert process_of(tmp_path, "a-run") == "unknown"


def test_a_lost_run_is_reported_as_failed_once_and_the_reason_is_named(
    desk: Desk, lost: dg.DagsterRun
) -> None:
    assert fail_lost_runs(desk.instance, desk.settings.home) == [lost.run_id]
    assert fail_lost_runs(desk.instance, desk.settings.home) == []
    assert status_of(desk.instance, lost) == FAILURE
    [event] = desk.instance.all_logs(lost.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert event.dagster_event
    assert event.dagster_event.message == LOST


def test_a_run_with_a_process_is_left_alone(desk: Desk, home: Path) -> None:
    run = create_run_for_test(desk.instance, "scx", status=STARTED)
    with held(home, run.run_id):
        assert fail_lost_runs(desk.instance, home) == []
    assert status_of(desk.instance, run) == STARTED


def test_a_run_that_had_ended_keeps_its_status(desk: Desk, home: Path) -> None:
    run = create_run_for_test(desk.instance, "scx", status=dg.DagsterRunStatus.SUCCESS)
    file = hold(home, run.run_id)
    assert file
    file.close()
    assert fail_lost_runs(desk.instance, home) == []
    assert status_of(desk.instance, run) == dg.DagsterRunStatus.SUCCESS
    assert process_of(home, run.run_id) == "unknown"


def test_a_run_of_another_instance_is_left_to_it(desk: Desk, home: Path, tmp_path: Path) -> None:
    with open_instance(tmp_path / "other") as other:
        run = create_run_for_test(other, "scx", status=STARTED)
        file = hold(home, run.run_id)
        assert file
        file.close()
        assert fail_lost_runs(desk.instance, home) == []
        assert fail_lost_runs(other, home) == [run.run_id]


def test_the_next_load_reports_it(desk: Desk, lost: dg.DagsterRun) -> None:
    desk.world.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    assert desk.load(MARCH).success
    assert status_of(desk.instance, lost) == FAILURE
    assert not list((desk.settings.home / "running").iterdir())


def test_the_sensor_of_objects_reports_it(desk: Desk, lost: dg.DagsterRun) -> None:
    sensor = desk.definitions.resolve_sensor_def("scx_objects")
    resources = {name: desk.definitions.resources[name] for name in ("warehouse", "bucket")}  # type: ignore[index]
    with dg.build_sensor_context(desk.instance, resources=resources) as context:
        sensor.evaluate_tick(context)
    assert status_of(desk.instance, lost) == FAILURE


def launcher(instance: dg.DagsterInstance) -> CodeServerRunLauncher:
    """The launcher that `scx` writes into a new DAGSTER_HOME."""
    found = instance.run_launcher
    assert isinstance(found, CodeServerRunLauncher)
    assert found.supports_check_run_worker_health
    return found


def test_run_monitoring_finds_a_lost_run_and_leaves_a_living_one(
    desk: Desk, home: Path, lost: dg.DagsterRun
) -> None:
    living = create_run_for_test(desk.instance, "scx", status=STARTED)
    health = launcher(desk.instance).check_run_worker_health
    with held(home, living.run_id):
        assert health(living).status == WorkerStatus.RUNNING
    assert health(lost).status == WorkerStatus.NOT_FOUND
    assert health(living).status == WorkerStatus.RUNNING  # without a file nothing is known of it


@pytest.fixture
def on_socket(desk: Desk, home: Path, tmp_path: Path) -> Callable[[], dg.DagsterRun]:
    """A run that a code server of `dagster dev` has started, and that died before it had a file."""
    tags = {GRPC_INFO_TAG: f'{{"host": "localhost", "socket": "{tmp_path}/sock"}}'}
    return lambda: create_run_for_test(desk.instance, "scx", status=STARTED, tags=tags)


def test_run_monitoring_finds_a_run_whose_code_server_on_this_machine_is_gone(
    desk: Desk, on_socket: Callable[[], dg.DagsterRun], tmp_path: Path
) -> None:
    health = launcher(desk.instance).check_run_worker_health
    assert health(on_socket()).status == WorkerStatus.NOT_FOUND
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "sock"))
    assert health(on_socket()).status == WorkerStatus.NOT_FOUND  # as after a kill: the name stays


def test_run_monitoring_gives_time_to_a_code_server_that_listens_and_does_not_answer(
    desk: Desk, on_socket: Callable[[], dg.DagsterRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_GRPC_TIMEOUT_SECONDS", "1")
    with socket.socket(socket.AF_UNIX) as slow:
        slow.bind(str(tmp_path / "sock"))
        slow.listen()
        assert launcher(desk.instance).check_run_worker_health(on_socket()).status == WorkerStatus.RUNNING


def test_a_load_of_the_command_that_was_killed_is_reported_by_scx_status(
    desk: Desk, home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = folder_world(home / "pg", postgres_url)
    world.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    world.load(MARCH)
    for name, value in {
        "SCX_BUCKET_URL": world.bucket_url,
        "SCX_WAREHOUSE_URL": world.warehouse_url,
        "PYTHONPATH": str(ROOT),
    }.items():
        monkeypatch.setenv(name, value)
    scx = [sys.executable, "-m", "scx_pipeline.cli.main"]
    with blocked_loads(postgres_url) as a_load_waits:
        with subprocess.Popen([*scx, "load", "scx", "--month", MARCH], stderr=subprocess.DEVNULL) as load:
            wait_for("the load waits", a_load_waits)
            load.send_signal(signal.SIGKILL)
        [run] = desk.instance.get_runs()
        assert run.status == STARTED
        done = subprocess.run([*scx, "status", "scx", "--json"], capture_output=True, text=True, check=True)
    assert f"run {run.run_id} no longer has a process" in done.stderr
    assert status_of(desk.instance, run) == FAILURE
