"""Objects that the client parses, because COPY cannot or might read them differently.

The resulting row counts are those of the other engines.
"""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from scx_pipeline.errors import SourceFileError
from scx_pipeline.loading.ingest import server_copy
from scx_pipeline.warehouse.redshift.copy_command import to_copy_schema
from scx_pipeline_tests.support.load_env import APRIL, PREFIX, LoadEnv, jobs_of, line_of
from scx_pipeline_tests.support.music_env import EVENTS, MusicEnv, event
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.sensor_env import SensorEnv, readings, to_parquet
from scx_pipeline_tests.support.stars import with_sources
from scx_pipeline_tests.warehouse.redshift.object_reading.object_reading import (
    COUNTS,
    BucketAndWarehouse,
    april,
    load_and_list_parsed,
    sent,
)


def test_small_objects_are_parsed_by_the_client(redshift: StandIn, load_env: LoadEnv) -> None:
    load_env.warehouse_url = load_env.warehouse_url.replace("copy_from=0", "copy_from=1")
    load_env.put("2021/04/a.csv", [april(1)])
    load_env.load(APRIL)
    assert sent(redshift, "FORMAT AS CSV") == []
    assert jobs_of(load_env) == [1]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("2,10,short", "COPY rejected 1 records, such as s3://"),
        (april(2, "2021-04-02 25:00:00"), "client parsing is needed for 1 row"),
        (april(2, remove_dup="yes"), "client parsing is needed for 1 row"),
        (april(2, user_id=None), "client parsing is needed for 1 row"),
        (april(2, noise_type="x" * 65), "String length exceeds DDL length"),
        (april(2, "2020-01-02 10:00:00"), "some event times are outside the months that the keys name"),
    ],
)
def test_objects_with_a_bad_row_are_parsed_by_the_client(
    load_env: LoadEnv, bad: dict[str, object] | str, why: str
) -> None:
    good = [april(n) for n in range(3, 30)]
    load_env.put("2021/04/a.csv", [*good, bad])
    [message] = load_and_list_parsed(load_env)
    assert why in message
    assert message.endswith("parsing 1 object instead")
    assert load_env.state("objects", COUNTS) == [(f"{PREFIX}2021/04/a.csv", 28, 27, 1, 0, 0)]
    assert load_env.state("rejected_rows", "line") == [(29,)]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("b.csv", b"job_id\n1\n", "line 1: the column 'project_id' of staging_cleansed_logs is missing"),
        ("b.csv", b"PK\x03\x04", "the file is a zip archive"),
        ("b.csv.gz", b"job_id", "the file is not compressed, but its name ends in .gz"),
    ],
)
def test_an_object_with_an_invalid_start_is_rejected_by_the_client_and_the_others_are_copied(
    redshift: StandIn, load_env: LoadEnv, name: str, content: bytes, reason: str
) -> None:
    load_env.put("2021/04/a.csv", [april(1), april(2)])
    load_env.put_raw(f"2021/04/{name}", content)
    with pytest.raises(SourceFileError, match=reason) as caught:
        load_env.load(APRIL)
    assert caught.value.key == f"{PREFIX}2021/04/{name}"
    assert sent(redshift, "FORMAT AS CSV") == []
    load_env.compiled = with_sources(load_env.compiled, on_invalid_file="reject", reject_limit=0.5)
    load_env.load(APRIL)
    assert len(sent(redshift, "FORMAT AS CSV")) == 1
    assert jobs_of(load_env) == [1, 2]
    [(key, line, found)] = load_env.state("rejected_rows", "object_key, line, reason")
    assert (key, line) == (f"{PREFIX}2021/04/{name}", None)
    assert found.startswith(reason)


def test_blank_texts_are_never_cast(load_env: LoadEnv) -> None:
    """Redshift rejects TRY_CAST of a blank text (r_TRY_CAST), so the client parses such a row."""
    load_env.put("2021/04/a.csv", [april(1, plan_id="   "), *(april(n) for n in range(2, 30))])
    [message] = load_and_list_parsed(load_env)
    assert "client parsing is needed for 1 row" in message


