"""`dagster dev` on this project, with a bucket on a real S3 server: started, asked, and stopped.
What is clicked and seen is in test_ui.py; the servers are in servers/."""

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
from scx_pipeline.samples.scx.scx_bucket import ScxLogOptions, generate
from scx_pipeline.samples.songplays import songplays_bucket
from scx_pipeline.samples.songplays.songplays_bucket import GeneratedMusic, SongplaysOptions
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline_tests.support.load_env import FACTS, PREFIX, csv_text, scx_star
from scx_pipeline_tests.support.servers.ports import LOOPBACK, Launch, free_ports, running, wait_until
from scx_pipeline_tests.support.servers.s3 import S3Server

RUN_SECONDS = 400  # until a run is over that was asked for: the daemon looks every 30 s
OVER = ("SUCCESS", "FAILURE", "CANCELED")
PROJECT = Path(__file__).parents[2]
Run = dict[str, Any]
_RUNS = "{ runsOrError { ... on Runs { results { runId jobName status tags { key value } } } } }"


@dataclass(frozen=True)
class Site:
    """The UI at its address, and what lies behind it: the bucket and the warehouse."""

    address: str
    home: Path
    store: S3Store

    def generate(self, to: str, months: int, jobs: int) -> Mapping[str, int]:
        """Put that many months of jobs into the bucket; the jobs of each."""
        return generate(ScxLogOptions(to=to, months=months, jobs=jobs), self.store).jobs_by_month

    def generate_music(self, options: SongplaysOptions) -> GeneratedMusic:
        """Put events and songs into the bucket; what is in them."""
        return songplays_bucket.generate(options, self.store)

    def music(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query of the songplays star gives; a run that writes the warehouse is waited for."""
        with open_warehouse(
            f"duckdb://{self.home / 'dev.duckdb'}", Limits(lock_timeout=60)
        ).reading() as session:
            return session.rows(sql)

    def put(self, name: str, rows: list[Mapping[str, object]]) -> None:
        """Put a file of these rows into the bucket."""
        obstore.put(self.store, PREFIX + name, csv_text(rows).encode())

    def facts(self) -> dict[str, int]:
        """How many jobs stand in the warehouse, by month; a run that writes it is waited for."""
        warehouse = open_warehouse(f"duckdb://{self.home / 'dev.duckdb'}", Limits(lock_timeout=60))
        sql = (
            f"SELECT strftime(created_at, '%Y-%m'), COUNT(*) FROM {scx_star().star.schema_name}.{FACTS}"
            " GROUP BY 1 ORDER BY 1"
        )
        with warehouse.reading() as session:
            return {month: int(count) for month, count in session.rows(sql)}

    def a_job_of(self, month: str) -> int:
        """The number of a job that stands in that month."""
        warehouse = open_warehouse(f"duckdb://{self.home / 'dev.duckdb'}", Limits(lock_timeout=60))
        sql = f"SELECT MIN(job_id) FROM {scx_star().star.schema_name}.{FACTS} WHERE strftime(created_at, '%Y-%m') = ?"
        with warehouse.reading() as session:
            return int(session.rows(sql, [month])[0][0])

    def runs(self) -> list[Run]:
        """Every run there is, in the order they were asked for, with status and tags."""
        found: list[Run] = self.ask(_RUNS)["runsOrError"]["results"]
        return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in reversed(found)]

    def ask(self, query: str, **variables: object) -> Any:
        """What GraphQL answers."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.address}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["data"]

    def wait_for_run(self, number: int, jobs: Sequence[str] = ()) -> Run:
        """The run of that number, counted from the first (of these jobs, if any are named), as soon as it is over."""
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            runs = [run for run in self.runs() if not jobs or run["jobName"] in jobs]
            if len(runs) >= number and runs[number - 1]["status"] in OVER:
                return runs[number - 1]
            time.sleep(0.3)
        raise TimeoutError(f"run {number} did not come to its end: {self.runs()}")

    def answers(self) -> bool:
        """Whether the page is served."""
        try:
            with urllib.request.urlopen(f"{self.address}/server_info", timeout=5):
                return True
        except (URLError, OSError):
            return False


@contextmanager
def dagster_dev(folder: Path, s3: S3Server, bucket: str, settings: Mapping[str, str] = {}) -> Iterator[Site]:
    """`dagster dev -w workspace.yaml` with a new home below `folder`, and these settings, for as long as the block lasts."""
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
        wait_until(site.answers, process, launch.log)
        yield site
