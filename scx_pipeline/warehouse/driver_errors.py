"""Short texts from drivers' exceptions.

Advice that is specific to an engine belongs to its package.
"""

from __future__ import annotations

from scx_pipeline.errors import WarehouseError


def out_of_memory(error: BaseException, limit: str) -> WarehouseError:
    """Return the error to raise when DuckDB runs out of memory."""
    return WarehouseError(f"{first_line(error)}: raise SCX_MEMORY_LIMIT ({limit}); nothing was changed")


def first_line(error: BaseException) -> str:
    """Return the first line of a driver's message: the rest is the statement, which users cannot act on."""
    lines = str(error).strip().splitlines()
    return lines[0][:400] if lines else type(error).__name__


def explain(line: str, advice: str) -> str:
    """Return a line of a driver's message, followed by the advice on it if there is any."""
    return f"{line} ({advice})" if advice else line