def test_an_object_with_bad_rows_is_parsed_by_the_client_in_the_next_load(
    redshift: StandIn, load_env: LoadEnv
) -> None:
    load_env.put("2021/04/a.csv", [*(april(n) for n in range(1, 28)), "28,10,short"])
    load_env.put("2021/04/b.csv", [april(29)])
    assert "parsing 2 objects instead" in load_and_list_parsed(load_env)[0]
    assert load_and_list_parsed(load_env) == []
    manifests = sent(redshift, "FORMAT AS CSV")
    assert len(manifests) == 2, "the good one is read by the cluster again"
    assert [row[:4] for row in load_env.state("objects", COUNTS)] == [
        (f"{PREFIX}2021/04/a.csv", 28, 27, 1), (f"{PREFIX}2021/04/b.csv", 1, 1, 0),
    ]  # fmt: skip


def test_an_event_time_outside_the_calendar_needs_client_parsing(load_env: LoadEnv) -> None:
    load_env.put("2021/04/a.csv", [april(n) for n in range(1, 29)] + [april(29, "10000-01-01 00:00:00")])
    assert "client parsing is needed for 1 row" in load_and_list_parsed(load_env)[0]
    assert len(jobs_of(load_env)) == 28


def test_rows_of_months_out_of_scope_are_counted_by_object(
    redshift: StandIn, load_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_env.put("2021/04/a.csv", [april(1), april(2, "2021-03-31 23:00:00")])
    load_env.put("2021/04/b.csv", [april(3)])
    assert "some rows are outside the load scope" in load_and_list_parsed(load_env)[0]
    counts = [(f"{PREFIX}2021/04/a.csv", 2, 1, 0, 0, 1), (f"{PREFIX}2021/04/b.csv", 1, 1, 0, 0, 0)]
    assert load_env.state("objects", COUNTS) == counts
    # Large objects are read by statements of their own.
    monkeypatch.setattr(server_copy, "SINGLE_OBJECT_BYTES", 1)
    first = len(redshift.statements)
    assert load_and_list_parsed(load_env) == []
    assert len([sql for sql in redshift.statements[first:] if "FORMAT AS CSV" in sql]) == 2
    assert load_env.state("objects", COUNTS) == counts


def test_deduplicated_rows_are_counted_by_object(load_env: LoadEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    load_env.put("2021/04/a.csv", [april(1), april(2)])
    load_env.put("2021/04/b.csv", [april(2, updated_at="2021-04-09 00:00:00", ground_profile="forestry")])
    counts = [(f"{PREFIX}2021/04/a.csv", 2, 1, 0, 1, 0), (f"{PREFIX}2021/04/b.csv", 1, 1, 0, 0, 0)]
    load_env.load(APRIL)
    assert load_env.state("objects", COUNTS) == counts
    assert load_env.table("auto_classification_logs", "ground_profile") == [("city",), ("forestry",)]
    monkeypatch.setattr(server_copy, "SINGLE_OBJECT_BYTES", 1)
    load_env.load(APRIL)
    assert load_env.state("objects", COUNTS) == counts
    assert load_env.table("auto_classification_logs", "ground_profile") == [("city",), ("forestry",)]


def test_rows_read_by_cluster_and_client_are_deduplicated_together(load_env: LoadEnv) -> None:
    load_env.put("2021/04/a.csv", [april(n) for n in range(1, 29)])
    load_env.put("2021/04/b.csv.gz", ["1,10,short", april(2, updated_at="2021-04-09 00:00:00")])
    load_env.load(APRIL)
    assert load_env.state("objects", COUNTS) == [
        (f"{PREFIX}2021/04/a.csv", 28, 27, 0, 1, 0),
        (f"{PREFIX}2021/04/b.csv.gz", 2, 1, 1, 0, 0),
    ]


def test_records_of_several_lines_are_counted_by_object(redshift: StandIn, load_env: LoadEnv) -> None:
    load_env.put("2021/04/a.csv", [april(1, summary="rivers\nand\ntrees"), april(2)])
    load_env.put("2021/04/b.csv", [april(3)])
    load_env.put("2021/04/c.csv.gz", [april(4, summary="rivers\nand trees")])
    [message] = load_and_list_parsed(load_env)
    assert message.endswith("the row count of each object is unknown; parsing 2 objects instead")
    assert [row[1] for row in load_env.state("objects", COUNTS)] == [2, 1, 1]
    assert load_env.table("staging_cleansed_logs", "summary").count(("rivers\nand\ntrees",)) == 1


def test_empty_objects_have_a_row_count_of_zero(load_env: LoadEnv) -> None:
    load_env.put("2021/04/a.csv", [])
    load_env.put("2021/04/b.csv", b"")
    load_env.put("2021/04/c.csv", [april(3)])
    load_env.load(APRIL)
    assert [row[1] for row in load_env.state("objects", COUNTS)] == [0, 0, 1]


def test_a_text_that_copy_reads_as_null_is_loaded_as_text(load_env: LoadEnv) -> None:
    load_env.put("2021/04/a.csv", [april(1, summary="\\N")])
    assert load_and_list_parsed(load_env) == []
    assert load_env.table("staging_cleansed_logs", "summary") == [("\\N",)]


def test_empty_values_are_null_without_client_parsing_if_declared_as_null_values(load_env: LoadEnv) -> None:
    quoted = line_of(april(2, summary="Q")).replace("Q", '""')
    load_env.put("2021/04/a.csv", [april(1, summary=""), quoted])
    assert load_and_list_parsed(load_env) == []
    assert load_env.table("staging_cleansed_logs", "job_id, summary") == [(1, None), (2, None)]


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(event(1, 1, "2018-11-05 10:01:00", artist=311)),
        json.dumps(event(1, 1, "2018-11-05 10:01:00", artist={"name": "311"})),
        json.dumps([1, 2]),
        "no JSON",
        json.dumps(event(1, 1, "2018-11-05 10:01:00"), indent=1).replace("\n", " ") + " {}",
        json.dumps(event(1, 1, "2018-11-05 10:01:00", itemInSession=1.5)),
    ],
)
def test_an_invalid_json_record_is_rejected_by_the_client(
    cluster_bucket: BucketAndWarehouse, line: str
) -> None:
    music_env = MusicEnv(*cluster_bucket)
    events = [json.dumps(event(1, n, "2018-11-05 10:00:00")) for n in range(2, 30)]
    music_env.put_key(f"{EVENTS}2018/11/2018-11-05-events.json", "\n".join([*events, line]).encode())
    music_env.load("2018-11")
    assert music_env.state("rejected_rows", "line") == [(29,)]
    assert music_env.table("staging_events", "COUNT(*)") == [(28,)]


