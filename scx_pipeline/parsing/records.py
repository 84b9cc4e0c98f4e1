"""A record of a text file, and how much of it is stored if it is rejected.

Each format decides where its records begin and end.
"""

from __future__ import annotations

from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"  # the byte order mark, which some writers put at the start of a file
RAW_LIMIT = 10_000  # characters of a rejected record that are stored


@dataclass(frozen=True)
class Record:
    """A record of a file: the line it starts on (from 1), and its raw text."""

    line: int
    raw: str
