"""Why a value is rejected, as precisely as its text allows.

The rules themselves are SQL and only give a general reason.
"""

from __future__ import annotations

import re
from decimal import Decimal, DecimalException

from scx_pipeline.parsing.number_text import MICROSECONDS
from scx_pipeline.parsing.timestamp_text import FINER_THAN_MICROSECOND, UNSUPPORTED_ZONE


def describe_violation(reason: str, value: str | None) -> str:
    """Return the reason of a broken rule, with the value's text and a more precise reason where that is known."""
    return reason if value is None else f"{value!r} {_refine_reason(reason, value)}"


def _refine_reason(reason: str, text: str) -> str:
    decimal = re.fullmatch(r"is not a decimal\(\d+, *(\d+)\)", reason)
    if decimal and _decimal_places(text) > int(decimal[1]):
        return f"has more than {decimal[1]} decimal places"
    if reason == "is not a timestamp" and UNSUPPORTED_ZONE.fullmatch(text):
        return "has a zone that is not Z or an offset of up to 14 hours, such as +02:00"
    unit = MICROSECONDS.get(reason.removeprefix("is not a number of "))
    is_finer = (
        _decimal_places(text) > unit
        if unit is not None
        else reason == "is not a timestamp" and FINER_THAN_MICROSECOND.fullmatch(text)
    )
    return "is more precise than a microsecond" if is_finer else reason


def _decimal_places(text: str) -> int:
    """Return how many decimal places a number's text needs; 0 where it is not a number."""
    try:
        exponent = Decimal("".join(text.split())).normalize().as_tuple().exponent
    except DecimalException:  # not a number, or too large for Python
        return 0
    return -exponent if isinstance(exponent, int) else 0
