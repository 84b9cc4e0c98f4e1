"""The rows that the objects in the bucket hold, and the tables that follow from rows, computed in plain Python.

Which rows a load publishes does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from scx_pipeline.model.calendar import Month
from scx_pipeline_tests.purity.log_history import Put
from scx_pipeline_tests.support.load_env import FACTS, STAGING, columns, scx_star
from scx_pipeline_tests.support.snapshots import Row, in_order

Job = Mapping[str, Any]  # a typed row


@dataclass(frozen=True)
class BucketModel:
    """The content of the bucket."""

    files: Mapping[str, Put] = field(default_factory=dict)

    def with_file(self, put: Put) -> BucketModel:
        return BucketModel({**self.files, put.name: put})

    def without(self, *names: str) -> BucketModel:
        return BucketModel({name: put for name, put in self.files.items() if name not in names})

    def of_month(self, month: Month) -> list[Put]:
        """Return the objects that may contain rows of a month."""
        return [put for put in self.files.values() if put.may_contain(month)]

    def objects(self, month: Month) -> frozenset[tuple[str, bytes]]:
        """Return what identifies the objects of a month, as a fingerprint does."""
        return frozenset((put.name, put.content) for put in self.of_month(month))

    def jobs(self, month: Month) -> Mapping[int, Job]:
        """Return the rows of a month that can be loaded, by job_id; of several with one job_id, the newest."""
        return self._jobs.get(month, {})

    @cached_property
    def _jobs(self) -> Mapping[Month, Mapping[int, Job]]:
        readable = [put for put in self.files.values() if not put.is_unreadable]
        rows = [_typed(row) for put in readable for entry, row in put.rows() if not entry.is_rejected]
        newest: dict[Month, dict[int, Job]] = {}
        for row in sorted(rows, key=lambda row: [_rank(row[name]) for name in ("updated_at", *columns())]):
            newest.setdefault(Month.of(row["created_at"]), {})[row["job_id"]] = row
        return newest


def expected_tables(jobs: Collection[Job]) -> dict[str, list[Row]]:
    """Return the rows of every table of the star that follow from the rows of the staging table."""
    built: dict[str, Collection[Job]] = {
        STAGING: jobs,
        FACTS: jobs,
        "users": _newest(jobs, "user_id"),
        "projects": _newest(jobs, "project_id"),
        "time": [_calendar(event_time) for event_time in {row["created_at"] for row in jobs}],
    }
    star = scx_star().star
    return {
        name: in_order([tuple(row[column] for column in star.table(name).column_names) for row in rows])
        for name, rows in built.items()
        if rows
    }


def _typed(row: Mapping[str, object]) -> dict[str, Any]:
    types = {column.name: column.type for column in scx_star().star.table(STAGING).columns}
    return {
        name: _value(str(value), types[name]) if value not in (None, "") else None
        for name, value in row.items()
    }


def _value(text: str, kind: str) -> object:
    if kind == "timestamp":
        event_time = datetime.fromisoformat(text)
        return event_time.replace(tzinfo=None) - (event_time.utcoffset() or datetime.min - datetime.min)
    return int(text) if kind == "integer" else text


def _rank(value: object) -> tuple[bool, Any]:
    """Return a sort key for values of one type: NULL first, texts by their bytes."""
    return value is not None, value.encode() if isinstance(value, str) else value if value is not None else 0


def _newest(jobs: Iterable[Job], key: str) -> list[Job]:
    ordered = sorted(jobs, key=lambda row: (_rank(row["updated_at"]), row["job_id"]))
    return list({row[key]: row for row in ordered}.values())


def _calendar(event_time: datetime) -> dict[str, Any]:
    return {
        "created_at": event_time,
        "hour": event_time.hour,
        "day": event_time.day,
        "week": event_time.isocalendar().week,
        "month": event_time.month,
        "year": event_time.year,
        "weekday": event_time.isoweekday() % 7,
    }
