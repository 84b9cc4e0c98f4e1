"""Create temporary folders that only their owner can read, and remove those of crashed processes.

What they contain is decided by the caller.
"""

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
LOCK = "scx.lock"  # identifies our folders: others with such a name are not removed
LOCKED_AFTER_SECONDS = 60.0  # a folder without a lock by then was not created here


@contextmanager
def temporary_folder(prefix: str = PREFIX) -> Iterator[Path]:
    """Create a folder in TMPDIR that is empty except for a lock file, and remove it at the end.

    The lock is held as long as the folder is in use.
    """
    _remove_abandoned()
    folder = tempfile.mkdtemp(prefix=prefix)
    # The operating system releases it when the process ends, however it ends.
    lock = os.open(f"{folder}/{LOCK}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def create_private_folder(folder: Path) -> None:
    """Create a folder and its missing parents, readable only by their owner; existing folders are left unchanged."""
    if not folder.parent.is_dir():
        create_private_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)


def _remove_abandoned() -> None:
    """Remove the folders of processes that ended without removing them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # in use, removed meanwhile, another user's, or not one of these folders
            if time.time() - folder.stat().st_mtime < LOCKED_AFTER_SECONDS:
                continue
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
