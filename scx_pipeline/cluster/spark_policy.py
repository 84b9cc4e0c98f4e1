"""Who is allowed what around an EMR Serverless application: the role of its jobs, and whoever runs the pipeline.
What the application is to be is in `spark_plan`; statements are written as in `policy`."""

from __future__ import annotations

from scx_pipeline.cluster.policy import Policy, allow, place_of, retention_policy
from scx_pipeline.cluster.spark_plan import LOG_GROUP, SparkPlan

SERVICE = "emr-serverless.amazonaws.com"


def planned_arn(plan: SparkPlan) -> str:
    """The ARN of an application that is not made yet, with what AWS will fill in."""
    return f"arn:aws:emr-serverless:{plan.region}:<account>:/applications/<application>"


def trust_policy(application: str) -> Policy:
    """Who may use the role: EMR Serverless, for job runs of the application of this ARN, and nobody else."""
    return retention_policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": SERVICE},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": _account(application)},
                "ArnLike": {"aws:SourceArn": application},
            },
        }
    )


def job_policy(plan: SparkPlan, application: str) -> Policy:
    """What a job may do: read the logs and its code, keep the lake, and tell what it does."""
    logs, lake, code = place_of(plan.bucket), place_of(plan.lake), place_of(plan.code_place)
    parts = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    written = [allow("s3:PutObject", place_of(plan.job_logs).objects)] if plan.job_logs else []
    return retention_policy(
        allow("s3:GetObject", logs.objects, code.objects),
        logs.listing(),
        allow("s3:PutObject", place_of(f"{plan.code_place}/messages").objects),
        allow(["s3:GetObject", "s3:PutObject", "s3:DeleteObject", *parts], lake.objects),
        lake.listing(),
        *written,
        allow("logs:DescribeLogGroups", f"arn:aws:logs:{plan.region}:{_account(application)}:*"),
        allow(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            _log_group(plan, application),
        ),
    )


def runner_policy(plan: SparkPlan, application: str) -> Policy:
    """What whoever runs the pipeline needs: to start jobs with the role and hear from them, to put their code, and to keep the lake."""
    logs, lake, code = place_of(plan.bucket), place_of(plan.lake), place_of(plan.code_place)
    role = f"arn:aws:iam::{_account(application)}:role/{plan.role}"
    of_runs = ["GetJobRun", "CancelJobRun", "GetDashboardForJobRun", "TagResource"]  # Dagster tags its runs
    return retention_policy(
        allow(["emr-serverless:StartJobRun", "emr-serverless:GetApplication"], application),
        allow([f"emr-serverless:{action}" for action in of_runs], f"{application}/jobruns/*"),
        allow("iam:PassRole", role) | {"Condition": {"StringEquals": {"iam:PassedToService": SERVICE}}},
        allow(
            ["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"],
            _log_group(plan, application),
        ),
        allow(["s3:GetObject", "s3:PutObject"], code.objects),
        code.listing(),
        allow("s3:GetObject", logs.objects),
        logs.listing(),
        allow(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], lake.objects),
        lake.listing(),
    )


def _account(application: str) -> str:
    return application.split(":")[4]


def _log_group(plan: SparkPlan, application: str) -> str:
    return f"arn:aws:logs:{plan.region}:{_account(application)}:log-group:{LOG_GROUP}:*"
