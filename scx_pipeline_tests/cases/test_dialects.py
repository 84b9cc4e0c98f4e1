"""Values that engines compute differently: written in Redshift's dialect, they have Redshift's result on every engine."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from scx_pipeline.loading.targets.prepare import prepare_tables
from scx_pipeline.warehouse.sql_text import qualified
from scx_pipeline.warehouse.warehouse import Warehouse
from scx_pipeline_tests.support.stars import StarCopy

COLUMNS = ("job_id", "project_id", "user_id", "ground_profile", "resolution", "created_at", "plan_id")
ROWS = [
    (1, 1, 10, "a", None, datetime(2024, 2, 29, 23, 59, 59, 999999), 3),
    (2, 1, 10, "B", "c", datetime(2021, 1, 3), -7),
    (3, 1, 11, None, None, datetime(2021, 1, 3), None),
]

OF_ALL_ROWS = {
    "AVG(plan_id)": -2,
    "AVG(DISTINCT plan_id)": -2,
    "AVG(plan_id * 1.0)": -2.0,
    "MAX(plan_id) / 2": 1,
    "MAX(plan_id) / 2.0": 1.5,
    "MIN(plan_id) / 2": -3,
    "MIN(plan_id) % 2": -1,
    "COUNT(*) / 2": 1,
    "AVG(LEN(CONCAT(ground_profile, resolution)))": 2,
    "MAX(AVG(plan_id)) OVER ()": -2,
    "MAX(ground_profile)": "a",
    "MIN(CASE WHEN ground_profile > 'Z' THEN LOWER(ground_profile) END)": "a",
    "MAX(EXTRACT(YEAR FROM created_at)) / 10": 202,
}

BY_ROW = {
    "AVG(plan_id) OVER (PARTITION BY user_id)": [-2, -2, None],
    "AVG(plan_id) OVER (ORDER BY job_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)": [3, -2, -2],
    "CONCAT(ground_profile, resolution)": [None, "Bc", None],
    "CONCAT(CONCAT(ground_profile, '-'), 'x')": ["a-x", "B-x", None],
    "ground_profile BETWEEN 'A' AND 'a'": [True, True, None],
    "GREATEST(ground_profile, 'C')": ["a", "C", "C"],
    "FIRST_VALUE(job_id) OVER (ORDER BY ground_profile NULLS LAST ROWS UNBOUNDED PRECEDING)": [2, 2, 2],
    "ground_profile || resolution": [None, "Bc", None],
    "NVL(resolution, 'none')": ["none", "c", "none"],
    "LEN(ground_profile)": [1, 1, None],
    "EXTRACT(MINUTE FROM created_at)": [59, 0, 0],
    "EXTRACT(HOUR FROM created_at)": [23, 0, 0],
    "EXTRACT(DAY FROM created_at)": [29, 3, 3],
    "EXTRACT(WEEK FROM created_at)": [9, 53, 53],
    "EXTRACT(MONTH FROM created_at)": [2, 1, 1],
    "EXTRACT(QUARTER FROM created_at)": [1, 1, 1],
    "EXTRACT(YEAR FROM created_at)": [2024, 2021, 2021],
    "EXTRACT(YEAR FROM created_at) / 10": [202, 202, 202],
    "EXTRACT(DOW FROM created_at)": [4, 0, 0],
    "DATE_PART('doy', created_at)": [60, 3, 3],
    "DATE_TRUNC('month', created_at)::DATE::VARCHAR": ["2024-02-01", "2021-01-01", "2021-01-01"],
    "DATE_TRUNC('week', created_at)::DATE::VARCHAR": ["2024-02-26", "2020-12-28", "2020-12-28"],
    "DATEADD(day, 1, created_at)::DATE::VARCHAR": ["2024-03-01", "2021-01-04", "2021-01-04"],
}


def test_aggregates_have_the_values_of_redshift(star: StarCopy, warehouse: Warehouse) -> None:
    [row] = executed(star, warehouse, list(OF_ALL_ROWS))
    assert dict(zip(OF_ALL_ROWS, row, strict=True)) == OF_ALL_ROWS


def test_row_expressions_have_the_values_of_redshift(star: StarCopy, warehouse: Warehouse) -> None:
    columns = zip(*executed(star, warehouse, list(BY_ROW), "ORDER BY job_id"), strict=True)
    assert {value: list(column) for value, column in zip(BY_ROW, columns, strict=True)} == BY_ROW


@pytest.mark.parametrize(
    "query",
    [
        "SELECT ground_profile AS profile FROM staging_cleansed_logs WHERE job_id < 3 ORDER BY profile",
        "SELECT LOWER(ground_profile) AS lower, ground_profile FROM staging_cleansed_logs WHERE job_id < 3 ORDER BY ground_profile, lower",
        "SELECT DISTINCT ground_profile FROM staging_cleansed_logs WHERE job_id < 3 ORDER BY ground_profile",
        "SELECT MIN(ground_profile) AS first FROM staging_cleansed_logs WHERE job_id < 3 GROUP BY job_id ORDER BY first",
    ],
)
def test_texts_are_ordered_by_their_bytes(star: StarCopy, warehouse: Warehouse, query: str) -> None:
    assert [row[-1] for row in queried(star, warehouse, query)] == ["B", "a"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT DISTINCT LOWER(ground_profile) AS lower FROM staging_cleansed_logs WHERE job_id < 3 ORDER BY lower",
        "SELECT 'a' AS x FROM staging_cleansed_logs UNION SELECT 'b' AS x FROM staging_cleansed_logs ORDER BY x",
    ],
)
def test_order_by_an_output_name_works_where_only_output_names_are_allowed(
    star: StarCopy, warehouse: Warehouse, query: str
) -> None:
    assert queried(star, warehouse, query) == [("a",), ("b",)]


@pytest.fixture
def star(tmp_path: Path) -> StarCopy:
    return StarCopy.of("scx", tmp_path)


def executed(
    star: StarCopy, warehouse: Warehouse, values: list[str], order: str = ""
) -> list[tuple[object, ...]]:
    """Run a query of the star for these expressions over the three rows, in Redshift's dialect."""
    listed = ", ".join(f"{value} AS value_{number}" for number, value in enumerate(values))
    return queried(star, warehouse, f"SELECT {listed} FROM staging_cleansed_logs {order}")


def queried(star: StarCopy, warehouse: Warehouse, sql: str) -> list[tuple[object, ...]]:
    """Run a query of the star over the three rows, in Redshift's dialect."""
    star.write("queries/values.sql", sql)
    star.replace("  queries:\n", "  queries:\n    - {name: values, title: Some values}\n")
    compiled = star.load()
    query = next(query for query in compiled.star.queries if query.name == "values")
    staging = compiled.star.staging_tables[0]
    with warehouse.transaction("scx") as session:
        session.begin()
        prepare_tables(
            session, compiled, compiled.star.months(), [table.name for table in compiled.star.tables]
        )
        columns = [staging.column(name) for name in COLUMNS]
        session.insert_rows(qualified(compiled.star.schema_name, staging), columns, ROWS)
    with warehouse.open_read_only() as session:
        assert session is not None
        return session.rows(compiled.query_sql(query, session.capabilities))
