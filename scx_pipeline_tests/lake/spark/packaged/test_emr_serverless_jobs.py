"""Builds on EMR Serverless whose job is executed: AWS is a stand-in, and the job runs from what the request says and nothing else.

Spark is this machine's, S3 a real server.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import obstore
import pytest

from scx_pipeline.lake.spark.code_archive import names_of
from scx_pipeline.lake.spark.package import JOB
from scx_pipeline.orchestration.execute import RunOutcome, open_runner
from scx_pipeline.orchestration.jobs import lake_job_name
from scx_pipeline.orchestration.spark import emr_serverless
from scx_pipeline.orchestration.spark.pipes import find_spark_submit
from scx_pipeline.settings import Settings
from scx_pipeline.storage.s3 import open_s3
from scx_pipeline_tests.lake.spark.packaged.worker_archive import HERE, unpack
from scx_pipeline_tests.orchestration.spark.test_emr_serverless_job import conf_of
from scx_pipeline_tests.orchestration.spark.test_emr_serverless_runs import (
    RUN,
    answering,
    application,
    states,
)
from scx_pipeline_tests.support.lake.lake_loads import LakeLoadEnv, put_sensors
from scx_pipeline_tests.support.load_env import range_of_keys
from scx_pipeline_tests.support.sensor_env import SensorEnv, readings
from scx_pipeline_tests.support.servers.aws import APPLICATION, REGION, ROLE, Service, play
from scx_pipeline_tests.support.servers.s3 import S3Server

PATIENCE = 300.0
# Of this machine: the settings of drivers of one, in the place of those of a cluster of EMR's.
OURS = {
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@dataclass
class Workers:
    """A machine that runs a request as EMR Serverless does: code and archive from S3, environment from the Spark settings."""

    folder: Path
    python: Path
    server: S3Server
    driver: str  # the settings of its environment
    process: subprocess.Popen[str] | None = None
    conf: Mapping[str, str] = field(default_factory=dict)

    def start(self, entry: str, arguments: Sequence[str]) -> None:
        self.conf = conf_of(list(arguments))
        archive, _, name = self.conf["spark.archives"].partition("#")
        unpack(self._fetched(archive), self.folder / name)
        ours = {**self._of_spark(), **OURS}
        given = [part for name, value in ours.items() for part in ("--conf", f"{name}={value}")]
        self.process = subprocess.Popen(
            [find_spark_submit(), "--master", "local[1]", *given, self._fetched(entry).name],
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "stderr").open("w"),
            text=True,
        )

    def _of_spark(self) -> dict[str, str]:
        """What is Spark's own; the archive is unpacked already, and executors have their driver's Python."""
        left = {name: value for name, value in self.conf.items() if not name.startswith(self.driver)}
        left.pop("spark.archives")
        return left | {"spark.executorEnv.PYSPARK_PYTHON": str(self.python)}

    def _environment(self) -> dict[str, str]:
        driver = {
            name.removeprefix(f"{self.driver}."): value
            for name, value in self.conf.items()
            if name.startswith(self.driver)
        }
        assert driver["PYSPARK_PYTHON"] == f"/usr/bin/python{HERE.python}"
        driver |= {"PYSPARK_PYTHON": str(self.python), "PYSPARK_DRIVER_PYTHON": str(self.python)}
        machine = {name: os.environ[name] for name in ("PATH", "JAVA_HOME") if name in os.environ}
        return {**machine, **self.server.environment(), **driver, "HOME": str(self.folder)}

    def _fetched(self, url: str) -> Path:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        target = self.folder / key.rpartition("/")[2]
        target.write_bytes(bytes(open_s3(bucket).get(key).bytes()))
        return target

    def state(self) -> int | None:
        assert self.process is not None
        return self.process.poll()


@dataclass
class Site:
    """A bucket with logs, lake and code, the workers of its job, and the messages of its runs."""

    loads: LakeLoadEnv
    settings: dict[str, str]
    workers: Workers
    messages: list[str] = field(default_factory=list)

    def build(self, home: Path, first: str, last: str) -> RunOutcome:
        """A run as `scx lake build` makes it."""
        load_env = self.loads.load_env
        places = {"bucket_url": load_env.bucket_url, "lake_url": self.loads.lake}
        settings = Settings.model_validate({"home": home, **places, **self.settings})
        star = load_env.compiled.star
        with open_runner(
            load_env.compiled, settings, self.messages.append, lambda months: lake_job_name(star, months)
        ) as run:
            return run(range_of_keys(first, last))

    def has_job_messages(self) -> bool:
        return any(line.startswith("Spark ") for line in self.messages)


@pytest.fixture
def site(java: None, archive: Path, bare_python: Path, s3_bucket: str, s3: S3Server, tmp_path: Path) -> Site:
    load_env = SensorEnv(f"{s3_bucket}/logs", f"duckdb://{tmp_path}/dev.duckdb")
    put_sensors(load_env)
    store = open_s3(s3_bucket.removeprefix("s3://"), "code")
    for name, file in zip(names_of(HERE), (archive, JOB), strict=True):
        obstore.put(store, name, file)
    folder = tmp_path / "worker"
    folder.mkdir()
    workers = Workers(folder, bare_python, s3, "spark.emr-serverless.driverEnv")
    settings = {"spark": "emr-serverless", "spark_application": APPLICATION, "spark_role": ROLE, "spark_code": f"{s3_bucket}/code"}  # fmt: skip
    return Site(LakeLoadEnv(load_env, f"{s3_bucket}/lake"), settings, workers)


@pytest.fixture
def serverless(site: Site, monkeypatch: pytest.MonkeyPatch) -> Service:
    """An application whose job is run by the workers, and runs at least until its first word is here."""
    service = Service("emr-serverless")
    started = time.monotonic()
    before = iter(["SUBMITTED", "PENDING", "SCHEDULED"])

    def start(request: dict[str, Any]) -> Mapping[str, Any]:
        spark = request["jobDriver"]["sparkSubmit"]
        site.workers.start(spark["entryPoint"], shlex.split(spark["sparkSubmitParameters"]))
        return RUN

    def look(params: dict[str, Any]) -> Mapping[str, Any]:
        code = site.workers.state()
        if state := next(before, None):
            return states(state)(params)
        if code is None or not (site.has_job_messages() or time.monotonic() - started > PATIENCE):
            return states("RUNNING")(params)
        return states("FAILED" if code else "SUCCESS", details=f"ExitCode: {code}")(params)

    architecture = "ARM64" if HERE.architecture == "arm64" else "X86_64"
    service.answers = {
        "GetApplication": answering(**application(architecture=architecture)),
        "StartJobRun": start,
        "GetJobRun": look,
    }
    monkeypatch.setattr(emr_serverless, "STATE_POLL_SECONDS", 0.5)
    play(service, monkeypatch)
    return service


def test_build_publishes_the_lake_and_logs_progress_while_the_job_runs(
    site: Site, serverless: Service, tmp_path: Path
) -> None:
    outcome = site.build(tmp_path, "2023-01", "2023-02")
    assert outcome.success, (outcome.error, (site.workers.folder / "stderr").read_text()[-2000:])
    assert outcome.rows["data_sample"] == {"2023-01": 5, "2023-02": 1}
    assert "rows_per_file" in {check["name"] for check in outcome.checks if not check["passed"]}
    first = next(number for number, line in enumerate(site.messages) if line.startswith("Spark "))
    assert first < site.messages.index("EMR Serverless: the job run 00run is SUCCESS")
    assert [line for line in site.messages if "checks in" in line]
    assert site.workers.conf["spark.executorEnv.AWS_REGION"] == REGION
    bucket = site.settings["spark_code"].split("/")[2]
    keys = {item["path"] for item in open_s3(bucket, "code/messages").list().collect()}
    assert f"{outcome.run_id}/sensor_readings_lake-0/1.json" in keys
    assert {str(month) for month in site.loads.manifest.months} == {"2023-01", "2023-02"}
    site.loads.load()
    assert len(site.loads.load_env.table("data_sample")) == 6


def test_build_with_a_failed_check_records_it_and_publishes_nothing(
    site: Site, serverless: Service, tmp_path: Path
) -> None:
    load_env = site.loads.load_env
    assert isinstance(load_env, SensorEnv)
    late = readings("2023-01-05 10:00")
    late = late.set_column(4, "product_expire", late.column("create_at"))
    load_env.put_minute("2023-01-05 10:00", late)
    outcome = site.build(tmp_path, "2023-01", "2023-01")
    assert not outcome.success
    assert "days_after_product_expire on data_sample" in str(outcome.error), (
        site.workers.folder / "stderr"
    ).read_text()[-2000:]
    assert site.workers.state() == 1
    failed = [check["name"] for check in outcome.checks if not check["passed"] and check["severity"] == "error"]  # fmt: skip
    assert failed == ["days_after_product_expire"]
    assert site.loads.manifest.months == {}
