"""The months of a generated log: their format, and the days on which they start.

What happens in a month does not belong here.
"""

from __future__ import annotations

import re
from datetime import date


def is_month(text: str) -> bool:
    """Return whether the text is a month as YYYY-MM."""
    return re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text, re.ASCII) is not None


def is_within_years(to: str, months: int, first_year: int, last_year: int) -> bool:
    """Return whether this many months that end with `to` lie within these years."""
    end = 12 * int(to[:4]) + int(to[5:])
    return end - months >= 12 * first_year and end <= 12 * (last_year + 1)


def month_starts(to: str, months: int) -> list[date]:
    """Return the first day of each month of a log that ends with the month `to`, and the day after its last day."""
    end = 12 * int(to[:4]) + int(to[5:])
    return [date(at // 12, at % 12 + 1, 1) for at in range(end - months, end + 1)]
