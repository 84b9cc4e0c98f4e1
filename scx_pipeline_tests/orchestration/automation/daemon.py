"""The part of Dagster's daemon that evaluates one sensor, and the files that the sensor of objects notices.

Which runs must be requested is for the tests to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData

from scx_pipeline.orchestration.automation import sensors
from scx_pipeline.orchestration.partitions import RANGE_END, RANGE_START
from scx_pipeline_tests.support.load_env import job
from scx_pipeline_tests.support.orchestration.dagster_env import QUIET, DagsterEnv


@dataclass
class Daemon:
    """A stand-in for Dagster's daemon: it keeps the cursor, and starts one run per run key."""

    dagster_env: DagsterEnv
    sensor: str = "scx_objects"
    cursor: str | None = None

    def tick(self) -> SensorExecutionData:
        """Evaluate the sensor once, keep its cursor, and store its observations."""
        sensor = self.dagster_env.definitions.resolve_sensor_def(self.sensor)
        with dg.build_sensor_context(
            instance=self.dagster_env.instance,
            cursor=self.cursor,
            resources=dict(self.dagster_env.definitions.resources or {}),
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        for event in data.asset_events:
            self.dagster_env.instance.report_runless_asset_event(event)
        return data

    def requested(self) -> list[str]:
        """Tick, and return the requested ranges of months."""
        return [range_of(request) for request in self.tick().run_requests or []]

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult | None:
        """Run a request, unless a run with its key exists."""
        assert request.run_key is not None
        if self.dagster_env.instance.get_runs(dg.RunsFilter(tags={sensors.RUN_KEY: request.run_key})):
            return None
        return self.dagster_env.definitions.resolve_job_def(request.job_name or "").execute_in_process(
            instance=self.dagster_env.instance,
            tags={**request.tags, sensors.RUN_KEY: request.run_key},
            run_config=QUIET,
            raise_on_error=False,
        )

    def tick_and_run(self) -> list[str]:
        """Tick and run the requests; return the ranges of months that were run."""
        results = [(range_of(request), self.run(request)) for request in self.tick().run_requests or []]
        return [months for months, result in results if result]


def range_of(request: dg.RunRequest) -> str:
    """Return the first and the last month of a request, or `unpartitioned`."""
    if RANGE_START not in request.tags:
        return "unpartitioned"
    return f"{request.tags[RANGE_START]}…{request.tags[RANGE_END]}"


def put_job(
    dagster_env: DagsterEnv, name: str, job_id: int = 1, day: str = "2021-03-05", **values: object
) -> Path:
    """Write a file with one row, and return its path."""
    return dagster_env.load_env.bucket_path / dagster_env.load_env.put(
        name, [job(job_id, f"{day} 10:00:00", **values)]
    )
