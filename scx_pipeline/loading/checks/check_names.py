"""The names of checks that depend on a table's declaration, and the texts that several checks share.

Evaluating checks does not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence

from scx_pipeline.model.calendar import Month
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table

PASSED = "passed"
REJECTED_ROWS = "rejected_rows"
MAX_EXAMPLES = 5  # Objects, months, keys or values that a message names.


def unique_check_name(table: Table) -> str:
    """Return the name of the check of the table's key."""
    return f"unique_{'_'.join(table.key)}"


def reference_check_name(table: Table, column: Column) -> str:
    """Return the name of a reference's check; it has the column's name if several columns reference the same table."""
    same = [other for other in table.columns if other.references == column.references]
    return f"references_{column.references}" + (f"_{column.name}" if len(same) > 1 else "")


def format_percent(share: float) -> str:
    """Format a declared share as it was written: 5%, or 0.5%."""
    return f"{share * 100:g}%"


def describe_duplicate(table: Table, values: Sequence[object], months: tuple[Month, Month] | None) -> str:
    """Return the message about a duplicate key, with the first and last month that it occurs in."""
    key = ", ".join(f"{name} {value}" for name, value in zip(table.key, values, strict=True))
    if months is None:
        return f"{key} occurs twice"
    first, last = months
    return f"{key} occurs in {first} and in {last}" if first != last else f"{key} occurs twice in {first}"
