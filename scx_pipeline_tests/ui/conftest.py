"""The site that the browser tests visit, a browser page, and the folder for screenshots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from scx_pipeline_tests.support.servers.s3 import S3Server
from scx_pipeline_tests.ui.screenshots import SCREENSHOTS, Shoot, save_screenshot
from scx_pipeline_tests.ui.site import Site, dagster_dev

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = "no chromium: `apt-get install chromium`, or put Chrome on the PATH as google-chrome"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS = 180_000  # for a busy machine with two cores


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of the browser; without one, the tests are skipped."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return found or pytest.skip(NO_BROWSER)


@pytest.fixture(scope="session")
def site(chromium: str, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start the UI and its daemon, with an empty bucket and no warehouse; all tests of this folder share them, in order."""
    bucket = f"scx-{uuid4().hex[:12]}"
    s3.create_bucket(bucket)
    with dagster_dev(tmp_path_factory.mktemp("ui"), s3, bucket) as site:
        yield site


@pytest.fixture(scope="session")
def tab(chromium: str) -> Iterator[Page]:
    """Open one tab for all tests, in which the application stays loaded."""
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000}, timezone_id="UTC", locale="en-US")
        page.set_default_timeout(TIMEOUT_MS)
        yield page
        browser.close()


@pytest.fixture
def page(tab: Page, site: Site) -> Page:
    """Return the tab, in its normal size."""
    tab.set_viewport_size({"width": 1600, "height": 1000})
    return tab


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Shoot:
    """Return a function that saves a named screenshot in the folder of SCX_SCREENSHOTS."""
    folder = Path(os.environ.get(SCREENSHOTS) or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return partial(save_screenshot, page, folder)
