"""Folders that only their owner may enter: the runs' records and locks name keys, and their errors may quote values.
What is written into them is elsewhere."""

from __future__ import annotations

from pathlib import Path


def private_folder(folder: Path) -> None:
    """Make the folder, and those above it that are missing, for their owner alone; those that exist stay as they are."""
    for part in reversed([folder, *folder.parents]):
        if not part.exists():
            part.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)  # raises where it is no folder
