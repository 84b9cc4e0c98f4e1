"""A load in a process of its own, which can be made to stop, or to die, at a given moment.
It is forked from one that has everything imported already, which takes longer than the load; used by test_concurrency.py."""

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

from scx_pipeline.history import load_history
from scx_pipeline_tests.support.load_env import World, range_of_keys

# Not from the tests' own process, whose threads a fork would lose.
NURSERY = multiprocessing.get_context("forkserver")
NURSERY.set_forkserver_preload([__name__, "duckdb", "pyarrow.parquet", "psycopg2", "sqlglot"])
SECONDS = 60  # after which a load that hangs fails its test
# What the load says when it is there; "commit" is the moment just before it.
MOMENTS = {
    "listed": "objects, ",
    "landed": "read ",
    "staged": "staging_cleansed_logs: made in",
    "half way": "projects: made in",
    "checked": "checks in",
    "commit": "",
}


@dataclass(frozen=True)
class Other:
    """The process that loads, seen from the one that tests."""

    process: ForkServerProcess
    wire: Connection

    def wait_for(self, word: str) -> None:
        """Wait until it says so."""
        try:
            while self.wire.recv() != word:
                pass
        except EOFError:
            raise AssertionError(f"it ended ({self.end()}) before it was {word}") from None

    def go_on(self) -> None:
        """Let it go on after its stop."""
        self.wire.send("go on")

    def end(self) -> int:
        """Wait for its end; its exit code."""
        self.process.join(SECONDS)
        assert self.process.exitcode is not None, "it does not end"
        return self.process.exitcode


@contextmanager
def loading_elsewhere(bucket: str, warehouse: str, span: Sequence[str], *how: str) -> Iterator[Other]:
    """Start a process that loads; it is gone afterwards."""
    start_nursery()
    wire, others_wire = NURSERY.Pipe()
    arguments = (dict(os.environ), tempfile.gettempdir(), others_wire, bucket, warehouse, *span, *how)
    process = NURSERY.Process(target=main, args=arguments)
    process.start()
    others_wire.close()
    watchdog = Timer(SECONDS, process.kill)
    watchdog.start()
    try:
        yield Other(process, wire)
    finally:
        watchdog.cancel()
        process.kill()
        process.join()
        wire.close()


def start_nursery() -> None:
    """Start it, unless it runs: its socket is in the system's temporary folder, as the name of a test's may be too long."""
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
    moment: str = "commit",
) -> None:
    """Load; stop until a word comes in, or die, at the moment."""
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = temporary

    def stop() -> None:
        wire.send("stopped")
        wire.recv()

    reach = {"stop": stop, "die": _die, "": _pass}[what]

    def say(message: str) -> None:
        if MOMENTS[moment] and MOMENTS[moment] in message:
            reach()

    if moment == "commit":
        record = load_history.record_checks
        setattr(load_history, "record_checks", lambda *arguments: (record(*arguments), reach()))  # noqa: B010
    World(bucket, warehouse).loader(say).load(range_of_keys(first, last))


def _pass() -> None:
    pass


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
