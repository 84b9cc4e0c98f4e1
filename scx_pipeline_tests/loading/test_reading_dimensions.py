"""The dimensions of readings: the same as those of all readings that are published, although these are not kept during a load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from scx_pipeline.errors import CheckFailedError
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.loading.targets import latest_row_collector
from scx_pipeline.model.calendar import Month
from scx_pipeline.samples.sensor_readings.sensor_readings_bucket import SensorOptions, generate
from scx_pipeline_tests.support.load_env import LIMITS, range_of_keys
from scx_pipeline_tests.support.sensor_env import (
    FEBRUARY,
    JANUARY,
    SensorEnv,
    create_sensor_env,
    readings,
    sensor_star,
)
from scx_pipeline_tests.support.stars import StarCopy

DIMENSIONS = {
    "master_department": "department_name",
    "master_product": "product_name",
    "master_sensor": "sensor_serial, department_name",
}
BOTH = range_of_keys(JANUARY, FEBRUARY)


def put(sensor_env: SensorEnv, minute: str, departments: Mapping[str, str], at: str = "") -> str:
    """Put a file with a reading of each sensor in its department, at the time of the file or another one."""
    created = datetime.fromisoformat(at or minute)
    times = {"create_at": created, "product_expire": created + timedelta(days=88)}
    columns = {
        name: pa.array([value] * len(departments), pa.timestamp("us")) for name, value in times.items()
    }
    table = readings(minute, departments, department_name=pa.array([*departments.values()]), **columns)
    return sensor_env.put_minute(minute, table)


def found(sensor_env: SensorEnv) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the dimensions."""
    return {name: sensor_env.table(name, columns) for name, columns in DIMENSIONS.items()}


def of_published_readings(sensor_env: SensorEnv) -> dict[str, list[tuple[Any, ...]]]:
    """Return what the dimensions must hold, by the published readings."""
    latest: dict[str, tuple[datetime, str]] = {}
    rows = sensor_env.readings("create_at, department_name, sensor_serial, product_name")
    for at, department, serial, _ in rows:
        latest[serial] = max(latest.get(serial, (at, department)), (at, department))
    expected: dict[str, set[tuple[Any, ...]]] = {
        "master_department": {(row[1],) for row in rows},
        "master_product": {(row[3],) for row in rows},
        "master_sensor": {(serial, department) for serial, (_, department) in latest.items()},
    }
    return {name: sorted(values) for name, values in expected.items()}


def sensors(sensor_env: SensorEnv) -> dict[str, str]:
    return dict(sensor_env.table("master_sensor", "sensor_serial, department_name"))


def at_once(sensor_env: SensorEnv, files: int) -> None:
    """Set how many files are read at a time."""
    sensor_env.limits = replace(LIMITS, batch_files=files)


@pytest.fixture
def streaming_env(tmp_path: Path, postgres_url: str) -> SensorEnv:
    """A local bucket and a PostgreSQL database: no other engine passes on the readings without keeping them."""
    return create_sensor_env(tmp_path, postgres_url)


def check_dimensions_of_two_months(sensor_env: SensorEnv) -> None:
    """Load months that share sensors; the dimensions and the report must be as the readings say."""
    generate(SensorOptions("2023-01-31 23:56", files=8, rows=700), sensor_env.bucket.store)
    report = sensor_env.loader().load(BOTH)
    assert not report.failed
    assert found(sensor_env) == of_published_readings(sensor_env)
    assert {len(rows) for rows in found(sensor_env).values()} == {22, 200, 638}
    assert report.tables["master_sensor"].total_rows == 638
    readings_of_sensors = sensor_env.readings("create_at, sensor_serial")
    by_month = Counter(month for month, _ in {(Month.of(at), serial) for at, serial in readings_of_sensors})
    assert report.tables["master_sensor"].rows == by_month


def test_the_dimensions_of_two_months_are_those_of_all_readings(sensor_env: SensorEnv) -> None:
    check_dimensions_of_two_months(sensor_env)


@pytest.mark.parametrize(("files", "kept"), [(1, 1), (3, 1), (0, 1), (1, 100_000)])
def test_the_dimensions_of_several_batches_are_those_of_all_readings(
    files: int, kept: int, streaming_env: SensorEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latest_row_collector, "MIN_ROWS", kept)
    at_once(streaming_env, files)
    check_dimensions_of_two_months(streaming_env)


