"""The first process of a service: it starts the service's program, and ends it within seconds of a stop signal.

It is run as a file, and imports only the standard library, so that it needs only a few megabytes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

STOP_SECONDS = 6.0  # for runs to fail, report it and end; processes that are left are then killed
# How long Dagster's code server waits for calls in progress when it stops; its default is a minute.
GRACE_VARIABLE = "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD"
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class StopRequested(Exception):  # noqa: N818
    """A signal asked the service to stop."""


def main(arguments: Sequence[str]) -> int:
    """Run a program until it ends or a signal stops it.

    Args:
        arguments: the program's path and its arguments.

    Returns:
        The program's exit code; 0 after a stop signal.
    """
    # Signals are blocked until the program has started, so that none is lost and none leaves the program running.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    for number in _STOP_SIGNALS:
        # A script's background process ignores Ctrl-C, and nohup ignores SIGHUP: the service does the same.
        if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _handle_stop)
    program = _start(arguments, {GRACE_VARIABLE: "2", **os.environ})
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        code = program.wait()
        _send(program, signal.SIGKILL)  # its child processes must not outlive it
        return code if code >= 0 else 128 - code
    except StopRequested:
        _stop_program(program, arguments[0])
        return 0


def _handle_stop(number: int, frame: FrameType | None) -> NoReturn:
    for other in _STOP_SIGNALS:  # ignore further signals
        signal.signal(other, signal.SIG_IGN)
    raise StopRequested


def _start(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the program in a process group of its own, which its child processes share.

    A terminal then does not send Ctrl-C to the program in addition to the supervisor.
    """
    return subprocess.Popen(
        arguments, env=environment, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_prepare_process
    )


def _prepare_process() -> None:
    """Restore signals in the program's process, and have it killed when the supervisor dies.

    If SIGINT were ignored, as in a script's background, Dagster would also ignore SIGTERM: it uses one handler for both.
    """
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _stop_program(program: subprocess.Popen[bytes], name: str) -> None:
    """Send SIGTERM to the program and its child processes, and kill those that do not end."""
    _send(program, signal.SIGTERM)
    try:
        program.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"{name} did not end within {STOP_SECONDS:.0f} seconds: killed\n")
    _send(program, signal.SIGKILL)
    program.wait()


def _send(program: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
