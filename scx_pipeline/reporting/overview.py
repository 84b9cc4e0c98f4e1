"""An overview of a star: the months that are loaded and those that are due, its rows, and its last load.

Deciding which months are due does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.history.history_reader import is_in, select_rows
from scx_pipeline.history.state_tables import LOADS, MONTH_ROWS
from scx_pipeline.loading.changes import (
    PendingChanges,
    compare_with_loaded,
    list_selection,
    read_loaded_state,
)
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.star import Star
from scx_pipeline.planning.selection import Selection
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class LastLoad:
    """The last load that was published: when it ended (UTC), how long it took, and what it did with the rows."""

    load_id: str
    finished_at: datetime
    seconds: float
    rows_loaded: int
    rows_rejected: int


@dataclass(frozen=True)
class StarOverview:
    """What is loaded of a star, and what is due; `due` is None if the bucket could not be listed, for the reason `due_error`."""

    star: str
    months: Sequence[Month]  # that are loaded, in order
    rows: dict[str, int]  # by fact; by staging table if the star has no facts
    last_load: LastLoad | None
    due: PendingChanges | None = None
    due_error: str = ""
    # The months that the last load of the same objects could not publish, each with the reason.
    held: Mapping[Month, str] = field(default_factory=dict)

    @property
    def gaps(self) -> list[Month]:
        """Return the months between the first and the last loaded one that are not loaded."""
        if not self.months:
            return []
        return sorted(set(MonthRange(self.months[0], self.months[-1])) - set(self.months))

    def as_json(self) -> dict[str, Any]:
        due, months = self.due, self.months
        return {
            "months": {"first": str(months[0]), "last": str(months[-1]), "count": len(months)}
            if months
            else None,
            "gaps": [str(month) for month in self.gaps],
            "due": None if due is None else [str(item.month) for item in due.changed],
            "unpartitioned_due": due.unpartitioned if due else None,
            "due_error": self.due_error or None,
            "held": {str(month): reason for month, reason in self.held.items()},
            "rows": self.rows,
            "last_load": vars(self.last_load) if self.last_load else None,
        }


def read_overviews(
    stars: Sequence[CompiledStar], bucket: Bucket | PipelineError, warehouse: Warehouse
) -> list[StarOverview]:
    """Compare the stars' objects with what is loaded.

    Args:
        bucket: The bucket, or why it cannot be opened.

    Raises:
        WarehouseError: if the warehouse cannot be read.
    """
    with ThreadPoolExecutor(max(1, len(stars))) as pool:
        listed = list(pool.map(_list_objects, stars, repeat(bucket)))
    return [
        _read_overview(compiled, selection, warehouse)
        for compiled, selection in zip(stars, listed, strict=True)
    ]


def _list_objects(compiled: CompiledStar, bucket: Bucket | PipelineError) -> Selection | PipelineError:
    """Return the star's objects, or why they cannot be listed."""
    if isinstance(bucket, PipelineError):
        return bucket
    try:
        return list_selection(compiled.star, bucket)
    except PipelineError as error:
        return error


def _read_overview(
    compiled: CompiledStar, selection: Selection | PipelineError, warehouse: Warehouse
) -> StarOverview:
    star, loaded = compiled.star, read_loaded_state(compiled, warehouse)
    due = compare_with_loaded(compiled, selection, loaded) if isinstance(selection, Selection) else None
    error = "" if isinstance(selection, Selection) else str(selection)
    rows, last_load = dict.fromkeys(_counted_tables(star), 0), None
    with warehouse.open_if_loaded() as session:
        if session is not None:
            rows, last_load = _count_rows(session, star), read_last_load(session, star.name)
    recorded = {month: item.reason for month, item in sorted(loaded.held.items())}
    # A month whose objects have changed since is only due.
    held = {item.month: item.held for item in due.changed if item.held} if due else recorded
    return StarOverview(star.name, sorted(loaded.months), rows, last_load, due, error, held)


def read_last_load(session: Session, star: str) -> LastLoad | None:
    """Return the last load of a star; None if there was none."""
    columns = "load_id, started_at, finished_at, rows_loaded, rows_rejected"
    for load_id, started, finished, loaded, rejected in select_rows(
        session, LOADS, columns, star, " ORDER BY finished_at DESC LIMIT 1"
    ):
        return LastLoad(load_id, finished, (finished - started).total_seconds(), int(loaded), int(rejected))
    return None


def _counted_tables(star: Star) -> list[str]:
    facts = [table.name for table in star.tables if table.role == "fact"]
    return facts or [table.name for table in star.staging_tables]


def _count_rows(session: Session, star: Star) -> dict[str, int]:
    tables = _counted_tables(star)
    counted = select_rows(
        session, MONTH_ROWS, "table_name, SUM(row_count)", star.name,
        f"{is_in('table_name', tables)} GROUP BY table_name", tables,
    )  # fmt: skip
    return dict.fromkeys(tables, 0) | {table: int(count) for table, count in counted}
