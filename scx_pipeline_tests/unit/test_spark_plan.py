"""What an EMR Serverless application is to be: settings by file and flags, what AWS is asked for, who is allowed what, its price.
Making one is tested in cluster/."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from scx_pipeline.cluster.policy import Policy
from scx_pipeline.cluster.spark_plan import SparkPlan, price, read_spark_plan, request_of
from scx_pipeline.cluster.spark_policy import job_policy, planned_arn, runner_policy, trust_policy
from scx_pipeline.errors import SettingsError

ARN = "arn:aws:emr-serverless:us-east-1:123456789012:/applications/00abc"
ROLE = "arn:aws:iam::123456789012:role/scx-spark-us-east-1"
GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/emr-serverless:log-stream:x"
EMR = "emr-serverless.amazonaws.com"


def plan(**settings: object) -> SparkPlan:
    places = {"bucket": "s3://logs/raw", "lake": "s3://lake/stars", "code": "s3://logs/code/"}
    return read_spark_plan(None, {**places, **settings}, "us-east-1")


def allows(policy: Policy, action: str, resource: str, **context: str) -> bool:
    """Whether a policy allows an action, read as IAM reads it: a condition on a key that is not sent does not hold."""
    return any(_applies(statement, action, resource, context) for statement in policy["Statement"])


def _applies(statement: dict[str, Any], action: str, resource: str, context: dict[str, str]) -> bool:
    actions = statement["Action"]
    asked = {name.replace(":", "_"): wanted for name, wanted in _conditions(statement).items()}
    return (
        action in ([actions] if isinstance(actions, str) else actions)
        and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        and all(
            any(fnmatchcase(context.get(name, ""), pattern) for pattern in wanted)
            for name, wanted in asked.items()
        )
    )


def _conditions(statement: dict[str, Any]) -> dict[str, list[str]]:
    found = [pair for group in statement.get("Condition", {}).values() for pair in group.items()]
    return {key: [wanted] if isinstance(wanted, str) else wanted for key, wanted in found}


def test_flags_go_before_the_file_and_the_file_before_aws_settings(tmp_path: Path) -> None:
    file = tmp_path / "emr.yaml"
    file.write_text("bucket: s3://logs/\nlake: s3://lake\nmax_vcpu: 8\nregion: eu-west-1\nname: one\n")
    found = read_spark_plan(file, {"name": "two", "max_vcpu": None}, "us-east-1")
    assert (found.name, found.max_vcpu, found.bucket, found.region) == ("two", 8, "s3://logs", "eu-west-1")
    assert read_spark_plan(file, {"region": "us-west-2"}, None).region == "us-west-2"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"bucket": "logs"}, r"--bucket: .*write s3://bucket"),
        ({"bucket": ""}, "--bucket: .*is needed"),
        ({"lake": None}, "--lake: Field required"),
        ({"region": "Ireland"}, "--region: .*such as eu-west-1"),
        ({"name": "No Name"}, "--name"),
        ({"name": "a" * 41}, "--name"),
        ({"release": "7.12.0"}, "--release"),
        ({"architecture": "arm"}, "--architecture: .*'X86_64' or 'ARM64'"),
        ({"max_vcpu": 0}, "--max-vcpu: .*quota of 16"),
        ({"idle_minutes": 0}, "--idle-minutes"),
        ({"warm": {"vcpu": 3}}, r"--warm.vcpu: .*1, 2, 4, 8 or 16"),
        ({"warm": {"executors": 4}}, "--warm: .*5 workers of 4 are more than max_vcpu"),
        ({"warm": {"executors": 1, "memory": 100}}, "--warm: .*2 workers of 100 are more than max_memory"),
        ({"security_groups": list("abcdef")}, "--security-groups"),
        ({"colour": "red"}, "--colour: .*there are: name, region, bucket, lake"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(settings: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        plan(**settings)


def test_without_a_region_anywhere_it_is_asked_for() -> None:
    with pytest.raises(SettingsError, match="--region: Field required .*AWS_REGION"):
        read_spark_plan(None, {"bucket": "s3://logs", "lake": "s3://lake"}, None)


def test_by_default_it_starts_by_itself_and_stops_soon_and_keeps_nothing_ready() -> None:
    asked = request_of(plan())
    assert asked["autoStartConfiguration"] == {"enabled": True}
    assert asked["autoStopConfiguration"] == {"enabled": True, "idleTimeoutMinutes": 15}
    assert asked["initialCapacity"] == {}
    assert asked["maximumCapacity"] == {"cpu": "16 vCPU", "memory": "128 GB", "disk": "200 GB"}
    assert (asked["releaseLabel"], asked["architecture"]) == ("emr-7.12.0", "X86_64")
    assert "networkConfiguration" not in asked


def test_what_a_job_run_tells_goes_where_dagster_reads_it() -> None:
    logging = request_of(plan())["monitoringConfiguration"]
    assert logging == {
        "cloudWatchLoggingConfiguration": {"enabled": True, "logGroupName": "/aws/emr-serverless"}
    }
    kept = request_of(plan(job_logs="s3://logs/spark"))["monitoringConfiguration"]
    assert kept["s3MonitoringConfiguration"] == {"logUri": "s3://logs/spark/"}


def test_workers_kept_ready_and_a_network_are_asked_for_where_they_are_planned() -> None:
    asked = request_of(plan(warm={"executors": 2}, subnets=["subnet-1"], security_groups=["sg-1"]))
    size = {"cpu": "4 vCPU", "memory": "16 GB", "disk": "20 GB"}
    assert asked["initialCapacity"] == {
        "Driver": {"workerCount": 1, "workerConfiguration": size},
        "Executor": {"workerCount": 2, "workerConfiguration": size},
    }
    assert asked["networkConfiguration"] == {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]}


def test_only_job_runs_of_this_application_may_use_the_role() -> None:
    [statement] = trust_policy(ARN)["Statement"]
    assert statement["Principal"] == {"Service": EMR}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": ARN},
    }


@pytest.mark.parametrize(
    ("action", "resource", "prefix", "allowed"),
    [
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
        ("iam:PassRole", ROLE, "", False),
        ("emr-serverless:StartJobRun", ARN, "", False),
    ],
)
def test_a_job_may_read_the_logs_and_keep_the_lake_and_nothing_else(
    action: str, resource: str, prefix: str, allowed: bool
) -> None:
    assert allows(job_policy(plan(), ARN), action, resource, s3_prefix=prefix) is allowed


def test_no_rights_are_of_every_action_or_of_everything() -> None:
    for policy in (job_policy(plan(), ARN), runner_policy(plan(), ARN)):
        for statement in policy["Statement"]:
            actions = statement["Action"]
            assert not any("*" in action for action in ([actions] if isinstance(actions, str) else actions))
            assert "*" not in statement["Resource"]


def test_where_sparks_own_logs_are_kept_a_job_may_only_write() -> None:
    kept = "arn:aws:s3:::logs/spark/applications/00abc/jobs/1/stderr.gz"
    policy = job_policy(plan(job_logs="s3://logs/spark"), ARN)
    assert allows(policy, "s3:PutObject", kept)
    assert not allows(policy, "s3:GetObject", kept)
    assert not allows(job_policy(plan(), ARN), "s3:PutObject", kept)


def test_a_whole_bucket_may_be_the_place() -> None:
    policy = job_policy(plan(bucket="s3://logs", lake="s3://lake", code=""), ARN)
    assert allows(policy, "s3:ListBucket", "arn:aws:s3:::lake")
    assert allows(policy, "s3:PutObject", "arn:aws:s3:::lake/scx/users/a.parquet")
    assert allows(policy, "s3:GetObject", "arn:aws:s3:::logs/_scx_pipeline/code/job.py")


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("emr-serverless:StartJobRun", ARN, True),
        ("emr-serverless:GetApplication", ARN, True),  # a build asks which processor it has
        ("emr-serverless:StartJobRun", ARN.replace("00abc", "00def"), False),
        ("emr-serverless:GetJobRun", f"{ARN}/jobruns/1", True),
        ("emr-serverless:CancelJobRun", f"{ARN}/jobruns/1", True),
        ("emr-serverless:GetDashboardForJobRun", f"{ARN}/jobruns/1", True),
        ("emr-serverless:TagResource", f"{ARN}/jobruns/1", True),
        ("emr-serverless:TagResource", ARN, False),
        ("emr-serverless:CancelJobRun", f"{ARN.replace('00abc', '00def')}/jobruns/1", False),
        ("emr-serverless:DeleteApplication", ARN, False),
        ("emr-serverless:UpdateApplication", ARN, False),
        ("logs:GetLogEvents", GROUP, True),
        ("logs:FilterLogEvents", GROUP, True),
        ("logs:DescribeLogStreams", GROUP, True),
        ("logs:PutLogEvents", GROUP, False),
        ("s3:PutObject", "arn:aws:s3:::logs/code/job.py", True),
        ("s3:GetObject", "arn:aws:s3:::logs/code/messages/run/scx_lake-0/1.json", True),
        ("s3:PutObject", "arn:aws:s3:::logs/raw/a.csv", False),
        ("s3:GetObject", "arn:aws:s3:::logs/raw/a.csv", True),
        ("s3:PutObject", "arn:aws:s3:::lake/stars/scx/_manifests/1.json", True),
    ],
)
def test_whoever_runs_the_pipeline_may_start_jobs_and_hear_from_them(
    action: str, resource: str, allowed: bool
) -> None:
    assert allows(runner_policy(plan(), ARN), action, resource) is allowed


def test_whoever_runs_the_pipeline_may_see_which_code_there_is() -> None:
    policy = runner_policy(plan(), ARN)
    assert allows(policy, "s3:ListBucket", "arn:aws:s3:::logs", s3_prefix="code/")
    assert not allows(policy, "s3:ListBucket", "arn:aws:s3:::logs", s3_prefix="")


@pytest.mark.parametrize(
    ("role", "service", "allowed"),
    [(ROLE, EMR, True), (ROLE, "ec2.amazonaws.com", False), (ROLE, "", False), (f"{ROLE}-more", EMR, False)],
)
def test_the_role_is_passed_to_emr_serverless_only(role: str, service: str, allowed: bool) -> None:
    policy = runner_policy(plan(), ARN)
    assert allows(policy, "iam:PassRole", role, iam_PassedToService=service) is allowed


def test_what_aws_fills_in_is_shown_as_such_beforehand() -> None:
    arn = planned_arn(plan(region="eu-west-1"))
    assert arn == "arn:aws:emr-serverless:eu-west-1:<account>:/applications/<application>"
    [statement] = trust_policy(arn)["Statement"]
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "<account>"}


def test_roles_of_two_regions_have_two_names() -> None:
    longest = plan(name="a" * 40, region="ap-southeast-1").role
    assert longest != plan(name="a" * 40, region="ap-southeast-2").role
    assert len(longest) <= 64


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "at most about 1.60 an hour, with 16 vCPU, 128 GB and 200 GB of disk"),
        ({}, "0.052624 US dollars for a vCPU an hour, 0.0057785 for a GB of memory and 0.000111"),
        ({"architecture": "ARM64"}, "0.042094 US dollars for a vCPU an hour, 0.004628 for"),
        ({"architecture": "ARM64"}, "at most about 1.29 an hour"),
        ({}, "nothing while no job runs"),
        (
            {"warm": {}},
            "about 1.21 an hour for the 4 workers kept ready, from a job's start until 15 minutes",
        ),
        ({"region": "eu-west-1"}, "list prices of us-east-1; eu-west-1 has its own"),
    ],
)
def test_the_price_is_told_beforehand(settings: dict[str, object], told: str) -> None:
    assert told in price(plan(**settings))


def test_where_prices_are_known_there_is_no_word_on_others() -> None:
    assert "has its own" not in price(plan())
