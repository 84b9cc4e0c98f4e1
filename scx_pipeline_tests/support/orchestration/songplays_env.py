"""An environment of the songplays star in Dagster: its runs, and what its sensor and its schedules request.

Songs and plays are written by the music environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from scx_pipeline.orchestration.automation import sensors
from scx_pipeline.orchestration.build import build_star, with_resources
from scx_pipeline.orchestration.partitions import RANGE_END, RANGE_START, range_tags
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.load_env import range_of_keys
from scx_pipeline_tests.support.music_env import MusicEnv, create_music_env, event
from scx_pipeline_tests.support.orchestration.dagster_env import QUIET

MONTHS, REFRESH = "songplays", "songplays_refresh_job"
UNPARTITIONED_TABLES = ("staging_songs", "songs", "artists")
BAD_SONG = b'{"song_id": "SO1"'


@dataclass
class SongplaysEnv:
    """The songplays star with a bucket, a warehouse, definitions, an instance, and the sensor's cursor."""

    load_env: MusicEnv
    settings: Settings
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    cursor: str | None = None
    sensor: str = "songplays_objects"

    def with_settings(self, **values: object) -> SongplaysEnv:
        """Return the environment with other settings, and the definitions that follow from them."""
        settings = self.settings.model_copy(update=values)
        definitions = with_resources(build_star(self.load_env.compiled, settings), settings)
        return replace(self, settings=settings, definitions=definitions)

    def requests(self) -> list[dg.RunRequest]:
        """Tick the sensor, and return its requests."""
        sensor = self.definitions.resolve_sensor_def(self.sensor)
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources=dict(self.definitions.resources or {})
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        for observation in data.asset_events:
            self.instance.report_runless_asset_event(observation)
        return list(data.run_requests or [])

    def run(
        self, job: str, assets: Iterable[str] = (), tags: Mapping[str, str] = {}
    ) -> dg.ExecuteInProcessResult:
        """Run a job for some of its tables or all, as the UI or a sensor does."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            asset_selection=[key(name) for name in assets] or None,
            tags=dict(tags),
            run_config=QUIET,
            raise_on_error=False,
        )

    def run_months(self, first: str, last: str = "", assets: Iterable[str] = ()) -> dg.ExecuteInProcessResult:
        return self.run(MONTHS, assets, range_tags(range_of_keys(first, last)))

    def run_alone(self, asset: str = "", check: dg.AssetCheckKey | None = None) -> dg.ExecuteInProcessResult:
        """Run a single asset or check, as its page in the UI does."""
        job = self.definitions.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={key(asset)} if asset else set(),
            asset_check_selection={check} if check else set(),
        )
        return job.execute_in_process(instance=self.instance, run_config=QUIET, raise_on_error=False)

    def tick_and_run(self, success: bool = True) -> list[str]:
        """Tick and run the requests, which must all succeed or all fail; return what each was for."""
        requests = self.requests()
        for request in requests:
            tags = {**request.tags, sensors.RUN_KEY: request.run_key or ""}
            assert self.run(request.job_name or "", tags=tags).success == success
        return [describe(request) for request in requests]

    def schedule(self, name: str) -> list[str]:
        schedule = self.definitions.resolve_schedule_def(name)
        with dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=datetime(2026, 1, 1, 12, tzinfo=UTC),
            resources=dict(self.definitions.resources or {}),
        ) as context:
            data = schedule.evaluate_tick(context)
        return [describe(request) for request in data.run_requests or []]

    def report_trigger(self) -> Callable[[], bool]:
        """Return a function that evaluates, like the report's sensor, whether to refresh the report since its last call."""
        cursor = None

        def is_triggered() -> bool:
            nonlocal cursor
            result = dg.evaluate_automation_conditions(
                self.definitions, self.instance, dg.AssetSelection.assets(key("report")), cursor=cursor
            )
            cursor = result.cursor
            return result.total_requested > 0

        return is_triggered

    def metadata(self, table: str) -> dict[str, Any]:
        """The metadata of a table's newest materialization."""
        [record] = self.instance.fetch_materializations(key(table), limit=1).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def counts(self) -> dict[str, int]:
        """Count the recorded materializations of every unpartitioned table."""
        return {
            name: len(self.instance.fetch_materializations(key(name), limit=100).records)
            for name in UNPARTITIONED_TABLES
        }


def key(name: str) -> dg.AssetKey:
    """Return the asset key of one of the star's tables or sources."""
    return dg.AssetKey(["songplays", name])


def describe(request: dg.RunRequest) -> str:
    """Return the months of a request, or `songs`."""
    if RANGE_START not in request.tags:
        return "songs"
    return f"{request.tags[RANGE_START]}…{request.tags[RANGE_END]}"


def create_songplays_env(folder: Path, instance: dg.DagsterInstance) -> SongplaysEnv:
    """Return an environment with an empty local bucket and an empty DuckDB file, at the default URLs of the settings."""
    settings, load_env = Settings(home=folder), create_music_env(folder)
    assert (settings.bucket, settings.warehouse) == (load_env.bucket_url, load_env.warehouse_url)
    return SongplaysEnv(
        load_env, settings, instance, with_resources(build_star(load_env.compiled, settings), settings)
    )


def put_events(songplays_env: SongplaysEnv) -> None:
    """Write one play in each of three months; only the second one is of the song of `song`."""
    for month in (9, 10, 11):
        day = f"2018-{month:02d}-10"
        values = {} if month == 10 else {"song": "Undo"}
        songplays_env.load_env.put_day(day, [event(month, 0, f"{day} 10:00:00", **values)])
