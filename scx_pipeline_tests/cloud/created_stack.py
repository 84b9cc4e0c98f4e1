"""Create a stack on moto, and read its role and policies as IAM reads them.

No tests belong here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import boto3

from scx_pipeline.cloud.stacks import Stacks
from scx_pipeline.cloud.templates import complete_parameters, load_template

PLACES = {"Bucket": "s3://logs/raw", "Lake": "s3://lake/stars"}
Policy = list[dict[str, Any]]
Case = tuple[str, str, str, bool]  # action, resource, s3:prefix, whether it is allowed


def find_wrong_decisions(policy: Policy, cases: list[Case]) -> list[Case]:
    """Return the cases that a policy decides otherwise than they say."""
    return [case for case in cases if allows(policy, case[0], case[1], s3_prefix=case[2]) is not case[3]]


def create(template: str, **given: str) -> Mapping[str, str]:
    """Create a stack; its outputs."""
    found = load_template(template)
    values = complete_parameters(found, {**PLACES, **given})
    return Stacks(None, lambda message: None).create(f"scx-{template}", "scx", found, values).outputs


def role_of(template: str) -> dict[str, Any]:
    [role] = [item for item in boto3.client("iam").list_roles()["Roles"] if template in item["RoleName"]]
    return dict(role)


def role_policy(template: str) -> Policy:
    """All statements of the role's policies."""
    iam, name = boto3.client("iam"), role_of(template)["RoleName"]
    found = [
        iam.get_role_policy(RoleName=name, PolicyName=item)["PolicyDocument"]
        for item in iam.list_role_policies(RoleName=name)["PolicyNames"]
    ]
    # moto's CloudFormation leaves an inline policy as Python writes it.
    policies = [ast.literal_eval(item) if isinstance(item, str) else item for item in found]
    return [statement for policy in policies for statement in policy["Statement"]]


def pipeline_policy(outputs: Mapping[str, str]) -> Policy:
    iam, arn = boto3.client("iam"), outputs["PipelinePolicyArn"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    return list(version["Document"]["Statement"])


def as_list(value: Any) -> list[str]:
    """Return a value or several as a list; moto leaves None where CloudFormation removes AWS::NoValue."""
    return [item for item in (value if isinstance(value, list) else [value]) if item is not None]


def conditions(statement: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for group in (statement.get("Condition") or {}).values():
        for key, wanted in group.items():
            yield key.replace(":", "_"), as_list(wanted)


def allows(policy: Policy, action: str, resource: str, **context: str) -> bool:
    """Whether a policy allows an action, read as IAM reads it: a condition on a key that is not sent does not hold."""
    return any(
        action in as_list(statement["Action"])
        and any(fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"]))
        and all(
            any(fnmatchcase(context.get(key, ""), pattern) for pattern in wanted)
            for key, wanted in conditions(statement)
        )
        for statement in policy
    )
