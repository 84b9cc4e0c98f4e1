"""Builds a star's lake from its source objects, with any lake engine.

How an engine builds a table, and how a transaction commits, do not belong here.
"""

from __future__ import annotations

from dataclasses import replace

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.lake.build.lake_engine import LakeEngine
from scx_pipeline.lake.build.lake_target import LakeTarget
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
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
from scx_pipeline.loading.sources.object_source import ObjectSource
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
    months = {month for month in published.months if lake.is_behind(published, month)}
    unpartitioned = published.unpartitioned not in (None, lake.unpartitioned)
    if not months and not unpartitioned:
        return None
    selection = list_selection(compiled.star, bucket)
    held = compare_with_loaded(compiled, selection, published).held
    due = compare_with_loaded(compiled, selection, lake)
    changed = [item for item in due.changed if item.month in months and item.month not in held]
    return replace(due, changed=changed, unpartitioned=due.unpartitioned if unpartitioned else None)


def _read_state(compiled: CompiledStar, url: str) -> LoadedState:
    return loaded_state_of(read_manifest(open_lake_store(url, compiled.star.name), compiled.star.name))


def loaded_state_of(manifest: Manifest) -> LoadedState:
    """Return what a lake holds, according to its manifest."""
    unpartitioned = manifest.unpartitioned.state if manifest.unpartitioned else None
    return LoadedState(manifest.month_states, unpartitioned, manifest.stale)
