"""Builds by spark-submit through Dagster: their results, and what a killed build leaves.

Comparisons of rows do not belong here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from scx_pipeline.orchestration.execute import RunOutcome, open_runner
from scx_pipeline.orchestration.jobs import lake_job_name
from scx_pipeline.orchestration.spark import pipes as jobs
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.lake.lake_contents import contents
from scx_pipeline_tests.support.lake.lake_loads import (
    LakeLoadEnv,
    change_sensors,
    open_lake_load_env,
    put_sensors,
)
from scx_pipeline_tests.support.load_env import range_of_keys
from scx_pipeline_tests.support.processes.load_process import FORK_SERVER, start_fork_server
from scx_pipeline_tests.support.sensor_env import SensorEnv, create_sensor_env, readings

# Progress messages at which a run is killed.
PROGRESS_MESSAGES = ("Spark ", "data_sample: built in", "publishing files")
QUICK = "spark.driver.memory=1g,spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1"


def run(
    loads: LakeLoadEnv,
    folder: Path,
    first: str,
    last: str,
    progress: Callable[[str], None] = lambda message: None,
) -> RunOutcome:
    """Run the lake's job like `scx lake build`, with Spark."""
    settings = Settings(
        home=folder,
        bucket_url=loads.load_env.bucket_url,
        lake_url=loads.lake,
        spark="local",
        spark_master="local[2]",
        spark_conf=QUICK,
    )
    star = loads.load_env.compiled.star
    with open_runner(
        loads.load_env.compiled, settings, progress, lambda scope: lake_job_name(star, scope)
    ) as runner:
        return runner(range_of_keys(first, last))


def drivers() -> list[psutil.Process]:
    """Return the driver processes of all runs."""
    return [
        item for item in psutil.process_iter(["cmdline"]) if str(jobs.JOB) in (item.info["cmdline"] or ())
    ]


def spark_processes() -> list[psutil.Process]:
    """Return the driver, its Java process, and its workers, without the test servers."""
    children = {process.pid for process in psutil.Process().children(recursive=True)}
    submitted = [process for process in drivers() if process.pid in children]
    assert submitted
    return [*submitted, *(child for process in submitted for child in process.children(recursive=True))]


def test_a_driver_killed_at_any_step_leaves_the_old_months_and_the_next_run_converges(
    java: None, tmp_path: Path
) -> None:
    """The Dagster run reports it in one line."""
    loads = open_lake_load_env("sensor_readings", tmp_path)
    put_sensors(loads.load_env)
    loads.build()
    old = contents(loads)
    change_sensors(loads.load_env)
    for kill_at in PROGRESS_MESSAGES:

        def kill(message: str, kill_at: str = kill_at) -> None:
            if kill_at in message:
                for process in spark_processes():
                    process.kill()

        outcome = run(loads, tmp_path, "2023-01", "2023-03", kill)
        found = contents(loads)
        if outcome.success:  # it ended before its message arrived
            assert kill_at == PROGRESS_MESSAGES[-1]
        else:
            assert "the Spark job ended without a result" in str(outcome.error), kill_at
            assert "\n" not in str(outcome.error)
            assert found == old or kill_at == PROGRESS_MESSAGES[-1], kill_at
    loads.build()  # with the other engine, because any engine may be next
    fresh = LakeLoadEnv(loads.load_env, f"{loads.lake}-fresh")
    fresh.build()
    assert contents(loads) == contents(fresh) != old
    assert not loads.store.list("_writing/")


def run_and_die(environment: dict[str, str], folder: str, kill_at: str) -> None:
    """Run a build in a process of its own that is killed at a message, so that the driver survives it."""
    os.environ.clear()
    os.environ.update(environment)

    def progress(message: str) -> None:
        if kill_at in message:
            os.kill(os.getpid(), signal.SIGKILL)

    loads = LakeLoadEnv(create_sensor_env(Path(folder)), (Path(folder) / "lake").as_uri())
    run(loads, Path(folder), "2023-01", "2023-03", progress)


def test_a_driver_that_survives_its_killed_run_cannot_overwrite_the_next_run(
    java: None, tmp_path: Path
) -> None:
    loads = open_lake_load_env("sensor_readings", tmp_path)
    put_sensors(loads.load_env)
    loads.build()
    start_fork_server()
    process = FORK_SERVER.Process(target=run_and_die, args=(dict(os.environ), str(tmp_path), "data_sample: "))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    survivors = drivers()
    assert survivors
    change_sensors(loads.load_env)
    loads.build()
    new = contents(loads)
    psutil.wait_procs(survivors, timeout=90)
    assert contents(loads) == new
    assert loads.build() == []


def test_a_bucket_and_a_lake_in_s3_are_read_and_written_by_the_workers(
    java: None, s3_bucket: str, tmp_path: Path
) -> None:
    load_env = SensorEnv(f"{s3_bucket}/logs", f"duckdb://{tmp_path}/dev.duckdb")
    put_sensors(load_env)
    loads = LakeLoadEnv(load_env, f"{s3_bucket}/lake")
    messages: list[str] = []
    outcome = run(loads, tmp_path, "2023-01", "2023-02", messages.append)
    assert outcome.success, outcome.error
    assert outcome.rows["data_sample"] == {"2023-01": 5, "2023-02": 1}
    assert {check["name"] for check in outcome.checks if not check["passed"]} == {
        "rows_per_file",
        "files_per_day",
    }
    assert [line for line in messages if line.startswith("Spark 4")]
    assert [line for line in messages if "checks in" in line]
    files = [item.key for item in loads.manifest.select_files("data_sample")]
    assert {key.rpartition("/")[0] for key in files} == {
        "data_sample/year=2023/month=1",
        "data_sample/year=2023/month=2",
    }
    loads.load()
    assert len(load_env.table("data_sample")) == 6


def test_a_failed_check_is_recorded_with_its_result(java: None, tmp_path: Path) -> None:
    loads = open_lake_load_env("sensor_readings", tmp_path)
    assert isinstance(loads.load_env, SensorEnv)
    late = readings("2023-01-05 10:00")
    late = late.set_column(4, "product_expire", late.column("create_at"))
    loads.load_env.put_minute("2023-01-05 10:00", late)
    outcome = run(loads, tmp_path, "2023-01", "2023-01")
    assert not outcome.success
    assert "days_after_product_expire on data_sample" in str(outcome.error)
    failed = [
        check["name"] for check in outcome.checks if not check["passed"] and check["severity"] == "error"
    ]
    assert failed == ["days_after_product_expire"]
    assert loads.manifest.months == {}


# Missing software


def test_the_error_without_spark_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("SPARK_HOME", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(jobs.LakeError, match=r"pip install 'scx_pipeline\[spark\]', or set SPARK_HOME"):
        jobs.find_spark_submit()


def test_the_error_without_java_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(
        jobs.LakeError, match="needs Java, and none was found by the PATH: install Java 17 or newer"
    ):
        jobs.check_java()


def test_a_java_that_is_too_old_is_named_in_the_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(jobs.LakeError, match=r"needs Java 17 or newer, but .*/bin/java is Java 8"):
        jobs.check_java()
