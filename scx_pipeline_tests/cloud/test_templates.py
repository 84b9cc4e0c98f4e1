"""What the templates create: nothing that cfn-lint remarks, nothing public or unencrypted by default.

Properties are read as CloudFormation resolves them, on moto; policies are not tested here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from scx_pipeline.cloud import templates
from scx_pipeline_tests.cloud.cloud_command import TEMPLATES
from scx_pipeline_tests.cloud.created_stack import create, role_of
from scx_pipeline_tests.cloud.resources import CREATED

FOLDER = Path(templates.__file__).parent / "templates"


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_templates_pass_the_linter(path: Path) -> None:
    lint = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run(
        [lint, "--include-checks", "I", "--", path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_template_takes_no_secret_and_names_no_partition(path: Path) -> None:
    text = path.read_text("utf-8")
    assert "NoEcho" not in text
    assert "arn:aws:" not in text  # China and GovCloud have their own


def test_templates_are_those_of_the_command() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(TEMPLATES)


def test_serverless_is_created_encrypted_private_and_with_a_managed_password() -> None:
    create("redshift-serverless", MaxCapacity="16", SubnetIds="subnet-1", SecurityGroupIds="sg-1,sg-2")
    namespace, workgroup = (
        CREATED[f"AWS::RedshiftServerless::{kind}"] for kind in ("Namespace", "Workgroup")
    )
    role, tags = role_of("redshift-serverless")["Arn"], [{"Key": "scx_pipeline", "Value": "scx"}]
    snapshot = namespace.pop("FinalSnapshotName")
    assert snapshot.startswith("scx-final-")
    assert len(snapshot) == len("scx-final-") + 36  # the stack's unique ID
    assert namespace == {
        "NamespaceName": "scx", "DbName": "dev", "AdminUsername": "scx_admin", "ManageAdminPassword": True,
        "IamRoles": [role], "DefaultIamRoleArn": role, "FinalSnapshotRetentionPeriod": 30, "Tags": tags,
    }  # fmt: skip
    assert workgroup == {
        "WorkgroupName": "scx", "NamespaceName": "scx", "BaseCapacity": 8, "MaxCapacity": 16,
        "PubliclyAccessible": "false", "ConfigParameters": [{"ParameterKey": "require_ssl", "ParameterValue": "true"}],
        "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1", "sg-2"], "Tags": tags,
    }  # fmt: skip


def test_serverless_without_options_leaves_them_to_aws() -> None:
    create("redshift-serverless", FinalSnapshot="false")
    assert not {"FinalSnapshotName", "FinalSnapshotRetentionPeriod"} & set(
        CREATED["AWS::RedshiftServerless::Namespace"]
    )
    assert not {"MaxCapacity", "SubnetIds", "SecurityGroupIds"} & set(
        CREATED["AWS::RedshiftServerless::Workgroup"]
    )


def test_a_cluster_is_created_encrypted_private_and_with_a_managed_password() -> None:
    create("redshift-provisioned")
    [cluster] = boto3.client("redshift").describe_clusters()["Clusters"]
    assert (cluster["ClusterIdentifier"], cluster["Encrypted"], cluster["PubliclyAccessible"]) == (
        "scx",
        True,
        False,
    )
    role = role_of("redshift-provisioned")["Arn"]
    assert [item["IamRoleArn"] for item in cluster["IamRoles"]] == [role]
    assert {"Key": "scx_pipeline", "Value": "scx"} in cluster["Tags"]
    asked = CREATED["AWS::Redshift::Cluster"]
    assert (asked["ManageMasterPassword"], "MasterUserPassword" in asked) == (True, False)
    assert (asked["ClusterType"], "NumberOfNodes" in asked) == ("single-node", False)


def test_a_cluster_with_several_nodes_is_created_in_the_given_subnets() -> None:
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    create("redshift-provisioned", Nodes="3", SubnetIds=subnet)
    asked = CREATED["AWS::Redshift::Cluster"]
    assert (asked["ClusterType"], asked["NumberOfNodes"]) == ("multi-node", 3)
    [group] = boto3.client("redshift").describe_cluster_subnet_groups()["ClusterSubnetGroups"]
    assert asked["ClusterSubnetGroupName"].cluster_subnet_group_name == group["ClusterSubnetGroupName"]
    assert [item["SubnetIdentifier"] for item in group["Subnets"]] == [subnet]


def test_application_without_options_starts_and_stops_automatically_and_keeps_nothing_ready() -> None:
    create("emr-serverless")
    asked = CREATED["AWS::EMRServerless::Application"]
    assert asked == {
        "Name": "scx", "Type": "SPARK", "ReleaseLabel": "emr-7.12.0", "Architecture": "X86_64",
        "MaximumCapacity": {"Cpu": "16 vCPU", "Memory": "128 GB", "Disk": "200 GB"},
        "AutoStartConfiguration": {"Enabled": True},
        "AutoStopConfiguration": {"Enabled": True, "IdleTimeoutMinutes": 15},
        "MonitoringConfiguration": {
            "CloudWatchLoggingConfiguration": {"Enabled": True, "LogGroupName": "/aws/emr-serverless"}
        },
        "RuntimeConfiguration": [
            {"Classification": "spark-defaults", "Properties": {"spark.sql.catalogImplementation": "in-memory"}}
        ],
        "Tags": [{"Key": "scx_pipeline", "Value": "scx"}],
    }  # fmt: skip


def test_application_with_options_has_workers_ready_a_network_and_logs() -> None:
    create(
        "emr-serverless",
        WarmExecutors="2",
        SubnetIds="subnet-1",
        SecurityGroupIds="sg-1",
        JobLogs="s3://logs/spark",
    )
    asked = CREATED["AWS::EMRServerless::Application"]
    size = {"Cpu": "4 vCPU", "Memory": "16 GB", "Disk": "20 GB"}
    assert asked["InitialCapacity"] == [
        {"Key": "Driver", "Value": {"WorkerCount": 1, "WorkerConfiguration": size}},
        {"Key": "Executor", "Value": {"WorkerCount": 2, "WorkerConfiguration": size}},
    ]
    assert asked["NetworkConfiguration"] == {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert asked["MonitoringConfiguration"]["S3MonitoringConfiguration"] == {"LogUri": "s3://logs/spark/"}
