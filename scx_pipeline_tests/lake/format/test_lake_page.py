"""docs/lake.md is correct: it shows the statements as they are printed, and its pyarrow function runs.

With SCX_GOLDEN set, the statements in it are rewritten.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from scx_pipeline.lake.format.manifest import DataFile, Manifest
from scx_pipeline.lake.views.external_tables import athena_table, redshift_table, spark_table
from scx_pipeline.lake.views.views import UNSAFE_CHARACTERS, duckdb_view
from scx_pipeline.model.calendar import Month
from scx_pipeline_tests.support.lake.lake_env import Lake, read_tables
from scx_pipeline_tests.support.load_env import scx_star
from scx_pipeline_tests.support.snapshots import in_order

DOCUMENT = Path(__file__).parents[3] / "docs" / "lake.md"
STAR = scx_star().star
TIME = STAR.table("time")
URL = "s3://scx-lake/stars/scx"
MANIFEST = Manifest(
    "scx",
    files={
        "time": tuple(
            DataFile(f"time/year=2021/month={month}/data_0.parquet", 1, 1, Month(2021, month))
            for month in (3, 4)
        )
    },
)
PRINTED = {
    "duckdb": duckdb_view(STAR, TIME, "/data/lake/scx"),
    "athena": athena_table(STAR, TIME, URL, MANIFEST),
    "redshift": redshift_table(STAR, TIME, URL, MANIFEST),
    "spark": spark_table(STAR, TIME, URL),
}


def block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}[^>]*-->\n```\w+\n)(.*?)(```)", re.DOTALL)


@pytest.mark.parametrize("name", PRINTED)
def test_the_page_shows_the_statements_as_they_are_printed(name: str) -> None:
    text, wanted = DOCUMENT.read_text("utf-8"), f"{PRINTED[name]}\n"
    if os.environ.get("SCX_GOLDEN"):
        text = block(name).sub(lambda found: found[1] + wanted + found[3], text)
        DOCUMENT.write_text(text, "utf-8")
    found = block(name).search(text)
    assert found is not None
    assert found[2] == wanted


def test_the_pyarrow_function_reads_the_rows_of_the_warehouse(any_lake: Lake) -> None:
    found = block("pyarrow").search(DOCUMENT.read_text("utf-8"))
    assert found is not None
    namespace: dict[str, Any] = {}
    exec(found[2], namespace)
    for table in any_lake.load_env.compiled.star.tables:
        rows = namespace["read_table"](
            any_lake.url, any_lake.store.url.rpartition("/")[2], table.name
        ).to_table()
        columns = rows.select(list(table.column_names)).to_pydict().values()
        assert in_order(list(zip(*columns, strict=True))) == read_tables(any_lake.load_env)[table.name]


def test_the_page_names_the_characters_that_a_path_must_not_contain() -> None:
    assert f"must not contain `{UNSAFE_CHARACTERS}`" in DOCUMENT.read_text("utf-8")
