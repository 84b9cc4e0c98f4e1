"""Progress messages while a table's objects are read: files, rows, megabytes, rate and remaining time.

Where the messages are shown does not belong here.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MESSAGE_INTERVAL_SECONDS = 2.0  # Each message is an event in Dagster's storage.


class ProgressReporter:
    """Reports progress at intervals, and at the end."""

    def __init__(
        self,
        files: int,
        size: int,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.files, self.size, self.report, self.clock = files, size, report, clock
        self.started = self.reported = clock()

    def update(self, files: int, rows: int, size: int) -> None:
        """Take the number of files, rows and bytes read so far, and report them if it is time."""
        now = self.clock()
        if now - self.reported < MESSAGE_INTERVAL_SECONDS and files < self.files:
            return
        self.reported = now
        read = f"read {files:,} of {self.files:,} files, {rows:,} rows, {size / 1e6:,.0f} of {self.size / 1e6:,.0f} MB"
        self.report(f"{read}{self._rate(rows, size, now - self.started)}")

    def _rate(self, rows: int, size: int, seconds: float) -> str:
        """Format the rate and the remaining time, once there is enough to estimate from."""
        if seconds < MESSAGE_INTERVAL_SECONDS or not size:
            return ""
        left = f", {_format_duration((self.size - size) * seconds / size)} left" if size < self.size else ""
        return f"; {size / seconds / 1e6:,.1f} MB/s, {rows / seconds:,.0f} rows/s{left}"


def _format_duration(seconds: float) -> str:
    """Format a duration as 50 s, 3 min 20 s or 2 h 5 min."""
    whole_seconds = round(seconds)
    if whole_seconds < 60:
        return f"{whole_seconds} s"
    minutes, rest = divmod(whole_seconds, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
