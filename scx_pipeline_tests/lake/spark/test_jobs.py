"""Builds by spark-submit through Dagster: what comes back from them, and what becomes of one that is killed.
That Spark makes the right rows is in test_maker."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from scx_pipeline.orchestration.assets.lake_assets import lake_job_name
from scx_pipeline.orchestration.runs.execute import RunOutcome, open_runner
from scx_pipeline.orchestration.spark import pipes as jobs
from scx_pipeline.settings import Settings
from scx_pipeline_tests.support.lake_contents import contents
from scx_pipeline_tests.support.lake_loads import Loads, change_sensors, open_loads, put_sensors
from scx_pipeline_tests.support.load_env import range_of_keys
from scx_pipeline_tests.support.load_process import NURSERY, start_nursery
from scx_pipeline_tests.support.sensor_env import SensorWorld, readings, sensor_world

# What a build says when it is there.
MOMENTS = ("Spark ", "objects, ", "data_sample: made in", "checks in", "putting files in their places")
QUICK = "spark.driver.memory=1g,spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1"


def run(
    loads: Loads, folder: Path, first: str, last: str, progress: Callable[[str], None] = lambda message: None
) -> RunOutcome:
    """A run of the lake's job as `scx lake build` makes it, with Spark."""
    settings = Settings(
        home=folder,
        bucket_url=loads.world.bucket_url,
        lake_url=loads.lake,
        spark="local",
        spark_master="local[2]",
        spark_conf=QUICK,
    )
    star = loads.world.compiled.star
    with open_runner(
        loads.world.compiled, settings, progress, lambda span: lake_job_name(star, span)
    ) as runner:
        return runner(range_of_keys(first, last))


def drivers() -> list[psutil.Process]:
    """What runs the job, of any run."""
    return [
        item for item in psutil.process_iter(["cmdline"]) if str(jobs.JOB) in (item.info["cmdline"] or ())
    ]


def spark_processes() -> list[psutil.Process]:
    """The driver, its Java, and its workers; the servers of the tests are no part of it."""
    ours = {process.pid for process in psutil.Process().children(recursive=True)}
    submitted = [process for process in drivers() if process.pid in ours]
    assert submitted
    return [*submitted, *(below for process in submitted for below in process.children(recursive=True))]


def test_a_driver_killed_at_any_moment_leaves_the_old_months_and_the_next_run_converges(
    java: None, tmp_path: Path
) -> None:
    """The dagster run tells it in one line."""
    loads = open_loads("sensor_readings", tmp_path)
    put_sensors(loads.world)
    loads.build()
    old = contents(loads)
    change_sensors(loads.world)
    for moment in MOMENTS:

        def kill(message: str, moment: str = moment) -> None:
            if moment in message:
                for process in spark_processes():
                    process.kill()

        outcome = run(loads, tmp_path, "2023-01", "2023-03", kill)
        found = contents(loads)
        if outcome.success:  # it was through before the news of it was here
            assert moment == MOMENTS[-1]
        else:
            assert "the Spark job ended without an answer" in str(outcome.error), moment
            assert "\n" not in str(outcome.error)
            assert found == old or moment == MOMENTS[-1], moment
    loads.build()  # by the other engine, as any may come next
    fresh = Loads(loads.world, f"{loads.lake}-fresh")
    fresh.build()
    assert contents(loads) == contents(fresh) != old
    assert not loads.place.list("_writing/")


def elsewhere(environment: dict[str, str], folder: str, moment: str) -> None:
    """A run in a process of its own, which dies at the moment, and leaves the driver behind."""
    os.environ.clear()
    os.environ.update(environment)

    def say(message: str) -> None:
        if moment in message:
            os.kill(os.getpid(), signal.SIGKILL)

    loads = Loads(sensor_world(Path(folder)), (Path(folder) / "lake").as_uri())
    run(loads, Path(folder), "2023-01", "2023-03", say)


def test_a_driver_that_outlives_its_killed_run_cannot_undo_what_the_next_run_has_published(
    java: None, tmp_path: Path
) -> None:
    loads = open_loads("sensor_readings", tmp_path)
    put_sensors(loads.world)
    loads.build()
    start_nursery()
    process = NURSERY.Process(target=elsewhere, args=(dict(os.environ), str(tmp_path), "data_sample: "))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    left = drivers()
    assert left
    change_sensors(loads.world)
    loads.build()
    new = contents(loads)
    psutil.wait_procs(left, timeout=90)
    assert contents(loads) == new
    assert loads.build() == []


def test_a_bucket_and_a_lake_in_s3_are_read_and_written_by_the_workers(
    java: None, s3_bucket: str, tmp_path: Path
) -> None:
    world = SensorWorld(f"{s3_bucket}/logs", f"duckdb://{tmp_path}/dev.duckdb")
    put_sensors(world)
    loads = Loads(world, f"{s3_bucket}/lake")
    told: list[str] = []
    outcome = run(loads, tmp_path, "2023-01", "2023-02", told.append)
    assert outcome.success, outcome.error
    assert outcome.rows["data_sample"] == {"2023-01": 5, "2023-02": 1}
    assert {check["name"] for check in outcome.checks if not check["passed"]} == {
        "rows_per_file",
        "files_per_day",
    }
    assert [line for line in told if line.startswith("Spark 4")]
    assert [line for line in told if "checks in" in line]
    files = [item.key for item in loads.manifest.of("data_sample")]
    assert {key.rpartition("/")[0] for key in files} == {
        "data_sample/year=2023/month=1",
        "data_sample/year=2023/month=2",
    }
    loads.load()
    assert len(world.table("data_sample")) == 6


def test_a_check_that_fails_is_recorded_with_what_it_found(java: None, tmp_path: Path) -> None:
    loads = open_loads("sensor_readings", tmp_path)
    assert isinstance(loads.world, SensorWorld)
    late = readings("2023-01-05 10:00")
    late = late.set_column(4, "product_expire", late.column("create_at"))
    loads.world.put_minute("2023-01-05 10:00", late)
    outcome = run(loads, tmp_path, "2023-01", "2023-01")
    assert not outcome.success
    assert "days_after_product_expire on data_sample" in str(outcome.error)
    failed = [
        check["name"] for check in outcome.checks if not check["passed"] and check["severity"] == "error"
    ]
    assert failed == ["days_after_product_expire"]
    assert loads.manifest.months == {}


# What is absent


def test_without_spark_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("SPARK_HOME", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(jobs.LakeError, match=r"pip install 'scx_pipeline\[spark\]', or set SPARK_HOME"):
        jobs.find_submit()


def test_without_java_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(
        jobs.LakeError, match="needs Java, and none is found by the PATH: install Java 17 or newer"
    ):
        jobs.check_java()


def test_a_java_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(jobs.LakeError, match=r"needs Java 17 or newer, and .*/bin/java is Java 8"):
        jobs.check_java()
