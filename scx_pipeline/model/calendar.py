"""Months, ranges of months, and the scope of a load.

All months are calendar months in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import total_ordering
from typing import Final, Literal, TypeAlias


@total_ordering
@dataclass(frozen=True)
class Month:
    """A calendar month in UTC."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """Read `2021-04`; a ValueError says what a month looks like."""
        match = re.fullmatch(r"(\d{4})-(\d{2})", str(text))
        if not match or not 1 <= int(match[2]) <= 12 or not int(match[1]):
            raise ValueError(f"{text!r} is not a month: write it as YYYY-MM, for example 2021-04")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, moment: datetime) -> Month:
        """The month that a UTC moment falls in."""
        return cls(moment.year, moment.month)

    @classmethod
    def current(cls) -> Month:
        """This month, in UTC."""
        return cls.of(datetime.now(UTC))

    @property
    def start(self) -> datetime:
        """The first moment of the month (naive, UTC)."""
        return datetime(self.year, self.month, 1)

    @property
    def end(self) -> datetime:
        """The first moment after the month (naive, UTC)."""
        return self.shift(1).start

    def shift(self, months: int) -> Month:
        """The month that many months later, or earlier."""
        index = self.year * 12 + self.month - 1 + months
        return Month(index // 12, index % 12 + 1)

    def __lt__(self, other: Month) -> bool:
        return (self.year, self.month) < (other.year, other.month)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


@dataclass(frozen=True)
class MonthRange:
    """A contiguous run of months, both ends included."""

    first: Month
    last: Month

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"the span ends ({self.last}) before it begins ({self.first})")

    @property
    def months(self) -> list[Month]:
        return list(self)

    @property
    def start(self) -> datetime:
        return self.first.start

    @property
    def end(self) -> datetime:
        """The first moment after the span."""
        return self.last.end

    def __iter__(self) -> Iterator[Month]:
        month = self.first
        while month <= self.last:
            yield month
            month = month.shift(1)

    def __contains__(self, month: object) -> bool:
        return isinstance(month, Month) and self.first <= month <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}…{self.last}"


class Unpartitioned(Enum):
    """The scope of a load that makes the unpartitioned tables. False in conditions, as it has no months."""

    UNPARTITIONED = "all"  # in columns and keys, in the place of a month

    def __bool__(self) -> Literal[False]:
        return False

    def __str__(self) -> str:
        return "unpartitioned tables"


UNPARTITIONED: Final = Unpartitioned.UNPARTITIONED


LoadScope: TypeAlias = MonthRange | Unpartitioned


def contiguous_ranges(months: list[Month]) -> list[MonthRange]:
    """The fewest spans that cover exactly these months, in order."""
    scopes: list[MonthRange] = []
    for month in sorted(set(months)):
        if scopes and scopes[-1].last.shift(1) == month:
            scopes[-1] = MonthRange(scopes[-1].first, month)
        else:
            scopes.append(MonthRange(month, month))
    return scopes
