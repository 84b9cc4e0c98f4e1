"""The markers of staged rows in the column `_object`.

An accepted row carries the number of its object, a rejected one its complement: -1 - number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

# A condition that a row must not meet, the column at fault (None: the whole row), and the reason.
Rule: TypeAlias = tuple[str, str | None, str]

IS_REJECTED = "_object < 0"
OBJECT_NUMBER = "greatest(_object, -1 - _object)"
# Added to the number of an accepted row whose fields are still to be compared with the declared ones.
UNCHECKED_FIELDS = 1 << 30


def rejected_marker(number: int) -> int:
    """Return the marker of the rejected rows of an object; of a marker, the object's number."""
    return -1 - number


def marker_expression(rules: Sequence[Rule], number: str, accepted: str = "") -> str:
    """Return the SQL of a row's marker.

    Args:
        rules: What an accepted row must not meet.
        number: The SQL of the object's number.
        accepted: The SQL of an accepted row's marker, if it is not the number.
    """
    broken = " OR ".join(condition for condition, _, _ in rules) or "FALSE"
    return f"CASE WHEN {broken} THEN -1 - ({number}) ELSE {accepted or number} END"


def belongs_to(first: int, last: int) -> str:
    """Return the condition that a row, accepted or rejected, is of an object numbered from `first` to `last`."""
    return (
        f"(_object BETWEEN {first} AND {last}"
        f" OR _object BETWEEN {rejected_marker(last)} AND {rejected_marker(first)})"
    )
