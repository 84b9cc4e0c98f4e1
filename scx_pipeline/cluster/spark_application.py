"""An EMR Serverless application: found by its name and tag, made, kept as planned, stopped and deleted; and its job runs.
The role of its jobs is in `role`; what comes after what is in `spark`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from scx_pipeline import aws
from scx_pipeline.cluster.aws import TAG, ClusterError, Notify, check_ours, client, present, wait_for
from scx_pipeline.cluster.spark_plan import SparkPlan, request_of
from scx_pipeline.cluster.state import word

ABSENT = ("ResourceNotFoundException",)
LIVE = ("CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED")
AT_REST = ("CREATED", "STOPPED")  # nothing is billed then, and settings may be changed
ACTIVE = ("SUBMITTED", "QUEUED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING")
QUOTA = (
    "raise the quota `Max concurrent vCPUs per account` of EMR Serverless in AWS's Service Quotas (a new account has 16 in a "
    "region), or take less (--max-vcpu, warm)"
)
ADVICE = (
    ("release label", "take another --release; AWS's guide to EMR Serverless lists them"),
    ("maximum vCPU", QUOTA),
    ("ServiceQuotaExceeded", QUOTA),
)
told = partial(aws.translate_errors, kind=ClusterError, advice=ADVICE)


@dataclass(frozen=True)
class JobRun:
    """A job run that is not over, in AWS's words."""

    id: str
    name: str
    state: str


@dataclass
class SparkApplication:
    """The application of a plan's name. Every method raises ClusterError, and may be repeated."""

    plan: SparkPlan
    notify: Notify

    def __post_init__(self) -> None:
        self.what = f"application {self.plan.name}"
        self.client = client("emr-serverless", region=self.plan.region)

    def create(self) -> dict[str, Any]:
        """Make the application unless it stands, else give it the planned settings where it is at rest; what AWS says of it."""
        found = self.find()
        with told(f"make the {self.what}"):
            if found is None:
                asked = {name: value for name, value in request_of(self.plan).items() if value}
                found = self.client.create_application(
                    name=self.plan.name, type="SPARK", tags={TAG: self.plan.name}, **asked
                )
                self.notify(f"{self.what} is being made")
            else:
                self._keep_as_planned(found)
        wait_for(self.what, lambda: self._settling(found["applicationId"]), "ready", self.notify)
        return self._get(found["applicationId"]) or found

    def find(self) -> dict[str, Any] | None:
        """What AWS says of the application; None where there is none. Names are not unique, so the tag decides."""
        name = self.plan.name
        with told(f"see the {self.what}"):
            pages = self.client.get_paginator("list_applications").paginate(states=list(LIVE))
            listed = [
                item["id"] for page in pages for item in page["applications"] if item.get("name") == name
            ]
        found = [item for item in map(self._get, listed) if item is not None]
        ours = [item for item in found if item.get("tags", {}).get(TAG) == name]
        if found and not ours:
            check_ours(f"the {self.what}", name, [])
        return min(ours, key=lambda item: item["createdAt"], default=None)

    def runs(self, identity: str) -> list[JobRun]:
        """The job runs that are not over."""
        paginator = self.client.get_paginator("list_job_runs")
        asked = {"applicationId": identity, "states": list(ACTIVE)}
        with told(f"see the job runs of {self.plan.name}"):
            pages = present(lambda: list(paginator.paginate(**asked)), ABSENT) or []
        found = [item for page in pages for item in page["jobRuns"]]
        return [JobRun(item["id"], item.get("name", ""), item["state"]) for item in found]

    def cancel(self, identity: str, runs: Sequence[JobRun]) -> None:
        """Cancel job runs, and wait until all of the application are over."""
        for run in runs:
            asked = {"applicationId": identity, "jobRunId": run.id}
            cancel = partial(self.client.cancel_job_run, **asked)
            with told(f"cancel the job run {run.id}"):
                present(cancel, (*ABSENT, "ValidationException"))  # it is over, or being cancelled
            self.notify(f"job run {run.id} is being cancelled")

        def state() -> str | None:
            return next((run.state for run in self.runs(identity)), None)

        wait_for(f"every job run of {self.plan.name}", state, None, self.notify)

    def remove(self, identity: str) -> None:
        """Stop the application, wait until it has, and delete it."""
        wait_for(self.what, lambda: self._settling(identity), "ready", self.notify)
        found = self._get(identity)
        if found is not None and found["state"] not in AT_REST:
            with told(f"stop the {self.what}"):
                self.client.stop_application(applicationId=identity)
            wait_for(self.what, lambda: word(self._get(identity), "state"), "STOPPED", self.notify)
        with told(f"delete the {self.what}"):
            present(lambda: self.client.delete_application(applicationId=identity), ABSENT)
        wait_for(self.what, lambda: word(self._get(identity), "state"), None, self.notify)

    def _keep_as_planned(self, found: dict[str, Any]) -> None:
        if found["state"] in AT_REST:
            self.client.update_application(applicationId=found["applicationId"], **request_of(self.plan))
            self.notify(f"{self.what} stands, and has the planned settings")
        else:
            self.notify(
                f"{self.what} is {found['state']}, and keeps its settings: where they are other ones, run this again once it is "
                f"STOPPED, as it is {self.plan.idle_minutes} minutes after its last job run"
            )

    def _settling(self, identity: str) -> str | None:
        """The state as long as it becomes another by itself soon, and `ready`."""
        found = self._get(identity)
        if found is None:
            raise ClusterError(f"the {self.what} went away in the meantime: run the command again")
        return str(found["state"]) if found["state"] in ("CREATING", "STARTING", "STOPPING") else "ready"

    def _get(self, identity: str) -> dict[str, Any] | None:
        """What AWS says of an application; None where there is none, or no longer."""
        with told(f"see the {self.what}"):
            found = present(
                lambda: self.client.get_application(applicationId=identity)["application"], ABSENT
            )
        return found if found and found["state"] in LIVE else None
