"""An environment of a bucket, a warehouse and a Dagster instance, in which tests run jobs.

Reading and writing the bucket and the warehouse is part of the load environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from scx_pipeline.orchestration.build import build_star, with_resources
from scx_pipeline.orchestration.execute import RunOutcome, open_runner
from scx_pipeline.orchestration.partitions import range_tags
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.load_env import LoadEnv, create_load_env, job, range_of_keys, scx_star

STAR = "scx"
TABLES = [table.name for table in scx_star().star.tables]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class DagsterEnv:
    """A load environment, with the settings and the Dagster instance of its runs."""

    load_env: LoadEnv
    settings: Settings
    instance: dg.DagsterInstance
    messages: list[str] = field(default_factory=list)  # progress messages of loads

    @cached_property
    def definitions(self) -> dg.Definitions:
        return with_resources(build_star(self.load_env.compiled, self.settings), self.settings)

    def with_settings(self, **values: object) -> DagsterEnv:
        """Return the environment with other settings."""
        return replace(self, settings=self.settings.model_copy(update=values))

    @property
    def job(self) -> dg.JobDefinition:
        return self.definitions.resolve_job_def(STAR)

    def load(self, first: str, last: str = "") -> RunOutcome:
        """Run a load as `scx load` does."""
        with open_runner(self.load_env.compiled, self.settings, self.messages.append) as run:
            return run(range_of_keys(first, last))

    def run(
        self, first: str, last: str = "", tables: Iterable[str] = (), tags: Mapping[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Run a load of some tables or all, as the UI or a sensor does."""
        return self.job.execute_in_process(
            instance=self.instance,
            asset_selection=[key(name) for name in tables] or None,
            tags={**range_tags(range_of_keys(first, last)), **(tags or {})},
            run_config=QUIET,
            raise_on_error=False,
        )

    def run_asset(self, name: str) -> dg.ExecuteInProcessResult:
        """Run one asset without partitions: observe a source, or materialize the report."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance, asset_selection=[key(name)], run_config=QUIET, raise_on_error=False
        )

    def materializations(self, table: str) -> dict[str, dict[str, Any]]:
        """Return the metadata of a table's latest materialization, by month."""
        found: dict[str, dict[str, Any]] = {}
        for record in self.instance.fetch_materializations(key(table), limit=1000, ascending=True).records:
            assert record.asset_materialization is not None
            metadata = record.asset_materialization.metadata
            found[record.partition_key or ""] = {name: value.value for name, value in metadata.items()}
        return found

    def count(self, table: str) -> int:
        """Count the recorded materializations of a table."""
        return len(self.instance.fetch_materializations(key(table), limit=1000).records)


def failure(result: dg.ExecuteInProcessResult) -> str:
    """Return the message of the only step that failed."""
    [event] = [event for event in result.all_events if event.is_step_failure]
    assert event.step_failure_data.user_failure_data is not None
    return event.step_failure_data.user_failure_data.description or ""


def key(name: str) -> dg.AssetKey:
    """Return the asset key of one of the star's tables, its source or its report."""
    return dg.AssetKey([STAR, name])


def specs_of(project: dg.Definitions, star: str) -> dict[str, dg.AssetSpec]:
    """Return the asset specs of one star by name, without those of its lake."""
    specs = [spec for spec in project.resolve_all_asset_specs() if spec.key.path[0] == star]
    return {spec.key.path[-1]: spec for spec in specs if "lake" not in spec.key.path}


def create_dagster_env(folder: Path, instance: dg.DagsterInstance) -> DagsterEnv:
    """Return an environment with an empty local bucket, an empty DuckDB file and a lake, at the default URLs of the settings."""
    settings = Settings(home=folder, lake_url=(folder / "lake").as_uri())
    load_env = create_load_env(folder)
    assert (settings.bucket, settings.warehouse) == (load_env.bucket_url, load_env.warehouse_url)
    return DagsterEnv(load_env, settings, instance)


def put_march_and_april(dagster_env: DagsterEnv) -> None:
    """Write three jobs of March, one of them twice, and 25 of April, plus one row that is rejected."""
    load_env = dagster_env.load_env
    load_env.put(
        "2021/03/jobs.csv",
        [
            job(1, "2021-03-05 10:00:00"),
            job(2, "2021-03-06 11:00:00", user_id=7),
            job(3, "2021-03-07 12:00:00", user_id=7, project_id=11),
            job(3, "2021-03-07 12:00:00", user_id=7, project_id=11, updated_at="2021-03-07 11:59:00"),
        ],
    )
    april = [job(40 + number, f"2021-04-{number + 1:02d} 10:00:00") for number in range(25)]
    load_env.put("2021/04/jobs.csv", [*april, job(99, "2021-04-30 10:00:00", user_id="unknown")])


def row_counts(found: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the number of rows of each month's materialization."""
    return {month: metadata["dagster/partition_row_count"] for month, metadata in found.items()}
