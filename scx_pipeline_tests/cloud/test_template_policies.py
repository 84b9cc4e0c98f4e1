"""The roles and policies that the templates create: they allow what is needed, and nothing else.

Policies are read as CloudFormation resolves them, on moto, whose IAM decides nothing here.
"""

from __future__ import annotations

import json

import boto3
import pytest

from scx_pipeline_tests.cloud.cloud_command import REDSHIFT, TEMPLATES
from scx_pipeline_tests.cloud.created_stack import (
    Case,
    allows,
    as_list,
    create,
    find_wrong_decisions,
    pipeline_policy,
    role_of,
    role_policy,
)

EMR = "emr-serverless.amazonaws.com"
GROUP = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/emr-serverless:log-stream:x"


# Roles and policies of every template


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
    assert as_list(statement["Principal"].pop("Service")) == services
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
        assert not any("*" in action for action in as_list(statement["Action"]))
        if "*" in as_list(statement["Resource"]):
            wide |= set(as_list(statement["Action"]))
    # AWS has no narrower resource for this action.
    assert wide == ({"redshift:DescribeClusters"} if template == "redshift-provisioned" else set())


def test_pipeline_policy_is_attached_to_the_given_role() -> None:
    iam = boto3.client("iam")
    iam.create_role(RoleName="pipeline", AssumeRolePolicyDocument=json.dumps({"Statement": []}))
    outputs = create("emr-serverless", PipelineRole="pipeline")
    [attached] = iam.list_attached_role_policies(RoleName="pipeline")["AttachedPolicies"]
    assert attached["PolicyArn"] == outputs["PipelinePolicyArn"]


# Redshift


@pytest.mark.parametrize("template", REDSHIFT)
def test_redshift_role_of_a_whole_bucket_reads_bucket_and_staging_only(template: str) -> None:
    create(template, Bucket="s3://logs", Lake="")
    policy = role_policy(template)
    actions = {action for statement in policy for action in as_list(statement["Action"])}
    assert actions == {"s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"}
    assert as_list(policy[0]["Resource"]) == ["arn:aws:s3:::logs/*", "arn:aws:s3:::logs/_scx_pipeline/*"]
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
def test_redshift_pipeline_policy_allows_its_own_objects_and_secret_only(
    template: str,
) -> None:
    assert find_wrong_decisions(pipeline_policy(create(template)), REDSHIFT_PIPELINE) == []


def test_redshift_pipeline_policy_without_a_lake_writes_staging_only() -> None:
    policy = pipeline_policy(create("redshift-serverless", Lake=""))
    writing = [item for item in policy if "s3:PutObject" in item["Action"]]
    assert [as_list(item["Resource"]) for item in writing] == [["arn:aws:s3:::logs/raw/_scx_pipeline/*"]]


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


# Spark


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
    assert find_wrong_decisions(role_policy("emr-serverless"), JOB_ROLE) == []


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
    assert find_wrong_decisions(pipeline_policy(outputs), cases) == []


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
