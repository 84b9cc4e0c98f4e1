"""A Spark job on AWS as both kinds of EMR take it: its name, tags, environment and settings, as plain values.
The requests that are made of it are in `emr_serverless` and `emr`; what it does, in `lake.job`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from scx_pipeline.lake.build.build_request import BuildRequest
from scx_pipeline.lake.spark.code_archive import Code

UNPACKED = "environment"  # the folder that Spark unpacks the archive into, where drivers and executors work
LOOK = 5.0  # seconds between two looks at a job's state


@dataclass(frozen=True)
class Job:
    """One try of a step of a Dagster run to have months built."""

    order: BuildRequest
    attempt: str  # of the run: the same for a request that is repeated, and no other
    code: Code
    region: str
    conf: Mapping[str, str]  # of Spark's, by whoever runs the pipeline: it goes before all that is set here

    @property
    def months(self) -> str:
        scope = self.order.scope
        if not scope:
            return "no months"
        return str(scope.first) if scope.first == scope.last else f"{scope.first} to {scope.last}"

    @property
    def name(self) -> str:
        return f"scx {self.order.star} {self.months}"

    @property
    def tags(self) -> dict[str, str]:
        return {"star": self.order.star, "months": self.months}

    @property
    def token(self) -> str:
        """What AWS knows a repeated request by."""
        return f"scx-{hashlib.sha256(self.attempt.encode()).hexdigest()[:40]}"

    @property
    def archive(self) -> str:
        """The archive and where it is unpacked, as Spark takes it."""
        return f"{self.code.archive}#{UNPACKED}"

    def environment(self, driver: str, pipes: Mapping[str, str]) -> dict[str, str]:
        """The settings that give drivers (by this prefix) and executors their environment, and the driver Pipes' own."""
        variables = {
            "PYSPARK_PYTHON": self.code.python,
            "PYTHONPATH": f"./{UNPACKED}",
            "AWS_REGION": self.region,  # which AWS's other clients would take for us-east-1 there
            "PYTHONWARNINGS": "ignore",  # PySpark's own, of newer libraries
        }
        of_driver = {**variables, "PYSPARK_DRIVER_PYTHON": self.code.python, **pipes}
        return {
            **{f"{driver}.{name}": value for name, value in of_driver.items()},
            **{f"spark.executorEnv.{name}": value for name, value in variables.items()},
        }


def attempt_of(context: dg.AssetExecutionContext) -> str:
    """What tells a step's try from all others, and can be a folder's name."""
    return f"{context.run_id}/{context.op_execution_context.op.name}-{context.retry_number}"


def settings_text(conf: Mapping[str, str]) -> list[str]:
    """Settings of Spark's as spark-submit takes them."""
    return [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]


def tag_text(value: str) -> str:
    """A value as AWS takes it for a tag."""
    return re.sub(r"[^A-Za-z0-9 /_.:=+@-]", "_", value)[:256]


def in_one_line(text: str | None) -> str:
    """AWS's words, without line breaks and what is too long to be read."""
    return " ".join((text or "").split())[:400].rstrip(" .") or "no reason was given"
