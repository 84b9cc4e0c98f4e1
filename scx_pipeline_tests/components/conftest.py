"""A scaffolded star with one file in the bucket, in a folder of its own.

No tests belong here.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from scx_pipeline.components.star_scaffolder import StarScaffolder
from scx_pipeline.model.calendar import Month

MONTH = f"{Month.current().year}-01"
FILE = f"event_id,customer,country,amount,happened_at\n1,ada,GB,10.00,{MONTH}-05 10:00:00\n"


def scaffold(folder: Path, scaffold_format: str = "yaml", append: bool = False) -> Path:
    """Scaffold a star, and return its declaration."""
    request = dg.ScaffoldRequest("scx_pipeline.StarSchema", folder, scaffold_format, None, None, append)  # type: ignore[arg-type]
    StarScaffolder().scaffold(request)
    return folder / "defs.yaml"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An SCX_HOME with an empty bucket."""
    monkeypatch.setenv("SCX_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "bucket").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def shop(tmp_path: Path, home: Path) -> Path:
    """The declaration of the star shop; its file is in the bucket."""
    (home / "bucket" / "shop").mkdir()
    (home / "bucket" / "shop" / f"{MONTH}.csv").write_text(FILE, "utf-8")
    return scaffold(tmp_path / "stars" / "shop")
