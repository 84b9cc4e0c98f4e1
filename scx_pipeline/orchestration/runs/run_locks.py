"""Which runs have a process: a run locks a file of its own, and the system releases the lock however the process ends.
Nothing of Dagster is imported here, so that a look costs nothing; what happens to a run without a process is in `lost_runs`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

from scx_pipeline.storage.temporary_folder import make_private

FOLDER = "running"  # below SCX_HOME

Process = Literal["alive", "gone", "unknown"]


def hold(home: Path, run_id: str) -> IO[bytes] | None:
    """Lock the run's file until the returned file is closed or this process ends; None where no file can be written: then
    it is unknown whether the run has a process."""
    path = _path(home, run_id)
    unlocked = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        make_private(path.parent)
        file = unlocked.open("wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        unlocked.replace(path)  # it gets its name once it is locked, so that no other process finds it free
        return file
    return None


@contextmanager
def held(home: Path, run_id: str) -> Iterator[None]:
    """Lock the run's file while the run is executed by a process that may go on after it.

    An interrupted run, such as by Ctrl-C, leaves the file, so that the run is reported as failed if it has not been.
    """
    file = hold(home, run_id)
    try:
        yield
        if file:
            _path(home, run_id).unlink(missing_ok=True)
    finally:
        if file:
            file.close()


def process_of(home: Path, run_id: str) -> Process:
    """Whether the run's process is alive, as far as the files of this machine show it."""
    with suppress(OSError), _path(home, run_id).open("r+b") as file:
        return "gone" if _is_free(file) else "alive"
    return "unknown"


def runs_without_process(home: Path) -> Iterator[tuple[str, Path]]:
    """The ids of the runs whose process is gone, and their files; no other process finds one while it is handled."""
    for path in sorted((home / FOLDER).glob("*.lock")):
        with suppress(OSError), path.open("r+b") as file:  # gone meanwhile, or another user's
            if _is_free(file):
                yield path.stem, path


def _path(home: Path, run_id: str) -> Path:
    return home / FOLDER / f"{run_id}.lock"


def _is_free(file: IO[bytes]) -> bool:
    """Whether no process had locked the file, which must be open for writing, as NFS wants; it is locked until it is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
