"""What stands in the warehouse, as the load history tells: months, rows, loads, checks and rejected rows.
It only reads; the history is written by `history` in the transaction of a load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scx_pipeline.engine.history import MONTHS
from scx_pipeline.engine.sql import CompiledStar
from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.base import STATE_SCHEMA, Session


@dataclass(frozen=True)
class Status:
    """The months of a star that stand: rows by table, when each was loaded, and the last load's checks."""

    tables: Sequence[str]
    months: dict[str, datetime]
    rows: dict[tuple[str, str], int]  # (table, month)
    checks: list[tuple[str, str, bool, str]]  # table, check, passed, message

    def month_rows(self) -> list[tuple[object, ...]]:
        """A line per month: the month, rows per table, and when it was loaded."""
        return [
            (month, *(self.rows.get((table, month), 0) for table in self.tables), f"{loaded:%Y-%m-%d %H:%M}")
            for month, loaded in self.months.items()
        ]

    def as_json(self) -> dict[str, Any]:
        """The same for a script."""
        months = [
            {
                "month": month,
                "loaded_at": loaded,
                "rows": {table: self.rows.get((table, month), 0) for table in self.tables},
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
    tables = [table.name for table in compiled.star.tables]
    counted = {(table, month): int(count) for table, month, count in rows}
    return Status(tables, dict(months), counted, [(t, c, bool(p), m) for t, c, p, m in checks])


def read_rejected(session: Session, star: str, limit: int | None) -> tuple[int, list[tuple[Any, ...]]]:
    """How many rows of the star are rejected, and the first of them: key, line, column, reason, raw text."""
    _check_loaded(session, star)
    mark = session.capabilities.placeholder
    count = session.rows(f"SELECT COUNT(*) FROM {STATE_SCHEMA}.rejected_rows WHERE star = {mark}", [star])[0][
        0
    ]
    rows = session.rows(
        f"SELECT object_key, line, column_name, reason, raw FROM {STATE_SCHEMA}.rejected_rows WHERE star = {mark}"
        f" ORDER BY object_key, line{f' LIMIT {int(limit)}' if limit else ''}",
        [star],
    )
    return int(count), rows


def _check_loaded(session: Session, star: str) -> None:
    if not session.existing_columns(STATE_SCHEMA, MONTHS.name):
        raise WarehouseError(f"{star} was never loaded into this warehouse: run `scx load {star}` first")
