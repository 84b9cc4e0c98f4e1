"""The worlds that the tests of this folder load in: a fresh bucket and an empty warehouse each.
The servers' fixtures are in the package's conftest.py, what a world can do in world.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline_tests.pipeline.music import MusicWorld, music_world
from scx_pipeline_tests.pipeline.world import World, folder_world


@pytest.fixture
def duck(tmp_path: Path) -> World:
    """A local bucket and a DuckDB file."""
    return folder_world(tmp_path)


@pytest.fixture
def pg(tmp_path: Path, postgres_url: str) -> World:
    """A local bucket and a PostgreSQL database."""
    return folder_world(tmp_path / "pg", postgres_url)


@pytest.fixture
def world(tmp_path: Path, server_url: str) -> World:
    """A local bucket and a warehouse, once of each engine."""
    return folder_world(tmp_path, server_url)


@pytest.fixture
def music(tmp_path: Path, server_url: str) -> MusicWorld:
    """A local bucket and a warehouse of the songplays star, once of each engine."""
    return music_world(tmp_path, server_url)
