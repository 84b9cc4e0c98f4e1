"""Months, ranges of months, and the scope of a load.

All months are calendar months in UTC, and all timestamps are naive and in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property, total_ordering
from typing import Final, TypeAlias


@total_ordering
@dataclass(frozen=True)
class Month:
    """A calendar month in UTC."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """Parse a month such as `2021-04`. Raises ValueError with an example for any other text."""
        match = re.fullmatch(r"(\d{4})-(\d{2})", str(text))
        if not match or not 1 <= int(match[2]) <= 12 or not int(match[1]):
            raise ValueError(f"{text!r} is not a month: write it as YYYY-MM, for example 2021-04")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, timestamp: datetime) -> Month:
        """Return the month that contains a UTC timestamp."""
        return cls(timestamp.year, timestamp.month)

    @classmethod
    def current(cls) -> Month:
        """Return the current month in UTC."""
        return cls.of(datetime.now(UTC))

    @property
    def start(self) -> datetime:
        """The first instant of the month."""
        return datetime(self.year, self.month, 1)

    @property
    def end(self) -> datetime:
        """The first instant after the month."""
        return self.shift(1).start

    def shift(self, months: int) -> Month:
        """Return the month that is this many months later, or earlier if negative."""
        index = self.year * 12 + self.month - 1 + months
        return Month(index // 12, index % 12 + 1)

    def __lt__(self, other: Month) -> bool:
        return (self.year, self.month) < (other.year, other.month)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


@dataclass(frozen=True)
class MonthRange:
    """The months from the first to the last, both included, without the excluded ones in between."""

    first: Month
    last: Month
    excluded: frozenset[Month] = frozenset()

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"the range ends ({self.last}) before it starts ({self.first})")

    @classmethod
    def of(cls, months: Iterable[Month]) -> MonthRange:
        """Return the range of exactly these months, of which there must be one at least."""
        wanted = frozenset(months)
        whole = cls(min(wanted), max(wanted))
        return cls(whole.first, whole.last, frozenset(whole) - wanted)

    @property
    def months(self) -> list[Month]:
        return list(self)

    @cached_property
    def _members(self) -> tuple[Month, ...]:
        """The months, as the ranges of thousands of objects are iterated again and again."""
        count = (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1
        months = (self.first.shift(number) for number in range(count))
        return tuple(month for month in months if month not in self.excluded)

    @property
    def start(self) -> datetime:
        return self.first.start

    @property
    def end(self) -> datetime:
        """The first instant after the range."""
        return self.last.end

    @property
    def contiguous(self) -> list[MonthRange]:
        """The contiguous ranges that together cover exactly these months, in order."""
        return contiguous_ranges(self.months) if self.excluded else [self]

    def __iter__(self) -> Iterator[Month]:
        return iter(self._members)

    def __contains__(self, month: object) -> bool:
        return isinstance(month, Month) and self.first <= month <= self.last and month not in self.excluded

    def __str__(self) -> str:
        whole = str(self.first) if self.first == self.last else f"{self.first}…{self.last}"
        excluded = ", ".join(map(str, sorted(self.excluded)))
        return f"{whole} without {excluded}" if excluded else whole


class Unpartitioned(Enum):
    """The scope of a load that builds the unpartitioned tables, which belong to no month."""

    # The value is what columns and keys hold in place of a month.
    UNPARTITIONED = "all"

    def __str__(self) -> str:
        return "unpartitioned tables"


UNPARTITIONED: Final = Unpartitioned.UNPARTITIONED


LoadScope: TypeAlias = MonthRange | Unpartitioned


def contiguous_ranges(months: Iterable[Month]) -> list[MonthRange]:
    """Return the smallest list of ranges that cover exactly these months, in order."""
    ranges: list[MonthRange] = []
    for month in sorted(set(months)):
        if ranges and ranges[-1].last.shift(1) == month:
            ranges[-1] = MonthRange(ranges[-1].first, month)
        else:
            ranges.append(MonthRange(month, month))
    return ranges
