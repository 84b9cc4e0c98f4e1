"""moto's AWS, in which no operation takes time, and the command as a user types it.

No server is started here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws
from typer.testing import CliRunner, Result

from scx_pipeline.cli.main import app
from scx_pipeline.cloud import services, stacks
from scx_pipeline_tests.cloud import resources

REDSHIFT = ("redshift-serverless", "redshift-provisioned")
TEMPLATES = (*REDSHIFT, "emr-serverless")
MOTO_TEMPLATES = ("redshift-provisioned", "emr-serverless")  # those whose services moto has
PLACES = ("--bucket", "s3://scx-logs", "--lake", "s3://scx-lake/stars")
NOW = datetime(2026, 11, 26, tzinfo=UTC)
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:redshift!scx-scx_admin-a1"
Cloud = Callable[..., Result]


@pytest.fixture(autouse=True)
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(stacks, "POLL_SECONDS", 0.0)
    # moto would otherwise make 1,300 images before each test
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    resources.CREATED.clear()
    with mock_aws():
        yield


@pytest.fixture
def cloud() -> Cloud:
    """Run `scx cloud` with arguments and what the user types."""
    return lambda *arguments, answer="": CliRunner().invoke(app, ["cloud", *arguments], input=answer)


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """Answer for the administrator's secret of a namespace, which moto does not have, by AWS's model of the service."""
    client = boto3.client("redshift-serverless")
    real = services.create_client
    monkeypatch.setattr(
        services,
        "create_client",
        lambda name, **more: client if name == client.meta.service_model.service_name else real(name, **more),
    )
    with Stubber(client) as stubber:
        for _ in range(2):
            answer = {"namespace": {"adminPasswordSecretArn": SECRET}}
            stubber.add_response("get_namespace", answer, {"namespaceName": "scx"})
        yield stubber


def stack_of(name: str) -> dict[str, Any]:
    [found] = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return dict(found)


def stack_names() -> list[str]:
    return [item["StackName"] for item in boto3.client("cloudformation").describe_stacks()["Stacks"]]
