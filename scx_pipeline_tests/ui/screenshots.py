"""Screenshots of the pages that the browser tests visit.

They are saved only if `SCX_SCREENSHOTS` names a folder to keep.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page

SCREENSHOTS = "SCX_SCREENSHOTS"  # the folder to save screenshots in
Shoot = Callable[[str], None]


def save_screenshot(page: Page, folder: Path, name: str) -> None:
    """Save a screenshot of the page as it is when nothing moves."""
    page.screenshot(path=folder / f"{name}.png", animations="disabled")
