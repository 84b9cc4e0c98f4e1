"""`dagster dev` killed in the middle of a load and started again: the run is failed, and its months are loaded.
Lost runs in single steps are tested in orchestration/runs/test_lost_runs.py."""

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
from scx_pipeline_tests.support.blocked import blocked_loads, wait_for
from scx_pipeline_tests.support.load_env import MARCH, World, folder_world, job
from scx_pipeline_tests.support.servers.ports import LOOPBACK, Launch, free_ports, running
from tools.local_services.services import processes_of

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
FACTS = "SELECT job_id FROM public.auto_classification_logs ORDER BY 1"


@pytest.fixture
def world(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """A bucket in which an object is new, and the database that it is to be loaded into, as the settings name them."""
    world = folder_world(tmp_path, postgres_url)
    world.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    world.load(MARCH)
    world.put("2021/03/b.csv", [job(2, "2021-03-06 10:00:00")])
    for name, value in {
        "PYTHONPATH": str(ROOT),
        "SCX_HOME": str(tmp_path / "home"),
        "DAGSTER_HOME": str(tmp_path / "home" / "dagster"),
        "SCX_BUCKET_URL": world.bucket_url,
        "SCX_WAREHOUSE_URL": world.warehouse_url,
        "SCX_SENSORS": "running",
        "SCX_SENSOR_SECONDS": "5",
    }.items():
        monkeypatch.setenv(name, value)
    return world


@contextmanager
def dagster_dev(folder: Path) -> Iterator[None]:
    """`dagster dev` for as long as the block lasts, at whose end all its processes are killed."""
    [port] = free_ports(1)
    folder.mkdir()
    words = ["dagster", "dev", "-w", str(ROOT / "workspace.yaml"), "-h", LOOPBACK, "-p", str(port)]
    with running(Launch([sys.executable, "-m", *words], folder, dict(os.environ))) as process:
        try:
            yield
        finally:
            for item in processes_of(process.pid):
                with suppress(psutil.NoSuchProcess):
                    item.kill()


def test_a_load_that_was_killed_with_dagster_dev_is_failed_and_its_month_is_loaded(
    tmp_path: Path, world: World
) -> None:
    with open_instance(read_settings().dagster_home) as instance:
        with blocked_loads(world.warehouse_url) as a_load_waits:
            with dagster_dev(tmp_path / "first"):
                wait_for("a load waits", a_load_waits)
            [run] = instance.get_runs(dg.RunsFilter(job_name="scx"))
            assert run.status == dg.DagsterRunStatus.STARTED
        assert world.rows(FACTS) == [(1,)]
        with dagster_dev(tmp_path / "second"):
            wait_for("the run is failed", lambda: failed(instance) == [run.run_id])
            wait_for("the month is loaded", lambda: world.rows(FACTS) == [(1,), (2,)])
        again, lost = instance.get_runs(dg.RunsFilter(job_name="scx"))
    assert lost.run_id == run.run_id
    assert again.tags["dagster/run_key"] != lost.tags["dagster/run_key"]


def failed(instance: dg.DagsterInstance) -> list[str]:
    """The ids of the star's runs that have failed."""
    wanted = dg.RunsFilter(job_name="scx", statuses=[dg.DagsterRunStatus.FAILURE])
    return [run.run_id for run in instance.get_runs(wanted)]
