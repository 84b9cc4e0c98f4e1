"""Folders for temporary files, which their owner alone can read: removed at the end, or by the next load after a crash.
The code that opens one decides what is put into it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "scx-"
LOCK = "scx.lock"  # also the mark of our folders: another with such a name is not ours to remove
SETTLED_SECONDS = 60.0  # after which a folder has its lock, or never will


@contextmanager
def temporary_folder(prefix: str = PREFIX) -> Iterator[Path]:
    """A new, empty folder in TMPDIR, but for a lock that is held as long as the folder is in use."""
    _remove_left()
    folder = tempfile.mkdtemp(prefix=prefix)
    # The system lets go of it when the process ends, however it ends.
    lock = os.open(f"{folder}/{LOCK}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are not there, for their owner alone; one that is there stays as it is."""
    if not folder.parent.is_dir():
        make_private(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)


def _remove_left() -> None:
    """Remove the folders of processes that ended without doing so."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # in use, gone meanwhile, somebody else's, or none of these folders
            if time.time() - folder.stat().st_mtime < SETTLED_SECONDS:
                continue
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
