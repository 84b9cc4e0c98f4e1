"""`dagster dev` is killed during a load and started again: the run is marked as failed, and its months are loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
import psutil
import pytest

from scx_pipeline.orchestration.runs.instance import open_instance
from scx_pipeline.settings import read_settings
from scx_pipeline_tests.support.load_env import MARCH, LoadEnv, create_load_env, job
from scx_pipeline_tests.support.processes.blocked_loads import blocked_loads, wait_for
from scx_pipeline_tests.support.servers.ports import LOOPBACK, Launch, free_ports, running
from tools.local_services.services import session_processes

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
FACTS = "SELECT job_id FROM public.auto_classification_logs ORDER BY 1"


@pytest.fixture
def load_env(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> LoadEnv:
    """Return a bucket with a new object and its database, and set the settings that name them."""
    load_env = create_load_env(tmp_path, postgres_url)
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    load_env.load(MARCH)
    load_env.put("2021/03/b.csv", [job(2, "2021-03-06 10:00:00")])
    for name, value in {
        "PYTHONPATH": str(ROOT),
        "SCX_HOME": str(tmp_path / "home"),
        "DAGSTER_HOME": str(tmp_path / "home" / "dagster"),
        "SCX_BUCKET_URL": load_env.bucket_url,
        "SCX_WAREHOUSE_URL": load_env.warehouse_url,
        "SCX_SENSORS": "running",
        "SCX_SENSOR_SECONDS": "5",
    }.items():
        monkeypatch.setenv(name, value)
    return load_env


@contextmanager
def dagster_dev(folder: Path) -> Iterator[None]:
    """Run `dagster dev` for the duration of the block, and then kill all its processes."""
    [port] = free_ports(1)
    folder.mkdir()
    words = ["dagster", "dev", "-w", str(ROOT / "workspace.yaml"), "-h", LOOPBACK, "-p", str(port)]
    with running(Launch([sys.executable, "-m", *words], folder, dict(os.environ))) as process:
        try:
            yield
        finally:
            for item in session_processes(process.pid):
                with suppress(psutil.NoSuchProcess):
                    item.kill()


def test_a_load_killed_with_dagster_dev_is_marked_failed_and_its_month_is_loaded(
    tmp_path: Path, load_env: LoadEnv
) -> None:
    with open_instance(read_settings().dagster_home) as instance:
        with blocked_loads(load_env.warehouse_url) as load_waits:
            with dagster_dev(tmp_path / "first"):
                wait_for("a load waits", load_waits)
            [run] = instance.get_runs(dg.RunsFilter(job_name="scx"))
            assert run.status == dg.DagsterRunStatus.STARTED
        assert load_env.rows(FACTS) == [(1,)]
        with dagster_dev(tmp_path / "second"):
            wait_for("the run is marked as failed", lambda: failed_runs(instance) == [run.run_id])
            wait_for("the month is loaded", lambda: load_env.rows(FACTS) == [(1,), (2,)])
        retried, lost = instance.get_runs(dg.RunsFilter(job_name="scx"))
    assert lost.run_id == run.run_id
    assert retried.tags["dagster/run_key"] != lost.tags["dagster/run_key"]


def failed_runs(instance: dg.DagsterInstance) -> list[str]:
    """Return the ids of the star's failed runs."""
    filters = dg.RunsFilter(job_name="scx", statuses=[dg.DagsterRunStatus.FAILURE])
    return [run.run_id for run in instance.get_runs(filters)]
