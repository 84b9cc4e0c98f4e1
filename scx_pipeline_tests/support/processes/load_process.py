"""Loads in a child process that can be paused or killed at a given point.

The process is forked from one that has imported everything, since the imports take longer than a load.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from threading import Timer

import pytest

from scx_pipeline.history import history_writer
from scx_pipeline_tests.support.load_env import LoadEnv, range_of_keys

# Not the tests' own process: a fork would lose its threads.
FORK_SERVER = multiprocessing.get_context("forkserver")
FORK_SERVER.set_forkserver_preload([__name__, "duckdb", "pyarrow.parquet", "psycopg2", "sqlglot"])
TIMEOUT_SECONDS = 60
# Progress messages that mark the points; "commit" is the point just before it.
PAUSE_POINTS = {
    "listed": "objects, ",
    "read": "read ",
    "staged": "staging_cleansed_logs: built in",
    "half way": "projects: built in",
    "checked": "checks in",
    "commit": "",
}
HOLDING = "holding "  # the point between two attempts of a load that holds a month


@dataclass(frozen=True)
class LoadProcess:
    """A child process that loads."""

    process: ForkServerProcess
    connection: Connection

    def wait_for(self, word: str) -> None:
        """Wait for a message of the process."""
        try:
            while self.connection.recv() != word:
                pass
        except EOFError:
            raise AssertionError(f"the process ended ({self.end()}) before it was {word}") from None

    def go_on(self) -> None:
        """Resume the paused process."""
        self.connection.send("go on")

    def end(self) -> int:
        """Wait until the process ends, and return its exit code."""
        self.process.join(TIMEOUT_SECONDS)
        assert self.process.exitcode is not None, "the process does not end"
        return self.process.exitcode


@contextmanager
def start_load(bucket: str, warehouse: str, months: Sequence[str], *how: str) -> Iterator[LoadProcess]:
    """Start a process that loads, and kill it on exit if it still runs."""
    start_fork_server()
    wire, others_wire = FORK_SERVER.Pipe()
    arguments = (dict(os.environ), tempfile.gettempdir(), others_wire, bucket, warehouse, *months, *how)
    process = FORK_SERVER.Process(target=main, args=arguments)
    process.start()
    others_wire.close()
    watchdog = Timer(TIMEOUT_SECONDS, process.kill)
    watchdog.start()
    try:
        yield LoadProcess(process, wire)
    finally:
        watchdog.cancel()
        process.kill()
        process.join()
        wire.close()


def start_fork_server() -> None:
    """Start the fork server. Its socket is in the system's temporary folder, since paths of test folders may be too long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TMPDIR", raising=False)
        patch.setattr(tempfile, "tempdir", None)
        forkserver.ensure_running()


def main(
    environment: Mapping[str, str],
    temporary: str,
    wire: Connection,
    bucket: str,
    warehouse: str,
    first: str,
    last: str,
    what: str = "",
    point: str = "commit",
) -> None:
    """Load; at the given point, pause until a message arrives, or die."""
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = temporary

    def pause() -> None:
        wire.send("stopped")
        wire.recv()

    reach = {"stop": pause, "die": _die, "": _pass}[what]

    def report(message: str) -> None:
        text = PAUSE_POINTS.get(point, point)
        if text and text in message:
            reach()

    if point == "commit":
        record = history_writer.record_checks
        setattr(history_writer, "record_checks", lambda *arguments: (record(*arguments), reach()))  # noqa: B010
    LoadEnv(bucket, warehouse).loader(report).load(range_of_keys(first, last))


def _pass() -> None:
    pass


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
