"""The months that the rows of an object may belong to, and the reasons for rejecting rows out of their range.

Finding and removing such rows does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scx_pipeline.history.ingest_result import allowed_months
from scx_pipeline.loading.ingest.ingest_job import IngestJob
from scx_pipeline.model.calendar import Month
from scx_pipeline.parsing.number_text import MICROSECONDS
from scx_pipeline.parsing.parser import RowsOutOfRange
from scx_pipeline.planning.selection import SelectedObject
from scx_pipeline.warehouse.sql_text import quote, timestamp_literal

YEAR_3000_SECONDS = 32_503_680_000


@dataclass(frozen=True)
class EventTimeBounds:
    """The range of event times that the rows of an object may have."""

    job: IngestJob
    item: SelectedObject

    def contains(self, first: datetime | None, last: datetime | None) -> bool:
        """Return whether all event times from first to last are in range."""
        months = allowed_months(self.item, self.job.months)
        return first is None or last is None or (first >= months.start and last < months.end)

    @property
    def out_of_range(self) -> RowsOutOfRange:
        """The condition of rows out of range, with the reason for rejecting each."""
        months, time = allowed_months(self.item, self.job.months), quote(self.job.table.event_time_column)
        condition = (
            f"({time} < {timestamp_literal(months.start)} OR {time} >= {timestamp_literal(months.end)})"
        )
        return RowsOutOfRange(condition, self._reason)

    def _reason(self, time: datetime) -> str:
        months = self.job.months
        if Month.of(time) < months.first:
            return f"{time} is before the star's first month, {months.first}{self._unit_hint(time)}"
        if Month.of(time) > months.last:
            return f"{time} is in the future{self._unit_hint(time)}"
        return f"{time} is outside the months that the key names, {self.item.months}"

    def _unit_hint(self, time: datetime) -> str:
        """Suggest another unit of the event time if it would give a month of the star."""
        unit = self.job.table.column(self.job.table.event_time_column).unit
        count = (time - datetime(1970, 1, 1)) / timedelta(microseconds=1)
        for other, power in MICROSECONDS.items():
            if unit is not None and other != unit:
                seconds = count * 10.0 ** (power - MICROSECONDS[unit]) / 1e6
                if (
                    0 <= seconds < YEAR_3000_SECONDS
                    and Month.of(datetime.fromtimestamp(seconds, UTC)) in self.job.months
                ):
                    return f"; in {other} it would be {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
        return ""
