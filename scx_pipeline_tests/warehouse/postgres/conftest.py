"""Fixtures of the tests of PostgreSQL.

Each test has an empty database.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline_tests.support.load_env import LoadEnv
from scx_pipeline_tests.support.sensor_env import SensorEnv, create_sensor_env
from scx_pipeline_tests.support.servers.postgres import PostgresServer
from scx_pipeline_tests.warehouse.postgres.spring_loads import put_spring


@pytest.fixture
def spring(postgres_env: LoadEnv) -> LoadEnv:
    put_spring(postgres_env)
    return postgres_env


@pytest.fixture
def sensor_env(tmp_path: Path, postgres: PostgresServer) -> SensorEnv:
    """Provide a local bucket and an empty PostgreSQL database."""
    return create_sensor_env(tmp_path, postgres.fresh_dev())
