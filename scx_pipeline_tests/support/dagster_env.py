"""A bucket, a warehouse and a Dagster instance in one place: what the tests of this folder run and look at.
No test lives here; the bucket's and the warehouse's side is in support/load_env.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from scx_pipeline.orchestration.build import build_star, with_resources
from scx_pipeline.orchestration.partitions import range_tags
from scx_pipeline.orchestration.runs.execute import RunOutcome, open_runner
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.load_env import World, folder_world, range_of_keys

STAR = "scx"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Desk:
    """An engineer's desk: the world that is loaded, and the instance that the loads are recorded in."""

    world: World
    settings: Settings
    instance: dg.DagsterInstance
    told: list[str] = field(default_factory=list)  # what loads told of their progress

    @cached_property
    def definitions(self) -> dg.Definitions:
        return with_resources(build_star(self.world.compiled), self.settings)

    @property
    def job(self) -> dg.JobDefinition:
        return self.definitions.resolve_job_def(STAR)

    def load(self, first: str, last: str = "") -> RunOutcome:
        """A run as `scx load` makes it."""
        with open_runner(self.world.compiled, self.settings, self.told.append) as run:
            return run(range_of_keys(first, last))

    def run(
        self, first: str, last: str = "", tables: Iterable[str] = (), tags: Mapping[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        """A run as the UI or a sensor makes it, of some tables or of all."""
        return self.job.execute_in_process(
            instance=self.instance,
            asset_selection=[key(name) for name in tables] or None,
            tags={**range_tags(range_of_keys(first, last)), **(tags or {})},
            run_config=QUIET,
            raise_on_error=False,
        )

    def run_asset(self, name: str) -> dg.ExecuteInProcessResult:
        """A run of one asset that has no months of its own: the source, to observe it, or the report."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance, asset_selection=[key(name)], run_config=QUIET, raise_on_error=False
        )

    def materializations(self, table: str) -> dict[str, dict[str, Any]]:
        """The metadata of a table's newest materialization, month by month."""
        found: dict[str, dict[str, Any]] = {}
        for record in self.instance.fetch_materializations(key(table), limit=1000, ascending=True).records:
            assert record.asset_materialization is not None
            metadata = record.asset_materialization.metadata
            found[record.partition_key or ""] = {name: value.value for name, value in metadata.items()}
        return found

    def count(self, table: str) -> int:
        """How many materializations of a table were recorded."""
        return len(self.instance.fetch_materializations(key(table), limit=1000).records)


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What the only step that failed says."""
    [event] = [event for event in result.all_events if event.is_step_failure]
    assert event.step_failure_data.user_failure_data is not None
    return event.step_failure_data.user_failure_data.description or ""


def key(name: str) -> dg.AssetKey:
    """The asset key of one of the star's tables, its source or its report."""
    return dg.AssetKey([STAR, name])


def folder_desk(folder: Path, instance: dg.DagsterInstance) -> Desk:
    """A desk of an empty local bucket and an empty DuckDB file, where the settings have them by default."""
    settings = Settings(home=folder)
    world = folder_world(folder)
    assert (settings.bucket, settings.warehouse) == (world.bucket_url, world.warehouse_url)
    return Desk(world, settings, instance)
