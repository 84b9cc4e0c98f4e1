"""Logins to Redshift by IAM, by a secret, or by a password: the requests to AWS, and the errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.psycopg import parse_url
from scx_pipeline.warehouse.redshift import redshift_login
from scx_pipeline.warehouse.redshift.redshift_login import Login, log_in

PASSWORD = "pl4nted-s3cret"
SOON = datetime(2026, 1, 1, tzinfo=UTC)
Stub = Callable[[str], Stubber]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    """Provide stubbed clients, which fail for unexpected requests."""
    stubs: dict[str, Stubber] = {}
    with ExitStack() as stack:

        def stub(service: str) -> Stubber:
            if service not in stubs:
                client = boto3.client(
                    service, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
                )
                stubs[service] = stack.enter_context(Stubber(client))
            return stubs[service]

        monkeypatch.setattr(redshift_login, "aws_client", lambda service: stub(service).client)
        yield stub
        for stubber in stubs.values():
            stubber.assert_no_pending_responses()


def login(url: str) -> Login:
    return log_in(parse_url(url, 5439, "", ("workgroup", "cluster", "secret")))


def test_a_password_in_the_url_is_used_as_it_is() -> None:
    found = login("redshift://scx:p%40ss@host.example:5440/dev")
    assert (found.host, found.port, found.user, found.password) == ("host.example", 5440, "scx", "p@ss")


def test_a_workgroup_provides_its_address_and_temporary_credentials(aws: Stub) -> None:
    endpoint = {"address": "scx.1.eu-west-1.redshift-serverless.amazonaws.com", "port": 5439}
    aws("redshift-serverless").add_response(
        "get_workgroup", {"workgroup": {"endpoint": endpoint}}, {"workgroupName": "scx"}
    )
    aws("redshift-serverless").add_response(
        "get_credentials",
        {"dbUser": "IAMR:loader", "dbPassword": PASSWORD, "expiration": SOON},
        {"workgroupName": "scx", "dbName": "dev", "durationSeconds": 900},
    )
    found = login("redshift:///dev?workgroup=scx")
    assert (found.host, found.user, found.password) == (endpoint["address"], "IAMR:loader", PASSWORD)
    assert PASSWORD not in repr(found)


def cluster(status: str = "available") -> dict[str, Any]:
    endpoint = {"Address": "scx.redshift.amazonaws.com", "Port": 5439}
    return {"Clusters": [{"ClusterStatus": status, "Endpoint": endpoint}]}


@pytest.mark.parametrize(
    ("user", "operation", "asked"),
    [
        ("", "get_cluster_credentials_with_iam", {}),
        ("loader@", "get_cluster_credentials", {"DbUser": "loader", "AutoCreate": False}),
    ],
)
def test_a_cluster_provides_credentials_of_the_role_or_of_a_user(
    aws: Stub, user: str, operation: str, asked: dict[str, object]
) -> None:
    aws("redshift").add_response("describe_clusters", cluster(), {"ClusterIdentifier": "scx"})
    aws("redshift").add_response(
        operation,
        {"DbUser": "IAM:loader", "DbPassword": PASSWORD, "Expiration": SOON},
        {"ClusterIdentifier": "scx", "DbName": "dev", "DurationSeconds": 900, **asked},
    )
    found = login(f"redshift://{user}/dev?cluster=scx")
    assert (found.host, found.port, found.user) == ("scx.redshift.amazonaws.com", 5439, "IAM:loader")


def test_a_paused_cluster_is_reported_with_advice(aws: Stub) -> None:
    aws("redshift").add_response("describe_clusters", cluster("paused"), {"ClusterIdentifier": "scx"})
    with pytest.raises(
        WarehouseError,
        match="the Redshift cluster scx is paused: run `scx cloud resume redshift-provisioned`",
    ):
        login("redshift:///dev?cluster=scx")


def test_a_secret_provides_host_user_and_password(aws: Stub) -> None:
    secret = {"username": "scx", "password": PASSWORD, "host": "host.example", "port": 5441}
    aws("secretsmanager").add_response(
        "get_secret_value", {"SecretString": json.dumps(secret)}, {"SecretId": "scx/redshift"}
    )
    found = login("redshift:///dev?secret=scx/redshift")
    assert (found.host, found.port, found.user, found.password) == ("host.example", 5441, "scx", PASSWORD)


@pytest.mark.parametrize("text", ["", PASSWORD, json.dumps([PASSWORD]), json.dumps({"password": PASSWORD})])
def test_an_invalid_secret_is_rejected_without_showing_it(aws: Stub, text: str) -> None:
    answer = {"SecretString": text} if text else {}
    aws("secretsmanager").add_response("get_secret_value", answer, {"SecretId": "other"})
    with pytest.raises(WarehouseError, match="the secret other is not a Redshift secret") as caught:
        login("redshift://host.example/dev?secret=other")
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDeniedException", "let this user or role call it"),
        ("ExpiredTokenException", "log in to AWS again"),
        ("ResourceNotFoundException", "check its name, and AWS_REGION"),
    ],
)
def test_a_refusal_by_aws_is_one_line_with_advice(aws: Stub, code: str, advice: str) -> None:
    aws("redshift-serverless").add_client_error("get_credentials", code, "No.")
    with pytest.raises(WarehouseError) as caught:
        login("redshift://host.example/dev?workgroup=scx")
    assert str(caught.value).startswith(f"cannot log in to the Redshift workgroup scx: No.: {advice}")
    assert "\n" not in str(caught.value)


def test_a_login_by_aws_requires_a_region() -> None:
    with pytest.raises(WarehouseError, match="You must specify a region.*set AWS_REGION"):
        login("redshift:///dev?workgroup=scx")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redshift://host/dev?colour=red", "has the unknown parameter 'colour'"),
        ("redshift:///dev", "names no host or no database"),
        ("redshift://scx:pl4nted-s3cret@host/dev/more", "cannot be read"),
        ("redshift://scx:pl4nted-s3cret/@host:5439/dev", "cannot be read"),
    ],
)
def test_an_invalid_url_is_rejected_without_its_password(url: str, message: str) -> None:
    with pytest.raises(WarehouseError, match=message) as caught:
        open_warehouse(url, Limits())
    assert PASSWORD not in str(caught.value)
