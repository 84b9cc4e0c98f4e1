"""What a user sees when AWS refuses, an operation on a stack fails or was interrupted, or a stack is not ours.

Answers that moto does not give come from botocore's Stubber, which checks them against AWS's models.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto.cloudformation.models import Event, cloudformation_backends

from scx_pipeline.cloud import stacks
from scx_pipeline.cloud.services import pipeline_settings
from scx_pipeline.cloud.stacks import CloudError, Stack, Stacks
from scx_pipeline.cloud.templates import complete_parameters, load_template
from scx_pipeline_tests.cloud.cloud_command import NOW, PLACES, Cloud, stack_of

NAME = "scx-redshift-serverless"
ARN = f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{NAME}/1"
TEMPLATE = load_template("redshift-serverless")
VALUES = complete_parameters(TEMPLATE, {"Bucket": "s3://scx-logs"})


class Answers:
    """Answers to requests, in their order; the messages reported so far."""

    def __init__(self, stubber: Stubber) -> None:
        self.stubber, self.messages = stubber, list[str]()
        self.stacks = Stacks(None, self.messages.append)

    def stack(self, status: str, **facts: Any) -> None:
        found = {"StackName": NAME, "StackId": ARN, "StackStatus": status, "CreationTime": NOW}
        tags = {"Tags": [{"Key": "scx_pipeline", "Value": "scx"}]}
        self.stubber.add_response("describe_stacks", {"Stacks": [{**found, **tags, **facts}]})

    def events(self, *events: tuple[str, str, str]) -> None:
        """The events of an operation, the oldest first: logical ID, status, reason."""
        first = (NAME, "CREATE_IN_PROGRESS", "User Initiated")
        found = [
            {
                "EventId": f"{name} {status}", "StackId": ARN, "StackName": NAME, "LogicalResourceId": name,
                "PhysicalResourceId": ARN if name == NAME else name, "ResourceStatus": status,
                "ResourceType": "AWS::CloudFormation::Stack" if name == NAME else f"AWS::RedshiftServerless::{name}",
                "Timestamp": NOW + timedelta(seconds=number), "ResourceStatusReason": reason,
            }
            for number, (name, status, reason) in enumerate((("Old", "CREATE_FAILED", "long ago"), first, *events))
        ]  # fmt: skip
        self.stubber.add_response("describe_stack_events", {"StackEvents": found[::-1]}, {"StackName": ARN})

    def takes(self, operation: str, answer: dict[str, Any] | None = None) -> None:
        self.stubber.add_response(operation, answer or {})

    def refuses(self, operation: str, code: str, message: str) -> None:
        self.stubber.add_client_error(operation, code, message)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    client = boto3.client("cloudformation")
    with monkeypatch.context() as patch, Stubber(client) as stubber:
        patch.setattr(stacks, "create_client", lambda name, region: client)
        yield Answers(stubber)
        stubber.assert_no_pending_responses()


def moto_stack(name: str) -> Any:
    """moto's own stack, to put it into a state that moto never reaches."""
    return next(
        item
        for item in cloudformation_backends["123456789012"]["eu-west-1"].stacks.values()
        if item.name == name
    )


def fail_creation(status: str) -> None:
    stack = moto_stack("scx-redshift-provisioned")
    reason = "The requested node type is not available (Status Code: 400)"
    event = ("Cluster", "scx", "AWS::Redshift::Cluster", "CREATE_FAILED", reason)
    stack.events.append(Event(stack.stack_id, stack.name, *event, None))
    stack.status = status


def test_a_stack_of_others_is_neither_shown_nor_changed_nor_deleted(cloud: Cloud) -> None:
    body = '{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}'
    for tag in ({"Key": "team", "Value": "data"}, {"Key": "scx_pipeline", "Value": "another"}):
        client = boto3.client("cloudformation")
        client.create_stack(StackName="scx-redshift-provisioned", TemplateBody=body, Tags=[tag])
        for command in (
            ("create", *PLACES, "--yes"),
            ("status",),
            ("url",),
            ("pause",),
            ("destroy", "--yes"),
        ):
            done = cloud(command[0], "redshift-provisioned", *command[1:])
            assert isinstance(done.exception, CloudError)
            assert (
                "was not created by `scx cloud` (it has no tag scx_pipeline=scx): use another --name"
                in str(done.exception)
            )
        assert stack_of("scx-redshift-provisioned")["StackStatus"] == "CREATE_COMPLETE"
        client.delete_stack(StackName="scx-redshift-provisioned")


@pytest.mark.parametrize("status", ["CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"])
def test_create_after_a_failure_says_why_deletes_and_creates(cloud: Cloud, status: str) -> None:
    cloud("create", "redshift-provisioned", *PLACES, "--yes")
    fail_creation(status)
    before = stack_of("scx-redshift-provisioned")["StackId"]
    done = cloud("create", "redshift-provisioned", *PLACES, answer="scx\nscx\n")
    assert done.exit_code == 0, done.output
    why = "Cluster (AWS::Redshift::Cluster): The requested node type is not available (Status Code: 400)"
    assert f"scx-redshift-provisioned is {status}: {why}" in done.stdout
    assert "to delete scx-redshift-provisioned" in done.stdout
    after = stack_of("scx-redshift-provisioned")
    assert (after["StackStatus"], after["StackId"] == before) == ("CREATE_COMPLETE", False)


