"""What stands in the warehouse, as the load history tells: months, rows, loads, checks and rejected rows.
It only reads; the history is written by `history` in the transaction of a load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import WarehouseError
from scx_pipeline.history.load_history import MONTHS, WHOLES, read_stale
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA


@dataclass(frozen=True)
class Status:
    """The months of a star that stand: rows by table, when each was loaded, and the last load's checks."""

    tables: Sequence[str]
    months: dict[str, datetime]  # and `UNPARTITIONED.value`, of the tables without months
    rows: dict[tuple[str, str], int]  # (table, month)
    checks: list[tuple[str, str, bool, str]]  # table, check, passed, message
    stale: dict[str, str] = field(default_factory=dict)  # month → why

    def month_rows(self) -> list[tuple[object, ...]]:
        """A line per month: the month, rows per table, when it was loaded, and whether it is stale."""
        return [
            (
                month,
                *(self.rows.get((table, month)) for table in self.tables),
                f"{loaded:%Y-%m-%d %H:%M}",
                f"stale: {self.stale[month]}" if month in self.stale else "",
            )
            for month, loaded in self.months.items()
        ]

    def as_json(self) -> dict[str, Any]:
        """The same for a script."""
        months = [
            {
                "month": month,
                "loaded_at": loaded,
                "rows": {t: self.rows[t, month] for t in self.tables if (t, month) in self.rows},
                "stale": self.stale.get(month),
            }
            for month, loaded in self.months.items()
        ]
        names = ("table", "check", "passed", "message")
        return {"months": months, "checks": [dict(zip(names, check, strict=True)) for check in self.checks]}


def read_status(session: Session, compiled: CompiledStar) -> Status:
    """Read a star's status. Raises WarehouseError where nothing was ever loaded."""
    star = compiled.star.name
    _check_loaded(session, star)
    mark = session.capabilities.placeholder
    months = session.rows(
        f"SELECT month, loaded_at FROM {STATE_SCHEMA}.months WHERE star = {mark} ORDER BY month", [star]
    )
    rows = session.rows(
        f"SELECT table_name, month, row_count FROM {STATE_SCHEMA}.month_rows WHERE star = {mark}", [star]
    )
    checks = session.rows(
        f"SELECT table_name, check_name, passed, message FROM {STATE_SCHEMA}.check_results WHERE load_id ="
        f" (SELECT load_id FROM {STATE_SCHEMA}.loads WHERE star = {mark} ORDER BY finished_at DESC LIMIT 1)"
        " ORDER BY table_name, check_name",
        [star],
    )
    unpartitioned = session.rows(
        f"SELECT loaded_at FROM {STATE_SCHEMA}.unpartitioned WHERE star = {mark}", [star]
    )
    stale = {str(month): why for month, (why, _) in sorted(read_stale(session, star).items())}
    tables = [table.name for table in compiled.star.tables]
    counted = {(table, month): int(count) for table, month, count in rows}
    loaded = dict([(UNPARTITIONED.value, moment) for (moment,) in unpartitioned] + months)
    return Status(tables, loaded, counted, [(t, c, bool(p), m) for t, c, p, m in checks], stale)


def read_rejected(session: Session, star: str, limit: int | None) -> tuple[int, list[tuple[Any, ...]]]:
    """How many rows of the star are rejected, and the first of them: key, line, column, reason, raw text."""
    _check_loaded(session, star)
    mark = session.capabilities.placeholder
    count = session.rows(f"SELECT COUNT(*) FROM {STATE_SCHEMA}.rejected_rows WHERE star = {mark}", [star])[0][
        0
    ]
    rows = session.rows(
        f'SELECT object_key, line, column_name, reason, "raw" FROM {STATE_SCHEMA}.rejected_rows WHERE star = {mark}'
        f" ORDER BY object_key, line{f' LIMIT {int(limit)}' if limit else ''}",
        [star],
    )
    return int(count), rows


@dataclass(frozen=True)
class RejectedRows:
    """How many rows a load rejected that something stands by: a month, or the tables without months (`UNPARTITIONED.value`)."""

    part: str
    load_id: str
    run_id: str | None
    rows_read: int
    rows_rejected: int
    finished_at: datetime


def read_rejecting(session: Session, star: str) -> list[RejectedRows]:
    """The loads that rejected rows, of each month that stands by one; none where nothing was ever loaded."""
    if not session.table_exists(STATE_SCHEMA, MONTHS.name):
        return []
    mark = session.capabilities.placeholder
    rows = [
        row
        for part, table in (("m.month", MONTHS.name), (f"'{UNPARTITIONED.value}'", WHOLES.name))
        for row in session.rows(
            f"SELECT {part}, l.load_id, l.run_id, l.rows_read, l.rows_rejected, l.finished_at FROM {STATE_SCHEMA}.{table} m"
            f" JOIN {STATE_SCHEMA}.loads l ON l.load_id = m.load_id WHERE m.star = {mark} AND l.rows_rejected > 0",
            [star],
        )
    ]
    return [
        RejectedRows(part, load, run, int(read), int(rejected), finished)
        for part, load, run, read, rejected, finished in rows
    ]


def count_rejected(session: Session, star: str) -> int:
    """How many rows of the star's objects were rejected, whether they are still kept or not (`upkeep`)."""
    mark = session.capabilities.placeholder
    [(count,)] = session.rows(
        f"SELECT SUM(rows_rejected) FROM {STATE_SCHEMA}.objects WHERE star = {mark}", [star]
    )
    return int(count or 0)


def _check_loaded(session: Session, star: str) -> None:
    if not session.table_exists(STATE_SCHEMA, MONTHS.name):
        raise WarehouseError(f"{star} was never loaded into this warehouse: run `scx load {star}` first")
