"""The memory of a command together with all processes that it starts, such as a JVM and its Python workers.

Their sizes are sampled while the command runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

import psutil  # type: ignore[import-untyped, unused-ignore]

INTERVAL_SECONDS = 0.25  # each sample makes the kernel count pages, which slows the command that is measured


@dataclass
class Peak:
    """The highest sampled memory of a tree of processes, in MB; a page that processes share is counted once."""

    mb: float = 0.0


@contextmanager
def watch_memory(pid: int) -> Iterator[Peak]:
    """Sample the memory of a process and its children during the block."""
    peak, done = Peak(), Event()

    def sample() -> None:
        while not done.wait(INTERVAL_SECONDS):
            peak.mb = max(peak.mb, _tree_bytes(pid) / 1e6)

    thread = Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _tree_bytes(pid: int) -> int:
    try:
        root = psutil.Process(pid)
        return sum(_process_bytes(process) for process in [root, *root.children(recursive=True)])
    except psutil.Error:
        return 0


def _process_bytes(process: psutil.Process) -> int:
    """Return the memory of a process, with its share of shared pages if the system reports it."""
    try:
        info = process.memory_full_info()
        return int(getattr(info, "pss", info.rss))
    except psutil.Error:
        return 0
