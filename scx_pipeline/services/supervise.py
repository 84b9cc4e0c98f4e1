"""The first process of a service: it starts the service's program and ends it within seconds of a stop, whatever it is doing.
Run as a file, with the standard library alone, so that it costs a few megabytes. What a service is, is in `cli_serve`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

STOP_SECONDS = 6.0  # in which runs fail, report it and end; what is left after that is killed
# What Dagster's code server gives calls that are under way when it stops: a minute, unless this is set.
GRACE = "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD"
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Stopped(Exception):  # noqa: N818
    """A signal asked the service to stop."""


def main(arguments: Sequence[str]) -> int:
    """Run the program until it ends or is stopped; its exit code, which is 0 after a stop."""
    # Signals wait until the program is known, so that none is lost and none leaves the program behind.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    for number in _STOPS:
        # What a script starts in its background ignores Ctrl-C, and nohup the terminal's end: so does the service.
        if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    program = _start(arguments, {GRACE: "2", **os.environ})
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        code = program.wait()
        _signal(program, signal.SIGKILL)  # what it started must not go on without it
        return code if code >= 0 else 128 - code
    except Stopped:
        _end(program, arguments[0])
        return 0


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    for other in _STOPS:  # one is enough
        signal.signal(other, signal.SIG_IGN)
    raise Stopped


def _start(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the program in a process group of its own: what it starts is in it too, and Ctrl-C in a terminal is not sent to it
    a second time."""
    return subprocess.Popen(
        arguments, env=environment, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_prepare
    )


def _prepare() -> None:
    """In the program's process: let signals through, and be killed when the supervisor is.

    Where SIGINT is ignored, as in a script's background, Dagster would ignore SIGTERM as well: it gives both one handler.
    """
    for number in _STOPS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _end(program: subprocess.Popen[bytes], name: str) -> None:
    """Ask the program and all that it has started to end, and kill what does not."""
    _signal(program, signal.SIGTERM)
    try:
        program.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"{name} did not end within {STOP_SECONDS:.0f} seconds: killed\n")
    _signal(program, signal.SIGKILL)
    program.wait()


def _signal(program: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
