"""A build: a star's objects into its lake, by whichever engine makes the tables.
What a load does is in `engine.load`, where its tables stand in `tables`, how they become visible in `commit`."""

from __future__ import annotations

from collections.abc import Callable

from scx_pipeline.loading.load import LoadReport, Plan, Progress, Road, Standing, compare, list_selection
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.loading.target import Target
from scx_pipeline.lake.format.commit import begin, commit, give_up
from scx_pipeline.lake.build.lake_engine import Engine
from scx_pipeline.lake.format.manifest import Manifest, read_manifest
from scx_pipeline.lake.format.lake_store import Place, open_place
from scx_pipeline.lake.build.lake_target import LakeTables


class Builder(Road):
    """Builds spans of one star from one bucket in one lake."""

    def __init__(
        self, compiled: CompiledStar, bucket: Bucket, place: Place, engine: Engine, progress: Progress
    ) -> None:
        self.compiled = compiled.in_schema(engine.schema_of(compiled.star))
        self.bucket, self.place, self.engine, self.progress = bucket, place, engine, progress

    def publish(self, work: Callable[[Target], LoadReport]) -> LoadReport:
        """Do the work in a turn of its own, and commit. Raises PipelineError, and then the lake is as it was."""
        star = self.compiled.star
        turn = begin(self.place, star.name, self.progress)
        try:
            with self.engine.open(star.schema_name, self.place) as maker:
                tables = LakeTables(self.compiled, turn, maker)
                report = work(tables)
            self.progress("putting files in their places")
            commit(turn, tables.new, tables.after)
        except BaseException:
            give_up(turn, self.progress)
            raise
        return report


def plan_build(compiled: CompiledStar, bucket: Bucket, url: str) -> Plan:
    """List the bucket and compare it with what stands in the lake; nothing is changed."""
    selection = list_selection(compiled.star, bucket)
    manifest = read_manifest(open_place(url, compiled.star.name), compiled.star.name)
    return compare(compiled, selection, standing_of(manifest))


def standing_of(manifest: Manifest) -> Standing:
    """What stands in a lake, as its manifest says."""
    return Standing(manifest.states, manifest.whole.state if manifest.whole else None, manifest.stale)
