"""Values of Parquet files in a table: columns of nulls, names that differ in case, and timestamps of any unit and zone.

Damaged and mismatched files are not tested here.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest

from scx_pipeline.errors import SourceFileError
from scx_pipeline_tests.support.small_star import ID, StarFactory, parquet


def test_a_column_without_any_value_is_null(create_env: StarFactory) -> None:
    load_env = create_env("parquet", ID, {"name": "v", "type": "varchar(max)"}, {"name": "d", "type": "date"})
    load_env.put_files(x=parquet(("id", pa.array([1, 2])), ("v", pa.nulls(2)), ("d", pa.nulls(2))))
    report = load_env.load_all()
    assert load_env.values() == [(1, None, None), (2, None, None)]
    assert report.warnings == []


def test_rows_of_a_required_column_without_any_value_are_rejected(
    create_duckdb_env: StarFactory,
) -> None:
    load_env = create_duckdb_env("parquet", ID, {"name": "v", "type": "varchar(max)", "nullable": False})
    load_env.put_files(x=parquet(("id", pa.array([1, 2])), ("v", pa.nulls(2))))
    load_env.load_all()
    assert load_env.rejects() == [("in/x", n, "v", "is empty, and must not be") for n in (1, 2)]


def test_columns_whose_names_differ_in_case_are_distinguished_in_any_order(
    create_duckdb_env: StarFactory,
) -> None:
    load_env = create_duckdb_env("parquet", ID, {"name": "x", "type": "varchar(9)"})
    large, small = ("X", pa.array(["large"])), ("x", pa.array(["small"]))
    load_env.put_files(
        a=parquet(("id", pa.array([1])), large, small),
        b=parquet(("id", pa.array([2])), small, large),
        c=parquet(("x_1", pa.array(["other"])), large, ("id", pa.array([3])), small),
        d=parquet(("id", pa.array([4])), large),
    )
    report = load_env.load_all()
    assert load_env.values() == [(1, "small"), (2, "small"), (3, "small"), (4, None)]
    [message] = [check.message for check in report.warnings]
    assert "'x' in in/d" in message
    assert "such as in/a" in message


def test_a_parquet_file_with_a_duplicate_column_is_refused(create_duckdb_env: StarFactory) -> None:
    load_env = create_duckdb_env("parquet", ID, {"name": "x", "type": "varchar(9)"})
    load_env.put_files(a=parquet(("id", pa.array([1])), ("x", pa.array(["a"])), ("x", pa.array(["b"]))))
    with pytest.raises(SourceFileError, match=r"in/a has the column x twice; upload it again"):
        load_env.load_all()


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Seoul", "+05:30"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_any_unit_and_zone_become_utc(
    create_duckdb_env: StarFactory, unit: str, zone: str | None
) -> None:
    load_env = create_duckdb_env("parquet", ID, {"name": "v", "type": "timestamp"})
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    counts = pa.array([1_675_152_000 * per_second, -per_second, None], pa.int64())
    load_env.put_files(a=parquet(("id", pa.array([1, 2, 3])), ("v", counts.cast(pa.timestamp(unit, zone)))))
    load_env.load_all()
    assert load_env.values() == [
        (1, datetime(2023, 1, 31, 8)),
        (2, datetime(1969, 12, 31, 23, 59, 59)),
        (3, None),
    ]


@pytest.mark.parametrize("zone", [None, "Asia/Seoul"])
def test_nanoseconds_of_a_parquet_file_are_rounded_to_microseconds(
    create_duckdb_env: StarFactory, zone: str | None
) -> None:
    load_env = create_duckdb_env("parquet", ID, {"name": "v", "type": "timestamp"})
    counts = pa.array([1_675_152_000_123_456_789, 1_675_152_000_123_456_499], pa.int64())
    load_env.put_files(a=parquet(("id", pa.array([1, 2])), ("v", counts.cast(pa.timestamp("ns", zone)))))
    load_env.load_all()
    assert [row[1].microsecond for row in load_env.values()] == [123_457, 123_456]
