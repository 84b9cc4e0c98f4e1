"""What an EMR Serverless application is to be, for the lake's builds by Spark: its settings from one file and flags, and its price.
Nothing here asks AWS, or changes anything; who is allowed what is in `spark_policy`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from scx_pipeline.cluster.reading import read_settings_of, s3_url

ROLE_NAME = 64  # characters of an IAM role's name, at most
LOG_GROUP = "/aws/emr-serverless"  # of CloudWatch, where Dagster reads what a job run tells


@dataclass(frozen=True)
class Rates:
    """US dollars an hour: of a vCPU, and of a GB of memory."""

    vcpu: float
    memory: float


# List prices of us-east-1 as of 2026-11. Those of X86_64 are also in AWS's guide to best practices for EMR; those of ARM64 and
# of disk were not looked at on a page of AWS's.
RATES: Mapping[str, Rates] = {"X86_64": Rates(0.052624, 0.0057785), "ARM64": Rates(0.042094, 0.004628)}
DISK_RATE = 0.000111  # of a GB, an hour
FREE_DISK = 20  # GB of each worker
PRICED_REGION = "us-east-1"


class Warm(BaseModel):
    """Workers that are kept ready, and billed, while the application is started."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    drivers: int = Field(1, ge=1)
    executors: int = Field(3, ge=1)
    vcpu: Literal[1, 2, 4, 8, 16] = 4
    memory: int = Field(16, ge=2, le=120)
    disk: int = Field(FREE_DISK, ge=20, le=200)

    @property
    def workers(self) -> int:
        """Drivers and executors."""
        return self.drivers + self.executors


class SparkPlan(BaseModel):
    """What `scx cluster spark` makes and keeps. Everything has a default but the bucket, the lake and the region."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        "scx",
        max_length=40,
        pattern=r"^[a-z](?:-?[a-z0-9]){2,39}$",
        description="of the application; its role has the region in its name, too",
    )
    region: str = Field(
        pattern=r"^[a-z]{2}(?:-[a-z]+)+-\d$", description="such as eu-west-1; default: that of AWS_REGION"
    )
    bucket: str = Field(description="s3://bucket[/prefix] with the logs, which jobs may read")
    lake: str = Field(description="s3://bucket/prefix of the lake, which jobs may write")
    code: str = Field(
        "", description="s3://bucket/prefix for the jobs' code; default: _scx_pipeline/code in the bucket"
    )
    job_logs: str = Field(
        "", description="s3://bucket/prefix for all of Spark's own logs; default: AWS keeps them for 30 days"
    )
    release: str = Field("emr-7.12.0", pattern=r"^emr-[A-Za-z0-9._/-]{1,60}$", description="of EMR")
    architecture: Literal["X86_64", "ARM64"] = "X86_64"
    max_vcpu: int = Field(
        16,
        ge=1,
        description="vCPU at most, of all job runs together; new accounts have a quota of 16 in a region",
    )
    max_memory: int = Field(128, ge=2, description="GB of memory at most, which bounds the price")
    max_disk: int = Field(200, ge=FREE_DISK, description="GB of disk at most")
    idle_minutes: int = Field(15, ge=1, le=10080, description="after which it stops by itself")
    warm: Warm | None = Field(
        None, description="workers kept ready: drivers, executors, and vcpu, memory, disk of each"
    )
    subnets: tuple[str, ...] = Field((), max_length=16, description="default: it is in no network of yours")
    security_groups: tuple[str, ...] = Field((), max_length=5, description="of its workers in these subnets")

    @field_validator("bucket", "lake", "code", "job_logs")
    @classmethod
    def _s3(cls, text: str) -> str:
        return s3_url(text)

    @field_validator("bucket", "lake")
    @classmethod
    def _given(cls, text: str) -> str:
        if not text:
            raise ValueError("is needed")
        return text

    @field_validator("warm")
    @classmethod
    def _fits(cls, warm: Warm | None, info: ValidationInfo) -> Warm | None:
        for size in ("vcpu", "memory", "disk"):
            most = info.data.get(f"max_{size}")
            if warm and most and warm.workers * getattr(warm, size) > most:
                raise ValueError(f"{warm.workers} workers of {getattr(warm, size)} are more than max_{size}")
        return warm

    @field_validator("region")
    @classmethod
    def _role_fits(cls, region: str, info: ValidationInfo) -> str:
        role = f"{info.data.get('name', '')}-spark-{region}"
        if len(role) > ROLE_NAME:
            raise ValueError(
                f"the role {role} has more than the {ROLE_NAME} characters of IAM: take a shorter name"
            )
        return region

    @property
    def code_place(self) -> str:
        """Where the jobs' code is put."""
        return self.code or f"{self.bucket}/_scx_pipeline/code"

    @property
    def role(self) -> str:
        """The name of the role that jobs have. Roles are of all regions, an application is of one."""
        return f"{self.name}-spark-{self.region}"


