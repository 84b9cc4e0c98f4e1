"""Serverless, against a namespace and a workgroup that are kept here and answer through botocore's own models.
Provisioned clusters are in test_provisioned.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from scx_pipeline.cluster import lifecycle, serverless
from scx_pipeline.cluster.aws import ClusterError
from scx_pipeline.cluster.plan import ClusterPlan

PLAN = ClusterPlan(bucket="s3://scx-logs", max_capacity=16, subnets=("subnet-1",))
SECRET = "arn:aws:secretsmanager:eu-west-1:1:secret:redshift!scx-scx_admin-x"
HOST = "scx.1.eu-west-1.redshift-serverless.amazonaws.com"
TAGS = {"tags": [{"key": "scx_pipeline", "value": "scx"}]}


@dataclass
class Service:
    """What a test expects to be asked, in order; each answer is checked against AWS's model of the service."""

    stubber: Stubber
    said: list[str] = field(default_factory=list)

    def namespace(self, status: str | None) -> None:
        self._get("namespace", status, {"namespaceArn": "arn:ns", "adminPasswordSecretArn": SECRET})

    def workgroup(self, status: str | None) -> None:
        self._get(
            "workgroup", status, {"workgroupArn": "arn:wg", "endpoint": {"address": HOST, "port": 5439}}
        )

    def _get(self, what: str, status: str | None, facts: dict[str, Any]) -> None:
        if status is None:
            self.refuses(f"get_{what}", "ResourceNotFoundException")
        else:
            self.stubber.add_response(
                f"get_{what}", {what: {"status": status, **facts}}, {f"{what}Name": "scx"}
            )

    def takes(self, operation: str, answer: dict[str, Any] | None = None, **asked: Any) -> None:
        self.stubber.add_response(operation, answer or {}, asked or None)

    def refuses(self, operation: str, code: str, message: str = "no") -> None:
        self.stubber.add_client_error(operation, code, message)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    client = boto3.client("redshift-serverless")
    monkeypatch.setattr(serverless, "client", lambda name: client)
    with Stubber(client) as stubber:
        yield Service(stubber)
        stubber.assert_no_pending_responses()


def expect_creation(service: Service, role: str) -> None:
    tags = [{"key": "scx_pipeline", "value": "scx"}]
    service.namespace(None)
    service.takes(
        "create_namespace", namespaceName="scx", dbName="dev", adminUsername="scx_admin", manageAdminPassword=True,
        iamRoles=[role], defaultIamRoleArn=role, tags=tags,
    )  # fmt: skip
    service.namespace("MODIFYING")
    service.namespace("AVAILABLE")
    service.workgroup(None)
    service.takes(
        "create_workgroup", workgroupName="scx", namespaceName="scx", baseCapacity=8, maxCapacity=16,
        publiclyAccessible=False, configParameters=[{"parameterKey": "require_ssl", "parameterValue": "true"}],
        subnetIds=["subnet-1"], tags=tags,
    )  # fmt: skip
    service.workgroup("CREATING")
    service.workgroup("AVAILABLE")


def expect_status(
    service: Service, namespace: str | None = "AVAILABLE", workgroup: str | None = "AVAILABLE"
) -> None:
    service.namespace(namespace)
    service.workgroup(workgroup)


def test_create_makes_a_namespace_and_then_a_workgroup_and_gives_the_url(service: Service) -> None:
    expect_creation(service, "arn:aws:iam::123456789012:role/scx-redshift-copy")
    expect_status(service)
    standing = lifecycle.create(PLAN, service.said.append)
    assert lifecycle.url(PLAN, standing).startswith(f"redshift://{HOST}:5439/dev?secret={SECRET}&staging=")
    assert "workgroup scx is AVAILABLE" in service.said


def test_create_again_goes_on_where_it_was_broken_off(service: Service) -> None:
    service.namespace("AVAILABLE")
    service.takes("list_tags_for_resource", TAGS, resourceArn="arn:ns")
    service.namespace("AVAILABLE")
    service.workgroup("CREATING")
    service.takes("list_tags_for_resource", TAGS, resourceArn="arn:wg")
    service.workgroup("AVAILABLE")
    expect_status(service)
    lifecycle.create(PLAN, service.said.append)


def test_a_refusal_half_way_is_told_and_the_next_create_goes_on(service: Service) -> None:
    service.namespace(None)
    service.takes("create_namespace")
    service.namespace("AVAILABLE")
    service.workgroup(None)
    service.refuses("create_workgroup", "InsufficientCapacityException", "No room.")
    with pytest.raises(ClusterError, match="cannot make the workgroup scx: No room.: try again later"):
        lifecycle.create(PLAN, service.said.append)


def test_what_others_made_is_left_alone(service: Service) -> None:
    service.namespace("AVAILABLE")
    service.takes("list_tags_for_resource", {"tags": []}, resourceArn="arn:ns")
    with pytest.raises(ClusterError, match="the namespace scx stands, but was not made by"):
        lifecycle.create(PLAN, service.said.append)


def test_destroy_takes_a_last_snapshot_and_removes_all(service: Service) -> None:
    service.workgroup("AVAILABLE")
    service.takes("list_tags_for_resource", TAGS, resourceArn="arn:wg")
    service.takes("delete_workgroup", {"workgroup": {}}, workgroupName="scx")
    service.workgroup("DELETING")
    service.workgroup(None)
    service.namespace("AVAILABLE")
    service.takes("list_tags_for_resource", TAGS, resourceArn="arn:ns")
    service.takes("delete_namespace", {"namespace": {}})
    service.namespace(None)
    lifecycle.destroy(PLAN, service.said.append)
    assert service.said[-1] == "namespace scx is gone"


def test_destroy_again_finds_nothing_to_do(service: Service) -> None:
    for _ in range(2):
        service.workgroup(None)
        service.workgroup(None)
        service.namespace(None)
        service.namespace(None)
        lifecycle.destroy(PLAN, service.said.append, snapshot=False)


def test_there_is_nothing_to_pause(service: Service) -> None:
    with pytest.raises(ClusterError, match="pauses by itself"):
        lifecycle.pause(PLAN, service.said.append)
    with pytest.raises(ClusterError, match="resumes by itself"):
        lifecycle.resume(PLAN, service.said.append)


def test_status_says_what_is_absent(service: Service) -> None:
    expect_status(service, None, None)
    found = lifecycle.status(PLAN)
    assert [(part.kind, part.state) for part in found.parts] == [
        ("namespace", None),
        ("workgroup", None),
        ("role", None),
    ]
    with pytest.raises(ClusterError, match="scx has no address yet"):
        lifecycle.url(PLAN, found)


def test_an_expired_login_is_told_in_one_line(service: Service) -> None:
    service.refuses("get_namespace", "ExpiredTokenException", "The token is old.")
    with pytest.raises(
        ClusterError, match=r"cannot see the workgroup: The token is old.: log in to AWS again"
    ):
        lifecycle.status(PLAN)
