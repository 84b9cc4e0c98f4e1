"""A service as a process of this machine: started, checked for health, stopped, killed, and started again.

The order of services does not belong here.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scx_pipeline_tests.support.servers.ports import Account, Launch, running

TIMEOUT_SECONDS = 300.0


class ServiceEnded(Exception):
    """A service ends whenever it is started; the message has its name and its last line of output."""

    def __init__(self, name: str, output: Sequence[str]) -> None:
        super().__init__(f"{name} ended: {' '.join(output) or 'without output'}")


@dataclass
class Service:
    """One service: how it is started on this machine, and its current process."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    check: Sequence[str]
    folder: Path
    restarts: bool
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    log: str = ""
    _stack: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Start it in a session of its own, as Docker does."""
        self.starts += 1
        directory = self.folder / f"start-{self.starts}"
        directory.mkdir(parents=True)
        if self.account:  # the watchdog of its server removes the folder
            os.chown(directory, self.account.user, self.account.group)
        launch = Launch(self.argv, directory, self.environment, self.account, self.stop_signal)
        self._log = launch.log
        self.process = self._stack.enter_context(running(launch))

    def has_ended(self) -> bool:
        """Return whether it was started, and has ended."""
        return self.process is not None and self.process.poll() is not None

    def output(self) -> str:
        """Return its output, including that of earlier processes."""
        return self.log + (self._log.read_text(errors="replace") if self._log.exists() else "")

    def reset(self) -> None:
        """Keep the output of an ended process, and forget the process."""
        self.log = self.output()
        (self.folder / "earlier.log").write_text(self.log)
        self._stack.close()
        self._stack, self.process = ExitStack(), None

    def kill(self) -> None:
        """Kill all its processes at once, as when a container or its machine fails."""
        assert self.process is not None
        for process in session_processes(self.process.pid):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def terminate(self) -> None:
        """Send the stop signal to the first process, as `docker compose stop` does."""
        if self.process is not None:
            self.process.send_signal(self.stop_signal)

    def wait_ended(self) -> int:
        """Wait until it has ended, and return its exit code."""
        assert self.process is not None
        return self.process.wait(self.grace)

    def is_healthy(self) -> bool:
        """Run the health check of the compose file, and return whether it passed."""
        if self.process is None or self.has_ended():
            return False
        done = subprocess.run(
            self.check, env=self.environment, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
        )
        return done.returncode == 0


def session_processes(session: int) -> list[psutil.Process]:
    """Return all processes of a session, which takes the place of a container."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == session:
                found.append(process)
    return found
