"""What the tests of `scx cloud` give the command, and the stacks that moto has afterwards.

No tests belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
from typer.testing import Result

REDSHIFT = ("redshift-serverless", "redshift-provisioned")
TEMPLATES = (*REDSHIFT, "emr-serverless")
MOTO_TEMPLATES = ("redshift-provisioned", "emr-serverless")  # those whose services moto has
PLACES = ("--bucket", "s3://scx-logs", "--lake", "s3://scx-lake/stars")
NOW = datetime(2026, 11, 26, tzinfo=UTC)
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:redshift!scx-scx_admin-a1"
Cloud = Callable[..., Result]


def stack_of(name: str) -> dict[str, Any]:
    """Return the description of a stack."""
    [found] = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return dict(found)


def stack_names() -> list[str]:
    """Return the names of all stacks."""
    return [item["StackName"] for item in boto3.client("cloudformation").describe_stacks()["Stacks"]]
