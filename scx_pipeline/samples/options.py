"""Validation of options, and the default progress callback, for all generators.

The options themselves do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable


def require(options: object, rules: Iterable[tuple[str, bool]]) -> None:
    """Raise ValueError with the options for the first rule (message, whether it holds) that does not hold.

    Later rules are not evaluated.
    """
    for message, holds in rules:
        if not holds:
            raise ValueError(f"{message}; got {options}")


def ignore_progress(line: str) -> None:
    """Discard a progress message."""
