"""A warehouse with a loaded month, which a failed load must leave as it is.

Fixtures of empty warehouses do not belong here.
"""

from __future__ import annotations

import pytest

from scx_pipeline_tests.support.load_env import MARCH, LoadEnv, job


@pytest.fixture
def march(load_env: LoadEnv) -> LoadEnv:
    """A month that was loaded already, and must stay."""
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    load_env.load(MARCH)
    return load_env
