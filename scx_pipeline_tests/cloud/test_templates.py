"""What the templates create: nothing that cfn-lint remarks, nothing public or unencrypted by default, the least rights.
Properties and policies are read as CloudFormation resolves them, on moto."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest

from scx_pipeline.cloud import templates
from scx_pipeline.cloud.stacks import Stacks
from scx_pipeline.cloud.templates import complete_parameters, load_template
from scx_pipeline_tests.cloud.resources import CREATED

FOLDER = Path(templates.__file__).parent / "templates"
REDSHIFT = ("redshift-serverless", "redshift-provisioned")
TEMPLATES = (*REDSHIFT, "emr-serverless")
EMR = "emr-serverless.amazonaws.com"
GROUP = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/emr-serverless:log-stream:x"
PLACES = {"Bucket": "s3://logs/raw", "Lake": "s3://lake/stars"}
Policy = list[dict[str, Any]]


Case = tuple[str, str, str, bool]  # action, resource, s3:prefix, whether it is allowed


def wrong(policy: Policy, cases: list[Case]) -> list[Case]:
    """The cases that a policy decides otherwise."""
    return [case for case in cases if allows(policy, case[0], case[1], s3_prefix=case[2]) is not case[3]]


def create(template: str, **given: str) -> Mapping[str, str]:
    """Create a stack; its outputs."""
    found = load_template(template)
    values = complete_parameters(found, {**PLACES, **given})
    return Stacks(None, lambda message: None).create(f"scx-{template}", "scx", found, values).outputs


def role_of(template: str) -> dict[str, Any]:
    [role] = [item for item in boto3.client("iam").list_roles()["Roles"] if template in item["RoleName"]]
    return dict(role)


def role_policy(template: str) -> Policy:
    """All statements of the role's policies."""
    iam, name = boto3.client("iam"), role_of(template)["RoleName"]
    found = [
        iam.get_role_policy(RoleName=name, PolicyName=item)["PolicyDocument"]
        for item in iam.list_role_policies(RoleName=name)["PolicyNames"]
    ]
    # moto's CloudFormation leaves an inline policy as Python writes it.
    policies = [ast.literal_eval(item) if isinstance(item, str) else item for item in found]
    return [statement for policy in policies for statement in policy["Statement"]]


