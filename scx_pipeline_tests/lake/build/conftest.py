"""Empty lakes to unload into.

No lake is built or unloaded here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline_tests.support.lake.lake_env import Lake, lake_url
from scx_pipeline_tests.support.load_env import LoadEnv


@pytest.fixture
def lake(load_env: LoadEnv, tmp_path: Path) -> Lake:
    """An empty lake that the engine of the warehouse can write to."""
    return Lake(lake_url(load_env.warehouse_url, tmp_path), load_env, tmp_path)


@pytest.fixture
def duckdb_lake(duckdb_env: LoadEnv, tmp_path: Path) -> Lake:
    return Lake(lake_url("", tmp_path), duckdb_env, tmp_path)
