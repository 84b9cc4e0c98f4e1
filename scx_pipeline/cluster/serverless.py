"""Redshift Serverless: a namespace, which has the data, and a workgroup, which computes; both made, told and destroyed.
Clusters of one's own are in `provisioned`; the role is in `role`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scx_pipeline.cluster.aws import ClusterError, Notify, check_ours, client, present, told, wait_for
from scx_pipeline.cluster.plan import ClusterPlan
from scx_pipeline.cluster.state import Part, Standing, word

ABSENT = ("ResourceNotFoundException",)
SNAPSHOT_DAYS = 30


@dataclass
class Serverless:
    """The namespace and the workgroup of a plan's name."""

    plan: ClusterPlan
    notify: Notify

    def __post_init__(self) -> None:
        self.client = client("redshift-serverless")

    def create(self, role: str) -> None:
        """Make what is missing of the two, and wait until both can be used."""
        plan, name = self.plan, self.plan.name
        tagged = [{"key": "scx_pipeline", "value": name}]
        with told(f"make the namespace {name}"):
            found = self._namespace()
            if found is None:
                self.client.create_namespace(
                    namespaceName=name, dbName=plan.database, adminUsername=plan.admin_user, manageAdminPassword=True,
                    iamRoles=[role], defaultIamRoleArn=role, tags=tagged,
                )  # fmt: skip
                self.notify(f"namespace {name} is being made")
            else:
                self._check(found["namespaceArn"], f"the namespace {name}")
        wait_for(f"namespace {name}", self._namespace_state, "AVAILABLE", self.notify)
        with told(f"make the workgroup {name}"):
            found = self._workgroup()
            if found is None:
                self.client.create_workgroup(
                    workgroupName=name, namespaceName=name, baseCapacity=plan.capacity, publiclyAccessible=plan.public,
                    configParameters=[{"parameterKey": "require_ssl", "parameterValue": "true"}], tags=tagged,
                    **({"maxCapacity": plan.max_capacity} if plan.max_capacity else {}),
                    **({"subnetIds": list(plan.subnets)} if plan.subnets else {}),
                    **({"securityGroupIds": list(plan.security_groups)} if plan.security_groups else {}),
                )  # fmt: skip
                self.notify(f"workgroup {name} is being made, which takes some minutes")
            else:
                self._check(found["workgroupArn"], f"the workgroup {name}")
        wait_for(f"workgroup {name}", self._workgroup_state, "AVAILABLE", self.notify)

    def state(self) -> Standing:
        """How the parts stand, and by what they are reached."""
        with told("see the workgroup"):
            namespace, workgroup = self._namespace(), self._workgroup()
        parts = (
            Part("namespace", self.plan.name, word(namespace, "status")),
            Part("workgroup", self.plan.name, word(workgroup, "status")),
        )
        endpoint = ((workgroup or {}).get("endpoint") or {}).get("address")
        return Standing(parts, endpoint, (namespace or {}).get("adminPasswordSecretArn"))

    def pause(self) -> None:
        """Refuse: there is nothing to do."""
        raise ClusterError(
            "a serverless workgroup pauses by itself: it costs nothing for compute while no queries run"
        )

    def resume(self) -> None:
        """Refuse: there is nothing to do."""
        raise ClusterError("a serverless workgroup resumes by itself, at the next query")

    def destroy(self, snapshot: str | None) -> None:
        """Remove the workgroup, and then the namespace, with a last snapshot of this name if there is one."""
        name = self.plan.name
        with told(f"remove the workgroup {name}"):
            found = self._workgroup()
            if found is not None and found["status"] != "DELETING":
                self._check(found["workgroupArn"], f"the workgroup {name}")
                present(lambda: self.client.delete_workgroup(workgroupName=name), ABSENT)
        wait_for(f"workgroup {name}", self._workgroup_state, None, self.notify)
        with told(f"remove the namespace {name}"):
            found = self._namespace()
            if found is not None and found["status"] != "DELETING":
                self._check(found["namespaceArn"], f"the namespace {name}")
                last = (
                    {"finalSnapshotName": snapshot, "finalSnapshotRetentionPeriod": SNAPSHOT_DAYS}
                    if snapshot
                    else {}
                )
                present(lambda: self.client.delete_namespace(namespaceName=name, **last), ABSENT)
        wait_for(f"namespace {name}", self._namespace_state, None, self.notify)

    def _check(self, arn: str, what: str) -> None:
        check_ours(what, self.plan.name, self.client.list_tags_for_resource(resourceArn=arn)["tags"])

    def _namespace(self) -> dict[str, Any] | None:
        return present(lambda: self.client.get_namespace(namespaceName=self.plan.name)["namespace"], ABSENT)

    def _workgroup(self) -> dict[str, Any] | None:
        return present(lambda: self.client.get_workgroup(workgroupName=self.plan.name)["workgroup"], ABSENT)

    def _namespace_state(self) -> str | None:
        with told("see the namespace"):
            found = self._namespace()
        return word(found, "status")

    def _workgroup_state(self) -> str | None:
        with told("see the workgroup"):
            found = self._workgroup()
        return word(found, "status")
