"""The page of the warehouse resource in the Dagster UI: what it shows of a Redshift URL, and that no password is sent to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Response, expect

from scx_pipeline_tests.support.servers.s3 import S3Server
from scx_pipeline_tests.ui.screenshots import Shoot
from scx_pipeline_tests.ui.site import Site, dagster_dev

PASSWORD = "pl4nted/@:% in a URL"
LOGIN = f"scx:{quote(PASSWORD, safe='')}"
RESOURCE = "/locations/scx_pipeline/resources/warehouse"
URL = f"redshift://{LOGIN}@rs.example:5440/dev?staging=s3://logs/staging&region=eu-west-1&iam_role=arn:aws:iam::1:role/copy"
SHOWN = {
    "host": "rs.example", "port": "5440", "database": "dev", "user": "scx", "staging": "s3://logs/staging",
    "region": "eu-west-1", "iam_role": "arn:aws:iam::1:role/copy", "query_group": "scx_pipeline",
    "sslmode": "verify-full",
}  # fmt: skip
LIMITS = {"statement_timeout": "60", "lock_timeout": "7", "memory_limit": "300MB"}


@pytest.fixture(scope="module")
def site(chromium: str, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start the UI with the URL of a server that is never connected to, instead of the shared site."""
    settings = {f"SCX_{name.upper()}": value for name, value in LIMITS.items()}
    with dagster_dev(
        tmp_path_factory.mktemp("resources"),
        s3,
        "none",
        {**settings, "SCX_WAREHOUSE_URL": URL},
    ) as site:
        yield site


@contextmanager
def record_responses(page: Page) -> Iterator[list[str]]:
    """Record everything that the server sends to the page, by HTTP and web sockets."""
    received: list[str] = []

    def listen(response: Response) -> None:
        if response.request.resource_type in ("fetch", "xhr", "document"):
            received.append(response.text())

    page.on("response", listen)
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(str(frame))))
    yield received
    page.remove_listener("response", listen)


def test_the_resource_shows_connection_info_and_never_the_password(
    page: Page, site: Site, shoot: Shoot
) -> None:
    with record_responses(page) as received:
        page.goto(site.address + RESOURCE)
        page.set_viewport_size({"width": 1600, "height": 1900})
        for name, value in {**SHOWN, **LIMITS}.items():
            row = page.locator("tr").filter(has=page.get_by_text(name, exact=True)).first
            expect(row).to_contain_text(value)
        url = page.locator("tr").filter(has=page.get_by_text("url", exact=True)).first
        expect(url).to_contain_text("SCX_WAREHOUSE_URL")
        shoot("31-resource-redshift")
        seen = [page.content()]
        for path in (
            "/deployment/locations/scx_pipeline/resources",
            "/locations/scx_pipeline/jobs/scx/playground",
        ):
            page.goto(site.address + path)
            page.wait_for_load_state("networkidle")
            seen.append(page.content())
    everything = "\n".join([*received, *seen])
    assert SHOWN["host"] in everything
    for secret in (PASSWORD, quote(PASSWORD, safe=""), "pl4nted"):
        assert secret not in everything
