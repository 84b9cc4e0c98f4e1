"""The share of rejected rows by month, by which a month exceeds its limit in any load that reads its objects.

What happens to such a month does not belong here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from scx_pipeline.history.ingest_result import ObjectCount
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month


class RejectedShares:
    """The rows read and rejected of the objects that may contain a month, for each month of a scope.

    A rejected row has no event time, so it counts towards every month that its object may contain.
    """

    def __init__(self, scope: LoadScope) -> None:
        self.months: Sequence[Month | None] = [None] if scope is UNPARTITIONED else scope.months
        # Under None, those of objects that may contain any month.
        self._read: Counter[Month | None] = Counter()
        self._rejected: Counter[Month | None] = Counter()

    def add(self, counts: Iterable[ObjectCount]) -> None:
        """Add the row counts of objects."""
        # Neighbors have the same months: finding the counters of a month for each object would take long.
        for months, found in groupby(counts, attrgetter("object.months")):
            items = list(found)
            read, rejected = sum(item.read for item in items), sum(item.rejected for item in items)
            for month in months or [None]:
                self._read[month] += read
                self._rejected[month] += rejected

    def of(self, month: Month | None) -> tuple[int, int]:
        """Return the rows read and the rows rejected of a month; None means the unpartitioned tables."""
        keys = {month, None}
        return sum(self._read[key] for key in keys), sum(self._rejected[key] for key in keys)

    def above(self, limit: float) -> dict[Month | None, tuple[int, int]]:
        """Return the months that exceed a limit, with their rows read and rejected."""
        return {month: self.of(month) for month in self.months if self.exceeds(month, limit)}

    def exceeds(self, month: Month | None, limit: float, more_rows: int = 0) -> bool:
        """Return whether a month exceeds a limit, even with so many more rows of which none is rejected."""
        read, rejected = self.of(month)
        return rejected > limit * (read + more_rows)
