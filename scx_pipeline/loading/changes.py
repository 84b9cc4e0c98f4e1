"""What a star's next load has to do, by comparing the bucket with the load history.

Loading it does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history import load_history
from scx_pipeline.loading.prepare import Readiness, read_readiness
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import (
    ChangedMonth,
    MonthState,
    Selection,
    changed_months,
    rebuilt_months,
    select_objects,
    unpartitioned_change,
)
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class Plan:
    """What a star's bucket holds, and what of it a load is due for: months, and the tables without months."""

    selection: Selection
    changed: list[ChangedMonth]
    loaded: Collection[Month]
    unpartitioned: str | None = (
        None  # why the tables without months must be made anew; None where they need not
    )
    stale: Mapping[Month, str] = field(default_factory=dict)  # month → the load that made it stale
    readiness: Readiness = field(default_factory=Readiness)

    @property
    def together(self) -> bool:
        """Whether all months that are due must be loaded at once, as the tables are rebuilt."""
        return bool(self.readiness.rebuild and self.loaded)


@dataclass(frozen=True)
class LoadedState:
    """What stands of a star, somewhere, and what it was made from."""

    months: Mapping[Month, MonthState]
    unpartitioned: MonthState | None
    stale: Mapping[Month, tuple[str, str]]  # why, and since which load
    readiness: Readiness = field(default_factory=Readiness)


def read_loaded_state(compiled: CompiledStar, warehouse: Warehouse) -> LoadedState:
    """Read what is loaded in a warehouse, from its load history, and how its tables compare with the declaration."""
    star = compiled.star
    with warehouse.inspecting() as session:
        if session is None:
            return LoadedState({}, None, {})
        ready = read_readiness(session, compiled)  # first: it refuses a load history of another application
        return LoadedState(
            load_history.read_months(session, star.name),
            load_history.read_unpartitioned(session, star.name),
            load_history.read_stale(session, star.name),
            ready,
        )


def plan_star(compiled: CompiledStar, bucket: Bucket, warehouse: Warehouse) -> Plan:
    """List the bucket and compare it with the load history; nothing is changed."""
    selection = list_selection(compiled.star, bucket)
    return compare(compiled, selection, read_loaded_state(compiled, warehouse))


def compare(compiled: CompiledStar, selection: Selection, standing: LoadedState) -> Plan:
    """What must be made anew of what stands, now that the bucket holds these objects."""
    reasons = {month: reason for month, (reason, _) in standing.stale.items()}
    months, ready = compiled.star.months(), standing.readiness
    if ready.rebuild and standing.months:
        changed = rebuilt_months(selection, months, standing.months, f"{ready.rebuild}: all are rebuilt")
    else:
        changed = changed_months(selection, months, standing.months, compiled.version, reasons)
    rebuild_unpartitioned = ready.rebuild_unpartitioned if standing.unpartitioned else ""
    unpartitioned = rebuild_unpartitioned or unpartitioned_change(
        selection, standing.unpartitioned, compiled.unpartitioned_version
    )
    stale = {month: load for month, (_, load) in standing.stale.items()}
    return Plan(selection, changed, set(standing.months), unpartitioned, stale, ready)


def list_selection(star: Star, bucket: Bucket, tables: Collection[Table] | None = None) -> Selection:
    """List the objects of the star's sources, or of those that these tables read, and match them to months.

    Raises BucketError.
    """
    wanted = None if tables is None else {table.source for table in tables}
    listed = [source for source in star.sources if wanted is None or source.name in wanted]
    with ThreadPoolExecutor(max(1, len(listed))) as pool:
        found = list(pool.map(lambda source: bucket.list_objects(source.prefix), listed))
    return select_objects(
        star.sources, {source.name: items for source, items in zip(listed, found, strict=True)}
    )
