"""What creates a load environment of one table with the given columns, on every engine or on DuckDB alone.

Environments of the project's stars do not belong here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline_tests.support.small_star import SmallStarEnv, StarFactory, small_star


@pytest.fixture
def create_env(load_urls: tuple[str, str], tmp_path: Path) -> StarFactory:
    """Creates an environment of a format and columns, on every engine."""
    return lambda kind, *columns, **source: SmallStarEnv(
        *load_urls, small_star(tmp_path, kind, columns, **source)
    )


@pytest.fixture
def create_duckdb_env(tmp_path: Path) -> StarFactory:
    """The same, on DuckDB alone: for what is decided before any engine has a part in it."""
    (tmp_path / "bucket").mkdir()
    load_urls = ((tmp_path / "bucket").as_uri(), f"duckdb://{tmp_path}/dev.duckdb")
    return lambda kind, *columns, **source: SmallStarEnv(
        *load_urls, small_star(tmp_path, kind, columns, **source)
    )


@pytest.fixture
def csv_table(create_duckdb_env: StarFactory) -> StarFactory:
    """Creates an environment of CSV files on DuckDB, by the types of the table's columns."""
    return lambda types, **source: create_duckdb_env(
        "csv", *({"name": name, "type": kind} for name, kind in types.items()), **source
    )
