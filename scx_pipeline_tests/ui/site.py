"""`dagster dev` on this project, with a bucket on a real S3 server: started, queried and stopped."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import obstore
from obstore.store import S3Store

from scx_pipeline.orchestration.runs.instance import prepare_home
from scx_pipeline.samples.scx.plan import ScxLogOptions
from scx_pipeline.samples.scx.scx_bucket import generate
from scx_pipeline.samples.songplays import songplays_bucket
from scx_pipeline.samples.songplays.songplays_bucket import GeneratedMusic, SongplaysOptions
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline_tests.support.load_env import FACTS, PREFIX, csv_text, scx_star
from scx_pipeline_tests.support.servers.ports import LOOPBACK, Launch, free_ports, running, wait_until
from scx_pipeline_tests.support.servers.s3 import S3Server

RUN_SECONDS = 400  # from the request of a run to its end: the daemon runs every 30 s
FINISHED = ("SUCCESS", "FAILURE", "CANCELED")
PROJECT = Path(__file__).parents[2]
Run = dict[str, Any]
_RUNS = "{ runsOrError { ... on Runs { results { runId jobName status tags { key value } } } } }"


@dataclass(frozen=True)
class Site:
    """The UI at its address, with its bucket and its warehouse."""

    address: str
    home: Path
    store: S3Store

    def generate(self, to: str, months: int, jobs: int) -> Mapping[str, int]:
        """Generate that many months of jobs, and return the number of jobs by month."""
        return generate(ScxLogOptions(to=to, months=months, jobs=jobs), self.store).jobs_by_month

    def generate_music(self, options: SongplaysOptions) -> GeneratedMusic:
        """Generate events and songs, and return what they contain."""
        return songplays_bucket.generate(options, self.store)

    def query_songplays(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query on the songplays star, after any run that writes the warehouse has ended."""
        with open_warehouse(
            f"duckdb://{self.home / 'dev.duckdb'}", Limits(lock_timeout=60)
        ).open_loaded() as session:
            return session.rows(sql)

    def put(self, name: str, rows: list[Mapping[str, object]]) -> None:
        """Upload a file of these rows."""
        obstore.put(self.store, PREFIX + name, csv_text(rows).encode())

    def count_jobs(self) -> dict[str, int]:
        """Count the loaded jobs by month, after any run that writes the warehouse has ended."""
        warehouse = open_warehouse(f"duckdb://{self.home / 'dev.duckdb'}", Limits(lock_timeout=60))
        sql = (
            f"SELECT strftime(created_at, '%Y-%m'), COUNT(*) FROM {scx_star().star.schema_name}.{FACTS}"
            " GROUP BY 1 ORDER BY 1"
        )
        with warehouse.open_loaded() as session:
            return {month: int(count) for month, count in session.rows(sql)}

    def find_job(self, month: str) -> int:
        """Return the id of a loaded job of that month."""
        warehouse = open_warehouse(f"duckdb://{self.home / 'dev.duckdb'}", Limits(lock_timeout=60))
        sql = f"SELECT MIN(job_id) FROM {scx_star().star.schema_name}.{FACTS} WHERE strftime(created_at, '%Y-%m') = ?"
        with warehouse.open_loaded() as session:
            return int(session.rows(sql, [month])[0][0])

    def runs(self) -> list[Run]:
        """Return all runs in the order of their requests, with status and tags."""
        found: list[Run] = self.query_graphql(_RUNS)["runsOrError"]["results"]
        return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in reversed(found)]

    def query_graphql(self, query: str, **variables: object) -> Any:
        """Return the data of a GraphQL query."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.address}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["data"]

    def wait_for_run(self, number: int, jobs: Sequence[str] = ()) -> Run:
        """Wait until the run of that number has ended, counted from 1 (among these jobs, if any are named), and return it."""
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            runs = [run for run in self.runs() if not jobs or run["jobName"] in jobs]
            if len(runs) >= number and runs[number - 1]["status"] in FINISHED:
                return runs[number - 1]
            time.sleep(0.3)
        raise TimeoutError(f"run {number} did not end: {self.runs()}")

    def is_up(self) -> bool:
        """Return whether the page is served."""
        try:
            with urllib.request.urlopen(f"{self.address}/server_info", timeout=5):
                return True
        except (URLError, OSError):
            return False


@contextmanager
def dagster_dev(folder: Path, s3: S3Server, bucket: str, settings: Mapping[str, str] = {}) -> Iterator[Site]:
    """Run `dagster dev -w workspace.yaml` with a new home in `folder` and these settings, for the duration of the block."""
    home = folder / "home"
    prepare_home(home / "dagster")
    [port] = free_ports(1)
    launch = Launch(
        argv=[
            sys.executable,
            "-m",
            "dagster",
            "dev",
            "-w",
            str(PROJECT / "workspace.yaml"),
            "-h",
            LOOPBACK,
            "-p",
            str(port),
        ],
        directory=home,
        environment={
            **os.environ,
            **s3.environment(),
            "SCX_HOME": str(home),
            "SCX_BUCKET_URL": f"s3://{bucket}",
            "DAGSTER_HOME": str(home / "dagster"),
            "PYTHONPATH": str(PROJECT),
            **settings,
        },
        stop_signal=signal.SIGINT,
    )
    with running(launch) as process:
        site = Site(f"http://{LOOPBACK}:{port}", home, s3.store(bucket))
        wait_until(site.is_up, process, launch.log)
        yield site
