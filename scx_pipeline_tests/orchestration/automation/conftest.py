"""The fixture of a daemon: the sensor of objects over an empty bucket and an empty warehouse.

The Dagster environment comes from the folder above.
"""

from __future__ import annotations

import pytest

from scx_pipeline_tests.orchestration.automation.daemon import Daemon
from scx_pipeline_tests.support.orchestration.dagster_env import DagsterEnv


@pytest.fixture
def daemon(dagster_env: DagsterEnv) -> Daemon:
    return Daemon(dagster_env)
