"""Loads from the lake into the stand-in: the statements, and who reads the lake's files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import obstore
import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.build.unload import Unloader
from scx_pipeline.warehouse.redshift.copy_command import StagingPrefix
from scx_pipeline_tests.support.lake.lake_loads import LakeLoadEnv
from scx_pipeline_tests.support.load_env import APRIL, LoadEnv, job, jobs_of, range_of_keys
from scx_pipeline_tests.support.music_env import MusicEnv, event, song
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.wire import Failure
from scx_pipeline_tests.support.sensor_env import SensorEnv, readings
from scx_pipeline_tests.warehouse.redshift.golden_sql import check_statements

DENIED = Failure("XX000", "S3ServiceException:Access Denied,Status 403,Error AccessDenied")
MISSING = Failure("XX000", "Spectrum Scan Error: the file has an incompatible Parquet schema")


@pytest.fixture
def bucket(s3_bucket: str) -> str:
    return f"{s3_bucket}/logs"


def jobs_loads(bucket: str, warehouse_url: str, lake: str) -> LakeLoadEnv:
    load_env = LoadEnv(bucket, warehouse_url)
    load_env.put("2021/04/a.csv", [job(n, f"2021-04-{n:02d} 10:00:00", user_id=200 + n) for n in (5, 6)])
    loads = LakeLoadEnv(load_env, lake)
    loads.builder().load(range_of_keys(APRIL))
    return loads


def unloaded(load_env: LoadEnv, lake: str) -> LakeLoadEnv:
    """Return loads from a lake that the cluster has unloaded itself: COPY reads its files correctly."""
    loads = LakeLoadEnv(load_env, lake)
    loads.load_raw()
    Unloader(load_env.compiled, load_env.warehouse).run(lake)
    return loads


def unloaded_jobs(bucket: str, warehouse_url: str) -> LakeLoadEnv:
    load_env = LoadEnv(bucket, warehouse_url)
    load_env.put("2021/04/a.csv", [job(n, f"2021-04-{n:02d} 10:00:00", user_id=200 + n) for n in (5, 6)])
    return unloaded(load_env, f"{bucket}-lake")


def sent(redshift: StandIn, load: Callable[[], object]) -> list[str]:
    """Return the statements of a load into a warehouse with earlier loads."""
    load()
    first = len(redshift.statements)
    load()
    return redshift.statements[first:]


def copies(statements: Sequence[str]) -> list[str]:
    """Return the target and source of each COPY."""
    return [sql.split(" FROM ")[0].removeprefix("COPY ") for sql in statements if sql.startswith("COPY")]


def test_statements_of_a_month_from_the_lake(redshift: StandIn, redshift_url: str, bucket: str) -> None:
    loads = unloaded_jobs(bucket, redshift_url)
    statements = sent(redshift, lambda: loads.load_month(APRIL))
    check_statements("scx", "month from the lake", statements)
    assert jobs_of(loads.load_env) == [5, 6]


def test_statements_of_songplays_from_the_lake(redshift: StandIn, redshift_url: str, bucket: str) -> None:
    music_env = MusicEnv(bucket, redshift_url)
    music_env.put_song("A/A/A/one", song("SOZCTXZ12AB0182364"))
    music_env.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00"), event(1, 1, "2018-11-05 10:05:00")])
    loads = unloaded(music_env, f"{bucket}-lake")
    refreshed = sent(redshift, lambda: loads.loader().refresh())
    check_statements("songplays", "refresh from the lake", refreshed)
    check_statements("songplays", "month from the lake", sent(redshift, lambda: loads.load_month("2018-11")))


def test_statements_of_a_month_of_readings_from_the_lake(
    redshift: StandIn, redshift_url: str, bucket: str
) -> None:
    sensor_env = SensorEnv(bucket, redshift_url)
    sensor_env.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00"))
    loads = unloaded(sensor_env, f"{bucket}-lake")
    check_statements(
        "sensor_readings", "month from the lake", sent(redshift, lambda: loads.load_month("2023-01"))
    )


def test_the_cluster_reads_the_lakes_files_by_their_sizes(
    redshift_url: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = unloaded_jobs(bucket, redshift_url)
    put: list[tuple[str, Any]] = []
    original = StagingPrefix.put

    def noting(place: StagingPrefix, name: str, content: Any) -> Any:
        put.append((name, content))
        return original(place, name, content)

    monkeypatch.setattr(StagingPrefix, "put", noting)
    loads.load_month(APRIL)
    assert {name for name, _ in put} == {"manifest.json"}
    manifest = {
        entry["url"]: entry["meta"]["content_length"]
        for _, text in put
        for entry in json.loads(text)["entries"]
    }
    listed = {
        f"{loads.store.url}/{item.key}": item.bytes
        for files in loads.manifest.files.values()
        for item in files
    }
    read = {url: size for url, size in listed.items() if "_accounts" not in url and "month=" in url}
    assert manifest == read


def test_a_file_of_another_size_fails_the_load(redshift_url: str, bucket: str) -> None:
    loads = jobs_loads(bucket, redshift_url, f"{bucket}-lake")
    [item] = loads.manifest.select_files("auto_classification_logs")
    content = loads.store.read(item.key)
    assert content is not None
    obstore.put(loads.store.store, item.key, content + b"more")
    with pytest.raises(LakeError, match=f"^cannot read .*{item.key}: it has .* bytes"):
        loads.load_month(APRIL)
    assert loads.load_env.snapshot() == {}


@pytest.mark.parametrize("failure", [MISSING, DENIED])
def test_files_that_the_cluster_cannot_read_are_uploaded(
    redshift: StandIn, redshift_url: str, bucket: str, failure: Failure
) -> None:
    loads = unloaded_jobs(bucket, redshift_url)

    def before(sql: str) -> None:
        if sql.startswith('COPY "public"'):
            redshift.before = lambda sql: None
            raise failure

    redshift.before = before
    loads.load_month(APRIL)
    assert jobs_of(loads.load_env) == [5, 6]
    [line] = loads.load_env.messages
    assert line.startswith(
        f'COPY of the files for "public"."staging_cleansed_logs" failed: {failure.message}'
    )
    assert line.endswith("; trying again, parsing the objects on this machine")


def test_files_that_copy_would_misread_are_uploaded(
    redshift: StandIn, redshift_url: str, bucket: str
) -> None:
    """DuckDB compresses by Zstandard, which COPY cannot read, and its timestamps have no zone: COPY would read numbers."""
    loads = jobs_loads(bucket, redshift_url, f"{bucket}-lake")
    loads.load_month(APRIL)
    assert jobs_of(loads.load_env) == [5, 6]
    assert loads.load_env.messages == []
    assert "lake" not in " ".join(sql for sql in redshift.statements if sql.startswith("COPY"))
    assert [str(row) for row in loads.load_env.table("auto_classification_logs", "created_at")] == [
        "(datetime.datetime(2021, 4, 5, 10, 0),)", "(datetime.datetime(2021, 4, 6, 10, 0),)",
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["in a folder", "in another region"])
def test_files_outside_s3_are_uploaded(
    redshift: StandIn, redshift_url: str, bucket: str, where: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = where == "in another region"
    lake = f"{bucket}-lake" if elsewhere else tmp_path_factory.mktemp("lake").as_uri()
    loads = jobs_loads(bucket, f"{redshift_url}&region=eu-west-1" if elsewhere else redshift_url, lake)
    loads.load_month(APRIL)
    assert jobs_of(loads.load_env) == [5, 6]
    assert '"public"."auto_classification_logs"' in copies(redshift.statements)
    assert "_files" not in copies(redshift.statements)
