"""The forms of dates and timestamps that are tried, and which of them fit some texts.

Whether all texts of a column fit is decided by the rules of a load.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache

from scx_pipeline.parsing.csv.dialect_texts import time_pattern

DATES = (
    "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%y", "%m/%d/%y", "%d/%m/%y",
    "%d %b %Y", "%d-%b-%Y", "%b %d %Y", "%d-%b-%y", "%d %B %Y", "%Y%m%d",
)  # fmt: skip
TIMES = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M:%S %p", "%I:%M %p", "%H%M%S")
LOG_TIMES = ("%d/%b/%Y:%H:%M:%S %z", "[%d/%b/%Y:%H:%M:%S %z]", "[%d/%b/%Y:%H:%M:%S", "%a %b %d %H:%M:%S %Y")


def swap_day_and_month(form: str) -> str:
    """Return a form with the numbers of day and month in each other's place, if one character is between them."""
    return re.sub("(%d|%m)(.)(%d|%m)", r"\3\2\1", form)


def matching_forms(forms: Sequence[str], values: Sequence[str]) -> list[str]:
    """Return the forms by which Python reads all values; where day and month are ambiguous, each is among them."""
    found = []
    for form in forms:
        pattern = _compile(form)
        if not all(map(pattern.fullmatch, values)):
            continue
        with suppress(ValueError):
            for text in values:
                datetime.strptime(text, form)
            found.append(form)
    return found


@cache
def _compile(form: str) -> re.Pattern[str]:
    return re.compile(time_pattern(form))
