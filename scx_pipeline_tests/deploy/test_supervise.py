"""The first process of every service: all of the service ends soon after a signal, in any state.

The programs here are stubs; Dagster's own are stopped in test_stop.py and test_compose.py.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from scx_pipeline.services import supervise

TIMEOUT_SECONDS = 30.0  # supervise.STOP_SECONDS, on a slow machine
# A program and its child process that only SIGKILL ends.
IGNORES_SIGTERM = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if sys.argv[1:]: subprocess.Popen([sys.executable, __file__])
time.sleep(600)
"""
# Like Dagster's code server, which uses the handler of SIGINT for SIGTERM.
LIKE_DAGSTER = """
import signal, time
signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
try: time.sleep(600)
except KeyboardInterrupt: print("interrupted", flush=True)
"""


def restore_signals() -> None:
    """Ignore no signal, however the tests were started."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def supervised(
    folder: Path, program: str, before: Callable[[], object] = restore_signals
) -> Iterator[subprocess.Popen[str]]:
    """Run a program under the supervisor; no process outlives the block."""
    (folder / "program.py").write_text(program)
    command = [
        sys.executable,
        "-I",
        "-S",
        supervise.__file__,
        sys.executable,
        str(folder / "program.py"),
        "x",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=before,
    )  # fmt: skip
    try:
        yield process
    finally:
        for other in (
            [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
        ):
            other.kill()
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(process: subprocess.Popen[str], count: int) -> list[psutil.Process]:
    """Return all child processes, once there are that many and each runs the program.

    Before its exec, a child is still a copy of the supervisor.
    """
    parent = psutil.Process(process.pid)
    wait_for(lambda: len(parent.children(recursive=True)) == count)
    wait_for(lambda: all(map(_runs_program, parent.children(recursive=True))))
    return parent.children(recursive=True)


def _runs_program(child: psutil.Process) -> bool:
    return "program.py" in " ".join(child.cmdline()[:2])


def have_ended(processes: list[psutil.Process]) -> bool:
    return not any(item.is_running() and item.status() != psutil.STATUS_ZOMBIE for item in processes)


def test_a_program_that_ignores_sigterm_is_killed_with_its_child_processes(tmp_path: Path) -> None:
    with supervised(tmp_path, IGNORES_SIGTERM) as process:
        processes = children(process, 2)
        process.terminate()
        assert process.wait(TIMEOUT_SECONDS) == 0
        wait_for(lambda: have_ended(processes))
        assert process.stderr
        assert f"did not end within {supervise.STOP_SECONDS:.0f} seconds" in process.stderr.read()


def test_a_suspended_program_is_killed(tmp_path: Path) -> None:
    with supervised(tmp_path, LIKE_DAGSTER) as process:
        [program] = children(process, 1)
        program.suspend()
        process.terminate()
        assert process.wait(TIMEOUT_SECONDS) == 0
        wait_for(lambda: have_ended([program]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_program_that_handles_the_signal_ends_with_exit_code_0(
    number: signal.Signals, tmp_path: Path
) -> None:
    with supervised(tmp_path, LIKE_DAGSTER) as process:
        children(process, 1)
        wait_for(lambda: _handles_sigterm(process))
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert (process.returncode, out, err) == (0, "interrupted\n", "")


def test_a_service_started_in_a_scripts_background_ends_on_sigterm(tmp_path: Path) -> None:
    """SIGINT is ignored there, and programs inherit that; Dagster's code server would then ignore SIGTERM as well."""
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    with supervised(tmp_path, LIKE_DAGSTER, ignore) as process:
        children(process, 1)
        wait_for(lambda: _handles_sigterm(process))
        process.send_signal(signal.SIGINT)
        process.terminate()
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert (process.returncode, out, err) == (0, "interrupted\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends a process with its parent")
def test_the_program_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    with supervised(tmp_path, LIKE_DAGSTER) as process:
        processes = children(process, 1)
        process.kill()
        process.wait(TIMEOUT_SECONDS)
        wait_for(lambda: have_ended(processes))


@pytest.mark.parametrize(("program", "code"), [("raise SystemExit(3)", 3), ("import os; os.abort()", 134)])
def test_the_supervisor_returns_the_programs_exit_code(program: str, code: int, tmp_path: Path) -> None:
    with supervised(tmp_path, program) as process:
        assert process.wait(TIMEOUT_SECONDS) == code


def test_child_processes_end_with_their_program(tmp_path: Path) -> None:
    with supervised(tmp_path, IGNORES_SIGTERM) as process:
        processes = children(process, 2)
        next(item for item in processes if item.ppid() == process.pid).kill()
        assert process.wait(TIMEOUT_SECONDS) == 137
        wait_for(lambda: have_ended(processes))


def _handles_sigterm(process: subprocess.Popen[str]) -> bool:
    """Return whether the program has set its handler of SIGTERM."""
    [program] = psutil.Process(process.pid).children()
    status = Path(f"/proc/{program.pid}/status")
    if not status.exists():  # not on Linux
        time.sleep(1)
        return True
    caught = int(status.read_text().split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)
