"""Warehouses with loaded months for the tests of concurrent and interrupted loads.

Fixtures that all tests share do not belong here.
"""

from __future__ import annotations

import pytest

from scx_pipeline_tests.support.load_env import APRIL, MARCH, MAY, LoadEnv, job


@pytest.fixture
def spring(load_env: LoadEnv) -> LoadEnv:
    """March to May are in the bucket; March and April are loaded."""
    for number, month in enumerate((MARCH, APRIL, MAY), 3):
        load_env.put(
            f"2021/0{number}/a.csv",
            [job(number * 10 + n, f"{month}-05 10:00:00", user_id=n + 1) for n in range(3)],
        )
    load_env.load(MARCH, APRIL)
    return load_env
