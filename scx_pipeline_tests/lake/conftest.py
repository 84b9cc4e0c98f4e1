"""Lakes for tests: of jobs in three months, in a folder, and of each of the stars.

Each is built once and copied for each test, except `fresh_lake`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from scx_pipeline_tests.lake.loaded_stars import LOAD_ENVS, copy_lake
from scx_pipeline_tests.support.lake.lake_env import Lake, lake_url


@pytest.fixture
def fresh_lake(tmp_path: Path) -> Lake:
    """A lake of jobs and the bucket that it was built from."""
    found = Lake(lake_url("", tmp_path), LOAD_ENVS["scx"](tmp_path), tmp_path)
    found.unload()
    return found


@pytest.fixture(scope="session")
def unloaded_folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives a folder with bucket, warehouse and lake of a star, built once, to be copied."""

    @cache
    def build(star: str) -> Path:
        folder = tmp_path_factory.mktemp(star)
        Lake(lake_url("", folder), LOAD_ENVS[star](folder), folder).unload()
        return folder

    return build


@pytest.fixture
def lake(unloaded_folders: Callable[[str], Path], tmp_path: Path) -> Lake:
    """A lake in a folder, with jobs in March, April and May."""
    return copy_lake(unloaded_folders("scx"), tmp_path)


@pytest.fixture(params=LOAD_ENVS)
def any_lake(unloaded_folders: Callable[[str], Path], request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A lake of each of the project's stars."""
    return copy_lake(unloaded_folders(request.param), tmp_path)
