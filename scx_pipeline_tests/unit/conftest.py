"""Fixtures that only the unit tests need.
What all tests share is one folder up."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from scx_pipeline.engine.declare import load_star, stars_folder
from scx_pipeline.engine.sql import CompiledStar
from scx_pipeline_tests.stars import StarCopy

# The machine may be busy, so no deadline; fixtures here either last or are set anew by each example.
SPARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile("default", deadline=None, max_examples=60, suppress_health_check=SPARED)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=3000)


@pytest.fixture(scope="session")
def scx() -> CompiledStar:
    """The star scx as it stands in the project."""
    return load_star(stars_folder() / "scx")


@pytest.fixture
def star(tmp_path: Path) -> StarCopy:
    """A copy of the star scx that the test may change."""
    return StarCopy.of("scx", tmp_path)
