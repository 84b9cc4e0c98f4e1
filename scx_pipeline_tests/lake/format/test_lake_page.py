"""docs/lake.md is true: it shows the statements as they are printed, and what it gives for pyarrow runs.
With SCX_GOLDEN set, the statements are written anew. What they show is tested in test_views.py."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from scx_pipeline.lake.format.manifest import DataFile, Manifest
from scx_pipeline.lake.views.external_tables import athena_table, redshift_table, spark_table
from scx_pipeline.lake.views.views import MISREAD, view_of
from scx_pipeline.model.calendar import Month
from scx_pipeline_tests.support.lake_env import Lake, standing
from scx_pipeline_tests.support.load_env import in_order, scx_star

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
    "duckdb": view_of(STAR, TIME, "/data/lake/scx"),
    "athena": athena_table(STAR, TIME, URL, MANIFEST),
    "redshift": redshift_table(STAR, TIME, URL, MANIFEST),
    "spark": spark_table(STAR, TIME, URL),
}


def block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}[^>]*-->\n```\w+\n)(.*?)(```)", re.DOTALL)


@pytest.mark.parametrize("name", PRINTED)
def test_statements_are_shown_as_they_are_printed(name: str) -> None:
    text, wanted = DOCUMENT.read_text("utf-8"), f"{PRINTED[name]}\n"
    if os.environ.get("SCX_GOLDEN"):
        text = block(name).sub(lambda found: found[1] + wanted + found[3], text)
        DOCUMENT.write_text(text, "utf-8")
    found = block(name).search(text)
    assert found is not None
    assert found[2] == wanted


def test_the_function_for_pyarrow_reads_what_the_warehouse_holds(any_lake: Lake) -> None:
    found = block("pyarrow").search(DOCUMENT.read_text("utf-8"))
    assert found is not None
    given: dict[str, Any] = {}
    exec(found[2], given)
    for table in any_lake.world.compiled.star.tables:
        rows = given["read_table"](any_lake.url, any_lake.place.url.rpartition("/")[2], table.name).to_table()
        columns = rows.select(list(table.column_names)).to_pydict().values()
        assert in_order(list(zip(*columns, strict=True))) == standing(any_lake.world)[table.name]


def test_what_a_path_may_not_have_is_named() -> None:
    assert f"may have no `{MISREAD}`" in DOCUMENT.read_text("utf-8")


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", DOCUMENT.read_text("utf-8")):
        assert (DOCUMENT.parent / target).exists(), target
