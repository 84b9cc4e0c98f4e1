"""Create, pause, resume, tell and destroy: the role and the workgroup or cluster in the order in which they need each other.
Each step looks first, so that every command may be repeated, and goes on where it was broken off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from scx_pipeline.cluster.aws import ClusterError, Notify
from scx_pipeline.cluster.plan import ClusterPlan, read_policy, trust_policy, url_of
from scx_pipeline.cluster.provisioned import Provisioned
from scx_pipeline.cluster.role import Role, ensure_role, find_role, remove_role
from scx_pipeline.cluster.serverless import Serverless
from scx_pipeline.cluster.state import Machine, Part, Standing

KINDS: Mapping[str, Callable[[ClusterPlan, Notify], Machine]] = {
    "serverless": Serverless,
    "provisioned": Provisioned,
}


def create(plan: ClusterPlan, notify: Notify) -> Standing:
    """Make whatever is missing, and wait until it can be used; how it stands then. Raises ClusterError."""
    machine = KINDS[plan.kind](plan, notify)
    machine.create(ensure_role(_role(plan), trust_policy(), read_policy(plan), notify))
    return status(plan)


def status(plan: ClusterPlan) -> Standing:
    """How everything stands. Raises ClusterError."""
    found = KINDS[plan.kind](plan, lambda message: None).state()
    role = Part("role", plan.role, "present" if find_role(_role(plan)) else None)
    return Standing((*found.parts, role), found.host, found.secret)


def pause(plan: ClusterPlan, notify: Notify) -> None:
    """Stop what is billed by the hour. Raises ClusterError."""
    KINDS[plan.kind](plan, notify).pause()


def resume(plan: ClusterPlan, notify: Notify) -> None:
    """Let it compute again. Raises ClusterError."""
    KINDS[plan.kind](plan, notify).resume()


def destroy(plan: ClusterPlan, notify: Notify, snapshot: bool = True) -> None:
    """Remove everything that was made, the last first, with a last snapshot unless none is wanted. Raises ClusterError."""
    name = f"{plan.name}-final-{datetime.now(UTC):%Y%m%d-%H%M%S}" if snapshot else None
    KINDS[plan.kind](plan, notify).destroy(name)
    remove_role(_role(plan), notify)


def url(plan: ClusterPlan, standing: Standing) -> str:
    """The URL to use. Raises ClusterError where there is none yet."""
    if not standing.host or not standing.secret:
        raise ClusterError(f"{plan.name} has no address yet: run `scx cluster create`, or wait for it")
    return url_of(plan, standing.host, standing.secret)


def _role(plan: ClusterPlan) -> Role:
    return Role(plan.role, plan.name, "read-the-bucket", f"Redshift reads {plan.bucket} by it")
