"""The pending changes of a star: what its next load must do, from comparing the bucket with the load history.

Loading does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history import history_reader
from scx_pipeline.history.held_records import read_held_months
from scx_pipeline.loading.schema_drift import SchemaDrift, detect_schema_drift
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.changed_months import (
    ChangedMonth,
    HeldMonth,
    MonthState,
    changed_months,
    rebuilt_months,
    unpartitioned_change,
)
from scx_pipeline.planning.key_patterns import ListedFolder, listed_folders
from scx_pipeline.planning.selection import Selection, select_objects
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline.storage.source_bucket import bucket_of
from scx_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class PendingChanges:
    """The objects of a star's bucket, and the months and unpartitioned tables that must be loaded from them."""

    selection: Selection
    changed: list[ChangedMonth]
    loaded: Collection[Month]
    # Why the unpartitioned tables must be rebuilt; None if they need not.
    unpartitioned: str | None = None
    # The stale months, each with the ID of the load that made it stale.
    stale: Mapping[Month, str] = field(default_factory=dict)
    schema_drift: SchemaDrift = field(default_factory=SchemaDrift)

    @property
    def held(self) -> dict[Month, str]:
        """The changed months that the last load of the same objects could not publish, each with the reason."""
        return {item.month: item.held for item in self.changed if item.held}

    @property
    def requires_full_rebuild(self) -> bool:
        """Whether all changed months must be loaded at once because the tables are rebuilt."""
        return bool(self.schema_drift.rebuild_reason and self.loaded)


@dataclass(frozen=True)
class LoadedState:
    """The loaded months and unpartitioned tables of a star, and what they were built from."""

    months: Mapping[Month, MonthState]
    unpartitioned: MonthState | None
    # The stale months, each with the reason and the ID of the load that made it stale.
    stale: Mapping[Month, tuple[str, str]]
    held: Mapping[Month, HeldMonth] = field(default_factory=dict)
    schema_drift: SchemaDrift = field(default_factory=SchemaDrift)

    def is_behind(self, other: LoadedState, month: Month) -> bool:
        """Return whether the other one has another version of a month, or the same one is stale only here."""
        stale_only_here = month in self.stale and month not in other.stale
        return month in other.months and (stale_only_here or other.months[month] != self.months.get(month))


def read_loaded_state(compiled: CompiledStar, warehouse: Warehouse) -> LoadedState:
    """Read the loaded state of a warehouse from its load history, and compare its tables with the declaration."""
    star = compiled.star
    with warehouse.open_read_only() as session:
        if session is None:
            return LoadedState({}, None, {})
        # First, because it rejects the load history of another application.
        drift = detect_schema_drift(session, compiled)
        return LoadedState(
            history_reader.read_month_states(session, star.name),
            history_reader.read_unpartitioned_state(session, star.name),
            history_reader.read_stale_months(session, star.name),
            read_held_months(session, star.name),
            drift,
        )


def find_pending_changes(compiled: CompiledStar, bucket: Bucket, warehouse: Warehouse) -> PendingChanges:
    """List the bucket and compare it with the load history, without changing anything."""
    selection = list_selection(compiled.star, bucket)
    return compare_with_loaded(compiled, selection, read_loaded_state(compiled, warehouse))


def compare_with_loaded(compiled: CompiledStar, selection: Selection, loaded: LoadedState) -> PendingChanges:
    """Return what must be loaded, given the objects in the bucket and the loaded state."""
    reasons = {month: reason for month, (reason, _) in loaded.stale.items()}
    months, drift = compiled.star.months(), loaded.schema_drift
    if drift.rebuild_reason and loaded.months:
        changed = rebuilt_months(
            selection, months, loaded.months, f"{drift.rebuild_reason}: all months are rebuilt"
        )
    else:
        changed = changed_months(selection, months, loaded.months, compiled.version, reasons, loaded.held)
    rebuild_reason = drift.unpartitioned_rebuild_reason if loaded.unpartitioned else ""
    unpartitioned = rebuild_reason or unpartitioned_change(
        selection, loaded.unpartitioned, compiled.unpartitioned_version
    )
    stale = {month: load_id for month, (_, load_id) in loaded.stale.items()}
    return PendingChanges(selection, changed, set(loaded.months), unpartitioned, stale, drift)


def list_selection(star: Star, bucket: Bucket, tables: Collection[Table] | None = None) -> Selection:
    """List objects and match them to months.

    Args:
        tables: list only the sources of these tables.

    Raises:
        BucketError: the bucket cannot be listed.
    """
    wanted = None if tables is None else {name for table in tables for name in table.source_names}
    sources = [source for source in star.sources if wanted is None or source.name in wanted]
    # Sources may share a folder, such as those of one staging table.
    folders = {
        (source.location, item): (bucket_of(bucket, source), item)
        for source in sources
        for item in listed_folders(source)
    }
    with ThreadPoolExecutor(max(1, len(folders))) as pool:
        found = dict(zip(folders, pool.map(_list_folder, *zip(*folders.values(), strict=True)), strict=True))
    listing = {
        source.name: [info for item in listed_folders(source) for info in found[source.location, item]]
        for source in sources
    }
    return select_objects(star.sources, listing)


def _list_folder(bucket: Bucket, listed: ListedFolder) -> list[ObjectInfo]:
    if listed.is_recursive:
        return bucket.list_objects(listed.folder)
    return bucket.list_files(listed.folder)
