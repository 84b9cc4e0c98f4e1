"""The IAM role by which Redshift reads the bucket: made, kept as planned, and removed again.
What it may do is in `plan`."""

from __future__ import annotations

import json

from scx_pipeline.cluster.aws import Notify, check_ours, client, present, tags, told
from scx_pipeline.cluster.plan import ClusterPlan, read_policy, trust_policy

POLICY = "read-the-bucket"
ABSENT = ("NoSuchEntity",)


def ensure_role(plan: ClusterPlan, notify: Notify) -> str:
    """Make the role unless it stands, and let it do what is planned and nothing else; its ARN."""
    iam = client("iam")
    with told(f"make the role {plan.role}"):
        found = present(lambda: iam.get_role(RoleName=plan.role)["Role"], ABSENT)
        if found is None:
            found = iam.create_role(
                RoleName=plan.role,
                AssumeRolePolicyDocument=json.dumps(trust_policy()),
                Description=f"Redshift reads {plan.bucket} by it (scx_pipeline)",
                Tags=tags(plan.name),
            )["Role"]
            notify(f"role {plan.role} made")
        else:
            check_ours(f"the role {plan.role}", plan.name, iam.list_role_tags(RoleName=plan.role)["Tags"])
        iam.put_role_policy(
            RoleName=plan.role, PolicyName=POLICY, PolicyDocument=json.dumps(read_policy(plan))
        )
    return str(found["Arn"])


def remove_role(plan: ClusterPlan, notify: Notify) -> None:
    """Remove the role, if it stands and is ours."""
    iam = client("iam")
    with told(f"remove the role {plan.role}"):
        if present(lambda: iam.get_role(RoleName=plan.role), ABSENT) is None:
            return
        check_ours(f"the role {plan.role}", plan.name, iam.list_role_tags(RoleName=plan.role)["Tags"])
        present(lambda: iam.delete_role_policy(RoleName=plan.role, PolicyName=POLICY), ABSENT)
        present(lambda: iam.delete_role(RoleName=plan.role), ABSENT)
    notify(f"role {plan.role} removed")


def role_state(plan: ClusterPlan) -> str | None:
    """`present`, or None."""
    iam = client("iam")
    with told(f"see the role {plan.role}"):
        found = present(lambda: iam.get_role(RoleName=plan.role), ABSENT)
    return "present" if found else None
