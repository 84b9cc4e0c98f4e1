"""Builds a star's lake from its source objects, with any lake engine.

How an engine builds a table, and how a transaction commits, do not belong here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.lake.build.lake_engine import LakeEngine
from scx_pipeline.lake.build.lake_target import LakeTarget
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.layout import folder_tables, lake_schema
from scx_pipeline.lake.format.manifest import Manifest, read_manifest
from scx_pipeline.lake.format.transaction import abort, begin_transaction, commit
from scx_pipeline.loading.changes import (
    LoadedState,
    PendingChanges,
    compare_with_loaded,
    list_selection,
    read_loaded_state,
)
from scx_pipeline.loading.load_plan import RequestedLoad
from scx_pipeline.loading.load_report import LoadReport, Progress
from scx_pipeline.loading.loader import Loader, load_in_transaction
from scx_pipeline.loading.schema_drift import SchemaDrift
from scx_pipeline.loading.sources.object_source import ObjectSource
from scx_pipeline.model.calendar import Month
from scx_pipeline.planning.changed_months import ChangedMonth
from scx_pipeline.planning.selection import Selection
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.warehouse.warehouse import Warehouse


class LakeBuilder(Loader):
    """Builds months of one star from one bucket in one lake."""

    def __init__(
        self, compiled: CompiledStar, bucket: Bucket, store: LakeStore, engine: LakeEngine, progress: Progress
    ) -> None:
        self.compiled = compiled.in_schema(engine.schema_name(compiled.star))
        self.bucket, self.store, self.engine, self.progress = bucket, store, engine, progress

    def publish(self, request: RequestedLoad) -> LoadReport:
        """Build in a lake transaction and commit it. Raises PipelineError; the lake is unchanged then."""
        star = self.compiled.star
        transaction = begin_transaction(self.store, star.name, self.progress)
        try:
            with self.engine.open(star.schema_name, self.store) as session:
                target = LakeTarget(self.compiled, transaction, session)
                source = ObjectSource(star, self.bucket, target, self.progress)
                report = load_in_transaction(request, source, target, self.progress)
            self.progress("publishing files")
            commit(transaction, target.new, target.after)
        except BaseException:
            abort(transaction, self.progress)
            raise
        return report


def plan_build(compiled: CompiledStar, bucket: Bucket, url: str) -> PendingChanges:
    """List the bucket and compare it with the lake. Nothing is changed."""
    return compare_with_loaded(compiled, list_selection(compiled.star, bucket), _read_state(compiled, url))


def plan_following_build(
    compiled: CompiledStar, bucket: Bucket, url: str, warehouse: Warehouse
) -> PendingChanges | None:
    """Return what is due in the lake, as far as a warehouse has published another version of it; None if it has not.

    Months that the warehouse holds are left out, since a build would hold them too. A month may have objects that are newer
    than its rows in the warehouse: if these were waited for, a month that gets objects all the time would never be built.
    The bucket is listed only if something was published.
    """
    lake, published = _read_state(compiled, url), read_loaded_state(compiled, warehouse)
    months, unpartitioned = _months_behind(lake, published), _is_unpartitioned_behind(lake, published)
    if not months and not unpartitioned:
        return None
    selection = list_selection(compiled.star, bucket)
    # A rebuild of the warehouse's tables, if one is due, holds no month; the objects of its held months are still refused.
    held = compare_with_loaded(compiled, selection, replace(published, schema_drift=SchemaDrift())).held
    due = compare_with_loaded(compiled, selection, lake)
    if due.requires_full_rebuild:
        changed = _rebuild(due, months, held)
    else:
        changed = [item for item in due.changed if item.month in months and item.month not in held]
    return replace(due, changed=changed, unpartitioned=due.unpartitioned if unpartitioned else None)


def _months_behind(lake: LoadedState, published: LoadedState) -> set[Month]:
    """Return the published months of which the lake has another version; a month without objects is never built in it."""
    nothing = Selection(())
    return {
        month
        for month, state in published.months.items()
        if lake.is_behind(published, month)
        and (month in lake.months or state.fingerprint != nothing.fingerprint(month))
    }


def _is_unpartitioned_behind(lake: LoadedState, published: LoadedState) -> bool:
    if published.unpartitioned is None or published.unpartitioned == lake.unpartitioned:
        return False
    is_empty = published.unpartitioned.fingerprint == Selection(()).unpartitioned_fingerprint
    return lake.unpartitioned is not None or not is_empty


def _rebuild(due: PendingChanges, months: Collection[Month], held: Collection[Month]) -> list[ChangedMonth]:
    """Return the months of a rebuild, all of the lake and those between them; none if one of them is held."""
    wanted = {*months, *due.loaded}
    changed = [item for item in due.changed if min(wanted) <= item.month <= max(wanted)]
    return changed if months and not any(item.month in held for item in changed) else []


def _read_state(compiled: CompiledStar, url: str) -> LoadedState:
    manifest = read_manifest(open_lake_store(url, compiled.star.name), compiled.star.name)
    return replace(loaded_state_of(manifest), schema_drift=_detect_drift(compiled, manifest))


def loaded_state_of(manifest: Manifest) -> LoadedState:
    """Return what a lake holds, according to its manifest."""
    unpartitioned = manifest.unpartitioned.state if manifest.unpartitioned else None
    return LoadedState(manifest.month_states, unpartitioned, manifest.stale)


def _detect_drift(compiled: CompiledStar, manifest: Manifest) -> SchemaDrift:
    """Return why all months must be built at once: the files of other months must not have other columns or folders."""
    for table in compiled.star.monthly_tables:
        for folder, stored in folder_tables(compiled, table).items():
            is_kept = stored.is_partitioned and bool(manifest.select_files(folder))
            if is_kept and manifest.schemas.get(folder) != lake_schema(stored):
                return SchemaDrift(f"{table.name} in the lake does not match its declaration")
    return SchemaDrift()
