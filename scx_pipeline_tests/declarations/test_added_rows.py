"""Which SELECTs work row by row, so that the rows of a table follow from those that are added to its input."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.declarations.added_rows import AddedRows
from scx_pipeline_tests.support.load_env import FACTS, STAGING, edited_star, scx_star
from scx_pipeline_tests.support.music_env import music_star

SELECT_OF_TIME = "(SELECT DISTINCT created_at FROM staging_cleansed_logs) AS moments"
TIMES = {
    "a DISTINCT whose column is returned": (SELECT_OF_TIME, AddedRows.MERGE),
    "rows as they are": ("staging_cleansed_logs", AddedRows.APPEND),
    "a filter": (f"(SELECT created_at FROM {STAGING} WHERE plan_id > 3) AS m", AddedRows.APPEND),
    "an inner join with itself": (
        f"(SELECT a.created_at FROM {STAGING} AS a INNER JOIN {STAGING} AS b ON a.job_id = b.job_id) AS m", AddedRows.REBUILD,
    ),
    "an aggregate": (f"(SELECT MAX(created_at) AS created_at FROM {STAGING} GROUP BY job_id) AS m", AddedRows.REBUILD),
    "an aggregate that sqlglot does not know": (
        f"(SELECT DATEADD(DAY, CASE WHEN EVERY(plan_id > 3) THEN 1 ELSE 0 END, CAST('2024-01-01' AS TIMESTAMP)) AS created_at FROM {STAGING}) AS m",
        AddedRows.REBUILD,
    ),
    "a window": (
        f"(SELECT created_at, ROW_NUMBER() OVER (ORDER BY job_id) AS n FROM {STAGING}) AS m", AddedRows.REBUILD,
    ),
    "a limit": (f"(SELECT created_at FROM {STAGING} ORDER BY job_id LIMIT 3) AS m", AddedRows.REBUILD),
    "a union": (
        f"(SELECT created_at FROM {STAGING} UNION ALL SELECT created_at FROM {STAGING}) AS m", AddedRows.REBUILD,
    ),
    "a DISTINCT with another column": (
        f"(SELECT DISTINCT created_at, user_id FROM {STAGING}) AS m", AddedRows.REBUILD,
    ),
    "a subquery in the filter": (
        f"(SELECT created_at FROM {STAGING} WHERE job_id IN (SELECT job_id FROM {STAGING})) AS m", AddedRows.REBUILD,
    ),
    "a common table expression": (f"(WITH c AS (SELECT created_at FROM {STAGING}) SELECT created_at FROM c) AS m", AddedRows.REBUILD),
}  # fmt: skip


@pytest.mark.parametrize(("relation", "expected"), TIMES.values(), ids=TIMES)
def test_a_partitioned_table_follows_from_added_rows_as_its_select_allows(
    relation: str, expected: AddedRows, tmp_path: Path
) -> None:
    compiled = edited_star(tmp_path, sql={"time": (SELECT_OF_TIME, relation)})
    assert compiled.added_rows(compiled.star.table("time")) is expected


def test_the_tables_of_the_stars_follow_from_added_rows() -> None:
    scx, songplays = scx_star(), music_star()
    assert {table.name: scx.added_rows(table) for table in scx.star.derived_tables} == {
        "users": AddedRows.LATEST,
        "projects": AddedRows.LATEST,
        "time": AddedRows.MERGE,
        FACTS: AddedRows.APPEND,
    }
    monthly = [table for table in songplays.star.derived_tables if not table.is_unpartitioned]
    assert {table.name: songplays.added_rows(table) for table in monthly} == {
        "users": AddedRows.LATEST,
        "time": AddedRows.MERGE,
        "songplays": AddedRows.APPEND,
    }


@pytest.mark.parametrize("side", ["RIGHT", "FULL"])
def test_an_outer_join_that_keeps_rows_of_the_other_side_is_not_row_by_row(side: str, tmp_path: Path) -> None:
    relation = f"(SELECT a.created_at FROM {STAGING} AS a {side} OUTER JOIN (SELECT 1 AS one) AS b ON a.job_id = b.one) AS m"
    compiled = edited_star(tmp_path, sql={"time": (SELECT_OF_TIME, relation)})
    assert compiled.added_rows(compiled.star.table("time")) is AddedRows.REBUILD


def test_the_table_on_the_optional_side_of_a_left_join_is_not_row_by_row(tmp_path: Path) -> None:
    relation = f"(SELECT a.created_at FROM (SELECT 1 AS one) AS b LEFT OUTER JOIN {STAGING} AS a ON a.job_id = b.one) AS m"
    compiled = edited_star(tmp_path, sql={"time": (SELECT_OF_TIME, relation)})
    assert compiled.added_rows(compiled.star.table("time")) is AddedRows.REBUILD
