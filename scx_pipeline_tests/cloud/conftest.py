"""moto's AWS, in which no operation takes time, and the command as a user types it.

No server is started here.
"""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws
from typer.testing import CliRunner

from scx_pipeline.cli.main import app
from scx_pipeline.cloud import services, stacks
from scx_pipeline_tests.cloud import resources
from scx_pipeline_tests.cloud.cloud_command import SECRET, Cloud


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
