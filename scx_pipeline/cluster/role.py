"""A role by which something in AWS reads and writes the buckets: made, kept as planned, and removed again.
Who may use it and what it may do is in `plan` and `spark_policy`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from scx_pipeline.cluster.aws import Notify, check_ours, client, present, tags, told
from scx_pipeline.cluster.policy import Policy

ABSENT = ("NoSuchEntity",)


@dataclass(frozen=True)
class Role:
    """A role by its name, the plan it belongs to, the name of its policy, and what it is for."""

    name: str
    owner: str
    policy: str
    purpose: str


def ensure_role(role: Role, trust: Policy, rights: Policy, notify: Notify) -> str:
    """Make the role unless it stands, and let it be used and do as planned and nothing else; its ARN."""
    iam = client("iam")
    with told(f"make the role {role.name}"):
        found = present(lambda: iam.get_role(RoleName=role.name)["Role"], ABSENT)
        if found is None:
            found = iam.create_role(
                RoleName=role.name,
                AssumeRolePolicyDocument=json.dumps(trust),
                Description=f"{role.purpose} (scx_pipeline)",
                Tags=tags(role.owner),
            )["Role"]
            notify(f"role {role.name} made")
        else:
            check_ours(f"the role {role.name}", role.owner, iam.list_role_tags(RoleName=role.name)["Tags"])
            if found["AssumeRolePolicyDocument"] != trust:
                iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=json.dumps(trust))
        iam.put_role_policy(RoleName=role.name, PolicyName=role.policy, PolicyDocument=json.dumps(rights))
    return str(found["Arn"])


def remove_role(role: Role, notify: Notify) -> None:
    """Remove the role, if it stands and is ours."""
    iam = client("iam")
    with told(f"remove the role {role.name}"):
        if present(lambda: iam.get_role(RoleName=role.name), ABSENT) is None:
            return
        check_ours(f"the role {role.name}", role.owner, iam.list_role_tags(RoleName=role.name)["Tags"])
        present(lambda: iam.delete_role_policy(RoleName=role.name, PolicyName=role.policy), ABSENT)
        present(lambda: iam.delete_role(RoleName=role.name), ABSENT)
    notify(f"role {role.name} removed")


def find_role(role: Role) -> str | None:
    """The role's ARN; None where there is none."""
    iam = client("iam")
    with told(f"see the role {role.name}"):
        found = present(lambda: iam.get_role(RoleName=role.name)["Role"], ABSENT)
    return str(found["Arn"]) if found else None
