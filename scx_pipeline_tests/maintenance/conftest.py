"""Warehouses with loaded months for the maintenance tests.

Fixtures that all tests share do not belong here.
"""

from __future__ import annotations

import pytest

from scx_pipeline_tests.maintenance.months_to_maintain import loaded
from scx_pipeline_tests.support.load_env import LoadEnv


@pytest.fixture
def spring(load_env: LoadEnv) -> LoadEnv:
    return loaded(load_env)


@pytest.fixture
def duckdb_spring(duckdb_env: LoadEnv) -> LoadEnv:
    return loaded(duckdb_env)
