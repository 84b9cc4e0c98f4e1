"""Rejected rows according to the load history: the stored rows, those that were only counted, and the loads that rejected them.

Rejecting rows does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import accumulate, chain
from typing import Any

from scx_pipeline.history.history_reader import select_rows
from scx_pipeline.history.state_tables import (
    HELD_REJECTED_ROWS,
    MONTHS,
    OBJECTS,
    REJECTED_ROWS,
    UNPARTITIONED_LOADS,
)
from scx_pipeline.model.calendar import UNPARTITIONED, Month
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.key_patterns import match_key
from scx_pipeline.reporting.status import check_loaded
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA

MAX_OBJECTS = 500  # whose rows are read by one query
# The load of a rejected row: one that was published, or one that could not publish the months of the row's object.
PUBLISHED, HELD = "published", "held"
_TABLES = ((HELD_REJECTED_ROWS, HELD), (REJECTED_ROWS, PUBLISHED))
_COLUMNS = 'object_key, line, column_name, reason, "raw"'

ObjectKey = tuple[str, str]  # source, key


@dataclass(frozen=True)
class _Condition:
    """The end of a WHERE clause, and the values of its placeholders."""

    sql: str = ""
    values: tuple[object, ...] = ()

    def __add__(self, other: _Condition) -> _Condition:
        return _Condition(self.sql + other.sql, self.values + other.values)


@dataclass(frozen=True)
class RejectedRowFilter:
    """Which rejected rows are selected; without values, all.

    A rejected row has no month: `month` selects the rows of the objects that may contain rows of the month, by their keys.
    `reason` and `file` are parts of the reason, in any case, and of the key.
    """

    month: Month | None = None
    reason: str = ""
    file: str = ""

    @property
    def file_condition(self) -> _Condition:
        return _Condition(" AND POSITION(? IN object_key) > 0", (self.file,)) if self.file else _Condition()

    @property
    def reason_condition(self) -> _Condition:
        sql = " AND POSITION(LOWER(?) IN LOWER(reason)) > 0"
        return _Condition(sql, (self.reason,)) if self.reason else _Condition()

    def includes(self, star: Star, source_name: str, key: str) -> bool:
        """Return whether an object may contain rows of the month; those of unpartitioned sources belong to none."""
        if self.month is None:
            return True
        source = next((source for source in star.sources if source.name == source_name), None)
        match = match_key(source, key) if source and source.event_time else None
        return match is not None and (match.months is None or self.month in match.months)


@dataclass(frozen=True)
class RejectedRows:
    """Selected rejected rows.

    `rows` holds key, line, column, reason and raw text of the first of the `stored` rows, and whether their load was published.
    `not_stored` rows of the selected objects were only counted, whatever their reason.
    """

    rows: list[tuple[Any, ...]]
    stored: int
    not_stored: int


def read_rejected_rows(
    session: Session, star: Star, wanted: RejectedRowFilter, limit: int | None = None
) -> RejectedRows:
    """Read the selected rejected rows, in the order of keys and lines, up to a limit.

    Raises:
        WarehouseError: if no load was ever recorded.
    """
    check_loaded(session, star.name)
    count = partial(_count_by_object, session, star, wanted)
    in_file, with_reason = wanted.file_condition, wanted.reason_condition
    rejected = count(OBJECTS, "SUM(rows_rejected)", in_file)
    stored = count(REJECTED_ROWS, "COUNT(*)", in_file)
    rows: list[tuple[Any, ...]] = []
    total = 0
    for table, load in _TABLES:
        selected = count(table, "COUNT(*)", in_file + with_reason)
        left = None if limit is None else limit - len(rows)
        found = _read_rows(session, star, table, _first_objects(selected, left), with_reason)
        rows += [(*row, load) for row in found[:left]]
        total += sum(selected.values())
    return RejectedRows(rows, total, sum(rejected.values()) - sum(stored.values()))


def _count_by_object(
    session: Session, star: Star, wanted: RejectedRowFilter, table: Table, count: str, condition: _Condition
) -> dict[ObjectKey, int]:
    """Return the number of rows of each object that is included, in the order of keys."""
    group = f" GROUP BY source, object_key HAVING {count} > 0 ORDER BY object_key, source"
    columns = f"source, object_key, {count}"
    rows = select_rows(session, table, columns, star.name, condition.sql + group, condition.values)
    return {(source, key): int(number) for source, key, number in rows if wanted.includes(star, source, key)}


def _first_objects(counts: Mapping[ObjectKey, int], limit: int | None) -> list[ObjectKey]:
    """Return the first objects that have as many rows as the limit."""
    before = accumulate(counts.values(), initial=0)
    return [key for key, number in zip(counts, before, strict=False) if limit is None or number < limit]


def _read_rows(
    session: Session, star: Star, table: Table, objects: Sequence[ObjectKey], condition: _Condition
) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for start in range(0, len(objects), MAX_OBJECTS):
        part = objects[start : start + MAX_OBJECTS]
        pairs = ", ".join(["(?, ?)"] * len(part))
        wanted = (
            _Condition(f" AND (source, object_key) IN ({pairs})", tuple(chain.from_iterable(part)))
            + condition
        )
        order = " ORDER BY object_key, source, line"
        rows += select_rows(session, table, _COLUMNS, star.name, wanted.sql + order, wanted.values)
    return rows


@dataclass(frozen=True)
class RejectionSummary:
    """The rejected rows of the load that last loaded a month, or the unpartitioned tables (`UNPARTITIONED.value`)."""

    partition: str
    load_id: str
    run_id: str | None
    rows_read: int
    rows_rejected: int
    finished_at: datetime


def read_rejection_summaries(session: Session, star: str) -> list[RejectionSummary]:
    """Return a summary for each month whose last load rejected rows; empty if nothing was ever loaded."""
    if not session.catalog.has_table(STATE_SCHEMA, MONTHS.name):
        return []
    mark = session.capabilities.placeholder
    rows = [
        row
        for partition, table in (
            ("m.month", MONTHS.name),
            (f"'{UNPARTITIONED.value}'", UNPARTITIONED_LOADS.name),
        )
        for row in session.rows(
            f"SELECT {partition}, l.load_id, l.run_id, l.rows_read, l.rows_rejected, l.finished_at FROM {STATE_SCHEMA}.{table} m"
            f" JOIN {STATE_SCHEMA}.loads l ON l.load_id = m.load_id WHERE m.star = {mark} AND l.rows_rejected > 0",
            [star],
        )
    ]
    return [
        RejectionSummary(partition, load, run, int(read), int(rejected), finished)
        for partition, load, run, read, rejected, finished in rows
    ]
