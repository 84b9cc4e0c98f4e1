"""Dagster's own commands on this project: dg check defs, dg list defs, dg launch.

`dagster dev` is not tested here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from scx_pipeline_tests.support.load_env import job, jobs_of
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def environment(dagster_env: DagsterEnv) -> dict[str, str]:
    """The environment of a user who set SCX_HOME and DAGSTER_HOME, and activated the project's virtual environment."""
    home = dagster_env.settings.home
    return {
        **os.environ,
        "SCX_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "VIRTUAL_ENV": sys.prefix,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
    }


def dg(
    environment: dict[str, str], *arguments: str, folder: Path = PROJECT
) -> subprocess.CompletedProcess[str]:
    """Run dg in the project's folder, or in a copy of it."""
    command = [str(Path(sys.executable).with_name("dg")), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_dg_check_accepts_the_definitions(environment: dict[str, str]) -> None:
    done = dg(environment, "check", "defs")
    assert done.returncode == 0, done.stderr
    assert "All definitions loaded successfully" in done.stdout


def test_dg_lists_assets_checks_job_schedule_and_sensors(environment: dict[str, str]) -> None:
    done = dg(environment, "list", "defs", "--json")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assets = {item["asset_key"]: item for item in listed["assets"]}
    assert {
        "scx/auto_classify_jobs",
        "scx/users",
        "scx/auto_classification_logs",
        "scx/report",
    } <= assets.keys()
    assert assets["scx/users"]["source"].endswith("stars/scx/sql/users.sql:1")
    assert "scx" in {item["name"] for item in listed["jobs"]}
    assert {item["name"] for item in listed["schedules"]} == {
        "scx_hourly",
        "songplays_hourly",
        "songplays_refresh_hourly",
        "sensor_readings_hourly",
        "maintain_weekly",
    }
    assert {"scx_objects", "scx_report", "songplays_objects"} <= {item["name"] for item in listed["sensors"]}


def test_dg_launches_a_range_of_months(environment: dict[str, str], dagster_env: DagsterEnv) -> None:
    for month in (1, 2, 3):
        dagster_env.load_env.put(f"2021/{month:02d}/jobs.csv", [job(month, f"2021-{month:02d}-05 10:00:00")])
    done = dg(
        environment,
        "launch",
        "--assets",
        "group:scx and kind:table",
        "--partition-range",
        "2021-01...2021-02",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert jobs_of(dagster_env.load_env) == [1, 2]
    assert list(dagster_env.materializations("users")) == ["2021-01", "2021-02"]
    assert dagster_env.instance.get_runs_count() == 1


def test_dg_checks_and_launches_in_a_fresh_clone_without_any_variable(
    environment: dict[str, str], dagster_env: DagsterEnv, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if not name.startswith(("scx_pipeline_tests/", "docs/")):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, clone / name)
    dagster_env.load_env.put("2021/01/jobs.csv", [job(1, "2021-01-05 10:00:00")])
    shutil.copytree(dagster_env.settings.bucket.removeprefix("file://"), clone / ".scx" / "bucket")
    names = ("PATH", "HOME", "VIRTUAL_ENV")
    clean = {name: environment[name] for name in names if name in environment} | {"PYTHONPATH": str(clone)}
    check = dg(clean, "check", "defs", folder=clone)
    assert check.returncode == 0, check.stdout + check.stderr
    launch = dg(clean, "launch", "--job", "scx", "--partition", "2021-01", folder=clone)
    assert launch.returncode == 0, launch.stderr[-3000:]
    with duckdb.connect(str(clone / ".scx" / "dev.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM public.auto_classification_logs").fetchone() == (1,)
