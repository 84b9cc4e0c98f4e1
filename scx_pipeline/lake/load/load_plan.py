"""What of a lake a load is due for, and what may be loaded: its manifest, compared with the warehouse and with the star.
Nothing is changed here; the load itself is in `loading`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import shape_of, stands_in
from scx_pipeline.lake.format.manifest import Manifest, PartitionState
from scx_pipeline.lake.inspect.lake_status import nothing_of, standing_lake
from scx_pipeline.loading.changes import LoadedState, read_loaded_state
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import MonthState
from scx_pipeline.warehouse.warehouse import Warehouse

WHOLE = "the tables without months"


@dataclass(frozen=True)
class LakeLoadPlan:
    """What a load from the lake is due for, and what there is to load."""

    compiled: CompiledStar
    place: LakeStore
    manifest: Manifest
    unpartitioned: (
        bool  # whether the tables without months stand in the warehouse as made from something else
    )
    months: Sequence[Month]  # the same of months

    @property
    def all_months(self) -> Sequence[Month]:
        """The months that the lake has."""
        return sorted(self.manifest.months)

    def check(self, unpartitioned: bool, months: Collection[Month]) -> None:
        """Raise LakeError for what cannot be loaded of these months, and of the tables without, if they are wanted."""
        if unpartitioned:
            check_unpartitioned(self.compiled, self.place, self.manifest)
        check_made(self.compiled, self.place, self.manifest, months)


def plan_loading(compiled: CompiledStar, url: str, warehouse: Warehouse) -> LakeLoadPlan:
    """Compare the lake of a URL with what stands in the warehouse; nothing is changed. Raises LakeError for an empty lake."""
    place, manifest = lake_of(compiled.star, url)
    standing = read_loaded_state(compiled, warehouse)
    ready = standing.readiness
    all_due = bool(ready.rebuild and standing.months)
    due = [month for month in sorted(manifest.months) if all_due or _differs(manifest, standing, month)]
    unpartitioned = state_of(manifest.unpartitioned)
    rebuild_unpartitioned = bool(ready.rebuild_unpartitioned and standing.unpartitioned)
    changed = unpartitioned is not None and (rebuild_unpartitioned or unpartitioned != standing.unpartitioned)
    return LakeLoadPlan(compiled, place, manifest, changed, due)


def _differs(manifest: Manifest, standing: LoadedState, month: Month) -> bool:
    """Whether a month stands otherwise than in the lake, or has become stale since it was loaded, and has not there."""
    healed = month in standing.stale and month not in manifest.stale
    return healed or manifest.months[month].state != standing.months.get(month)


def state_of(made: PartitionState | None) -> MonthState | None:
    return made.state if made else None


def lake_of(star: Star, url: str) -> tuple[LakeStore, Manifest]:
    place, manifest = standing_lake(url, star.name)
    if (
        not manifest.months and manifest.unpartitioned is None
    ):  # a first build is on its way, or was broken off
        raise LakeError(nothing_of(star.name, url))
    return place, manifest


def check_made(
    compiled: CompiledStar, place: LakeStore, manifest: Manifest, months: Collection[Month]
) -> None:
    """Raise LakeError unless the lake has these months, made by the star's tables and SQL as they are."""
    name = compiled.star.name
    for month in months:
        made, build = manifest.months.get(month), f"run `scx lake build {name} --month {month}`"
        if made is None:
            raise LakeError(f"{month} of {name} does not stand in the lake {place.url}: {build} first")
        if made.state.code_version != compiled.version:
            raise LakeError(
                f"{month} of {name} in {place.url} was made by another version of the star's tables or SQL: {build} first"
            )
    if months:
        _check_shapes(compiled, place, manifest, compiled.star.monthly)


def check_unpartitioned(compiled: CompiledStar, place: LakeStore, manifest: Manifest) -> None:
    """The same of the tables without months."""
    name, build = compiled.star.name, f"run `scx lake build {compiled.star.name} --changed` first"
    if manifest.unpartitioned is None:
        raise LakeError(f"{WHOLE} of {name} do not stand in the lake {place.url}: {build}")
    if manifest.unpartitioned.state.code_version != compiled.unpartitioned_version:
        raise LakeError(
            f"{WHOLE} of {name} in {place.url} were made by another version of the star's tables or SQL: {build}"
        )
    staging = [table for table in compiled.star.unpartitioned if table.role == "staging"]
    _check_shapes(compiled, place, manifest, staging)


def _check_shapes(
    compiled: CompiledStar, place: LakeStore, manifest: Manifest, tables: Sequence[Table]
) -> None:
    for folder, table in (stands_in(compiled, table) for table in tables):
        if manifest.shapes.get(folder) != shape_of(table):
            raise LakeError(
                f"{folder} of {compiled.star.name} in {place.url} has other columns or folders than the star declares: "
                f"run `scx lake build {compiled.star.name} --all` first, which makes it anew"
            )
