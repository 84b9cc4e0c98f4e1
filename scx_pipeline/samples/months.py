"""The months of a generated log: how one is written, and the days on which they begin.
What happens in them is the generators' business."""

from __future__ import annotations

import re
from datetime import date


def is_month(text: str) -> bool:
    """Whether the text is a month as YYYY-MM."""
    return re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text, re.ASCII) is not None


def month_starts(to: str, months: int) -> list[date]:
    """The first day of each of so many months that end with `to`, and the day after the last."""
    end = 12 * int(to[:4]) + int(to[5:])
    return [date(at // 12, at % 12 + 1, 1) for at in range(end - months, end + 1)]
