"""Counts in words, for messages: 1 month, 2 months.

Messages as a whole do not belong here.
"""

from __future__ import annotations


def count_of(count: int, noun: str) -> str:
    """Return a number with its noun, such as 1 object or 1,200 objects; the plural must end in s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
