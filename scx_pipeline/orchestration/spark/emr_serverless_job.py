"""The request of a Spark job on EMR Serverless: its name, tags, environment and Spark settings, as plain values.

Nothing here calls AWS.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scx_pipeline.lake.build.build_request import BuildRequest
from scx_pipeline.lake.spark.code_archive import Code
from scx_pipeline.model.calendar import UNPARTITIONED

ENVIRONMENT_FOLDER = "environment"  # Spark unpacks the archive into it, in the working folder of each process
LOG_GROUP = "/aws/emr-serverless"  # in CloudWatch; the role that `scx cloud create emr-serverless` creates may write it
TIMEOUT_MINUTES = 12 * 60  # AWS cancels a job that takes longer
DRIVER_ENVIRONMENT = "spark.emr-serverless.driverEnv"
EXECUTOR_ENVIRONMENT = "spark.executorEnv"
# Half of an executor's memory is for Python, which parses and writes the rows; most of a driver's is for Spark itself.
SIZES = {
    "spark.executor.cores": "4",
    "spark.executor.memory": "9g",
    "spark.executor.memoryOverhead": "7g",
    "spark.driver.cores": "4",
    "spark.driver.memory": "11g",
    "spark.driver.memoryOverhead": "5g",
}


@dataclass(frozen=True)
class Job:
    """One attempt of a step of a Dagster run to build months."""

    request: BuildRequest
    attempt: str  # identifies the attempt: the same if a request is repeated, and different for each retry
    code: Code
    region: str
    conf: Mapping[str, str]  # the user's Spark settings, which override all that are set here

    @property
    def months(self) -> str:
        scope = self.request.scope
        if scope is UNPARTITIONED:
            return "no months"
        return str(scope.first) if scope.first == scope.last else f"{scope.first} to {scope.last}"

    @property
    def token(self) -> str:
        """The token by which AWS recognizes a repeated request."""
        return f"scx-{hashlib.sha256(self.attempt.encode()).hexdigest()[:40]}"

    def spark_conf(self) -> dict[str, str]:
        """Return the Spark settings: archive, sizes, environment, then the user's."""
        executor = {
            "PYSPARK_PYTHON": self.code.python,
            "PYTHONPATH": f"./{ENVIRONMENT_FOLDER}",
            "AWS_REGION": self.region,  # AWS clients other than Spark's assume us-east-1 without it
            "PYTHONWARNINGS": "ignore",  # PySpark warns about newer versions of libraries
        }
        driver = {**executor, "PYSPARK_DRIVER_PYTHON": self.code.python}
        return {
            "spark.archives": f"{self.code.archive}#{ENVIRONMENT_FOLDER}",
            **SIZES,
            **{f"{DRIVER_ENVIRONMENT}.{name}": value for name, value in driver.items()},
            **{f"{EXECUTOR_ENVIRONMENT}.{name}": value for name, value in executor.items()},
            **self.conf,
        }


def start_job_run_request(job: Job, application: str, role: str) -> dict[str, Any]:
    """Build the parameters of StartJobRun, without the variables that Dagster Pipes adds for the driver."""
    streams = ["STDERR", "STDOUT"]
    return {
        "applicationId": application,
        "executionRoleArn": role,
        "clientToken": job.token,
        "name": f"scx {job.request.compiled.star.name} {job.months}",
        "tags": {"star": job.request.compiled.star.name, "months": job.months},
        "executionTimeoutMinutes": TIMEOUT_MINUTES,
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": job.code.entry,
                "sparkSubmitParameters": " ".join(
                    f"--conf {name}={value}" for name, value in job.spark_conf().items()
                ),
            }
        },
        "configurationOverrides": {
            "monitoringConfiguration": {
                "cloudWatchLoggingConfiguration": {
                    "enabled": True,
                    "logGroupName": LOG_GROUP,
                    "logTypes": {"SPARK_DRIVER": streams},
                }
            }
        },
    }


def tag_text(value: str) -> str:
    """Replace what AWS does not accept in the value of a tag."""
    return re.sub(r"[^A-Za-z0-9 /_.:=+@-]", "_", value)[:256]
