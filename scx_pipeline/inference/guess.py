"""Guesses, with the share of the rows that supports them, and the choices that take their place.

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


@dataclass(frozen=True)
class Choices:
    """What a user chooses, and is not guessed; None: guess it. An empty event time or key: none."""

    event_time: str | None = None
    key: tuple[str, ...] | None = None
