"""Copies of the project's stars, for tests that change them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.declarations import star_folder
from scx_pipeline_tests.support.stars import StarCopy


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, StarCopy]:
    """Return copies of two of the project's stars, which take the place of all stars."""
    found = {name: StarCopy.of(name, tmp_path / "stars") for name in ("scx", "songplays")}
    monkeypatch.setattr(star_folder, "files", lambda package: tmp_path)
    return found