def check_latest_reading_decides(sensor_env: SensorEnv) -> None:
    put(sensor_env, "2023-01-05 10:00", {"s1": "late"}, at="2023-01-20 10:00")
    put(sensor_env, "2023-01-05 10:01", {"s1": "early", "s2": "b"})
    put(sensor_env, "2023-01-05 10:02", {"s2": "Z", "s3": "Z"}, at="2023-01-05 10:01")
    sensor_env.january()
    assert sensors(sensor_env) == {"s1": "late", "s2": "b", "s3": "Z"}


@pytest.mark.reader_independent
def test_the_latest_reading_decides_in_whatever_order_the_files_are_read(sensor_env: SensorEnv) -> None:
    check_latest_reading_decides(sensor_env)


def test_the_latest_reading_decides_in_whatever_order_the_batches_are_read(streaming_env: SensorEnv) -> None:
    at_once(streaming_env, 1)
    check_latest_reading_decides(streaming_env)


@pytest.mark.reader_independent
def test_a_reload_of_the_month_that_moved_a_sensor_restores_what_the_other_month_says(
    sensor_env: SensorEnv,
) -> None:
    put(sensor_env, "2023-01-05 10:00", {"s1": "press", "s2": "press"})
    moved = put(sensor_env, "2023-02-05 10:00", {"s1": "paint", "s3": "welding"})
    sensor_env.loader().load(BOTH)
    assert sensors(sensor_env) == {"s1": "paint", "s2": "press", "s3": "welding"}
    sensor_env.delete_key(moved)
    put(sensor_env, "2023-02-06 10:00", {"s2": "paint"})
    sensor_env.load(FEBRUARY)
    assert sensors(sensor_env) == {"s1": "press", "s2": "paint"}
    assert found(sensor_env) == of_published_readings(sensor_env)


@pytest.mark.reader_independent
def test_a_reload_of_the_earlier_month_does_not_move_a_sensor_back(sensor_env: SensorEnv) -> None:
    put(sensor_env, "2023-02-05 10:00", {"s1": "paint"})
    sensor_env.load(FEBRUARY)
    put(sensor_env, "2023-01-05 10:00", {"s1": "press"})
    sensor_env.january()
    assert sensors(sensor_env) == {"s1": "paint"}
    assert found(sensor_env) == of_published_readings(sensor_env)


def test_rejected_rows_and_unreadable_files_are_not_in_a_dimension(sensor_env: SensorEnv) -> None:
    sensor_env.compiled = sensor_star("reject", 0.9)
    put(sensor_env, "2023-01-05 10:00", {"s1": "press"})
    put(sensor_env, "2023-01-05 10:01", {"s2": "elsewhere"}, at="2023-02-05 10:01")
    null = readings("2023-01-05 10:02", ["s3"], department_name=pa.array([None], pa.string()))
    sensor_env.put_minute("2023-01-05 10:02", null)
    sensor_env.put_minute("2023-01-05 10:03", b"no Parquet")
    assert sensor_env.january().rejected == 3
    assert sensors(sensor_env) == {"s1": "press"}
    assert found(sensor_env) == of_published_readings(sensor_env)


@pytest.mark.reader_independent
def test_a_held_month_keeps_what_it_gave_to_a_dimension(sensor_env: SensorEnv) -> None:
    put(sensor_env, "2023-01-05 10:00", {"s1": "press"})
    put(sensor_env, "2023-02-05 10:00", {"s1": "paint", "s2": "paint"})
    sensor_env.loader().load(BOTH)
    put(sensor_env, "2023-01-05 10:01", {"s3": "welding"})
    expires_early = pa.array([datetime(2023, 2, 7)], pa.timestamp("us"))
    refused = readings("2023-02-06 10:00", ["s1"], product_expire=expires_early)
    sensor_env.put_minute("2023-02-06 10:00", refused)
    with pytest.raises(CheckFailedError) as caught:
        sensor_env.loader().load(BOTH)
    assert isinstance(caught.value.report, LoadReport)
    assert caught.value.report.is_published
    assert sensors(sensor_env) == {"s1": "paint", "s2": "paint", "s3": "welding"}
    assert found(sensor_env) == of_published_readings(sensor_env)


