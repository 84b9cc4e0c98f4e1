"""Short texts from drivers' exceptions.

Advice that is specific to an engine belongs to its package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scx_pipeline.errors import WarehouseError

if TYPE_CHECKING:
    pass


def out_of_memory(error: BaseException, limit: str) -> WarehouseError:
    """The error of a DuckDB that had too little memory."""
    return WarehouseError(f"{first_line(error)}: raise SCX_MEMORY_LIMIT ({limit}); nothing was changed")


def first_line(error: BaseException) -> str:
    """The first line of a driver's message: the rest is the statement, which a user cannot act on."""
    lines = str(error).strip().splitlines()
    return lines[0][:400] if lines else type(error).__name__
