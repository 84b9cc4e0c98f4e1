"""Builds by spark-submit on a cluster whose executors have neither the driver's Python nor its packages, as docs/emr.md shows for YARN.
The cluster is Spark's own, on this machine: a driver here, executors as processes in folders of their own."""

from __future__ import annotations

import re
from pathlib import Path

from scx_pipeline.orchestration.execute import RunOutcome, open_runner
from scx_pipeline.orchestration.jobs import lake_job_name
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.lake.lake_loads import LakeLoadEnv, open_lake_load_env, put_sensors
from scx_pipeline_tests.support.load_env import range_of_keys

DOCUMENT = (Path(__file__).parents[4] / "docs" / "emr.md").read_text("utf-8")


def documented_conf(archive: Path, python: Path) -> str:
    """The SCX_SPARK_CONF of docs/emr.md, with this machine's archive and Python."""
    [conf] = re.findall(r"^export SCX_SPARK_CONF='(.+)'$", DOCUMENT, re.MULTILINE)
    changed = conf.replace("/home/hadoop/environment.tar.gz", str(archive))
    return str(changed.replace("/usr/bin/python3.11", str(python)))


def run(loads: LakeLoadEnv, folder: Path, conf: str) -> RunOutcome:
    settings = Settings(
        home=folder,
        bucket_url=loads.load_env.bucket_url,
        lake_url=loads.lake,
        spark="local",
        spark_master="local-cluster[1,1,1024]",
        spark_conf=conf,
    )
    star = loads.load_env.compiled.star
    with open_runner(
        loads.load_env.compiled, settings, lambda message: None, lambda months: lake_job_name(star, months)
    ) as runner:
        return runner(range_of_keys("2023-01", "2023-02"))


def test_build_with_the_documented_settings_runs_executors_from_the_archive(
    java: None, archive: Path, bare_python: Path, tmp_path: Path
) -> None:
    loads = open_lake_load_env("sensor_readings", tmp_path)
    put_sensors(loads.load_env)
    outcome = run(loads, tmp_path, documented_conf(archive, bare_python))
    assert outcome.success, outcome.error
    assert outcome.rows["data_sample"] == {"2023-01": 5, "2023-02": 1}


def test_build_without_the_archive_fails_and_says_what_executors_lack(
    java: None, archive: Path, bare_python: Path, tmp_path: Path
) -> None:
    loads = open_lake_load_env("sensor_readings", tmp_path)
    put_sensors(loads.load_env)
    _, _, without = documented_conf(archive, bare_python).partition(",")
    outcome = run(loads, tmp_path, without)
    assert not outcome.success
    assert "No module named 'scx_pipeline' (the workers need the same packages as the driver" in str(
        outcome.error
    )
    assert loads.manifest.months == {}
