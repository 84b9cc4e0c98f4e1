"""Redshift Serverless: a namespace, which has the data, and a workgroup, which computes; both made, told and destroyed.
Clusters of one's own are in `provisioned`; the role is in `role`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scx_pipeline.cluster.aws import TAG, ClusterError, Notify, check_ours, client, present, told, wait_for
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
        self._make("namespace", {
            "dbName": plan.database, "adminUsername": plan.admin_user, "manageAdminPassword": True,
            "iamRoles": [role], "defaultIamRoleArn": role,
        })  # fmt: skip
        self._make("workgroup", {
            "namespaceName": name, "baseCapacity": plan.capacity, "publiclyAccessible": plan.public,
            "configParameters": [{"parameterKey": "require_ssl", "parameterValue": "true"}],
            **({"maxCapacity": plan.max_capacity} if plan.max_capacity else {}),
            **({"subnetIds": list(plan.subnets)} if plan.subnets else {}),
            **({"securityGroupIds": list(plan.security_groups)} if plan.security_groups else {}),
        })  # fmt: skip

    def _make(self, kind: str, facts: dict[str, Any]) -> None:
        """Make one of the two unless it stands, and wait until it can be used."""
        name = self.plan.name
        with told(f"make the {kind} {name}"):
            found = self._find(kind)
            if found is None:
                tagged = {f"{kind}Name": name, "tags": [{"key": TAG, "value": name}]}
                getattr(self.client, f"create_{kind}")(**facts, **tagged)
                self.notify(f"{kind} {name} is being made, which takes some minutes")
            else:
                self._check(kind, found)
        self._wait(kind, "AVAILABLE")

    def state(self) -> Standing:
        """How the parts stand, and by what they are reached."""
        with told("see the workgroup"):
            namespace, workgroup = self._find("namespace"), self._find("workgroup")
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
        self._remove("workgroup", {})
        last = {"finalSnapshotName": snapshot, "finalSnapshotRetentionPeriod": SNAPSHOT_DAYS}
        self._remove("namespace", last if snapshot else {})

    def _remove(self, kind: str, more: dict[str, Any]) -> None:
        """Remove one of the two if it stands, and wait until it is gone."""
        name = self.plan.name
        with told(f"remove the {kind} {name}"):
            found = self._find(kind)
            if found is not None and found["status"] != "DELETING":
                self._check(kind, found)
                delete = getattr(self.client, f"delete_{kind}")
                present(lambda: delete(**{f"{kind}Name": name}, **more), ABSENT)
        self._wait(kind, None)

    def _wait(self, kind: str, wanted: str | None) -> None:
        def state() -> str | None:
            with told(f"see the {kind}"):
                found = self._find(kind)
            return word(found, "status")

        wait_for(f"{kind} {self.plan.name}", state, wanted, self.notify)

    def _check(self, kind: str, found: dict[str, Any]) -> None:
        given = self.client.list_tags_for_resource(resourceArn=found[f"{kind}Arn"])["tags"]
        check_ours(f"the {kind} {self.plan.name}", self.plan.name, given)

    def _find(self, kind: str) -> dict[str, Any] | None:
        """What AWS says of the namespace or the workgroup; None where there is none."""
        get = getattr(self.client, f"get_{kind}")
        return present(lambda: get(**{f"{kind}Name": self.plan.name})[kind], ABSENT)