def test_create_after_a_failure_without_confirmation_deletes_nothing(cloud: Cloud) -> None:
    cloud("create", "redshift-provisioned", *PLACES, "--yes")
    fail_creation("ROLLBACK_COMPLETE")
    cloud("create", "redshift-provisioned", *PLACES, answer="no\n")
    assert stack_of("scx-redshift-provisioned")["StackStatus"] == "ROLLBACK_COMPLETE"


def test_create_that_fails_names_the_resource_and_the_reason(answers: Answers) -> None:
    cancelled = ("Role", "CREATE_FAILED", "Resource creation cancelled")
    cause = ("Workgroup", "CREATE_FAILED", "No room. (Service: RedshiftServerless)")
    answers.takes("create_stack", {"StackId": ARN})
    answers.stack("CREATE_IN_PROGRESS")
    answers.events(("Workgroup", "CREATE_IN_PROGRESS", ""))
    answers.stack("ROLLBACK_COMPLETE")
    end = (NAME, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed")
    answers.events(("Workgroup", "CREATE_IN_PROGRESS", ""), cause, cancelled, end)
    with pytest.raises(CloudError) as caught:
        answers.stacks.create(NAME, "scx", TEMPLATE, VALUES)
    assert str(caught.value) == (
        f"the stack {NAME} is ROLLBACK_COMPLETE: "
        "Workgroup (AWS::RedshiftServerless::Workgroup): No room. (Service: RedshiftServerless)"
    )


def test_only_events_of_this_operation_are_reported_once_and_in_order(answers: Answers) -> None:
    started, ended = ("Namespace", "CREATE_IN_PROGRESS", ""), ("Namespace", "CREATE_COMPLETE", "")
    answers.takes("create_stack", {"StackId": ARN})
    for status, events in (("CREATE_IN_PROGRESS", [started]), ("CREATE_COMPLETE", [started, ended])):
        answers.stack(status)
        answers.events(*events)
    answers.stacks.create(NAME, "scx", TEMPLATE, VALUES)
    assert answers.messages == [
        f"{NAME} (AWS::CloudFormation::Stack): CREATE_IN_PROGRESS",
        "Namespace (AWS::RedshiftServerless::Namespace): CREATE_IN_PROGRESS",
        "Namespace (AWS::RedshiftServerless::Namespace): CREATE_COMPLETE",
    ]


@pytest.mark.parametrize(("end", "is_left"), [("CREATE_COMPLETE", True), ("DELETE_COMPLETE", False)])
def test_find_settled_waits_for_an_interrupted_operation(answers: Answers, end: str, is_left: bool) -> None:
    answers.stack("CREATE_IN_PROGRESS")  # found by its name
    answers.stack("CREATE_IN_PROGRESS")
    answers.events()
    answers.stack(end)
    answers.events()
    found = answers.stacks.find_settled(NAME, "scx")
    assert (found is not None and found.status == end) is is_left


def test_delete_that_fails_names_the_resource_and_the_reason(answers: Answers) -> None:
    answers.takes("delete_stack")
    answers.stack("DELETE_FAILED")
    answers.events(("PipelinePolicy", "DELETE_FAILED", "Cannot delete a policy attached to entities."))
    with pytest.raises(
        CloudError, match=r"is DELETE_FAILED: PipelinePolicy .*: Cannot delete a policy attached"
    ):
        answers.stacks.delete(Stack(ARN, NAME, "CREATE_COMPLETE", {}, {}, {}))


def test_update_without_changes_returns_the_stack(answers: Answers) -> None:
    stack = Stack(ARN, NAME, "CREATE_COMPLETE", {}, VALUES, {})
    answers.refuses("update_stack", "ValidationError", "No updates are to be performed.")
    assert answers.stacks.update(stack, dict(VALUES), TEMPLATE) == stack


def test_an_update_that_aws_refuses_is_reported_in_one_message(answers: Answers) -> None:
    answers.refuses(
        "update_stack", "ValidationError", "Stack is in DELETE_FAILED state and can not be updated."
    )
    with pytest.raises(CloudError, match=f"cannot update the stack {NAME}: Stack is in DELETE_FAILED state"):
        answers.stacks.update(Stack(ARN, NAME, "DELETE_FAILED", {}, {}, {}), {"FinalSnapshot": "false"})


def test_status_in_progress_is_shown_without_waiting(cloud: Cloud) -> None:
    cloud("create", "redshift-provisioned", *PLACES, "--yes")
    moto_stack("scx-redshift-provisioned").status = "UPDATE_IN_PROGRESS"
    assert "scx-redshift-provisioned: UPDATE_IN_PROGRESS" in cloud("status", "redshift-provisioned").stdout


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        (
            "AccessDenied",
            "Not authorized to perform: cloudformation:CreateStack",
            "let this user .*docs/emr.md",
        ),
        ("ExpiredToken", "The security token included in the request is expired", "log in to AWS again"),
        ("LimitExceededException", "Too many stacks.", "check the account's quotas, or request less"),
    ],
)
def test_a_refusal_by_aws_is_one_line_with_advice(
    answers: Answers, code: str, message: str, advice: str
) -> None:
    answers.refuses("create_stack", code, message)
    with pytest.raises(CloudError, match=f"cannot create the stack {NAME}: {message}: {advice}") as caught:
        answers.stacks.create(NAME, "scx", TEMPLATE, VALUES)
    assert "\n" not in str(caught.value)


def test_settings_of_a_stack_without_outputs_are_refused() -> None:
    stack = Stack(ARN, NAME, "ROLLBACK_COMPLETE", {}, VALUES, {})
    with pytest.raises(CloudError, match="is ROLLBACK_COMPLETE and has no outputs: run `scx cloud create`"):
        pipeline_settings(Stacks(None, print), stack)
