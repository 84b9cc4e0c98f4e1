"""A cluster of one's own, on moto: made, paused, resumed and destroyed, again and again, and after a failure half way.
Serverless is in test_serverless.py."""

from __future__ import annotations

import json

import boto3
import pytest

from scx_pipeline.cluster import lifecycle
from scx_pipeline.cluster.aws import ClusterError
from scx_pipeline.cluster.plan import ClusterPlan, read_policy

PLAN = ClusterPlan(kind="provisioned", bucket="s3://scx-logs")


@pytest.fixture
def said() -> list[str]:
    return []


def states(plan: ClusterPlan = PLAN) -> dict[str, str | None]:
    return {part.kind: part.state for part in lifecycle.status(plan).parts}


def test_create_makes_a_role_and_a_cluster_that_uses_it(said: list[str]) -> None:
    standing = lifecycle.create(PLAN, said.append)
    assert {part.kind: part.state for part in standing.parts} == {"cluster": "available", "role": "present"}
    [cluster] = boto3.client("redshift").describe_clusters()["Clusters"]
    assert [item["IamRoleArn"].rpartition("/")[2] for item in cluster["IamRoles"]] == [PLAN.role]
    assert (cluster["Encrypted"], cluster["PubliclyAccessible"]) == (True, False)
    found = boto3.client("iam").get_role_policy(RoleName=PLAN.role, PolicyName="read-the-bucket")
    assert found["PolicyDocument"] == read_policy(PLAN)
    assert "cluster scx is available" in said


def test_create_again_changes_nothing_but_the_policy(said: list[str]) -> None:
    lifecycle.create(PLAN, said.append)
    before = boto3.client("redshift").describe_clusters()["Clusters"]
    other = PLAN.model_copy(update={"staging": "s3://elsewhere"})
    lifecycle.create(other, said.append)
    assert boto3.client("redshift").describe_clusters()["Clusters"] == before
    found = boto3.client("iam").get_role_policy(RoleName=PLAN.role, PolicyName="read-the-bucket")
    assert "arn:aws:s3:::elsewhere/*" in json.dumps(found["PolicyDocument"])


def test_what_was_broken_off_after_the_role_goes_on(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(lifecycle.Provisioned, "create", interrupted)
        lifecycle.create(PLAN, said.append)
    assert states() == {"cluster": None, "role": "present"}
    lifecycle.create(PLAN, said.append)
    assert states() == {"cluster": "available", "role": "present"}


def test_pause_and_resume_may_be_repeated(said: list[str]) -> None:
    lifecycle.create(PLAN, said.append)
    for _ in range(2):
        lifecycle.pause(PLAN, said.append)
        assert states()["cluster"] == "paused"
    with pytest.raises(ClusterError, match="is paused: run `scx cluster resume`"):
        lifecycle.create(PLAN, said.append)
    for _ in range(2):
        lifecycle.resume(PLAN, said.append)
        assert states()["cluster"] == "available"


def test_what_is_not_there_cannot_be_paused(said: list[str]) -> None:
    with pytest.raises(ClusterError, match="there is no cluster scx: run `scx cluster create`"):
        lifecycle.pause(PLAN, said.append)


def test_destroy_leaves_nothing_but_a_last_snapshot_and_may_be_repeated(said: list[str]) -> None:
    lifecycle.create(PLAN, said.append)
    for _ in range(2):
        lifecycle.destroy(PLAN, said.append)
        assert states() == {"cluster": None, "role": None}
    [snapshot] = boto3.client("redshift").describe_cluster_snapshots()["Snapshots"]
    assert snapshot["SnapshotIdentifier"].startswith("scx-final-")


def test_destroy_without_a_snapshot_leaves_nothing(said: list[str]) -> None:
    lifecycle.create(PLAN, said.append)
    lifecycle.destroy(PLAN, said.append, snapshot=False)
    assert boto3.client("redshift").describe_cluster_snapshots()["Snapshots"] == []


def test_what_others_made_is_left_alone(said: list[str]) -> None:
    boto3.client("redshift").create_cluster(
        ClusterIdentifier="scx",
        NodeType="ra3.large",
        MasterUsername="somebody",
        MasterUserPassword="Their0wnPassw0rd",
    )
    for act in (lifecycle.create, lifecycle.pause, lifecycle.destroy):
        with pytest.raises(ClusterError, match="was not made by `scx cluster`"):
            act(PLAN, said.append)
    assert states()["cluster"] == "available"


def test_a_role_of_others_is_left_alone(said: list[str]) -> None:
    boto3.client("iam").create_role(RoleName=PLAN.role, AssumeRolePolicyDocument="{}")
    with pytest.raises(ClusterError, match="the role scx-redshift-copy stands, but was not made by"):
        lifecycle.create(PLAN, said.append)
    assert boto3.client("iam").list_role_policies(RoleName=PLAN.role)["PolicyNames"] == []


def subnet_group(*tags: dict[str, str]) -> str:
    """A subnet group of the cluster's name; the subnet that it has."""
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    if tags:
        boto3.client("redshift").create_cluster_subnet_group(
            ClusterSubnetGroupName="scx", Description="x", SubnetIds=[subnet], Tags=list(tags)
        )
    return str(subnet)


def subnet_groups() -> list[str]:
    found = boto3.client("redshift").describe_cluster_subnet_groups()["ClusterSubnetGroups"]
    return [item["ClusterSubnetGroupName"] for item in found]


@pytest.mark.parametrize(
    "tag", [{"Key": "team", "Value": "data"}, {"Key": "scx_pipeline", "Value": "another"}]
)
def test_a_subnet_group_of_others_with_the_clusters_name_stays_and_is_named(
    said: list[str], tag: dict[str, str]
) -> None:
    subnet_group(tag)
    lifecycle.create(PLAN, said.append)
    lifecycle.destroy(PLAN, said.append)
    assert subnet_groups() == ["scx"]
    assert "the subnet group scx stays: it was not made by `scx cluster`" in said
    assert states() == {"cluster": None, "role": None}


def test_a_subnet_group_of_others_is_not_used_either(said: list[str]) -> None:
    plan = PLAN.model_copy(update={"subnets": (subnet_group({"Key": "team", "Value": "data"}),)})
    with pytest.raises(ClusterError, match="the subnet group scx stands, but was not made by `scx cluster`"):
        lifecycle.create(plan, said.append)
    assert states()["cluster"] is None


def test_the_clusters_own_subnet_group_goes_with_it(said: list[str]) -> None:
    plan = PLAN.model_copy(update={"subnets": (subnet_group(),)})
    for _ in range(2):
        lifecycle.create(plan, said.append)
    assert subnet_groups() == ["scx"]
    for _ in range(2):
        lifecycle.destroy(plan, said.append)
        assert subnet_groups() == []
