"""Freshness and volume checks of published facts. They only warn.

Checks that can keep a load from being published do not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import median

from scx_pipeline.history.check_result import CheckResult, DeclaredCheck
from scx_pipeline.history.history_reader import select_rows
from scx_pipeline.history.state_tables import MONTH_ROWS
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.count_text import count_of
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import qualified, quote

TREND_MONTHS = 6
MIN_TREND_MONTHS = 2
TREND_FACTOR = 2.0
MAX_SHOWN = 3  # months in the message of the volume check
_TREND = f"between 1/{TREND_FACTOR:g} and {TREND_FACTOR:g} times the median of the {TREND_MONTHS} months"


def declared_freshness_checks(star: Star) -> list[DeclaredCheck]:
    """Return the freshness and volume checks of the star's facts."""
    freshness = f"The newest row is at most {star.fresh_within_days} days old."
    volume = f"A full month has {_TREND} before."
    checks = []
    for table in _facts(star):
        if star.fresh_within_days:
            checks.append(DeclaredCheck(table.name, "freshness", freshness, "warn"))
        checks.append(DeclaredCheck(table.name, "volume", volume, "warn"))
    return checks


def run_freshness_checks(
    session: Session, star: Star, loaded: MonthRange | None = None, now: datetime | None = None
) -> list[CheckResult]:
    """Evaluate the freshness and volume checks of all facts.

    A load of older months says nothing about freshness: that check has no result then. Volume is evaluated for the loaded months.

    Args:
        loaded: The months of the load that the checks belong to; None evaluates the newest months.
        now: The current time, in UTC.
    """
    now = now or datetime.now(UTC).replace(tzinfo=None)
    results = []
    for table in _facts(star):
        rows = _rows_by_month(session, star, table)
        newest = max((month for month, count in rows.items() if count), default=None)
        if star.fresh_within_days and (loaded is None or newest is None or loaded.last >= newest):
            results.append(_freshness(session, star, table, now))
        results.append(_volume(table, rows, loaded, Month.of(now)))
    return results


def _facts(star: Star) -> list[Table]:
    return [table for table in star.tables if table.role == "fact" and table.is_partitioned]


def _rows_by_month(session: Session, star: Star, table: Table) -> dict[Month, int]:
    """Return the number of rows of each loaded month, in order, beginning with the first month that has any."""
    columns, condition = "month, row_count", " AND table_name = ?"
    counted = select_rows(session, MONTH_ROWS, columns, star.name, condition, [table.name])
    months = sorted((Month.parse(month), int(count)) for month, count in counted)
    filled = [month for month, count in months if count]
    return {month: count for month, count in months if filled and month >= filled[0]}


def _freshness(session: Session, star: Star, table: Table, now: datetime) -> CheckResult:
    newest = session.rows(
        f"SELECT MAX({quote(table.event_time_column)}) FROM {qualified(star.schema_name, table)}"
    )[0][0]
    if newest is None:
        return CheckResult(table.name, "freshness", False, "the table has no rows", "warn")
    days = (now - newest).days
    fresh = days <= (star.fresh_within_days or 0)
    message = f"the newest row is from {newest:%Y-%m-%d %H:%M} UTC, {count_of(days, 'day')} ago"
    return CheckResult(table.name, "freshness", fresh, message, "warn")


def _volume(
    table: Table, rows: Mapping[Month, int], loaded: MonthRange | None, current: Month
) -> CheckResult:
    """Compare each full month that was loaded with the months before it, once there are enough of them."""
    full = [month for month in rows if month < current]
    compared, deviating, message = 0, [], "too few months for a trend"
    for month in _months_to_compare(full, loaded, current):
        earlier = [rows[item] for item in full[: full.index(month)][-TREND_MONTHS:]]
        if len(earlier) >= MIN_TREND_MONTHS:
            typical = median(earlier)
            message = f"{month} has {count_of(rows[month], 'row')}, the {len(earlier)} months before a median of {typical:,.0f}"
            compared += 1
            if not typical / TREND_FACTOR <= rows[month] <= typical * TREND_FACTOR:
                deviating.append(message)
    if compared > 1:
        message = f"each of {compared} months has {_TREND} before"
        if deviating:
            more = f"; and {len(deviating) - MAX_SHOWN} more" if len(deviating) > MAX_SHOWN else ""
            message = (
                f"{len(deviating)} of {compared} months deviate: {'; '.join(deviating[:MAX_SHOWN])}{more}"
            )
    return CheckResult(table.name, "volume", not deviating, message, "warn")


def _months_to_compare(full: Sequence[Month], loaded: MonthRange | None, current: Month) -> list[Month]:
    """Return the full months that were loaded; without a load, or if it loaded the current month, also the last full one.

    The last load of a month may take place before the month is over.
    """
    with_last = loaded is None or loaded.last >= current
    return [month for month in full if (loaded and month in loaded) or (with_last and month == full[-1])]
