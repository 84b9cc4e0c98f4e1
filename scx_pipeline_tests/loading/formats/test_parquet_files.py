"""The sensor_readings star from small Parquet files: loads, damaged and mismatched files, and their messages."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from scx_pipeline.errors import CheckFailedError, SourceFileError
from scx_pipeline.history.check_result import CheckResult
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.samples.sensor_readings.sensor_readings_bucket import SensorOptions, generate
from scx_pipeline_tests.support.load_env import range_of_keys
from scx_pipeline_tests.support.sensor_env import (
    FEBRUARY,
    JANUARY,
    PREFIX,
    SensorEnv,
    readings,
    sensor_star,
    to_parquet,
)
from scx_pipeline_tests.support.small_star import SmallStarEnv, small_star


def results(report: LoadReport) -> dict[str, CheckResult]:
    return {check.name: check for check in report.checks}


def test_generated_files_give_the_rows_that_were_generated(sensor_env: SensorEnv) -> None:
    made = generate(SensorOptions("2023-01-31 23:50", files=20, rows=100), sensor_env.bucket.store)
    report = sensor_env.loader().load(range_of_keys(JANUARY, FEBRUARY))
    assert {
        str(month): rows for month, rows in report.tables["data_sample"].rows.items()
    } == made.rows_by_month
    assert (report.objects, report.read, report.loaded, report.bytes) == (20, 2000, 2000, made.bytes)
    assert {check.name for check in report.warnings} == {"rows_per_file", "files_per_day"}
    assert len(sensor_env.readings()) == 2000
    assert sensor_env.plan().changed == []


def test_repeated_readings_are_all_kept(sensor_env: SensorEnv) -> None:
    sensor_env.put_minute("2023-01-01 00:00", readings("2023-01-01", ["s1", "s1", "s2"]))
    sensor_env.january()
    sensor_env.january()
    assert [row[1] for row in sensor_env.readings()] == ["s1", "s1", "s2"]


def test_a_replaced_or_removed_file_changes_the_table(sensor_env: SensorEnv) -> None:
    first = sensor_env.put_minute("2023-01-01 00:00", readings("2023-01-01", ["s1"]))
    sensor_env.put_minute("2023-01-01 00:01", readings("2023-01-01 00:01", ["s2"]))
    sensor_env.january()
    sensor_env.put_minute("2023-01-01 00:01", readings("2023-01-01 00:01", ["s3", "s4"]))
    sensor_env.delete_key(first)
    sensor_env.january()
    assert [row[1] for row in sensor_env.readings()] == ["s3", "s4"]


def test_columns_may_have_another_order_in_each_file(sensor_env: SensorEnv) -> None:
    table = readings("2023-01-01")
    sensor_env.put_minute("2023-01-01 00:00", table)
    sensor_env.put_minute("2023-01-01 00:01", table.select(list(reversed(table.column_names))))
    sensor_env.put_minute("2023-01-01 00:02", table.append_column("more", pa.array([1, 2])))
    report = sensor_env.january()
    assert sensor_env.readings() == [
        ("d", name, datetime(2023, 1, 1)) for name in ("s1", "s1", "s1", "s2", "s2", "s2")
    ]
    check = results(report)["declared_fields"]
    assert (check.passed, check.severity) == (False, "warn")
    assert (
        check.message == f"'more' is not declared, and was not loaded, in {PREFIX}2023-01-01 00:02:00.parquet"
    )


def test_unusual_numbers_of_rows_and_files_are_reported(sensor_env: SensorEnv) -> None:
    for minute in ("2023-01-01 00:00", "2023-01-03 00:00"):
        sensor_env.put_minute(minute, readings(minute))
    checks = results(sensor_env.january())
    assert checks["rows_per_file"].message == (
        f"{PREFIX}2023-01-01 00:00:00.parquet has 2 rows, {PREFIX}2023-01-03 00:00:00.parquet has 2 rows; expected 1,914"
    )
    assert checks["files_per_day"].message == (
        "2023-01-01 has 1 file, 2023-01-02 has 0 files, 2023-01-03 has 1 file; expected 1,440"
    )
    assert not checks["rows_per_file"].blocking
    assert not checks["files_per_day"].blocking


def test_products_that_expire_too_early_or_too_late_fail_a_blocking_check(sensor_env: SensorEnv) -> None:
    days = [86, 87, 89, 90]
    created = datetime(2023, 1, 1)
    expires = pa.array([created + timedelta(days=number) for number in days], pa.timestamp("us"))
    sensor_env.put_minute("2023-01-01 00:00", readings("2023-01-01", "abcd", product_expire=expires))
    with pytest.raises(CheckFailedError) as caught:
        sensor_env.january()
    assert "product_expire is not 87 to 89 days after create_at in 2 rows in 2023-01" in str(caught.value)
    assert sensor_env.snapshot() == {}


def test_a_row_of_a_day_outside_the_month_of_its_file_is_rejected(sensor_env: SensorEnv) -> None:
    sensor_env.compiled = sensor_star(reject_limit=0.9)
    created = pa.array([datetime(2023, 1, 1), datetime(2023, 2, 1)], pa.timestamp("us"))
    expires = pa.array([datetime(2023, 3, 30), datetime(2023, 4, 30)], pa.timestamp("us"))
    key = sensor_env.put_minute(
        "2023-01-01 00:00", readings("2023-01-01", create_at=created, product_expire=expires)
    )
    assert sensor_env.january().rejected == 1
    [(file, line, column, reason, raw)] = sensor_env.state(
        "rejected_rows", 'object_key, line, column_name, reason, "raw"'
    )
    assert (file, line, column) == (key, 2, "create_at")
    assert reason == "2023-02-01 00:00:00 is outside the months that the key names, 2023-01"
    assert '"sensor_serial":"s2"' in raw


WHOLE = to_parquet(readings("2023-01-01"))
DAMAGES = {
    "empty": b"",
    "no Parquet": b"department_name,sensor_serial\n" * 3,
    "cut off": WHOLE[:-30],
    "broken footer": WHOLE[:-40] + b"\xff" * 32 + WHOLE[-8:],
    "broken page": WHOLE[:20] + b"\xff" * 60 + WHOLE[80:],
    "another type": to_parquet(readings("2023-01-01", product_name=pa.array([1, 2]))),
    "a column is gone": to_parquet(readings("2023-01-01").drop_columns(["create_at"])),
}


def test_an_unreadable_file_fails_the_load_and_is_named(sensor_env: SensorEnv) -> None:
    sensor_env.put_minute("2023-01-01 00:00", readings("2023-01-01"))
    sensor_env.january()
    before = sensor_env.snapshot()
    sensor_env.put_minute("2023-01-01 00:02", readings("2023-01-01 00:02"))
    for damage, content in DAMAGES.items():
        key = sensor_env.put_minute("2023-01-01 00:01", content)
        with pytest.raises(SourceFileError) as caught:
            sensor_env.january()
        assert str(caught.value).startswith(f"{sensor_env.bucket.uri(key)} "), damage
        assert "on_invalid_file: reject" in str(caught.value), damage
        assert "\n" not in str(caught.value), damage
        assert sensor_env.snapshot() == before, damage


@pytest.mark.parametrize("damage", ["no Parquet", "broken footer", "broken page"])
@pytest.mark.parametrize("policy", ["reject", "fail"])
def test_a_rebuild_treats_an_unreadable_file_like_any_other_load(
    tmp_path: Path, damage: str, policy: str
) -> None:
    (tmp_path / "bucket").mkdir()
    facts = [{"name": name, "type": "varchar(40)"} for name in ("sensor_serial", "department_name")]
    before, after = (
        small_star(tmp_path / str(count), "parquet", facts[:count], on_invalid_file=policy)
        for count in (1, 2)
    )
    made = SmallStarEnv((tmp_path / "bucket").as_uri(), f"duckdb://{tmp_path}/dev.duckdb", before)
    made.load(a_parquet=to_parquet(readings("2023-01-01")))
    made.compiled = after
    if policy == "fail":
        with pytest.raises(SourceFileError, match=r"b\.parquet .*on_invalid_file: reject"):
            made.load(b_parquet=DAMAGES[damage])
        return
    report = made.load(b_parquet=DAMAGES[damage])
    rows = len(readings("2023-01-01"))
    assert (report.read, report.loaded, report.rejected) == (rows + 1, rows, 1)


def test_an_unreadable_file_counts_as_one_rejected_row_if_the_source_allows_it(sensor_env: SensorEnv) -> None:
    sensor_env.compiled = sensor_star("reject", 0.5)
    sensor_env.put_minute("2023-01-01 00:00", readings("2023-01-01"))
    sensor_env.put_minute("2023-01-01 00:02", readings("2023-01-01 00:02"))
    for damage, content in DAMAGES.items():
        key = sensor_env.put_minute("2023-01-01 00:01", content)
        report = sensor_env.january()
        assert (report.read, report.loaded, report.rejected) == (5, 4, 1), damage
        assert {row[2].minute for row in sensor_env.readings()} == {0, 2}, damage
        [(file, line, raw)] = sensor_env.state("rejected_rows", 'object_key, line, "raw"')
        assert (file, line, raw) == (key, None, ""), damage