def pipeline_policy(outputs: Mapping[str, str]) -> Policy:
    iam, arn = boto3.client("iam"), outputs["PipelinePolicyArn"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    return list(version["Document"]["Statement"])


def listed(value: Any) -> list[str]:
    """A value or several; moto leaves None where CloudFormation removes AWS::NoValue."""
    return [item for item in (value if isinstance(value, list) else [value]) if item is not None]


def conditions(statement: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for group in (statement.get("Condition") or {}).values():
        for key, wanted in group.items():
            yield key.replace(":", "_"), listed(wanted)


def allows(policy: Policy, action: str, resource: str, **context: str) -> bool:
    """Whether a policy allows an action, read as IAM reads it: a condition on a key that is not sent does not hold."""
    return any(
        action in listed(statement["Action"])
        and any(fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
        and all(
            any(fnmatchcase(context.get(key, ""), pattern) for pattern in wanted)
            for key, wanted in conditions(statement)
        )
        for statement in policy
    )


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_template_linted_nothing_found(path: Path) -> None:
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


def test_serverless_created_encrypted_private_and_with_a_managed_password() -> None:
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


def test_cluster_created_encrypted_private_and_with_a_managed_password() -> None:
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


def test_cluster_with_several_nodes_in_subnets_created_there() -> None:
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


@pytest.mark.parametrize(
    ("template", "services"),
    [
        ("redshift-serverless", ["redshift.amazonaws.com", "redshift-serverless.amazonaws.com"]),
        ("redshift-provisioned", ["redshift.amazonaws.com"]),
        ("emr-serverless", [EMR]),
    ],
)
def test_role_trusts_its_service_only(template: str, services: list[str]) -> None:
    create(template)
    [statement] = role_of(template)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Action"] == "sts:AssumeRole"
    assert listed(statement["Principal"].pop("Service")) == services
    assert statement["Principal"] == {}


def test_job_role_trusts_job_runs_of_its_application_only() -> None:
    outputs = create("emr-serverless")
    [statement] = role_of("emr-serverless")["AssumeRolePolicyDocument"]["Statement"]
    arn = f"arn:aws:emr-serverless:eu-west-1:123456789012:/applications/{outputs['ScxSparkApplication']}"
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": arn},
    }


@pytest.mark.parametrize("template", TEMPLATES)
def test_policies_allow_no_action_by_wildcard_and_name_their_resources(template: str) -> None:
    outputs = create(template, **({"JobLogs": "s3://logs/spark"} if template == "emr-serverless" else {}))
    wide = set()
    for statement in (*role_policy(template), *pipeline_policy(outputs)):
        assert statement["Effect"] == "Allow"
        assert not any("*" in action for action in listed(statement["Action"]))
        if "*" in listed(statement["Resource"]):
            wide |= set(listed(statement["Action"]))
    # AWS has no narrower resource for this action.
    assert wide == ({"redshift:DescribeClusters"} if template == "redshift-provisioned" else set())


@pytest.mark.parametrize("template", REDSHIFT)
def test_redshift_role_of_a_whole_bucket_reads_bucket_and_staging_only(template: str) -> None:
    create(template, Bucket="s3://logs", Lake="")
    policy = role_policy(template)
    actions = {action for statement in policy for action in listed(statement["Action"])}
    assert actions == {"s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"}
    assert listed(policy[0]["Resource"]) == ["arn:aws:s3:::logs/*", "arn:aws:s3:::logs/_scx_pipeline/*"]
    assert allows(policy, "s3:ListBucket", "arn:aws:s3:::logs")


@pytest.mark.parametrize("template", REDSHIFT)
def test_redshift_role_below_a_prefix_sees_nothing_else(template: str) -> None:
    create(template, Bucket="s3://all/scx", Staging="s3://tmp", Lake="")
    objects, logs, staging, regions = role_policy(template)
    assert objects["Resource"] == ["arn:aws:s3:::all/scx/*", "arn:aws:s3:::tmp/*"]
    assert logs["Condition"] == {"StringLike": {"s3:prefix": ["scx/*"]}}
    assert "Condition" not in staging
    assert (regions["Action"], "Condition" in regions) == ("s3:GetBucketLocation", False)
    assert regions["Resource"] == ["arn:aws:s3:::all", "arn:aws:s3:::tmp"]


@pytest.mark.parametrize("template", REDSHIFT)
def test_redshift_role_writes_only_unfinished_files_of_the_lake(template: str) -> None:
    create(template)
    reading, writing, place, listing = role_policy(template)[-4:]
    assert (reading["Action"], reading["Resource"]) == ("s3:GetObject", "arn:aws:s3:::lake/stars/*")
    assert writing["Resource"] == "arn:aws:s3:::lake/stars/*/_writing/*"
    assert writing["Action"] == ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["stars/*/_writing/*"]}}
    assert place["Action"] == "s3:GetBucketLocation"


REDSHIFT_PIPELINE: list[Case] = [
    ("s3:GetObject", "arn:aws:s3:::logs/raw/a.csv", "", True),
    ("s3:PutObject", "arn:aws:s3:::logs/raw/a.csv", "", False),
    ("s3:DeleteObject", "arn:aws:s3:::logs/raw/a.csv", "", False),
    ("s3:PutObject", "arn:aws:s3:::logs/raw/_scx_pipeline/a.parquet", "", True),
    ("s3:DeleteObject", "arn:aws:s3:::logs/raw/_scx_pipeline/a.parquet", "", True),
    ("s3:PutObject", "arn:aws:s3:::lake/stars/scx/users/a.parquet", "", True),
    ("s3:PutObject", "arn:aws:s3:::lake/other/a.parquet", "", False),
    ("s3:ListBucket", "arn:aws:s3:::logs", "", True),
    ("s3:ListBucket", "arn:aws:s3:::lake", "", True),
    ("s3:ListBucket", "arn:aws:s3:::other", "", False),
    ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:redshift!scx-scx_admin-a1", "", True),
    ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:other", "", False),
]  # fmt: skip


@pytest.mark.parametrize("template", REDSHIFT)
def test_redshift_pipeline_policy_of_objects_and_secret(template: str) -> None:
    assert wrong(pipeline_policy(create(template)), REDSHIFT_PIPELINE) == []


