"""A guess: what was decided, and how many of the rows that were looked at support it.

How it is decided belongs to the other modules.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Guess:
    """A decision about a star, the reason for it, and the share of the sample rows that supports it."""

    subject: str
    decision: str
    reason: str
    share: float = 1.0
