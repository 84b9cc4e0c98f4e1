"""What a load from the lake has to do: compares the manifest with the warehouse and with the star's declaration.

Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import LakeError
from scx_pipeline.lake.build.builder import loaded_state_of
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import lake_schema, month_rows_of
from scx_pipeline.lake.format.manifest import Manifest, PartitionState
from scx_pipeline.lake.inspect.lake_status import empty_lake_message, open_existing_lake
from scx_pipeline.loading.changes import LoadedState, read_loaded_state
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.changed_months import MonthState
from scx_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class LakeLoadPlan:
    """What the lake can load, and what of it differs from the warehouse."""

    compiled: CompiledStar
    store: LakeStore
    manifest: Manifest
    unpartitioned: bool  # whether the unpartitioned tables must be loaded
    months: Sequence[Month]  # that must be loaded
    requires_full_rebuild: bool = False  # whether all of them must be loaded at once

    @property
    def all_months(self) -> Sequence[Month]:
        """All months in the lake."""
        return sorted(self.manifest.months)

    def check(self, unpartitioned: bool, months: Collection[Month]) -> None:
        """Raise LakeError if these months, or the unpartitioned tables if requested, cannot be loaded."""
        if unpartitioned:
            check_unpartitioned(self.compiled, self.store, self.manifest)
        check_months(self.compiled, self.store, self.manifest, months)

    def find_refused(self) -> Mapping[Month, str]:
        """Return those of the months that must be loaded, but cannot be, each with the reason."""
        refused = {}
        for month in self.months:
            try:
                self.check(False, [month])
            except LakeError as error:
                refused[month] = str(error)
        return refused


def plan_lake_load(compiled: CompiledStar, url: str, warehouse: Warehouse) -> LakeLoadPlan:
    """Compare the lake at a URL with the warehouse. Nothing is changed.

    Raises:
        LakeError: the lake is empty, or all loaded months must be loaded at once, and it does not have one of them.
    """
    store, manifest = open_loadable_lake(compiled.star, url)
    loaded = read_loaded_state(compiled, warehouse)
    ready = loaded.schema_drift
    all_due = bool(ready.rebuild_reason and loaded.months)
    if all_due:
        _check_rebuild(compiled.star, store, manifest, loaded)
    published = loaded_state_of(manifest)
    due = [month for month in sorted(manifest.months) if all_due or loaded.is_behind(published, month)]
    unpartitioned = state_of(manifest.unpartitioned)
    rebuild_unpartitioned = bool(ready.unpartitioned_rebuild_reason and loaded.unpartitioned)
    changed = unpartitioned is not None and (rebuild_unpartitioned or unpartitioned != loaded.unpartitioned)
    return LakeLoadPlan(compiled, store, manifest, changed, due, all_due)


def _check_rebuild(star: Star, store: LakeStore, manifest: Manifest, loaded: LoadedState) -> None:
    """Raise LakeError unless one load of contiguous months from the lake can replace all loaded months."""
    months = [month for month in loaded.months if month in star.months()]
    needed = MonthRange(min(months), max(months)) if months else ()
    for month in needed:
        if month not in manifest.months:
            raise LakeError(
                f"{loaded.schema_drift.rebuild_reason}, so all months of {star.name} must be loaded at once, but the lake "
                f"{store.url} does not have {month}: run `scx lake build {star.name} --from {min(months)} --to {max(months)}` first"
            )


def state_of(partition: PartitionState | None) -> MonthState | None:
    """Return what a partition was built from; None if it does not exist."""
    return partition.state if partition else None


def open_loadable_lake(star: Star, url: str) -> tuple[LakeStore, Manifest]:
    """Open the lake at a URL and read its manifest. Raises LakeError if nothing of the star was published yet."""
    store, manifest = open_existing_lake(url, star.name)
    if (
        not manifest.months and manifest.unpartitioned is None
    ):  # the first build is running or was interrupted
        raise LakeError(empty_lake_message(star.name, url))
    return store, manifest


def check_months(
    compiled: CompiledStar, store: LakeStore, manifest: Manifest, months: Collection[Month]
) -> None:
    """Raise LakeError unless the lake has these months, built by the current version of the star's tables and SQL."""
    name = compiled.star.name
    for month in months:
        partition, build = manifest.months.get(month), f"run `scx lake build {name} --month {month}`"
        if partition is None:
            raise LakeError(f"the lake {store.url} does not have {month} of {name}: {build} first")
        if partition.state.code_version != compiled.version:
            raise LakeError(
                f"{month} of {name} in {store.url} was built by another version of the star's tables or SQL: {build} first"
            )
    if months:
        _check_shapes(compiled, store, manifest, compiled.star.monthly_tables)


def check_unpartitioned(compiled: CompiledStar, store: LakeStore, manifest: Manifest) -> None:
    """Raise LakeError unless the lake has the unpartitioned tables, built by the current version of the star."""
    name, build = compiled.star.name, f"run `scx lake build {compiled.star.name} --changed` first"
    if manifest.unpartitioned is None:
        raise LakeError(f"the lake {store.url} does not have the unpartitioned tables of {name}: {build}")
    if manifest.unpartitioned.state.code_version != compiled.unpartitioned_version:
        raise LakeError(
            f"the unpartitioned tables of {name} in {store.url} were built by another version of the star's tables or SQL: {build}"
        )
    staging = [table for table in compiled.star.unpartitioned_tables if table.role == "staging"]
    _check_shapes(compiled, store, manifest, staging)


def _check_shapes(
    compiled: CompiledStar, store: LakeStore, manifest: Manifest, tables: Sequence[Table]
) -> None:
    for folder, table in (month_rows_of(compiled, table) for table in tables):
        if manifest.schemas.get(folder) != lake_schema(table):
            raise LakeError(
                f"{folder} of {compiled.star.name} in {store.url} does not match its declaration (columns or folders): "
                f"run `scx lake build {compiled.star.name} --all` first to rebuild it"
            )
