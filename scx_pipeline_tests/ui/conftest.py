"""The site that the browser tests visit, a browser's page to visit it with, and where its pictures go.
What the site is made of is in site.py."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from scx_pipeline_tests.support.servers.s3 import S3Server
from scx_pipeline_tests.ui.site import Site, dagster_dev

SCREENSHOTS = "SCX_SCREENSHOTS"  # names the folder that the pictures are left in
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
PATIENCE = 180_000  # ms: for what a busy machine with two cores may take
Shoot = Callable[[str], None]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program; without one the tests are skipped."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return found or pytest.skip(NO_BROWSER)


@pytest.fixture(scope="session")
def site(chromium: str, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The UI, its daemon, an empty bucket and no warehouse yet; all tests of this folder share them, in order."""
    bucket = f"scx-{uuid4().hex[:12]}"
    s3.create_bucket(bucket)
    with dagster_dev(tmp_path_factory.mktemp("ui"), s3, bucket) as site:
        yield site


@pytest.fixture(scope="session")
def tab(chromium: str) -> Iterator[Page]:
    """One tab for all tests: the application stays loaded in it."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000}, timezone_id="UTC", locale="en-US")
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


@pytest.fixture
def page(tab: Page, site: Site) -> Page:
    """The tab, with the site to go to."""
    tab.set_viewport_size({"width": 1600, "height": 1000})
    return tab


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Shoot:
    """Save a picture of the page by a name, in the folder that SCX_SCREENSHOTS names."""
    folder = Path(os.environ.get(SCREENSHOTS) or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: void(page.screenshot(path=folder / f"{name}.png", animations="disabled"))


def void(result: object) -> None:
    """Forget the result."""
