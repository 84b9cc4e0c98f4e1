"""The engines that cases run on.
What all tests share is one folder up."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.warehouse.base import Limits, Warehouse, open_warehouse


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    """An empty warehouse of every engine that runs here."""
    url = (
        f"duckdb://{tmp_path}/dev.duckdb"
        if request.param == "duckdb"
        else request.getfixturevalue("postgres_url")
    )
    return open_warehouse(url, Limits())
