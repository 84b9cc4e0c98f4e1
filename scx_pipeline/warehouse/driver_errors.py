"""Short texts from drivers' exceptions.

Advice that is specific to an engine belongs to its package.
"""

from __future__ import annotations

from collections.abc import Iterable

from scx_pipeline.errors import WarehouseError


def out_of_memory(error: BaseException, limit: str) -> WarehouseError:
    """Return the error to raise when DuckDB runs out of memory."""
    return WarehouseError(f"{first_line(error)}: raise SCX_MEMORY_LIMIT ({limit}); nothing was changed")


def first_line(error: BaseException) -> str:
    """Return the first line of a driver's message: the rest is the statement, which users cannot act on."""
    lines = str(error).strip().splitlines()
    return lines[0][:400] if lines else type(error).__name__


def find_advice(error: BaseException, advice: Iterable[tuple[str, str]]) -> str:
    """Return the advice whose text occurs in the error's message, in any case of letters; empty if there is none."""
    message = str(error).lower()
    return next((line for text, line in advice if text.lower() in message), "")
