"""Lock files of runs: each run's process locks a file, and the operating system releases the lock when the process ends.

Dagster is not imported here, so that the check is cheap.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

from scx_pipeline.storage.temporary_folder import create_private_folder

FOLDER = "running"  # below SCX_HOME

ProcessState = Literal["alive", "gone", "unknown"]


def lock_run(home: Path, run_id: str) -> IO[bytes] | None:
    """Lock the run's file until the returned file is closed or this process ends.

    Returns:
        The file, or None if it cannot be written: then it is unknown whether the run's process exists.
    """
    path = _path(home, run_id)
    unlocked = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        create_private_folder(path.parent)
        file = unlocked.open("wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        unlocked.replace(path)  # only now, so that no other process finds the file unlocked
        return file
    return None


@contextmanager
def run_lock(home: Path, run_id: str) -> Iterator[None]:
    """Lock the run's file while the run is executed by a process that may outlive it.

    An interrupted run (Ctrl-C) leaves the file in place, so that the run is reported as failed if Dagster has not done so.
    """
    file = lock_run(home, run_id)
    try:
        yield
        if file:
            _path(home, run_id).unlink(missing_ok=True)
    finally:
        if file:
            file.close()


def process_state(home: Path, run_id: str) -> ProcessState:
    """Return whether the run's process is alive, as far as the lock files of this machine show."""
    with suppress(OSError), _path(home, run_id).open("r+b") as file:
        return "gone" if _is_free(file) else "alive"
    return "unknown"


def runs_without_process(home: Path) -> Iterator[tuple[str, Path]]:
    """Yield the ids and files of runs whose process has ended; each file stays locked while the caller handles it."""
    for path in sorted((home / FOLDER).glob("*.lock")):
        with suppress(OSError), path.open("r+b") as file:  # deleted meanwhile, or owned by another user
            if _is_free(file):
                yield path.stem, path


def _path(home: Path, run_id: str) -> Path:
    return home / FOLDER / f"{run_id}.lock"


def _is_free(file: IO[bytes]) -> bool:
    """Lock the file, and return whether no process had locked it. NFS requires that it is open for writing."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
