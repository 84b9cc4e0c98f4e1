"""The status of a star according to the load history: months, rows, loads and checks.

Writing the history does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import WarehouseError
from scx_pipeline.history.history_reader import read_stale_months, select_rows
from scx_pipeline.history.state_tables import (
    CHECK_RESULTS,
    MONTH_ROWS,
    MONTHS,
    UNPARTITIONED_LOADS,
)
from scx_pipeline.model.calendar import UNPARTITIONED, Month, contiguous_ranges
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA


@dataclass(frozen=True)
class StarStatus:
    """The loaded months of a star with their row counts and load times, and the checks of the last load."""

    tables: Sequence[str]
    # Load times by month; `UNPARTITIONED.value` is the key of the unpartitioned tables.
    months: dict[str, datetime]
    rows: dict[tuple[str, str], int]  # (table, month)
    checks: list[tuple[str, str, bool, str]]  # table, check, passed, message
    stale: dict[str, str] = field(default_factory=dict)  # reasons by month

    def rows_by_month(self) -> list[tuple[object, ...]]:
        """Return a line per month: the month, rows per table, load time, and why it is stale.

        Neighbouring months without rows share a line: a file whose key names no month may hold rows of any.
        """
        lines: list[tuple[object, ...]] = []
        for values, months in groupby(self.months, self._describe):
            is_empty = not any(values[: len(self.tables)])
            lines += [(scope, *values) for scope in (_ranges(months) if is_empty else months)]
        return lines

    def _describe(self, month: str) -> tuple[object, ...]:
        return (
            *(self.rows.get((table, month)) for table in self.tables),
            f"{self.months[month]:%Y-%m-%d %H:%M}",
            f"stale: {self.stale[month]}" if month in self.stale else "",
        )

    def as_json(self) -> dict[str, Any]:
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


def _ranges(months: Iterable[str]) -> list[str]:
    """Return consecutive months as ranges; the unpartitioned tables stay alone."""
    names = list(months)
    if UNPARTITIONED.value in names:
        return names
    return [str(scope) for scope in contiguous_ranges(map(Month.parse, names))]


def read_status(session: Session, compiled: CompiledStar) -> StarStatus:
    """Read a star's status. Raises WarehouseError if nothing was ever loaded."""
    star = compiled.star.name
    check_loaded(session, star)
    months = select_rows(session, MONTHS, "month, loaded_at", star, " ORDER BY month")
    rows = select_rows(session, MONTH_ROWS, "table_name, month, row_count", star)
    checks = select_rows(
        session,
        CHECK_RESULTS,
        "table_name, check_name, passed, message",
        star,
        f" AND load_id = (SELECT load_id FROM {STATE_SCHEMA}.loads WHERE star = ? ORDER BY finished_at DESC LIMIT 1)"
        " ORDER BY table_name, check_name",
        [star],
    )
    unpartitioned = select_rows(session, UNPARTITIONED_LOADS, "loaded_at", star)
    stale = {str(month): reason for month, (reason, _) in sorted(read_stale_months(session, star).items())}
    tables = [table.name for table in compiled.star.tables]
    counted = {(table, month): int(count) for table, month, count in rows}
    loaded = dict([(UNPARTITIONED.value, loaded_at) for (loaded_at,) in unpartitioned] + months)
    return StarStatus(tables, loaded, counted, [(t, c, bool(p), m) for t, c, p, m in checks], stale)


def check_loaded(session: Session, star: str) -> None:
    """Check that the warehouse has a load history. Raises WarehouseError."""
    if not session.catalog.has_table(STATE_SCHEMA, MONTHS.name):
        raise WarehouseError(f"{star} was never loaded into this warehouse: run `scx load {star}` first")
