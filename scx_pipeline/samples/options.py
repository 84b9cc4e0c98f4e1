"""What all generators do with their options before anything is written, and whom they tell of progress by default.
What the options are, and must be, is the generators' business."""

from __future__ import annotations

from collections.abc import Iterable


def require(options: object, rules: Iterable[tuple[str, bool]]) -> None:
    """Raise ValueError, with the options, for the first rule (what must be, whether it is) that is not kept; those after
    it are not looked at."""
    for told, kept in rules:
        if not kept:
            raise ValueError(f"{told}; got {options}")


def tell_nobody(line: str) -> None:
    """Where progress goes when no one asked."""
