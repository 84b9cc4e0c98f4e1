"""Timing whole processes: wall seconds and peak memory, of a command's own process and its largest child."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tools.bench.memory import Peak, watch_memory


@dataclass(frozen=True)
class Timing:
    """A finished command: seconds from start to exit, the peak resident memory of its process in MB, its output, and the
    seconds in which a core worked for it."""

    seconds: float
    peak_mb: float
    output: str = ""
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Result:
    """One line of the report: what was measured, what it is compared with, and the promised maximum, if there is one."""

    name: str
    measured: float
    other: float | None
    promise: float | None
    unit: str = "ratio"
    note: str = ""

    @property
    def value(self) -> float:
        return self.measured / self.other if self.other else self.measured

    @property
    def kept(self) -> bool:
        return self.promise is None or self.value <= self.promise


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of this process without settings of the pipeline, Dagster and psql, and with more variables."""
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("SCX_", "DAGSTER_", "PG"))
    }
    return {**own, **more}


class CommandFailedError(Exception):
    """A command failed; the message has its output."""


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    watch: bool = False,
    codes: Collection[int] = (0,),
) -> Timing:
    """Run a command to its end and time it.

    Args:
        command: the program and its arguments.
        environment: variables in addition to those of this process.
        watch: whether the peak is that of all processes that the command starts, together.
        codes: the expected exit codes. Raises CommandFailedError for any other.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        list(command), env=_environment(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    with watch_memory(process.pid) if watch else nullcontext(Peak()) as tree:
        output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if os.waitstatus_to_exitcode(status) not in codes:
        raise CommandFailedError(f"{' '.join(command)} failed:\n{output.decode()}")
    peak = usage.ru_maxrss / (1e3 if sys.platform != "darwin" else 1e6)
    return Timing(seconds, max(peak, tree.mb), output.decode(), usage.ru_utime + usage.ru_stime)


def kill(command: Sequence[str], environment: Mapping[str, str], after: float) -> None:
    """Run a command, and kill it after some seconds unless it has ended by then."""
    process = subprocess.Popen(
        list(command),
        env=_environment(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def median_run(times: int, command: Sequence[str], environment: Mapping[str, str]) -> Timing:
    """Run a command several times; return the median of the seconds and the highest peak."""
    timings = [run(command, environment) for _ in range(times)]
    return Timing(median(item.seconds for item in timings), max(item.peak_mb for item in timings))


def scx(*arguments: str) -> list[str]:
    """Return the command line of `scx` in this virtual environment."""
    return [str(Path(sys.executable).with_name("scx")), *arguments]
