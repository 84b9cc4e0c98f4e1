"""Files and report of the sensor readings generator, verified by an independent reader.

Loading them does not belong here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.store import LocalStore

from scx_pipeline.samples.sensor_readings.sensor_readings_bucket import (
    GeneratedReadings,
    SensorOptions,
    generate,
)

OPTIONS = SensorOptions("2023-01-31 23:00", files=130, seed=5)


def make(folder: Path, options: SensorOptions = OPTIONS) -> GeneratedReadings:
    folder.mkdir(exist_ok=True)
    return generate(options, LocalStore(folder))


def files(folder: Path) -> list[Path]:
    return sorted((folder / "data_sample").iterdir())


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GeneratedReadings]:
    folder = tmp_path_factory.mktemp("sensors")
    return folder, make(folder)


def test_each_minute_has_a_file_and_the_report_counts_the_files(
    bucket: tuple[Path, GeneratedReadings],
) -> None:
    folder, report = bucket
    start = datetime(2023, 1, 31, 23)
    minutes = [start + timedelta(minutes=number) for number in range(130)]
    assert [path.name for path in files(folder)] == [
        f"{minute:%Y-%m-%d %H:%M:%S}.parquet" for minute in minutes
    ]
    assert report == GeneratedReadings(
        objects=130,
        bytes=sum(path.stat().st_size for path in files(folder)),
        rows=130 * 1914,
        rows_by_month={"2023-01": 60 * 1914, "2023-02": 70 * 1914},
    )


def test_a_file_has_the_columns_rows_lengths_and_ranges_of_the_original(
    bucket: tuple[Path, GeneratedReadings],
) -> None:
    path = files(bucket[0])[70]
    table = pq.read_table(path)
    assert table.schema.names == [
        "department_name",
        "sensor_serial",
        "create_at",
        "product_name",
        "product_expire",
    ]
    assert {table.schema.field(name).type for name in ("create_at", "product_expire")} == {pa.timestamp("us")}
    rows = table.to_pylist()
    assert len(rows) == 1914
    lengths = {
        (len(row["department_name"]), len(row["sensor_serial"]), len(row["product_name"])) for row in rows
    }
    assert lengths == {(32, 64, 16)}
    assert {row["create_at"] for row in rows} == {datetime(2023, 2, 1, 0, 10)}
    days = [(row["product_expire"] - row["create_at"]) / timedelta(days=1) for row in rows]
    assert 87 <= min(days) < 87.1
    assert 88.9 < max(days) <= 89
    sensors = {(row["department_name"], row["sensor_serial"]) for row in rows}
    assert (len({name for name, _ in sensors}), len(sensors)) == (22, 22 * 29)
    assert len(rows) == 3 * len(sensors), "a sensor sees several products at a time"
    assert len({row["product_name"] for row in rows}) == 200


def test_sensors_are_the_same_in_every_minute_and_products_differ(
    bucket: tuple[Path, GeneratedReadings],
) -> None:
    first, last = (pq.read_table(files(bucket[0])[at]) for at in (0, -1))
    assert first["sensor_serial"].to_pylist() == last["sensor_serial"].to_pylist()
    assert first["product_name"].to_pylist() != last["product_name"].to_pylist()


def test_the_same_options_give_the_same_rows_for_any_number_of_files(
    bucket: tuple[Path, GeneratedReadings], tmp_path: Path
) -> None:
    make(tmp_path / "fewer", replace(OPTIONS, files=3))
    for ours, others in zip(files(tmp_path / "fewer"), files(bucket[0]), strict=False):
        assert pq.read_table(ours).equals(pq.read_table(others))
    make(tmp_path / "other", replace(OPTIONS, files=1, seed=6))
    assert not pq.read_table(files(tmp_path / "other")[0]).equals(pq.read_table(files(bucket[0])[0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (replace(OPTIONS, start="2023-01-31"), "start must be a minute as YYYY-MM-DD HH:MM"),
        (replace(OPTIONS, start="2023-02-30 00:00"), "start must be a minute as YYYY-MM-DD HH:MM"),
        (replace(OPTIONS, files=0), "files must be 1 or more"),
        (replace(OPTIONS, rows=0), "rows must be 1 or more"),
        (replace(OPTIONS, seed=-1), "seed must be 0 or more"),
    ],
)
def test_invalid_options_are_rejected_before_anything_is_written(
    tmp_path: Path, options: SensorOptions, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(tmp_path, options)
    assert list(tmp_path.iterdir()) == []
