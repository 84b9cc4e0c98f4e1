"""The engines that cases run on.

Fixtures that all tests share do not belong here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.warehouse import Warehouse


@pytest.fixture
def warehouse(server_url: str, tmp_path: Path) -> Warehouse:
    """An empty warehouse of every engine that runs here."""
    return open_warehouse(server_url or f"duckdb://{tmp_path}/dev.duckdb", Limits())