def read_spark_plan(file: Path | None, flags: Mapping[str, object], region: str | None) -> SparkPlan:
    """The settings of a YAML file, and over them the flags that are not None; without a region there, this one.

    Raises SettingsError naming the setting.
    """
    return read_settings_of(SparkPlan, file, flags, {"region": region})


def request_of(plan: SparkPlan) -> dict[str, Any]:
    """What AWS is asked for, as CreateApplication and UpdateApplication take it."""
    network = {"subnetIds": list(plan.subnets), "securityGroupIds": list(plan.security_groups)}
    written = {"s3MonitoringConfiguration": {"logUri": f"{plan.job_logs}/"}} if plan.job_logs else {}
    return {
        "releaseLabel": plan.release,
        "architecture": plan.architecture,
        "maximumCapacity": _size(plan.max_vcpu, plan.max_memory, plan.max_disk),
        "initialCapacity": _kept_ready(plan.warm),
        "autoStartConfiguration": {"enabled": True},
        "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": plan.idle_minutes},
        "monitoringConfiguration": {
            "cloudWatchLoggingConfiguration": {"enabled": True, "logGroupName": LOG_GROUP},
            **written,
        },
        # EMR's Spark would look for its catalogue in AWS Glue, which the role may not ask and no table of ours is in.
        "runtimeConfiguration": [
            {
                "classification": "spark-defaults",
                "properties": {"spark.sql.catalogImplementation": "in-memory"},
            }
        ],
        **({"networkConfiguration": network} if plan.subnets else {}),
    }


def _kept_ready(warm: Warm | None) -> dict[str, Any]:
    if warm is None:
        return {}
    size = _size(warm.vcpu, warm.memory, warm.disk)
    counts = {"Driver": warm.drivers, "Executor": warm.executors}
    return {name: {"workerCount": count, "workerConfiguration": size} for name, count in counts.items()}


def _size(vcpu: int, memory: int, disk: int) -> dict[str, str]:
    return {"cpu": f"{vcpu} vCPU", "memory": f"{memory} GB", "disk": f"{disk} GB"}


def hourly(architecture: str, vcpu: float, memory: float, disk: float) -> float:
    """US dollars for an hour of this capacity, by the list prices of us-east-1; the disk is what is not free of charge."""
    rates = RATES[architecture]
    return vcpu * rates.vcpu + memory * rates.memory + disk * DISK_RATE


def price(plan: SparkPlan) -> str:
    """What it costs an hour, as far as it can be told beforehand."""
    rates = RATES[plan.architecture]
    most = hourly(plan.architecture, plan.max_vcpu, plan.max_memory, plan.max_disk)
    return (
        f"{rates.vcpu} US dollars for a vCPU an hour, {rates.memory} for a GB of memory and {DISK_RATE} for a GB of disk "
        f"(beyond {FREE_DISK} GB of each worker), by the second; so at most about {most:.2f} an hour, with {plan.max_vcpu} vCPU, "
        f"{plan.max_memory} GB and {plan.max_disk} GB of disk all in use; {_idle(plan)}{elsewhere(plan.region)}"
    )


def elsewhere(region: str) -> str:
    """A word on prices where the region has others."""
    return "" if region == PRICED_REGION else f" (list prices of {PRICED_REGION}; {region} has its own)"


def _idle(plan: SparkPlan) -> str:
    warm = plan.warm
    if warm is None:
        return "nothing while no job runs"
    size = (warm.vcpu, warm.memory, max(0, warm.disk - FREE_DISK))
    ready = hourly(plan.architecture, *(warm.workers * item for item in size))
    return (
        f"about {ready:.2f} an hour for the {warm.workers} workers kept ready, from a job's start until {plan.idle_minutes} "
        "minutes after the last one, and nothing while it is stopped"
    )
