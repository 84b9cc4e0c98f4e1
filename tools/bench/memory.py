"""The memory of a command together with all processes that it starts, such as a JVM and its Python workers.
Their sizes are sampled while the command runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

import psutil  # type: ignore[import-untyped, unused-ignore]

EVERY = 0.25  # seconds: the kernel counts a process's pages at each look, and that takes time from what is measured


@dataclass
class Peak:
    """The most that was seen of a tree of processes, in MB; a shared page counts in parts, once in all."""

    mb: float = 0.0


@contextmanager
def watched(pid: int) -> Iterator[Peak]:
    """Look at a process and its children again and again, as long as the block takes."""
    peak, done = Peak(), Event()

    def look() -> None:
        while not done.wait(EVERY):
            peak.mb = max(peak.mb, _tree(pid) / 1e6)

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _tree(pid: int) -> int:
    try:
        root = psutil.Process(pid)
        return sum(_memory(process) for process in [root, *root.children(recursive=True)])
    except psutil.Error:
        return 0


def _memory(process: psutil.Process) -> int:
    """A process's part of the memory; all that it has in it where the system does not say who shares a page."""
    try:
        info = process.memory_full_info()
        return int(getattr(info, "pss", info.rss))
    except psutil.Error:
        return 0
