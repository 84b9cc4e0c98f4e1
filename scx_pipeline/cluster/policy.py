"""IAM policies as they are written here: statements that allow, and places of S3 as what statements name.
Who is allowed what is in `plan` and `spark_policy`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Policy = dict[str, Any]


def allow(actions: str | list[str], *resources: str) -> Policy:
    """A statement that allows some actions on some resources."""
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources)}


def retention_policy(*statements: Mapping[str, Any]) -> Policy:
    """A policy of these statements."""
    return {"Version": "2012-10-17", "Statement": [dict(item) for item in statements]}


@dataclass(frozen=True)
class Place:
    """What is below s3://bucket/prefix."""

    bucket: str
    prefix: str

    @property
    def objects(self) -> str:
        """Its objects, as a resource."""
        return f"arn:aws:s3:::{self.bucket}/{self._below}"

    def listing(self) -> Policy:
        """A statement that allows to list it, and nothing beside it."""
        listed = allow("s3:ListBucket", f"arn:aws:s3:::{self.bucket}")
        return listed | ({"Condition": {"StringLike": {"s3:prefix": [self._below]}}} if self.prefix else {})

    @property
    def _below(self) -> str:
        return f"{self.prefix}/*" if self.prefix else "*"


def place_of(url: str) -> Place:
    """The place of an s3:// URL."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return Place(bucket, prefix.rstrip("/"))
