"""A record of a text file, and what of it is kept.
How records are found is decided by the format."""

from __future__ import annotations

from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"  # a byte order mark, which some writers put at a file's start
RAW_LIMIT = 10_000  # characters of a bad record that are kept: enough to see it, too few to fill a disk


@dataclass(frozen=True)
class Record:
    """A record of a file: the line it starts on (from 1), and its raw text."""

    line: int
    raw: str