def test_redshift_pipeline_policy_without_a_lake_writes_staging_only() -> None:
    policy = pipeline_policy(create("redshift-serverless", Lake=""))
    writing = [item for item in policy if "s3:PutObject" in item["Action"]]
    assert [listed(item["Resource"]) for item in writing] == [["arn:aws:s3:::logs/raw/_scx_pipeline/*"]]


@pytest.mark.parametrize(
    ("template", "action", "resource"),
    [
        ("redshift-serverless", "redshift-serverless:GetCredentials", "arn:aws:redshift-serverless:eu-west-1:123456789012:workgroup/0abc"),
        ("redshift-serverless", "redshift-serverless:GetWorkgroup", "arn:aws:redshift-serverless:eu-west-1:123456789012:workgroup/0abc"),
        ("redshift-provisioned", "redshift:GetClusterCredentialsWithIAM", "arn:aws:redshift:eu-west-1:123456789012:dbname:scx/dev"),
        ("redshift-provisioned", "redshift:DescribeClusters", "arn:aws:redshift:eu-west-1:123456789012:cluster:scx"),
    ],
)  # fmt: skip
def test_redshift_pipeline_policy_allows_login_by_iam_there_only(
    template: str, action: str, resource: str
) -> None:
    policy = pipeline_policy(create(template))
    assert allows(policy, action, resource)
    if action != "redshift:DescribeClusters":
        assert not allows(policy, action, f"{resource}-more")


def test_pipeline_policy_with_a_role_attached_to_it() -> None:
    iam = boto3.client("iam")
    iam.create_role(RoleName="pipeline", AssumeRolePolicyDocument=json.dumps({"Statement": []}))
    outputs = create("emr-serverless", PipelineRole="pipeline")
    [attached] = iam.list_attached_role_policies(RoleName="pipeline")["AttachedPolicies"]
    assert attached["PolicyArn"] == outputs["PipelinePolicyArn"]


JOB_ROLE: list[Case] = [
    ("s3:GetObject", "arn:aws:s3:::logs/raw/2021/01/a.csv", "", True),
    ("s3:GetObject", "arn:aws:s3:::logs/other/a.csv", "", False),
    ("s3:PutObject", "arn:aws:s3:::logs/raw/2021/01/a.csv", "", False),
    ("s3:DeleteObject", "arn:aws:s3:::logs/raw/2021/01/a.csv", "", False),
    ("s3:ListBucket", "arn:aws:s3:::logs", "raw/2021/", True),
    ("s3:ListBucket", "arn:aws:s3:::logs", "other/", False),
    ("s3:ListBucket", "arn:aws:s3:::logs", "", False),
    ("s3:GetObject", "arn:aws:s3:::logs/code/job.py", "", True),
    ("s3:PutObject", "arn:aws:s3:::logs/code/job.py", "", False),
    ("s3:PutObject", "arn:aws:s3:::logs/code/messages/run/scx_lake-0/1.json", "", True),
    ("s3:GetObject", "arn:aws:s3:::lake/stars/scx/users/a.parquet", "", True),
    ("s3:PutObject", "arn:aws:s3:::lake/stars/scx/users/a.parquet", "", True),
    ("s3:DeleteObject", "arn:aws:s3:::lake/stars/scx/users/a.parquet", "", True),
    ("s3:AbortMultipartUpload", "arn:aws:s3:::lake/stars/scx/users/a.parquet", "", True),
    ("s3:ListMultipartUploadParts", "arn:aws:s3:::lake/stars/scx/users/a.parquet", "", True),
    ("s3:PutObject", "arn:aws:s3:::lake/starsandmore/a.parquet", "", False),
    ("s3:DeleteObject", "arn:aws:s3:::lake/other/a.parquet", "", False),
    ("s3:ListBucket", "arn:aws:s3:::lake", "stars/scx/", True),
    ("s3:ListBucket", "arn:aws:s3:::lake", "other/", False),
    ("logs:PutLogEvents", GROUP, "", True),
    ("logs:PutLogEvents", GROUP.replace("/aws/emr-serverless", "/aws/lambda"), "", False),
    ("logs:GetLogEvents", GROUP, "", False),
    ("iam:PassRole", "arn:aws:iam::123456789012:role/any", "", False),
    ("emr-serverless:StartJobRun", "arn:aws:emr-serverless:eu-west-1:123456789012:/applications/any", "", False),
]  # fmt: skip


