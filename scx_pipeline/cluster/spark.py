"""Create, tell and destroy what the lake's builds by Spark run on: an EMR Serverless application, and then its jobs' role.
Each step looks first, so that every command may be repeated, and goes on where it was broken off."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scx_pipeline.cluster.aws import ClusterError, Notify
from scx_pipeline.cluster.role import Role, ensure_role, find_role, remove_role
from scx_pipeline.cluster.spark_application import AT_REST, JobRun, SparkApplication
from scx_pipeline.cluster.spark_plan import FREE_DISK, SparkPlan, elsewhere, hourly
from scx_pipeline.cluster.spark_policy import job_policy, trust_policy
from scx_pipeline.cluster.state import Part


@dataclass(frozen=True)
class SparkStanding:
    """How everything stands: the parts, the two ARNs as soon as there are, the most it may take, and what runs on it."""

    parts: tuple[Part, ...]
    application: str | None
    role: str | None
    capacity: Mapping[str, str]
    runs: tuple[JobRun, ...]
    cost: str


def create(plan: SparkPlan, notify: Notify) -> SparkStanding:
    """Make whatever is missing, and wait until jobs can be started; how it stands then. Raises ClusterError.

    The application comes first, as its role is to be used by no other.
    """
    arn = SparkApplication(plan, notify).create()["arn"]
    ensure_role(_role(plan), trust_policy(arn), job_policy(plan, arn), notify)
    return status(plan)


def status(plan: SparkPlan) -> SparkStanding:
    """How everything stands. Raises ClusterError."""
    application = SparkApplication(plan, lambda message: None)
    found = application.find() or {}
    runs = application.runs(found["applicationId"]) if found else []
    role = find_role(_role(plan))
    parts = (
        Part("application", plan.name, found.get("state")),
        Part("role", plan.role, "present" if role else None),
    )
    capacity = found.get("maximumCapacity") or {}
    cost = _cost(plan, found, len(runs)) if found else "nothing"
    return SparkStanding(parts, found.get("arn"), role, capacity, tuple(runs), cost)


def cancel_runs(plan: SparkPlan, notify: Notify) -> None:
    """Cancel all job runs that are not over, and wait until they are. Raises ClusterError."""
    application = SparkApplication(plan, notify)
    if (found := application.find()) is not None:
        application.cancel(found["applicationId"], application.runs(found["applicationId"]))


def destroy(plan: SparkPlan, notify: Notify) -> None:
    """Remove everything that was made, and nothing in any bucket.

    Raises ClusterError, and has changed nothing, where job runs are not over.
    """
    application = SparkApplication(plan, notify)
    while (found := application.find()) is not None:  # more than one, if two were made at the same time
        if runs := application.runs(found["applicationId"]):
            told = ", ".join(f"{run.id} {run.state}" for run in runs)
            raise ClusterError(
                f"application {plan.name} has job runs that are not over ({told}): wait for them, or cancel them by --force; "
                "nothing was changed"
            )
        application.remove(found["applicationId"])
    remove_role(_role(plan), notify)


def settings_of(plan: SparkPlan, standing: SparkStanding) -> dict[str, str]:
    """The settings that the pipeline takes. Raises ClusterError where there is nothing to run jobs on yet."""
    if not standing.application or not standing.role:
        raise ClusterError(f"{plan.name} is not complete: run `scx cluster spark create`")
    return {
        "SCX_SPARK": "emr-serverless",
        "SCX_SPARK_APPLICATION": standing.application.rpartition("/")[2],
        "SCX_SPARK_ROLE": standing.role,
        "SCX_SPARK_CODE": plan.code_place,
    }


def _role(plan: SparkPlan) -> Role:
    return Role(plan.role, plan.name, "build-the-lake", f"Spark builds {plan.lake} by it")


def _cost(plan: SparkPlan, found: Mapping[str, Any], runs: int) -> str:
    """What an application costs now, as far as AWS tells what it has."""
    if found["state"] in AT_REST:
        return f"nothing, as it is {found['state']}"
    architecture = found.get("architecture", "X86_64")
    if runs:
        size = found.get("maximumCapacity") or {}
        most = hourly(architecture, _number(size, "cpu"), _number(size, "memory"), _number(size, "disk"))
        not_over = "1 job run is" if runs == 1 else f"{runs} job runs are"
        return f"at most {most:.2f} US dollars an hour, as {not_over} not over{elsewhere(plan.region)}"
    ready = 0.0
    for item in (found.get("initialCapacity") or {}).values():
        size = item["workerConfiguration"]
        paid_disk = max(0, _number(size, "disk") - FREE_DISK)
        ready += item["workerCount"] * hourly(
            architecture, _number(size, "cpu"), _number(size, "memory"), paid_disk
        )
    if ready:
        return f"about {ready:.2f} US dollars an hour, for workers kept ready{elsewhere(plan.region)}"
    return "nothing, as no job runs"


def _number(size: Mapping[str, str], name: str) -> int:
    """The number of `16 vCPU`, `128 GB` and the like; 0 where AWS tells none."""
    found = re.match(r"\d+", size.get(name, ""))
    return int(found[0]) if found else 0
