"""Fixtures of the tests of Redshift.

Retries do not wait.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.warehouse.redshift import redshift_warehouse as adapter
from scx_pipeline_tests.support.load_env import LoadEnv, create_load_env


@pytest.fixture
def load_env(tmp_path: Path, redshift_url: str) -> LoadEnv:
    return create_load_env(tmp_path, redshift_url)


@pytest.fixture(autouse=True)
def _no_retry_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter.RedshiftWarehouse, "first_retry_seconds", 0.0)
