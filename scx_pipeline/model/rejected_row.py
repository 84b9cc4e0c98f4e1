"""A row that a load rejects, as a file's parser reports it and as `rejected_rows` stores it.

Why a row is rejected is decided in other packages.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that is not loaded: its object, line (from 1) and column, the reason, and its raw text.

    `line` is None where it is unknown or the whole file is rejected, `column` where no single column is at fault.
    """

    key: str
    line: int | None
    column: str | None
    reason: str
    raw: str
    source: str = ""  # set when the row is stored
