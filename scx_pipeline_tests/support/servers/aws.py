"""A simulated AWS service: requests and responses are validated against botocore's model of the service.

Each test defines the responses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import botocore.client
import botocore.model
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

from scx_pipeline import aws

BuildResult = Callable[[dict[str, Any]], Mapping[str, Any]]
REGION = "us-east-1"
APPLICATION = "00f1abc"
ROLE = "arn:aws:iam::123456789012:role/scx-spark-us-east-1"


@dataclass
class Service:
    """A service with a response for each operation, and the requests that it received."""

    name: str
    answers: dict[str, BuildResult] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def client(self) -> Any:
        """Return a boto3 client whose requests are not sent to AWS."""
        client = boto3.client(self.name, region_name=REGION)
        client.meta.events.register(f"before-parameter-build.{self.name}", self._note)
        client.meta.events.register(f"before-call.{self.name}", self._answer)
        return client

    def requests(self, operation: str) -> list[dict[str, Any]]:
        return [params for name, params in self.asked if name == operation]

    def _note(self, params: dict[str, Any], model: botocore.model.OperationModel, **more: Any) -> None:
        assert list(breaches(model.input_shape, params, model.name)) == []
        self.asked.append((model.name, params))

    def _answer(self, model: botocore.model.OperationModel, **more: Any) -> tuple[AWSResponse, Any]:
        assert model.name in self.answers, f"{model.name} was not to be asked"
        answer = dict(self.answers[model.name](self.asked[-1][1]))
        validate_parameters(answer, model.output_shape)
        return AWSResponse("https://aws", 200, {}, None), answer


def refusal(code: str, message: str) -> BuildResult:
    """Return a response that raises an error of AWS."""

    def refuse(params: dict[str, Any]) -> Mapping[str, Any]:
        raise ClientError({"Error": {"Code": code, "Message": message}}, "Asked")

    return refuse


def play(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the project use this service instead of AWS."""
    real = aws.create_client

    def client(name: str, *arguments: Any, **more: Any) -> Any:
        return service.client() if name == service.name else real(name, *arguments, **more)

    monkeypatch.setattr(aws, "create_client", client)


def breaches(shape: Any, value: Any, where: str) -> Iterator[str]:
    """Return where a value violates the model: botocore itself does not check patterns, and checks few lengths."""
    facts = shape.metadata
    size = value if shape.type_name in ("integer", "long") else len(value) if hasattr(value, "__len__") else 0
    if not facts.get("min", size) <= size <= facts.get("max", size):
        yield f"{where}: {size} is not from {facts.get('min')} to {facts.get('max')}"
    if shape.type_name == "string" and not re.fullmatch(facts.get("pattern", ".*"), value, re.DOTALL):
        yield f"{where}: {value!r} is not {facts['pattern']}"
    if facts.get("enum") and value not in facts["enum"]:
        yield f"{where}: {value!r} is none of {facts['enum']}"
    if shape.type_name == "structure":
        for name, item in value.items():
            yield from breaches(shape.members[name], item, f"{where}.{name}")
    elif shape.type_name == "list":
        for item in value:
            yield from breaches(shape.member, item, f"{where}[]")
    elif shape.type_name == "map":
        for name, item in value.items():
            yield from breaches(shape.key, name, f"{where} key")
            yield from breaches(shape.value, item, f"{where}.{name}")


def input_of(service: str, operation: str) -> Any:
    """Return the shape of an operation's request."""
    client = boto3.client(service, region_name=REGION)
    return client.meta.service_model.operation_model(operation).input_shape