@pytest.mark.reader_independent
def test_additions_move_sensors_and_read_only_the_new_files(sensor_env: SensorEnv) -> None:
    for hour in range(10):
        put(sensor_env, f"2023-01-05 {hour:02d}:00", {"s1": "press", "s2": "press"})
    sensor_env.january()
    put(sensor_env, "2023-01-06 10:00", {"s1": "paint", "s3": "welding"})
    put(sensor_env, "2023-01-04 10:00", {"s2": "before"})
    report = sensor_env.january()
    assert (report.is_addition, report.read) == (True, 3)
    assert sensors(sensor_env) == {"s1": "paint", "s2": "press", "s3": "welding"}
    assert found(sensor_env) == of_published_readings(sensor_env)


@pytest.mark.reader_independent
def test_a_dimension_alone_is_built_from_the_published_readings(sensor_env: SensorEnv) -> None:
    put(sensor_env, "2023-01-05 10:00", {"s1": "press", "s2": "press"})
    put(sensor_env, "2023-02-05 10:00", {"s1": "paint"})
    sensor_env.loader().load(BOTH)
    before = sensor_env.snapshot(load_ids=False)
    for name in DIMENSIONS:
        assert sensor_env.load(JANUARY, FEBRUARY, {name}).read == 0
        assert sensor_env.snapshot(load_ids=False) == before


@pytest.mark.reader_independent
def test_a_sensor_in_a_department_without_its_row_fails_a_blocking_check(
    sensor_env: SensorEnv, tmp_path: Path
) -> None:
    copy = StarCopy.of("sensor_readings", tmp_path)
    copy.replace(
        "FROM data_sample", "FROM data_sample WHERE department_name <> 'lost'", "sql/master_department.sql"
    )
    sensor_env.compiled = copy.load()
    put(sensor_env, "2023-01-05 10:00", {"s1": "press", "s2": "lost"})
    with pytest.raises(CheckFailedError, match="missing in master_department in 1 row: lost"):
        sensor_env.january()
    assert sensor_env.snapshot() == {}


def test_late_readings_of_another_month_are_not_in_a_dimension(
    streaming_env: SensorEnv, tmp_path: Path
) -> None:
    copy = StarCopy.of("sensor_readings", tmp_path)
    copy.replace('*.parquet"', '*.parquet"\n          allowed_lateness_days: 2')
    streaming_env.compiled = copy.load()
    put(streaming_env, "2023-02-01 00:00", {"s1": "press"}, at="2023-01-31 23:59")
    put(streaming_env, "2023-02-01 00:01", {"s2": "paint"})
    assert streaming_env.load(FEBRUARY).loaded == 1
    assert sensors(streaming_env) == {"s2": "paint"}
    assert found(streaming_env) == of_published_readings(streaming_env)


def test_readings_in_a_department_without_its_row_fail_a_blocking_check(
    streaming_env: SensorEnv, tmp_path: Path
) -> None:
    copy = StarCopy.of("sensor_readings", tmp_path)
    copy.replace(
        "description: The department of the sensor.", "references: master_department, description: D."
    )
    found_departments = "FROM data_sample WHERE department_name <> 'lost'"
    copy.replace("FROM data_sample", found_departments, "sql/master_department.sql")
    streaming_env.compiled = copy.load()
    put(streaming_env, "2023-01-05 10:00", {"s1": "press", "s2": "lost"})
    with pytest.raises(
        CheckFailedError, match="on data_sample: .* missing in master_department in 1 row: lost"
    ):
        streaming_env.january()


SELECTS: Sequence[str] = (
    "SELECT sensor_serial, MAX(department_name) AS department_name, MAX(create_at) AS create_at FROM data_sample GROUP BY sensor_serial",
    "SELECT s.sensor_serial, s.department_name, s.create_at FROM data_sample AS s INNER JOIN master_department AS d ON s.department_name = d.department_name",
)


@pytest.mark.parametrize("select", SELECTS, ids=["an aggregate", "another table"])
def test_readings_are_kept_for_a_dimension_that_does_not_follow_row_by_row(
    select: str, streaming_env: SensorEnv, tmp_path: Path
) -> None:
    copy = StarCopy.of("sensor_readings", tmp_path)
    copy.write("sql/master_sensor.sql", select)
    streaming_env.compiled = copy.load()
    at_once(streaming_env, 1)
    put(streaming_env, "2023-01-05 10:00", {"s1": "paint", "s2": "press"})
    put(streaming_env, "2023-01-05 10:01", {"s1": "press"})
    streaming_env.january()
    assert sensors(streaming_env) == {"s1": "press", "s2": "press"}
