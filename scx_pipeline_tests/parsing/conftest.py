"""A DuckDB connection for the tests of SQL that parsers generate.

Tests that need tables in it define their own `con`.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory, in UTC."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        yield con
