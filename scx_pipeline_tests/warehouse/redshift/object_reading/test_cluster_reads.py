"""Objects in S3 that the cluster reads itself: the statements that a load sends."""

from __future__ import annotations

import json

import pytest

from scx_pipeline.warehouse.redshift.copy_command import to_copy_schema
from scx_pipeline_tests.support.load_env import (
    APRIL,
    MARCH,
    PREFIX,
    LoadEnv,
    columns,
    csv_text,
    jobs_of,
    range_of_keys,
)
from scx_pipeline_tests.support.music_env import MusicEnv, event
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.sensor_env import SensorEnv, readings
from scx_pipeline_tests.warehouse.redshift.golden_sql import check_statements
from scx_pipeline_tests.warehouse.redshift.object_reading.object_reading import (
    COUNTS,
    BucketAndWarehouse,
    april,
    load_and_list_parsed,
    sent,
)


def test_objects_of_one_format_are_read_by_one_statement(redshift: StandIn, load_env: LoadEnv) -> None:
    for n in (1, 2, 3):
        load_env.put(f"2021/04/{n}.csv", [april(n)])
    assert load_and_list_parsed(load_env) == []
    assert jobs_of(load_env) == [1, 2, 3]
    assert len(sent(redshift, "FORMAT AS CSV")) == 1
    assert load_env.state("objects", COUNTS) == [
        (f"{PREFIX}2021/04/{n}.csv", 1, 1, 0, 0, 0) for n in (1, 2, 3)
    ]


def test_statements_of_a_month_that_the_cluster_reads(redshift: StandIn, load_env: LoadEnv) -> None:
    load_env.put("2021/04/a.csv.gz", [april(5), april(6)])
    load_env.load(APRIL)
    first = len(redshift.statements)
    load_env.load(APRIL)
    check_statements("scx", "month read by the cluster", redshift.statements[first:])


def test_statements_of_a_month_of_events_that_the_cluster_reads(
    redshift: StandIn, cluster_bucket: BucketAndWarehouse
) -> None:
    music_env = MusicEnv(*cluster_bucket)
    music_env.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00"), event(1, 1, "2018-11-05 10:05:00")])
    music_env.settle()
    first = len(redshift.statements)
    music_env.load("2018-11")
    check_statements("songplays", "month read by the cluster", redshift.statements[first:])
    assert music_env.table("staging_events", "COUNT(*)") == [(2,)]


def test_statements_of_a_month_of_readings(redshift: StandIn, cluster_bucket: BucketAndWarehouse) -> None:
    sensor_env = SensorEnv(*cluster_bucket)
    for minute in ("2023-01-05 10:00", "2023-01-05 10:01"):
        rows = readings(minute)
        sensor_env.put_minute(minute, rows.cast(to_copy_schema(rows.schema)))
    sensor_env.january()
    first = len(redshift.statements)
    sensor_env.january()
    check_statements("sensor_readings", "month read by the cluster", redshift.statements[first:])
    assert len(sensor_env.readings()) == 4


def test_json_fields_are_read_by_the_declared_paths(
    redshift: StandIn, cluster_bucket: BucketAndWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    music_env = MusicEnv(*cluster_bucket)
    music_env.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00")])
    paths: list[str] = []

    def before(sql: str) -> None:
        if "FORMAT AS JSON" in sql:
            bucket, _, key = sql.split("FORMAT AS JSON 's3://")[1].split("'")[0].partition("/")
            paths.extend(json.loads(bytes(redshift.store(bucket).get(key).bytes()))["jsonpaths"])

    redshift.before = before
    music_env.settle()
    staging = music_env.compiled.star.table("staging_events")
    assert paths == [f"$['{column.field or column.name}']" for column in staging.columns]
    assert "$['itemInSession']" in paths


def test_other_headers_and_months_are_read_by_separate_statements(
    redshift: StandIn, load_env: LoadEnv
) -> None:
    load_env.put("2021/04/a.csv", [april(1)])
    backwards = [*reversed(columns()), "comment"]
    load_env.put_raw("2021/04/b.csv", csv_text([april(2) | {"comment": "new"}], backwards).encode())
    load_env.put("2021/05/c.csv", [april(30)])
    load_env.put("2021/04/d.csv.gz", [april(4)])
    messages: list[str] = []
    report = load_env.loader(messages.append).load(range_of_keys(APRIL))
    assert sorted(jobs_of(load_env)) == [1, 2, 4, 30]
    assert len(sent(redshift, "FORMAT AS CSV")) == 4
    assert any("comment" in check.message for check in report.checks)


def test_neighbouring_months_do_not_affect_each_other(load_env: LoadEnv) -> None:
    load_env.put("2021/03/a.csv", [april(1, "2021-03-05 10:00:00")])
    load_env.put("2021/04/a.csv", [april(2)])
    load_env.loader().load(range_of_keys(MARCH, APRIL))
    load_env.put("2021/03/a.csv", [april(3, "2021-03-05 10:00:00")])
    load_env.load(MARCH)
    assert jobs_of(load_env) == [2, 3]
