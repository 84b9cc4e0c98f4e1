"""A build: a star's objects into its lake, by whichever engine makes the tables.
What a load does is in `engine.load`, where its tables stand in `tables`, how they become visible in `commit`."""

from __future__ import annotations

from collections.abc import Callable

from scx_pipeline.loading.loader import Loader
from scx_pipeline.loading.changes import Plan, LoadedState, compare, list_selection
from scx_pipeline.loading.load_report import LoadReport, Progress
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.loading.target import LoadTarget
from scx_pipeline.lake.format.commit import begin, commit, give_up
from scx_pipeline.lake.build.lake_engine import LakeEngine
from scx_pipeline.lake.format.manifest import Manifest, read_manifest
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.build.lake_target import LakeTables


class LakeBuilder(Loader):
    """Builds spans of one star from one bucket in one lake."""

    def __init__(
        self, compiled: CompiledStar, bucket: Bucket, place: LakeStore, engine: LakeEngine, progress: Progress
    ) -> None:
        self.compiled = compiled.in_schema(engine.schema_of(compiled.star))
        self.bucket, self.place, self.engine, self.progress = bucket, place, engine, progress

    def publish(self, work: Callable[[LoadTarget], LoadReport]) -> LoadReport:
        """Do the work in a turn of its own, and commit. Raises PipelineError, and then the lake is as it was."""
        star = self.compiled.star
        transaction = begin(self.place, star.name, self.progress)
        try:
            with self.engine.open(star.schema_name, self.place) as session:
                tables = LakeTables(self.compiled, transaction, session)
                report = work(tables)
            self.progress("putting files in their places")
            commit(transaction, tables.new, tables.after)
        except BaseException:
            give_up(transaction, self.progress)
            raise
        return report


def plan_build(compiled: CompiledStar, bucket: Bucket, url: str) -> Plan:
    """List the bucket and compare it with what stands in the lake; nothing is changed."""
    selection = list_selection(compiled.star, bucket)
    manifest = read_manifest(open_lake_store(url, compiled.star.name), compiled.star.name)
    return compare(compiled, selection, loaded_state_of(manifest))


def loaded_state_of(manifest: Manifest) -> LoadedState:
    """What stands in a lake, as its manifest says."""
    return LoadedState(manifest.states, manifest.unpartitioned.state if manifest.unpartitioned else None, manifest.stale)
