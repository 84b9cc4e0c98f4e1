"""Operations that CloudFormation lacks: pause a cluster, cancel job runs, stop an application, find the administrator's secret.

A request that AWS refuses raises a CloudError of one line.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from scx_pipeline.cloud import stacks
from scx_pipeline.cloud.stacks import CloudError, Stack, Stacks, create_client, translate_errors

ACTIVE = ["SUBMITTED", "QUEUED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING"]
AT_REST = ("CREATED", "STOPPED", "TERMINATED")  # CloudFormation changes and deletes only such an application


def change_cluster(found: Stacks, cluster: str, action: str) -> None:
    """Pause or resume a Redshift cluster, and wait for the new status. If it has it already, nothing changes."""
    before, during, after = {
        "pause": ("available", "pausing", "paused"),
        "resume": ("paused", "resuming", "available"),
    }[action]
    with translate_errors(f"{action} the cluster {cluster}"):
        redshift = create_client("redshift", region=found.region)
        if cluster_status(found, cluster) == before:
            getattr(redshift, f"{action}_cluster")(ClusterIdentifier=cluster)
        while (status := cluster_status(found, cluster)) != after:
            if status not in (before, during):
                raise CloudError(f"cannot {action} the cluster {cluster} while it is {status}")
            time.sleep(stacks.POLL_SECONDS)
    found.notify(f"cluster {cluster} is {after}")


def cluster_status(found: Stacks, cluster: str) -> str:
    """Return the status of a Redshift cluster, such as paused."""
    with translate_errors(f"describe the cluster {cluster}"):
        redshift = create_client("redshift", region=found.region)
        return str(redshift.describe_clusters(ClusterIdentifier=cluster)["Clusters"][0]["ClusterStatus"])


@dataclass
class Application:
    """An EMR Serverless application, by its ID."""

    id: str
    stacks: Stacks

    def __post_init__(self) -> None:
        self.client = create_client("emr-serverless", region=self.stacks.region)

    def status(self) -> str:
        """Return the application's state, such as STARTED."""
        with translate_errors(f"describe the application {self.id}"):
            return str(self.client.get_application(applicationId=self.id)["application"]["state"])

    def job_runs(self) -> list[dict[str, str]]:
        """List the job runs that have not ended: id, name and state."""
        with translate_errors(f"list the job runs of {self.id}"):
            paginator = self.client.get_paginator("list_job_runs")
            pages = list(paginator.paginate(applicationId=self.id, states=ACTIVE))
        runs = [run for page in pages for run in page["jobRuns"]]
        return [{key: run.get(key, "") for key in ("id", "name", "state")} for run in runs]

    def stop(self, cancel: bool = False) -> None:
        """Stop the application, and wait until it is.

        Args:
            cancel: Whether to cancel job runs that have not ended.

        Raises:
            CloudError: There are such job runs, and they are not to be cancelled; nothing is changed then.
        """
        runs = self.job_runs()
        if runs and not cancel:
            listed = ", ".join(f"{run['id']} {run['state']}" for run in runs)
            raise CloudError(
                f"application {self.id} has job runs that have not ended ({listed}): wait for them, or cancel them with "
                "`scx cloud destroy --force`; nothing was changed"
            )
        for run in runs:
            self._cancel(run["id"])
        while self.job_runs():
            time.sleep(stacks.POLL_SECONDS)
        while (state := self.status()) not in AT_REST:
            if state == "STARTED":
                with translate_errors(f"stop the application {self.id}"):
                    self.client.stop_application(applicationId=self.id)
            time.sleep(stacks.POLL_SECONDS)
        self.stacks.notify(f"application {self.id} is {state}")

    def _cancel(self, run: str) -> None:
        self.stacks.notify(f"cancelling the job run {run}")
        ended = self.client.exceptions.ValidationException  # or is being cancelled
        with translate_errors(f"cancel the job run {run}"), suppress(ended):
            self.client.cancel_job_run(applicationId=self.id, jobRunId=run)


def pipeline_settings(found: Stacks, stack: Stack) -> dict[str, str]:
    """Return the pipeline's settings from a stack's outputs, by the names of their environment variables.

    Raises:
        CloudError: The stack has no outputs.
    """
    # ScxWarehouseUrl becomes SCX_WAREHOUSE_URL.
    settings = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", key).upper(): value
        for key, value in stack.outputs.items()
        if key.startswith("Scx")
    }
    if not settings:
        raise CloudError(
            f"the stack {stack.name} is {stack.status} and has no outputs: run `scx cloud create` again"
        )
    if "secret=" not in settings.get("SCX_WAREHOUSE_URL", "secret="):
        name = stack.parameters["Name"]
        with translate_errors(f"find the administrator's secret of the namespace {name}"):
            redshift = create_client("redshift-serverless", region=found.region)
            secret = redshift.get_namespace(namespaceName=name)["namespace"]["adminPasswordSecretArn"]
        settings["SCX_WAREHOUSE_URL"] += f"&secret={quote(secret, safe=':/!')}"
    return settings
