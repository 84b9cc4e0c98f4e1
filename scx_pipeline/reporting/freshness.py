"""Freshness and volume checks of published facts. They only warn.

Checks that can keep a load from being published do not belong here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import median

from scx_pipeline.history.check_result import CheckResult, DeclaredCheck
from scx_pipeline.history.history_reader import select_rows
from scx_pipeline.history.state_tables import MONTH_ROWS
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import qualified, quote

TREND_MONTHS = 6
MIN_TREND_MONTHS = 2
TREND_FACTOR = 2.0


def declared_freshness_checks(star: Star) -> list[DeclaredCheck]:
    """Return the freshness and volume checks of the star's facts."""
    freshness = f"The newest row is at most {star.fresh_within_days} days old."
    volume = (
        f"The last full month has between 1/{TREND_FACTOR:g} and {TREND_FACTOR:g} times the median of the "
        f"{TREND_MONTHS} months before."
    )
    checks = []
    for table in _facts(star):
        if star.fresh_within_days:
            checks.append(DeclaredCheck(table.name, "freshness", freshness, "warn"))
        checks.append(DeclaredCheck(table.name, "volume", volume, "warn"))
    return checks


def run_freshness_checks(session: Session, star: Star, now: datetime | None = None) -> list[CheckResult]:
    """Evaluate the freshness and volume checks of all facts; `now` is in UTC."""
    now = now or datetime.now(UTC).replace(tzinfo=None)
    results = []
    for table in _facts(star):
        if star.fresh_within_days:
            results.append(_freshness(session, star, table, now))
        results.append(_volume(session, star, table, now))
    return results


def _facts(star: Star) -> list[Table]:
    return [table for table in star.tables if table.role == "fact" and table.is_partitioned]


def _freshness(session: Session, star: Star, table: Table, now: datetime) -> CheckResult:
    newest = session.rows(
        f"SELECT MAX({quote(table.event_time_column)}) FROM {qualified(star.schema_name, table)}"
    )[0][0]
    if newest is None:
        return CheckResult(table.name, "freshness", False, "the table has no rows", "warn")
    days = (now - newest).days
    fresh = days <= (star.fresh_within_days or 0)
    message = f"the newest row is from {newest:%Y-%m-%d %H:%M} UTC, {days} days ago"
    return CheckResult(table.name, "freshness", fresh, message, "warn")


def _volume(session: Session, star: Star, table: Table, now: datetime) -> CheckResult:
    columns, condition = "month, row_count", " AND table_name = ?"
    counted = select_rows(session, MONTH_ROWS, columns, star.name, condition, [table.name])
    rows = {Month.parse(month): int(count) for month, count in counted}
    full = [month for month in sorted(rows) if month < Month.of(now)]
    earlier = [rows[month] for month in full[-TREND_MONTHS - 1 : -1]]
    if len(earlier) < MIN_TREND_MONTHS:
        return CheckResult(table.name, "volume", True, "too few months for a trend", "warn")
    last, typical = rows[full[-1]], median(earlier)
    on_trend = typical / TREND_FACTOR <= last <= typical * TREND_FACTOR
    message = f"{full[-1]} has {last:,} rows, the {len(earlier)} months before a median of {typical:,.0f}"
    return CheckResult(table.name, "volume", on_trend, message, "warn")
