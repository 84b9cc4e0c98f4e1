"""What a cluster is to be: its settings from one file and flags, the policies of its role, its price, and the URL to use.
Nothing here asks AWS, or changes anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from scx_pipeline.cluster.policy import Policy, allow, retention_policy
from scx_pipeline.cluster.reading import read_settings_of, s3_url

# US dollars an hour on demand in us-east-1, from AWS's price list of 2025-11: of an RPU, and of a node by its type.
RPU_PRICE = 0.375
NODE_PRICES = {
    "ra3.large": 0.543, "ra3.xlplus": 1.086, "ra3.4xlarge": 3.26, "ra3.16xlarge": 13.04,
}  # fmt: skip
# Nodes of a cluster when it is made, least and most, by AWS's guide; CreateCluster takes no more than 100 of any type.
NODE_RANGES = {"ra3.large": (1, 16), "ra3.xlplus": (1, 16), "ra3.4xlarge": (2, 32), "ra3.16xlarge": (2, 100)}
MOST_NODES = 100
MOST_RPU, MOST_BASE_RPU = 5632, 1024
ROLE_NAME = 64  # characters of an IAM role's name, at most
_ROLE = "-redshift-copy"


class ClusterPlan(BaseModel):
    """What `scx cluster` makes and keeps. Everything has a default but the bucket."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        "scx",
        max_length=ROLE_NAME - len(_ROLE),
        pattern=r"^[a-z](?:-?[a-z0-9]){2,}$",
        description="of the workgroup or cluster, its namespace and its role",
    )
    kind: Literal["serverless", "provisioned"] = "serverless"
    bucket: str = Field(description="s3://bucket[/prefix] with the logs, which the role may read")
    staging: str = Field(
        "", description="s3://bucket/prefix for what COPY reads; default: _scx_pipeline in the bucket"
    )
    lake: str = Field(
        "", description="s3://bucket/prefix of the lake, which UNLOAD writes into; default: none"
    )
    database: str = Field("dev", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    admin_user: str = Field(
        "scx_admin",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="its password is made and kept by AWS Secrets Manager",
    )
    capacity: int = Field(
        8, ge=4, le=MOST_BASE_RPU, description="serverless: Redshift processing units (RPU) to begin with"
    )
    max_capacity: int | None = Field(
        None, le=MOST_RPU, description="serverless: RPU at most, which bounds the price"
    )
    node_type: str = Field("ra3.large", description=f"provisioned: {', '.join(NODE_PRICES)}")
    nodes: int = Field(1, ge=1, le=MOST_NODES, validate_default=True, description="provisioned")
    subnets: tuple[str, ...] = Field(
        (), description="where it can be reached from; default: the account's own"
    )
    security_groups: tuple[str, ...] = Field((), description="who can reach it; default: the account's own")
    public: bool = Field(False, description="whether it has an address on the internet")

    @field_validator("bucket", "staging", "lake")
    @classmethod
    def _s3(cls, text: str) -> str:
        return s3_url(text)

    @field_validator("capacity")
    @classmethod
    def _base(cls, capacity: int) -> int:
        if capacity != 4 and capacity % (8 if capacity <= 512 else 32):
            raise ValueError(
                f"AWS has no base capacity of {capacity}: take 4, 8 to 512 in steps of 8, or 544 to {MOST_BASE_RPU} in steps of 32"
            )
        return capacity

    @field_validator("max_capacity")
    @classmethod
    def _most(cls, most: int | None, info: ValidationInfo) -> int | None:
        base = info.data.get("capacity", 0)
        if most is not None and most < base:
            raise ValueError(f"{most} is less than the base capacity of {base}")
        if most is not None and most != 4 and most % 8:
            raise ValueError(f"AWS has no maximum capacity of {most}: take a multiple of 8")
        return most

    @field_validator("nodes")
    @classmethod
    def _fits(cls, nodes: int, info: ValidationInfo) -> int:
        kind = info.data.get("node_type", "")
        least, most = NODE_RANGES.get(kind, (1, MOST_NODES))
        if info.data.get("kind") == "provisioned" and not least <= nodes <= most:
            raise ValueError(
                f"a cluster of {kind} has {least} to {most} nodes when it is created, not {nodes}"
            )
        return nodes

    @field_validator("name", "admin_user")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in ("default", "public"):
            raise ValueError(f"the name {name} is reserved by AWS")
        return name

    @property
    def staged(self) -> str:
        """Where what COPY reads is put."""
        return self.staging or f"{self.bucket}/_scx_pipeline"

    @property
    def role(self) -> str:
        """The name of the role by which the cluster reads the bucket."""
        return f"{self.name}{_ROLE}"


def read_plan(file: Path | None, flags: Mapping[str, object]) -> ClusterPlan:
    """The settings of a YAML file, and over them the flags that are not None. Raises SettingsError naming the setting."""
    return read_settings_of(ClusterPlan, file, flags)


def trust_policy() -> Policy:
    """Who may use the role: Redshift, and nobody else."""
    services = ["redshift.amazonaws.com", "redshift-serverless.amazonaws.com"]
    return retention_policy(
        {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
    )


def read_policy(plan: ClusterPlan) -> Policy:
    """What the role may do: read objects of the log bucket, of the staging place and of the lake, and list the first two.

    Into the lake it may write what is not in its place yet: files get there, and older ones go, by the pipeline.
    """
    objects, lists, buckets = [], [], []
    for place in dict.fromkeys((plan.bucket, plan.staged)):
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        below = f"{prefix}/*" if prefix else "*"
        objects.append(f"arn:aws:s3:::{bucket}/{below}")
        buckets.append(f"arn:aws:s3:::{bucket}")
        lists.append(
            allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")
            | ({"Condition": {"StringLike": {"s3:prefix": [below]}}} if prefix else {})
        )
    # Apart, as a request for a bucket's region names no prefix, and would not meet a condition on one.
    regions = allow("s3:GetBucketLocation", *dict.fromkeys(buckets))
    return retention_policy(allow("s3:GetObject", *objects), *lists, regions, *_lake(plan))


def _lake(plan: ClusterPlan) -> list[Policy]:
    """What COPY needs of the lake, to read files; and UNLOAD: to see that there is nothing where it writes, to write, and to
    give up a file."""
    if not plan.lake:
        return []
    bucket, _, prefix = plan.lake.removeprefix("s3://").partition("/")
    below = f"{prefix}/*/_writing/*" if prefix else "*/_writing/*"
    actions = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    condition = {"Condition": {"StringLike": {"s3:prefix": [below]}}}
    return [
        allow("s3:GetObject", f"arn:aws:s3:::{bucket}/{prefix}/*" if prefix else f"arn:aws:s3:::{bucket}/*"),
        allow(actions, f"arn:aws:s3:::{bucket}/{below}"),
        allow("s3:GetBucketLocation", f"arn:aws:s3:::{bucket}"),
        allow("s3:ListBucket", f"arn:aws:s3:::{bucket}") | condition,
    ]


def loader_policy(plan: ClusterPlan) -> Policy:
    """What whoever runs the pipeline needs: to read logs, to write the staging place and the lake, and to log in."""
    bucket, _, prefix = plan.bucket.removeprefix("s3://").partition("/")
    logs, staging = f"{bucket}/{prefix}".rstrip("/"), plan.staged.removeprefix("s3://")
    written = [staging, *([plan.lake.removeprefix("s3://")] if plan.lake else [])]
    return retention_policy(
        allow("s3:GetObject", f"arn:aws:s3:::{logs}/*"),
        allow(
            "s3:ListBucket",
            *dict.fromkeys(f"arn:aws:s3:::{place.partition('/')[0]}" for place in (logs, *written)),
        ),
        allow(
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            *(f"arn:aws:s3:::{place}/*" for place in written),
        ),
        allow("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:*:*:secret:redshift!*{plan.name}*"),
        *_logging_in(plan),
    )


def _logging_in(plan: ClusterPlan) -> list[Policy]:
    if plan.kind == "serverless":
        ours = {"Condition": {"StringEquals": {"aws:ResourceTag/scx_pipeline": plan.name}}}
        actions = ["redshift-serverless:GetWorkgroup", "redshift-serverless:GetCredentials"]
        return [allow(actions, "arn:aws:redshift-serverless:*:*:workgroup/*") | ours]
    return [
        allow("redshift:DescribeClusters", "*"),
        allow(
            "redshift:GetClusterCredentialsWithIAM",
            f"arn:aws:redshift:*:*:dbname:{plan.name}/{plan.database}",
        ),
    ]


def price(plan: ClusterPlan) -> str:
    """What it costs an hour, as far as it can be told beforehand."""
    if plan.kind == "serverless":
        most = f", at most {plan.max_capacity * RPU_PRICE:.2f}" if plan.max_capacity else ""
        return (
            f"about {plan.capacity * RPU_PRICE:.2f} US dollars an hour while queries run{most}, nothing for compute while none do; "
            "storage and snapshots are billed by the month"
        )
    if plan.node_type not in NODE_PRICES:
        return f"{plan.nodes} × {plan.node_type}: see AWS's price list; billed by the hour, also while no queries run, until it is paused"
    total = plan.nodes * NODE_PRICES[plan.node_type]
    return f"about {total:.2f} US dollars an hour, also while no queries run, until it is paused; storage is billed by the month"


def url_of(plan: ClusterPlan, host: str, secret: str) -> str:
    """The value for SCX_WAREHOUSE_URL: there is no password in it."""
    query = urlencode({"secret": secret, "staging": plan.staged}, safe=":/!")
    return f"redshift://{host}:5439/{plan.database}?{query}"
