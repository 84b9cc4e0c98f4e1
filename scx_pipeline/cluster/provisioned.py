"""A Redshift cluster of one's own: made, paused, resumed, told and destroyed.
Serverless workgroups are in `serverless`; the role is in `role`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scx_pipeline.cluster.aws import (
    TAG,
    ClusterError,
    Notify,
    check_ours,
    client,
    ours,
    present,
    tags,
    told,
    wait_for,
)
from scx_pipeline.cluster.plan import ClusterPlan
from scx_pipeline.cluster.state import Part, Standing, word

ABSENT = ("ClusterNotFound", "ClusterNotFoundFault")
NO_SUBNET_GROUP = ("ClusterSubnetGroupNotFoundFault", "ClusterSubnetGroupNotFound")
FAILED = ("incompatible-hsm", "incompatible-network", "incompatible-parameters", "incompatible-restore", "hardware-failure", "storage-full")  # fmt: skip


@dataclass
class Provisioned:
    """The cluster of a plan's name."""

    plan: ClusterPlan
    notify: Notify

    def __post_init__(self) -> None:
        self.client = client("redshift")

    def create(self, role: str) -> None:
        """Make the cluster unless it stands, and wait until it can be used."""
        plan, name = self.plan, self.plan.name
        with told(f"make the cluster {name}"):
            found = self._cluster()
            if found is None:
                self.client.create_cluster(
                    ClusterIdentifier=name, DBName=plan.database, NodeType=plan.node_type,
                    ClusterType="single-node" if plan.nodes == 1 else "multi-node",
                    **({"NumberOfNodes": plan.nodes} if plan.nodes > 1 else {}),
                    MasterUsername=plan.admin_user, ManageMasterPassword=True, Encrypted=True,
                    PubliclyAccessible=plan.public, IamRoles=[role], DefaultIamRoleArn=role, Tags=tags(name),
                    **({"VpcSecurityGroupIds": list(plan.security_groups)} if plan.security_groups else {}),
                    **({"ClusterSubnetGroupName": self._subnet_group()} if plan.subnets else {}),
                )  # fmt: skip
                self.notify(f"cluster {name} is being made, which takes some minutes")
            else:
                self._check(found)
        if found is not None and found["ClusterStatus"] == "paused":
            raise ClusterError(f"the cluster {name} stands, and is paused: run `scx cluster resume`")
        self._wait("available")

    def state(self) -> Standing:
        """How the cluster stands, and by what it is reached."""
        with told("see the cluster"):
            found = self._cluster() or {}
        endpoint = found.get("Endpoint") or {}
        part = Part("cluster", self.plan.name, found.get("ClusterStatus"))
        return Standing((part,), endpoint.get("Address"), found.get("MasterPasswordSecretArn"))

    def pause(self) -> None:
        """Stop what is billed by the hour, unless it is paused already."""
        self._turn("pause", "paused", "available")

    def resume(self) -> None:
        """Let it compute again, unless it does already."""
        self._turn("resume", "available", "paused")

    def destroy(self, snapshot: str | None) -> None:
        """Remove the cluster, with a last snapshot of this name if there is one, and its subnet group, if that is ours."""
        name = self.plan.name
        with told(f"remove the cluster {name}"):
            found = self._cluster()
            if found is not None and found["ClusterStatus"] not in ("deleting", "final-snapshot"):
                self._check(found)
                last = {"FinalClusterSnapshotIdentifier": snapshot} if snapshot else {}
                present(
                    lambda: self.client.delete_cluster(
                        ClusterIdentifier=name, SkipFinalClusterSnapshot=snapshot is None, **last
                    ),
                    ABSENT,
                )
        self._wait(None)
        self._remove_subnet_group()

    def _remove_subnet_group(self) -> None:
        """Remove the subnet group of the cluster's name; one that others made is named, and stays."""
        name = self.plan.name
        with told(f"remove the subnet group {name}"):
            group = self._find_subnet_group()
            if group is None:
                return
            if not ours(name, group.get("Tags", [])):
                self.notify(f"the subnet group {name} stays: it was not made by `scx cluster`")
                return
            present(
                lambda: self.client.delete_cluster_subnet_group(ClusterSubnetGroupName=name), NO_SUBNET_GROUP
            )

    def _turn(self, action: str, wanted: str, before: str) -> None:
        with told(f"{action} the cluster {self.plan.name}"):
            found = self._cluster()
            if found is None:
                raise ClusterError(f"there is no cluster {self.plan.name}: run `scx cluster create`")
            self._check(found)
            if found["ClusterStatus"] == before:
                getattr(self.client, f"{action}_cluster")(ClusterIdentifier=self.plan.name)
        self._wait(wanted)

    def _wait(self, wanted: str | None) -> None:
        def state() -> str | None:
            with told("see the cluster"):
                found = self._cluster()
            return word(found, "ClusterStatus")

        wait_for(f"cluster {self.plan.name}", state, wanted, self.notify, FAILED)

    def _subnet_group(self) -> str:
        name, subnets = self.plan.name, list(self.plan.subnets)
        group = self._find_subnet_group()
        if group is None:
            self.client.create_cluster_subnet_group(
                ClusterSubnetGroupName=name, Description=f"of {TAG}", SubnetIds=subnets, Tags=tags(name)
            )
        else:
            check_ours(f"the subnet group {name}", name, group.get("Tags", []))
        return name

    def _find_subnet_group(self) -> dict[str, Any] | None:
        """What AWS says of the subnet group of the cluster's name; None where there is none."""
        groups = present(
            lambda: self.client.describe_cluster_subnet_groups(ClusterSubnetGroupName=self.plan.name),
            NO_SUBNET_GROUP,
        )
        return next(iter((groups or {}).get("ClusterSubnetGroups", [])), None)

    def _check(self, found: dict[str, Any]) -> None:
        check_ours(f"the cluster {self.plan.name}", self.plan.name, found.get("Tags", []))

    def _cluster(self) -> dict[str, Any] | None:
        return present(
            lambda: self.client.describe_clusters(ClusterIdentifier=self.plan.name)["Clusters"][0], ABSENT
        )
