"""Free loopback ports, and server processes on them: start, wait, stop; a server never outlives the tests."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

LOOPBACK = "127.0.0.1"
# Below every system's ephemeral range, so that no outgoing connection takes a port between choice and use.
PORTS = range(10_240, 32_768)
START_SECONDS = 300.0  # a busy machine may need minutes
STOP_SECONDS = 20.0

# Reads the server's process group, then waits for the end of its input: the owner closed it or ended, even by
# kill -9. A server that is still running is then stopped, and its files are removed.
_WATCHDOG = """
read -r group || exit 0
cat >/dev/null
if kill -s "$1" -- "-$group"; then
    for second in 1 2 3 4 5 6 7 8 9 10; do kill -s 0 -- "-$group" || break; sleep 1; done
    kill -s KILL -- "-$group"
fi
shift
rm -rf -- "$@"
"""

T = TypeVar("T")


class ServerExited(RuntimeError):
    """A server exited or never responded; the message contains the end of its log."""


class PortTaken(ServerExited):
    """Another process took the port first."""


@dataclass(frozen=True)
class Account:
    """Another user, for programs that refuse to run as root."""

    user: int
    group: int

    def arguments(self) -> dict[str, Any]:
        """Return the arguments for subprocess."""
        return {"user": self.user, "group": self.group, "extra_groups": []}


@dataclass(frozen=True)
class Launch:
    """How to start and stop a server; its directory is deleted when it stops."""

    argv: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    sockets: Sequence[Path] = ()  # its files outside the directory

    @property
    def log(self) -> Path:
        return self.directory / "server.log"


def free_ports(count: int, offset: int = 0) -> list[int]:
    """Return different free ports; with an offset, port + offset is free as well."""
    with ExitStack() as held:
        chosen: list[int] = []
        while len(chosen) < count:
            port = secrets.choice(PORTS)
            if port + offset in PORTS and all(_hold(held, wanted) for wanted in {port, port + offset}):
                chosen.append(port)
        return chosen


def _hold(held: ExitStack, port: int) -> bool:
    """Bind the port until the stack closes, so that it is not chosen twice."""
    candidate = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    try:
        candidate.bind((LOOPBACK, port))
    except OSError:
        return False
    return True


@contextmanager
def running(launch: Launch) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server in its own session, and stop it on exit in any case."""
    with _watchdog(launch) as announce:
        process = _popen(launch)
        try:
            announce(process.pid)
            yield process
        finally:
            _stop(process, launch.stop_signal)


def _popen(launch: Launch) -> subprocess.Popen[bytes]:
    with launch.log.open("wb") as log:
        return subprocess.Popen(
            launch.argv,
            cwd=launch.directory,
            env=launch.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches the tests only: they still need the server while they clean up
            start_new_session=True,
            **(launch.account.arguments() if launch.account else {}),
        )


@contextmanager
def _watchdog(launch: Launch) -> Iterator[Callable[[int], None]]:
    """Start a shell that outlives the tests; yield a function that passes it the process group to stop."""
    name = launch.stop_signal.name.removeprefix("SIG")
    argv = ["/bin/sh", "-c", _WATCHDOG, "watchdog", name, str(launch.directory), *map(str, launch.sockets)]
    watchdog = subprocess.Popen(
        argv,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert watchdog.stdin is not None
    try:
        yield lambda pid: _write_line(watchdog, pid)
    finally:
        watchdog.stdin.close()
        watchdog.wait()


def _write_line(watchdog: subprocess.Popen[bytes], pid: int) -> None:
    assert watchdog.stdin is not None
    watchdog.stdin.write(f"{pid}\n".encode())
    watchdog.stdin.flush()


def _stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    """Signal the process group and wait; a server that does not stop is killed."""
    for number, seconds in ((stop_signal, STOP_SECONDS), (signal.SIGKILL, None)):
        # it may end between the check and the signal
        with suppress(ProcessLookupError, PermissionError):
            if process.poll() is None:
                os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return


def wait_until(answers: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server responds; raise an error with the end of its log if it exits or never responds."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.05)  # a server whose port is taken has exited by then
        if process.poll() is not None:
            break
        if answers():
            return
    tail = log.read_text(errors="replace")[-3000:]
    error = PortTaken if "address already in use" in tail.lower() else ServerExited
    raise error(f"{process.args!r} did not start (exit {process.returncode}):\n{tail}")


def enter(stack: ExitStack, attempt: Callable[[], AbstractContextManager[T]]) -> T:
    """Enter a server's context; try twice more with other ports if one was taken."""
    for _ in range(2):
        with suppress(PortTaken):
            return stack.enter_context(attempt())
    return stack.enter_context(attempt())
