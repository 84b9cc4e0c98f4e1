"""What every service's first process does: the service ends soon after a signal, all of it, whatever it is doing.
The programs here are stubs; Dagster's own are stopped in test_stop.py and test_compose.py."""

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

PATIENCE = 30.0  # supervise.STOP_SECONDS, on a slow machine
# A program, and a process of it, that end for nothing but a kill.
DEAF = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if sys.argv[1:]: subprocess.Popen([sys.executable, __file__])
time.sleep(600)
"""
# As Dagster's code server, which gives SIGTERM the handler of SIGINT.
LIKE_DAGSTER = """
import signal, time
signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
try: time.sleep(600)
except KeyboardInterrupt: print("interrupted", flush=True)
"""


def as_in_a_terminal() -> None:
    """Ignore no signal, whatever the tests were started by."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def supervised(
    folder: Path, program: str, before: Callable[[], object] = as_in_a_terminal
) -> Iterator[subprocess.Popen[str]]:
    """A program under the supervisor, with a process of its own; none of them outlives the block."""
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
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(process: subprocess.Popen[str], count: int) -> list[psutil.Process]:
    """All processes below it, once there are that many and each runs the program; before its exec, a child is still a copy of
    the supervisor."""
    parent = psutil.Process(process.pid)
    wait_for(lambda: len(parent.children(recursive=True)) == count)
    wait_for(lambda: all(map(_is_the_program, parent.children(recursive=True))))
    return parent.children(recursive=True)


def _is_the_program(child: psutil.Process) -> bool:
    return "program.py" in " ".join(child.cmdline()[:2])


def gone(processes: list[psutil.Process]) -> bool:
    return not any(item.is_running() and item.status() != psutil.STATUS_ZOMBIE for item in processes)


def test_a_program_that_ignores_the_stop_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    with supervised(tmp_path, DEAF) as process:
        below = children(process, 2)
        process.terminate()
        assert process.wait(PATIENCE) == 0
        wait_for(lambda: gone(below))
        assert process.stderr
        assert f"did not end within {supervise.STOP_SECONDS:.0f} seconds" in process.stderr.read()


def test_a_program_that_was_paused_is_killed(tmp_path: Path) -> None:
    with supervised(tmp_path, LIKE_DAGSTER) as process:
        [program] = children(process, 1)
        program.suspend()
        process.terminate()
        assert process.wait(PATIENCE) == 0
        wait_for(lambda: gone([program]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_program_that_ends_when_asked_ends_by_itself_with_exit_code_0(
    number: signal.Signals, tmp_path: Path
) -> None:
    with supervised(tmp_path, LIKE_DAGSTER) as process:
        children(process, 1)
        wait_for(lambda: _handles(process))
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "interrupted\n", "")


def test_a_service_that_a_script_started_in_its_background_ends_when_asked(tmp_path: Path) -> None:
    """SIGINT is ignored there, which programs inherit; Dagster's code server would ignore SIGTERM as well."""
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    with supervised(tmp_path, LIKE_DAGSTER, ignore) as process:
        children(process, 1)
        wait_for(lambda: _handles(process))
        process.send_signal(signal.SIGINT)
        process.terminate()
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "interrupted\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends a process with its parent")
def test_a_supervisor_that_is_killed_takes_the_program_with_it(tmp_path: Path) -> None:
    with supervised(tmp_path, LIKE_DAGSTER) as process:
        below = children(process, 1)
        process.kill()
        process.wait(PATIENCE)
        wait_for(lambda: gone(below))


@pytest.mark.parametrize(("program", "code"), [("raise SystemExit(3)", 3), ("import os; os.abort()", 134)])
def test_a_program_that_ends_by_itself_gives_its_exit_code(program: str, code: int, tmp_path: Path) -> None:
    with supervised(tmp_path, program) as process:
        assert process.wait(PATIENCE) == code


def test_what_a_program_started_ends_when_the_program_does(tmp_path: Path) -> None:
    with supervised(tmp_path, DEAF) as process:
        below = children(process, 2)
        next(item for item in below if item.ppid() == process.pid).kill()
        assert process.wait(PATIENCE) == 137
        wait_for(lambda: gone(below))


def _handles(process: subprocess.Popen[str]) -> bool:
    """Whether the program has set its handler of SIGTERM."""
    [program] = psutil.Process(process.pid).children()
    status = Path(f"/proc/{program.pid}/status")
    if not status.exists():  # not on Linux
        time.sleep(1)
        return True
    caught = int(status.read_text().split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)
