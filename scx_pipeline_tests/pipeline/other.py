"""A load in a process of its own, which can be made to stop, or to die, at a given moment.
Run by test_concurrency.py: python -m scx_pipeline_tests.pipeline.other BUCKET WAREHOUSE FIRST LAST [stop|die MOMENT]."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Timer
from typing import IO

ROOT = Path(__file__).parents[2]
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

    process: Popen[str]

    def wait_for(self, word: str) -> None:
        """Wait until it says so."""
        for line in _opened(self.process.stdout):
            if line.strip() == word:
                return
        raise AssertionError(f"it ended ({self.process.wait()}) before it was {word}")

    def go_on(self) -> None:
        """Let it go on after its stop."""
        pipe = _opened(self.process.stdin)
        pipe.write("\n")
        pipe.flush()

    def end(self) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(60)


@contextmanager
def loading_elsewhere(bucket: str, warehouse: str, span: Sequence[str], *how: str) -> Iterator[Other]:
    """Start a process that loads; it is gone afterwards."""
    command = [sys.executable, "-m", __name__, bucket, warehouse, *span, *how]
    with Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True) as process:
        watchdog = Timer(60, process.kill)  # so that a load that hangs fails its test
        watchdog.start()
        try:
            yield Other(process)
        finally:
            watchdog.cancel()
            process.kill()


def _opened(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def main(bucket: str, warehouse: str, first: str, last: str, what: str = "", moment: str = "commit") -> None:
    """Load; stop until a line comes in, or die, at the moment."""
    from scx_pipeline.engine import history
    from scx_pipeline_tests.pipeline.world import World, span_of

    reach = {"stop": _stop, "die": _die, "": _pass}[what]

    def say(message: str) -> None:
        if MOMENTS[moment] and MOMENTS[moment] in message:
            reach()

    if moment == "commit":
        record = history.record_checks
        setattr(history, "record_checks", lambda *arguments: (record(*arguments), reach()))  # noqa: B010
    World(bucket, warehouse).loader(say).load(span_of(first, last))


def _pass() -> None:
    pass


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    print("stopped", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
