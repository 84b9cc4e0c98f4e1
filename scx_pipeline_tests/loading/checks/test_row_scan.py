"""Row rules: the violations of each rule are counted by month, in one scan or in one scan per part."""

from __future__ import annotations

import duckdb
import pytest

from scx_pipeline.loading.checks.row_scan import RowScan
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table

TABLE = Table(
    name="readings",
    role="fact",
    description="",
    event_time="at",
    columns=(
        Column(name="at", type="timestamp", nullable=False, description=""),
        Column(name="sensor", type="varchar(8)", nullable=False, description=""),
        Column(name="value", type="integer", nullable=True, range=(0, 10), description=""),
    ),
)
YEAR = MonthRange(Month(2023, 1), Month(2023, 12))
ROWS = """(SELECT * FROM (VALUES
    (TIMESTAMP '2023-01-05', 'a', 5), (TIMESTAMP '2023-01-06', NULL, 11), (TIMESTAMP '2023-02-01', NULL, NULL)
) AS r("at", sensor, value))"""


@pytest.fixture
def scan() -> RowScan:
    return RowScan(TABLE, YEAR)


def found(scan: RowScan) -> dict[str, dict[str, int]]:
    return {result.name: dict(result.violations) for result in scan.results() if not result.passed}


def test_violations_of_a_rule_are_counted_by_month(scan: RowScan) -> None:
    scan.add(duckdb.execute(scan.sql(ROWS)).fetchall())
    assert scan.rows() == {Month(2023, 1): 2, Month(2023, 2): 1}
    assert found(scan) == {"not_null_sensor": {"2023-01": 1, "2023-02": 1}, "range_value": {"2023-01": 1}}


def test_counts_of_parts_are_added(scan: RowScan) -> None:
    for _ in range(2):
        scan.add(duckdb.execute(scan.sql(ROWS)).fetchall())
    assert scan.rows() == {Month(2023, 1): 4, Month(2023, 2): 2}
    assert found(scan)["not_null_sensor"] == {"2023-01": 2, "2023-02": 2}


def test_only_columns_that_may_have_nulls_are_checked_for_nulls(scan: RowScan) -> None:
    scan.add(duckdb.execute(scan.sql(ROWS, full=["at", "value"])).fetchall())
    assert found(scan) == {"not_null_sensor": {"2023-01": 1, "2023-02": 1}, "range_value": {"2023-01": 1}}
    assert 'COUNT("at")' not in scan.sql(ROWS, full=["at"])
    assert 'COUNT("at")' in scan.sql(ROWS)
