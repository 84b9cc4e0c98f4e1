"""The watching checks: is the newest event recent, and is a month's volume on its trend.
They read what is published and warn; they never keep a load from being published."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import median

from scx_pipeline.history.check_result import CheckResult, DeclaredCheck
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, qualified, quote

TREND_MONTHS = 6
TREND_FACTOR = 2.0


def declared_watches(star: Star) -> list[DeclaredCheck]:
    """The watching checks of the star's facts."""
    watches = []
    for table in _facts(star):
        if star.fresh_within_days:
            watches.append(
                DeclaredCheck(
                    table.name, "freshness", f"The newest row is at most {star.fresh_within_days} days old."
                )
            )
        watches.append(
            DeclaredCheck(
                table.name,
                "volume",
                f"The last full month has between 1/{TREND_FACTOR:g} and {TREND_FACTOR:g} times the median of the {TREND_MONTHS} months before.",
            )
        )
    return watches


def watch(session: Session, star: Star, now: datetime | None = None) -> list[CheckResult]:
    """Evaluate the watching checks of all facts; `now` is a moment in UTC."""
    moment = now or datetime.now(UTC).replace(tzinfo=None)
    results = []
    for table in _facts(star):
        if star.fresh_within_days:
            results.append(_freshness(session, star, table, moment))
        results.append(_volume(session, star, table, moment))
    return results


def _facts(star: Star) -> list[Table]:
    return [table for table in star.tables if table.role == "fact" and table.partitioned]


def _freshness(session: Session, star: Star, table: Table, now: datetime) -> CheckResult:
    newest = session.rows(
        f"SELECT MAX({quote(table.event_time_column)}) FROM {qualified(star.schema_name, table)}"
    )[0][0]
    if newest is None:
        return CheckResult(table.name, "freshness", False, "the table has no rows", "warn")
    days = (now - newest).days
    fresh = days <= (star.fresh_within_days or 0)
    return CheckResult(
        table.name,
        "freshness",
        fresh,
        f"the newest row is of {newest:%Y-%m-%d %H:%M} UTC, {days} days ago",
        "warn",
    )


def _volume(session: Session, star: Star, table: Table, now: datetime) -> CheckResult:
    mark = session.capabilities.placeholder
    counted = session.rows(
        f"SELECT month, row_count FROM {STATE_SCHEMA}.month_rows WHERE star = {mark} AND table_name = {mark}",
        [star.name, table.name],
    )
    rows = {Month.parse(month): int(count) for month, count in counted}
    full = [month for month in sorted(rows) if month < Month.of(now)]
    earlier = [rows[month] for month in full[-TREND_MONTHS - 1 : -1]]
    if len(earlier) < 2:
        return CheckResult(table.name, "volume", True, "too few months to tell a trend", "warn")
    last, usual = rows[full[-1]], median(earlier)
    on_trend = usual / TREND_FACTOR <= last <= usual * TREND_FACTOR
    return CheckResult(
        table.name,
        "volume",
        on_trend,
        f"{full[-1]} has {last:,} rows, the {len(earlier)} months before a median of {usual:,.0f}",
        "warn",
    )
