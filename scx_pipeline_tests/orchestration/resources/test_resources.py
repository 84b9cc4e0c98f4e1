"""The warehouse resource: which settings are displayed for each engine, and that runs use them and passwords are hidden.

The page in the UI is not tested here.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest
from dagster._utils.error import serializable_error_info_from_exc_info

from scx_pipeline import definitions
from scx_pipeline.errors import WarehouseError
from scx_pipeline.orchestration.resources.warehouse_resources import (
    RedshiftResource,
    WarehouseResource,
    resources,
)
from scx_pipeline.settings import read_settings
from scx_pipeline.warehouse.open_warehouse import connection_info
from scx_pipeline.warehouse.redshift import redshift_url
from scx_pipeline.warehouse.warehouse import Warehouse

PASSWORD = "hunter2-is-no-secret"
POSTGRES = f"postgresql://scx:{PASSWORD}@db.example/dev"
REDSHIFT = f"redshift://scx:{PASSWORD}@rs.example:5440/dev?staging=s3://logs/staging"


@pytest.fixture(autouse=True)
def _servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", POSTGRES)


def warehouse_resource() -> WarehouseResource:
    """Create the resource from the environment, as a code server does."""
    found = resources(read_settings())["warehouse"]
    assert isinstance(found, WarehouseResource)
    return found


def open_as_run(resource: WarehouseResource) -> Warehouse:
    """Open the warehouse as a run does, which reads its own environment."""
    return resource.process_config_and_initialize().open()  # type: ignore[no-any-return]


def shown(resource: WarehouseResource) -> dict[str, Any]:
    """Return the resource's values that the UI displays."""
    return dict(resource._state__internal__.resolved_config_dict)


URL = {"url": {"env": "SCX_WAREHOUSE_URL"}}


@pytest.mark.parametrize(
    ("url", "kind", "facts"),
    [
        ("duckdb:///data/my%20dev.duckdb", "DuckDBResource", {"path": "/data/my dev.duckdb", "database": "my dev"}),
        (
            f"{POSTGRES}?sslmode=require&sslpassword={PASSWORD}",
            "PostgresResource",
            {**URL, "host": "db.example", "port": 5432, "database": "dev", "user": "scx", "sslmode": "require"},
        ),
        (
            f"postgresql://other@elsewhere/none?host=db.example&port=5433&dbname=dev&user=scx&password={PASSWORD}",
            "PostgresResource",
            {**URL, "host": "db.example", "port": 5433, "database": "dev", "user": "scx"},
        ),
        (
            REDSHIFT,
            "RedshiftResource",
            {
                **URL, "host": "rs.example", "port": 5440, "database": "dev", "user": "scx", "staging": "s3://logs/staging",
                **redshift_url.DEFAULTS,
            },
        ),
        (
            "redshift:///dev?workgroup=wg&region=eu-west-1&iam_role=arn:x&query_group=night&staging=s3://logs/s&sslmode=verify-ca"
            "&sslrootcert=/ca.pem",
            "RedshiftResource",
            {
                **URL, **redshift_url.DEFAULTS, "database": "dev", "workgroup": "wg", "region": "eu-west-1", "iam_role": "arn:x", "query_group": "night",
                "staging": "s3://logs/s", "sslmode": "verify-ca", "sslrootcert": "/ca.pem",
            },
        ),
        (
            "redshift:///dev?secret=redshift/scx",
            "RedshiftResource",
            {**URL, **redshift_url.DEFAULTS, "database": "dev", "secret": "redshift/scx"},
        ),
    ],
)  # fmt: skip
def test_the_url_of_each_engine_is_shown_without_the_password(
    url: str, kind: str, facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", url)
    resource = warehouse_resource()
    limits = {"memory_limit": "400MB", "threads": 0, "batch_files": 0, "lock_timeout": 300}
    timeout = {"statement_timeout": 0} if "url" in facts else {}
    assert type(resource).__name__ == kind
    assert shown(resource) == {**facts, **limits, **timeout}
    assert PASSWORD not in repr(vars(resource))


def test_every_option_of_a_redshift_url_is_shown() -> None:
    fields = RedshiftResource.model_fields.keys()
    assert {*redshift_url.OPTIONS, *redshift_url.TLS} <= fields
    assert connection_info(REDSHIFT).keys() <= fields


def test_a_run_reads_the_password_when_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = warehouse_resource()
    monkeypatch.setenv("SCX_WAREHOUSE_URL", POSTGRES.replace(PASSWORD, "rotated"))
    ready = resource.process_config_and_initialize()
    assert ready.address() == POSTGRES.replace(PASSWORD, "rotated")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (POSTGRES, POSTGRES.replace("db.", "other."), "has host other.example, but the resource shows host db.example"),
        (POSTGRES, POSTGRES.replace("/dev", "/prod"), "has database prod, but the resource shows database dev"),
        (POSTGRES, f"{POSTGRES}?host=other", "has host other, but the resource shows host db.example"),
        (POSTGRES, f"{POSTGRES}?sslmode=disable", "has sslmode disable, but the resource shows sslmode none"),
        (POSTGRES, REDSHIFT, "is a URL of redshift, but the resource shows the engine postgres"),
        (REDSHIFT, POSTGRES, "is a URL of postgresql, but the resource shows the engine redshift"),
        (REDSHIFT, REDSHIFT.replace("logs", "loot"), "has staging s3://loot/staging, but the resource shows staging s3://logs"),
        (REDSHIFT, f"{REDSHIFT}&iam_role=arn:x", "has iam_role arn:x, but the resource shows iam_role default"),
    ],
)  # fmt: skip
def test_a_url_that_no_longer_matches_the_displayed_settings_is_refused(
    before: str, after: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", before)
    resource = warehouse_resource()
    assert open_as_run(resource).url.endswith("/dev")
    monkeypatch.setenv("SCX_WAREHOUSE_URL", after)
    with pytest.raises(WarehouseError, match=message) as caught:
        open_as_run(resource)
    assert "reload the code location; nothing was loaded" in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_another_host_in_the_configuration_of_a_run_does_not_get_the_password() -> None:
    resource = warehouse_resource()
    values = {**shown(resource), "host": "evil.example"}
    with pytest.raises(WarehouseError, match="has host db.example, but the resource shows host evil.example"):
        open_as_run(type(resource)(**{**values, "url": POSTGRES}))


def test_limits_are_shown_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LOCK_TIMEOUT", "7"), ("STATEMENT_TIMEOUT", "60"), ("THREADS", "3")):
        monkeypatch.setenv(f"SCX_{name}", value)
    resource = warehouse_resource()
    values = {"lock_timeout": 7, "statement_timeout": 60, "threads": 3}
    assert values.items() <= shown(resource).items()
    limits = open_as_run(resource).limits
    assert (limits.lock_timeout, limits.statement_timeout, limits.threads) == (7, 60, 3)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://scx:{}/x@db.example/dev",
        "postgresql://scx:12/{}?x@db.example/dev",
        "postgresql://scx:12/{}#x@db.example/dev",
        "redshift://scx:12/dev?{}@rs.example/dev",
        "scx:{}@db.example/dev",
    ],
)
def test_a_malformed_url_fails_the_definitions_without_being_shown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_WAREHOUSE_URL", url.format("hunter2"))
    with pytest.raises(WarehouseError, match="^SCX_WAREHOUSE_URL "):
        definitions.defs()
    try:
        definitions.defs()
    except WarehouseError:
        text = serializable_error_info_from_exc_info(sys.exc_info()).to_string()
    assert "hunter2" not in text
