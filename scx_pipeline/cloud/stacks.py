"""Operations on CloudFormation stacks: find, create, update, delete, and follow them by their events.

A request that AWS refuses raises a CloudError of one line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from scx_pipeline import aws
from scx_pipeline.cloud.templates import Template
from scx_pipeline.errors import PipelineError

TAG = "scx_pipeline"  # of every stack, with the name that the user gave; a stack without it is never changed
POLL_SECONDS = 5.0
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]  # for roles, and AWS::LanguageExtensions
FAILED_CREATIONS = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")


class CloudError(PipelineError):
    """AWS refused a request, or a resource is not in the state that a command needs; the message says what to do."""


create_client = partial(aws.create_client, kind=CloudError)
translate_errors = partial(aws.translate_aws_errors, kind=CloudError)


@dataclass(frozen=True)
class Stack:
    """A stack as CloudFormation describes it."""

    id: str
    name: str
    status: str
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass
class Stacks:
    """The stacks of a region. Every method raises CloudError where AWS refuses, and waits until an operation has ended."""

    region: str | None
    notify: Callable[[str], None]

    def __post_init__(self) -> None:
        self.client = create_client("cloudformation", region=self.region)

    def find(self, name: str, owner: str) -> Stack | None:
        """Return the stack of a name, or None if it does not exist.

        Raises:
            CloudError: The stack does not have the owner's tag.
        """
        from botocore.exceptions import ClientError

        with translate_errors(f"describe the stack {name}"):
            try:
                stack = self._describe(name)
            except ClientError as error:
                if "does not exist" in error.response["Error"].get("Message", ""):
                    return None
                raise
        if stack.tags.get(TAG) != owner:
            raise CloudError(
                f"the stack {name} exists, but was not created by `scx cloud` (it has no tag {TAG}={owner}): use another --name"
            )
        return stack

    def find_settled(self, name: str, owner: str) -> Stack | None:
        """Return what `find` does once no operation is in progress: one may have been interrupted."""
        stack = self.find(name, owner)
        if stack and stack.status.endswith("_IN_PROGRESS"):
            stack = self._follow(stack.id)
        return stack if stack and stack.status != "DELETE_COMPLETE" else None

    def resources(self, stack: Stack) -> list[dict[str, str]]:
        """List the resources of a stack: name, type, id and status."""
        fields = ("LogicalResourceId", "ResourceType", "PhysicalResourceId", "ResourceStatus")
        with translate_errors(f"list the resources of {stack.name}"):
            pages = self.client.get_paginator("list_stack_resources").paginate(StackName=stack.id)
            rows = [
                [item.get(name, "") for name in fields]
                for page in pages
                for item in page["StackResourceSummaries"]
            ]
        found = [dict(zip(("name", "type", "id", "status"), row, strict=True)) for row in rows]
        return [item for item in found if item["status"] != "DELETE_COMPLETE"]

    def create(self, name: str, owner: str, template: Template, values: Mapping[str, str]) -> Stack:
        """Create a stack."""
        with translate_errors(f"create the stack {name}"):
            tags = [{"Key": TAG, "Value": owner}]
            request = _request(values) | {"TemplateBody": template.text, "Tags": tags}
            response = self.client.create_stack(StackName=name, **request)
        return self._follow(response["StackId"], "CREATE_COMPLETE")

    def update(
        self, stack: Stack, values: Mapping[str, str | None], template: Template | None = None
    ) -> Stack:
        """Update a stack that is not up to date; None keeps its template, or the value of a parameter."""
        from botocore.exceptions import ClientError

        body = {"TemplateBody": template.text} if template else {"UsePreviousTemplate": True}
        with translate_errors(f"update the stack {stack.name}"):
            try:
                self.client.update_stack(StackName=stack.id, **body, **_request(values))
            except ClientError as error:
                if "No updates are to be performed" in error.response["Error"].get("Message", ""):
                    return stack
                raise
        return self._follow(stack.id, "UPDATE_COMPLETE")

    def delete(self, stack: Stack) -> None:
        """Delete a stack and its resources."""
        with translate_errors(f"delete the stack {stack.name}"):
            self.client.delete_stack(StackName=stack.id)
        self._follow(stack.id, "DELETE_COMPLETE")

    def describe_failure(self, stack: Stack) -> str:
        """Describe which resources failed in the last operation, and why."""
        with translate_errors(f"list the events of {stack.name}"):
            return _describe_failure(self._events(stack.id))

    def _follow(self, stack_id: str, expected: str = "") -> Stack:
        """Report events until the operation has ended. Raises CloudError if it does not end as expected."""
        reported: set[str] = set()
        while True:
            with translate_errors("follow the stack"):
                stack, events = self._describe(stack_id), self._events(stack_id)
            for event in events:
                if event["EventId"] not in reported:
                    self.notify("{LogicalResourceId} ({ResourceType}): {ResourceStatus}".format(**event))
            reported |= {event["EventId"] for event in events}
            if not stack.status.endswith("_IN_PROGRESS"):
                break
            time.sleep(POLL_SECONDS)
        if expected and stack.status != expected:
            raise CloudError(f"the stack {stack.name} is {stack.status}: {_describe_failure(events)}")
        return stack

    def _events(self, stack_id: str) -> list[dict[str, Any]]:
        """List the events of the stack's last operation, the oldest first."""
        found: list[dict[str, Any]] = []
        for page in self.client.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            for event in page["StackEvents"]:
                found.insert(0, event)
                if event.get("ResourceStatusReason") == "User Initiated":
                    return found
        return found

    def _describe(self, name: str) -> Stack:
        [found] = self.client.describe_stacks(StackName=name)["Stacks"]
        tags = {item["Key"]: item["Value"] for item in found.get("Tags", [])}
        parameters = {item["ParameterKey"]: item["ParameterValue"] for item in found.get("Parameters", [])}
        outputs = {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}
        return Stack(found["StackId"], found["StackName"], found["StackStatus"], tags, parameters, outputs)


def _request(values: Mapping[str, str | None]) -> dict[str, Any]:
    kept = [{"ParameterKey": key, "UsePreviousValue": True} for key, value in values.items() if value is None]
    given = [
        {"ParameterKey": key, "ParameterValue": value} for key, value in values.items() if value is not None
    ]
    return {"Parameters": [*kept, *given], "Capabilities": CAPABILITIES}


def _describe_failure(events: Sequence[Mapping[str, Any]]) -> str:
    causes = [
        f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
        for event in events
        if event["ResourceStatus"].endswith("_FAILED") and event["PhysicalResourceId"] != event["StackId"]
    ]
    # When one resource fails, CloudFormation cancels the others.
    return (
        "; ".join(cause for cause in causes if "cancelled" not in cause)
        or "see its events in the AWS console"
    )