def test_an_undeclared_field_is_reported(cluster_bucket: BucketAndWarehouse) -> None:
    music_env = MusicEnv(*cluster_bucket)
    music_env.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00") | {"mood": "good"}])
    report = music_env.load("2018-11")
    assert any("mood" in check.message for check in report.checks)


@pytest.mark.parametrize("why", ["timestamps", "codec"])
def test_parquet_that_copy_would_misread_is_parsed_by_the_client(
    redshift: StandIn, cluster_bucket: BucketAndWarehouse, why: str
) -> None:
    """COPY reads timestamps as numbers if the file does not declare them as UTC, and cannot read zstd."""
    sensor_env = SensorEnv(*cluster_bucket)
    rows = readings("2023-01-05 10:00")
    odd = rows if why == "timestamps" else rows.cast(to_copy_schema(rows.schema))
    sensor_env.put_minute("2023-01-05 10:00", to_parquet(odd, "snappy" if why == "timestamps" else "zstd"))
    sensor_env.january()
    assert sent(redshift, 'COPY "_texts_data_sample"') == []
    assert [str(event_time) for *_, event_time in sensor_env.readings()] == ["2023-01-05 10:00:00"] * 2


def test_parquet_of_other_types_than_declared_is_converted_by_the_client(
    redshift: StandIn, cluster_bucket: BucketAndWarehouse
) -> None:
    sensor_env = SensorEnv(*cluster_bucket)
    event_time = pa.array([1672912800000, 1672912800000], pa.timestamp("ms"))
    sensor_env.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00", create_at=event_time))
    sensor_env.january()
    assert sent(redshift, 'COPY "_texts_data_sample"') == []
    assert len(sensor_env.readings()) == 2
