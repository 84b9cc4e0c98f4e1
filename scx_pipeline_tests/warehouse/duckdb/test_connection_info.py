"""The parts of a DuckDB URL, compared with what DuckDB makes of the file."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest

from scx_pipeline.warehouse.open_warehouse import connection_info


@pytest.mark.parametrize(
    "name", ["dev.duckdb", "dev.prod.duckdb", "dev", "my-file.db", "a b.duckdb", ".hidden.duckdb"]
)
def test_the_database_of_a_file_is_named_as_duckdb_names_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with duckdb.connect(str(path)) as con:
        found = con.execute("SELECT current_database()").fetchone()
    assert found == (connection_info(f"duckdb://{quote(str(path))}")["database"],)
