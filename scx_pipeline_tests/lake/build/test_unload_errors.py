"""Unloads that are refused: a lake that cannot be written, and a warehouse that does not match the star.

Failures in the middle of an unload are not tested here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.errors import LakeError, PipelineError, WarehouseError
from scx_pipeline_tests.lake.build.months_to_unload import load_months
from scx_pipeline_tests.support.lake.lake_env import Lake, lake_url
from scx_pipeline_tests.support.load_env import create_load_env, edited_star
from scx_pipeline_tests.support.sensor_env import create_sensor_env, readings

pytestmark = pytest.mark.reader_independent


def test_a_lake_that_cannot_be_written_is_reported_in_one_line(duckdb_lake: Lake, tmp_path: Path) -> None:
    load_months(duckdb_lake.load_env)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        LakeError, match=r"cannot create .*file/scx.* \(SCX_LAKE_URL or --lake\): Not a directory"
    ) as caught:
        Lake((tmp_path / "file").as_uri(), duckdb_lake.load_env, tmp_path).unload()
    assert "\n" not in str(caught.value)


def test_a_missing_bucket_is_reported_in_one_line(duckdb_lake: Lake, s3_bucket: str, tmp_path: Path) -> None:
    load_months(duckdb_lake.load_env)
    with pytest.raises(LakeError, match=r"s3://scx-not-there/x/scx/.*\(SCX_LAKE_URL or --lake\): ") as caught:
        Lake("s3://scx-not-there/x", duckdb_lake.load_env, tmp_path).unload()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["lake", "ftp://x/y", "s3://", "file://elsewhere/lake"])
def test_an_invalid_lake_url_is_refused(duckdb_lake: Lake, tmp_path: Path, url: str) -> None:
    load_months(duckdb_lake.load_env)
    with pytest.raises(LakeError, match="write file:///folder or s3://bucket/prefix"):
        Lake(url, duckdb_lake.load_env, tmp_path).unload()


def test_an_unload_of_a_star_that_was_never_loaded_is_refused(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="is empty: run `scx load`"):
        lake.unload()
    sensors = create_sensor_env(tmp_path / "s", lake.load_env.warehouse_url)
    sensors.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00"))
    sensors.january()
    with pytest.raises(
        PipelineError,
        match="public.staging_cleansed_logs does not match its declaration: run `scx load scx` first",
    ):
        lake.unload()
    assert lake.keys() == []


def test_a_year_that_is_not_of_the_event_time_is_refused(server_url: str, tmp_path: Path) -> None:
    odd = edited_star(
        tmp_path, sql={"time": ("EXTRACT(YEAR FROM created_at)", "EXTRACT(YEAR FROM created_at) + 1")}
    )
    load_env = create_load_env(tmp_path, server_url, odd)
    load_months(load_env)
    lake = Lake(lake_url(server_url, tmp_path), load_env, tmp_path)
    with pytest.raises(LakeError, match=r"^time: year is not the year of created_at in 10 rows"):
        lake.unload()
    assert lake.keys() == []
