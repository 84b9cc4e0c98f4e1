"""A named check: what it applies to, the context that it runs in, and its outcome.

Individual checks and the list of them do not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.capabilities import Limits

Service = Literal["code", "webserver", "daemon"]
CheckUser = Literal["doctor"] | Service

EXAMPLES = {
    "DAGSTER_POSTGRES_HOST": "db.example.com",
    "DAGSTER_POSTGRES_PORT": "5432",
    "DAGSTER_POSTGRES_USER": "dagster",
    "DAGSTER_POSTGRES_PASSWORD": "… (from the secret store)",
    "DAGSTER_POSTGRES_DB": "dagster",
    "DAGSTER_LOGS_BUCKET": "scx-dagster-logs",
    "SCX_CODE_HOST": "code.example.com",
    "SCX_CODE_PORT": "4000",
    "SCX_BUCKET_URL": "s3://scx-raw",
    "SCX_WAREHOUSE_URL": "redshift://host:5439/dev?iam_role=… or postgresql://scx_loader:password@host:5432/dev",
}


@dataclass(frozen=True)
class CheckContext:
    """The settings and options that checks read."""

    settings: Settings
    limits: Limits
    environment: Mapping[str, str] = field(default_factory=dict)
    workspace: Path | None = None
    address: tuple[str, int] | None = None  # host and port to listen on


@dataclass(frozen=True)
class Check:
    """A named check; `run` returns what it found, if that is reported, or raises PipelineError."""

    name: str
    users: Collection[CheckUser]
    run: Callable[[CheckContext], str | None]
    advice: str = ""
    requires: str = ""  # the check that must have passed before
    is_applicable: Callable[[Settings], bool] = lambda _: True


@dataclass(frozen=True)
class CheckOutcome:
    """The outcome of one check: whether it passed, what was found, and what to do if it failed."""

    name: str
    passed: bool
    found: str
    advice: str = ""