def test_job_role_reads_objects_and_code_and_keeps_the_lake() -> None:
    create("emr-serverless", Code="s3://logs/code")
    assert wrong(role_policy("emr-serverless"), JOB_ROLE) == []


def test_job_role_with_whole_buckets_lists_and_writes_them() -> None:
    create("emr-serverless", Bucket="s3://logs", Lake="s3://lake")
    policy = role_policy("emr-serverless")
    assert allows(policy, "s3:ListBucket", "arn:aws:s3:::lake")
    assert allows(policy, "s3:PutObject", "arn:aws:s3:::lake/scx/users/a.parquet")
    assert allows(policy, "s3:GetObject", "arn:aws:s3:::logs/_scx_pipeline/code/job.py")


@pytest.mark.parametrize("job_logs", ["s3://logs/spark", ""])
def test_job_role_writes_sparks_logs_where_they_are_kept_and_reads_none(job_logs: str) -> None:
    create("emr-serverless", JobLogs=job_logs)
    policy, kept = role_policy("emr-serverless"), "arn:aws:s3:::logs/spark/applications/00abc/stderr.gz"
    assert allows(policy, "s3:PutObject", kept) is bool(job_logs)
    assert not allows(policy, "s3:GetObject", kept)


SPARK_PIPELINE: list[Case] = [
    ("emr-serverless:StartJobRun", "{application}", "", True),
    ("emr-serverless:GetApplication", "{application}", "", True),  # a build asks which processor it has
    ("emr-serverless:StartJobRun", "{application}def", "", False),
    ("emr-serverless:GetJobRun", "{application}/jobruns/1", "", True),
    ("emr-serverless:CancelJobRun", "{application}/jobruns/1", "", True),
    ("emr-serverless:GetDashboardForJobRun", "{application}/jobruns/1", "", True),
    ("emr-serverless:TagResource", "{application}/jobruns/1", "", True),
    ("emr-serverless:TagResource", "{application}", "", False),
    ("emr-serverless:CancelJobRun", "{application}def/jobruns/1", "", False),
    ("emr-serverless:DeleteApplication", "{application}", "", False),
    ("emr-serverless:UpdateApplication", "{application}", "", False),
    ("logs:GetLogEvents", GROUP, "", True),
    ("logs:FilterLogEvents", GROUP, "", True),
    ("logs:DescribeLogStreams", GROUP, "", True),
    ("logs:PutLogEvents", GROUP, "", False),
    ("s3:PutObject", "arn:aws:s3:::logs/code/job.py", "", True),
    ("s3:GetObject", "arn:aws:s3:::logs/code/messages/run/scx_lake-0/1.json", "", True),
    ("s3:PutObject", "arn:aws:s3:::logs/raw/a.csv", "", False),
    ("s3:GetObject", "arn:aws:s3:::logs/raw/a.csv", "", True),
    ("s3:PutObject", "arn:aws:s3:::lake/stars/scx/_manifests/1.json", "", True),
]  # fmt: skip


def test_spark_pipeline_policy_starts_jobs_and_reads_their_messages() -> None:
    outputs = create("emr-serverless", Code="s3://logs/code")
    application = (
        f"arn:aws:emr-serverless:eu-west-1:123456789012:/applications/{outputs['ScxSparkApplication']}"
    )
    cases = [(action, item.format(application=application), *rest) for action, item, *rest in SPARK_PIPELINE]
    assert wrong(pipeline_policy(outputs), cases) == []


def test_spark_pipeline_policy_lists_code_only_in_its_prefix() -> None:
    policy = pipeline_policy(create("emr-serverless", Code="s3://logs/code"))
    assert allows(policy, "s3:ListBucket", "arn:aws:s3:::logs", s3_prefix="code/")
    assert not allows(policy, "s3:ListBucket", "arn:aws:s3:::logs", s3_prefix="")


@pytest.mark.parametrize(
    ("suffix", "service", "allowed"),
    [("", EMR, True), ("", "ec2.amazonaws.com", False), ("", "", False), ("-more", EMR, False)],
)
def test_spark_pipeline_policy_passes_its_role_to_emr_serverless_only(
    suffix: str, service: str, allowed: bool
) -> None:
    outputs = create("emr-serverless")
    policy, role = pipeline_policy(outputs), f"{outputs['ScxSparkRole']}{suffix}"
    assert allows(policy, "iam:PassRole", role, iam_PassedToService=service) is allowed
