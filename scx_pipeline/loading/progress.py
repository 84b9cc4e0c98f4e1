"""How far the reading of a table's objects is: files, rows and megabytes, how fast, and how long it will take.
Where that is shown, the terminal or Dagster's log, is decided elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY = 2.0  # seconds between two messages: each of them is an event in Dagster's storage


class ProgressReporter:
    """Tells how far it is, now and then, and at the end."""

    def __init__(
        self,
        files: int,
        size: int,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.files, self.size, self.tell, self.clock = files, size, tell, clock
        self.begun = self.told = clock()

    def at(self, files: int, rows: int, size: int) -> None:
        """So many files, rows and bytes were read."""
        now = self.clock()
        if now - self.told < EVERY and files < self.files:
            return
        self.told = now
        read = f"read {files:,} of {self.files:,} files, {rows:,} rows, {size / 1e6:,.0f} of {self.size / 1e6:,.0f} MB"
        self.tell(f"{read}{self._speed(rows, size, now - self.begun)}")

    def _speed(self, rows: int, size: int, seconds: float) -> str:
        """The rate, and the time left, once there is something to reckon with."""
        if seconds < EVERY or not size:
            return ""
        left = f", {_time((self.size - size) * seconds / size)} left" if size < self.size else ""
        return f"; {size / seconds / 1e6:,.1f} MB/s, {rows / seconds:,.0f} rows/s{left}"


def _time(seconds: float) -> str:
    """A duration as a person would say it: 50 s, 3 min 20 s, 2 h 5 min."""
    unpartitioned = round(seconds)
    if unpartitioned < 60:
        return f"{unpartitioned} s"
    minutes, rest = divmod(unpartitioned, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
