"""The expected content of a warehouse, computed in plain Python from the objects in the bucket.

The random histories do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scx_pipeline_tests.purity.log_history import Put
from scx_pipeline_tests.support.load_env import FACTS, STAGING, columns, scx_star
from scx_pipeline_tests.support.snapshots import Row


@dataclass
class Model:
    """The content of the bucket, and the tables that follow from it."""

    files: dict[str, Put] = field(default_factory=dict)

    def objects_with_strays(self) -> list[str]:
        """Return the objects with a job_id of another month."""
        return [name for name, put in self.files.items() if any(entry.stray for entry in put.entries)]

    def tables(self) -> dict[str, list[Row]]:
        """Return the rows of every table of the star."""
        jobs = self._jobs()
        built: dict[str, Sequence[Mapping[str, Any]]] = {
            STAGING: jobs,
            FACTS: jobs,
            "users": _newest(jobs, "user_id"),
            "projects": _newest(jobs, "project_id"),
            "time": [_calendar(event_time) for event_time in {row["created_at"] for row in jobs}],
        }
        star = scx_star().star
        return {
            name: sorted(
                (tuple(row[column] for column in star.table(name).column_names) for row in rows), key=repr
            )
            for name, rows in built.items()
            if rows
        }

    def rejected(self) -> list[tuple[str, int]]:
        """Return the key and line of every rejected row."""
        return sorted(line for put in self.files.values() for line in put.bad_lines())

    def _jobs(self) -> list[dict[str, Any]]:
        good = [_typed(row) for put in self.files.values() for entry, row in put.rows() if not entry.flaw]
        newest: dict[int, dict[str, Any]] = {}
        for row in sorted(good, key=lambda row: [_rank(row[name]) for name in ("updated_at", *columns())]):
            newest[row["job_id"]] = row
        return list(newest.values())


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


def _newest(jobs: Iterable[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
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
