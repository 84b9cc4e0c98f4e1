"""Loads into the stand-in: the statements that are sent, and no secret in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline_tests.support.load_env import APRIL, LoadEnv, create_load_env, edited_star, jobs_of
from scx_pipeline_tests.support.music_env import create_music_env, event, song
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.wire import Failure, Gone
from scx_pipeline_tests.support.sensor_env import create_sensor_env, readings
from scx_pipeline_tests.warehouse.redshift.april_loads import CONFLICT, put_april, staged, staging_bucket
from scx_pipeline_tests.warehouse.redshift.golden_sql import check_statements


def test_statements_of_a_month(redshift: StandIn, load_env: LoadEnv) -> None:
    put_april(load_env, 5, 6)
    load_env.load(APRIL)
    first = len(redshift.statements)
    load_env.load(APRIL)
    check_statements("scx", "first load", redshift.statements[:first])
    check_statements("scx", "same month loaded again", redshift.statements[first:])


def test_statements_of_a_refresh_and_a_month_of_songplays(
    redshift: StandIn, tmp_path: Path, redshift_url: str
) -> None:
    music_env = create_music_env(tmp_path, redshift_url)
    music_env.put_song("A/A/A/one", song("SOZCTXZ12AB0182364"))
    music_env.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00"), event(1, 1, "2018-11-05 10:05:00")])
    music_env.settle()
    music_env.put_song("A/A/A/one", song("SOZCTXZ12AB0182364", title="Another title"))
    first = len(redshift.statements)
    music_env.refresh()
    check_statements("songplays", "refresh", redshift.statements[first:])
    first = len(redshift.statements)
    music_env.load("2018-11")
    check_statements("songplays", "month", redshift.statements[first:])


def test_statements_of_a_month_of_readings(redshift: StandIn, tmp_path: Path, redshift_url: str) -> None:
    sensor_env = create_sensor_env(tmp_path, redshift_url)
    sensor_env.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00"))
    sensor_env.january()
    first = len(redshift.statements)
    sensor_env.january()
    check_statements("sensor_readings", "month", redshift.statements[first:])


def test_tables_are_created_as_declared(redshift: StandIn, load_env: LoadEnv) -> None:
    put_april(load_env, 5)
    load_env.load(APRIL)
    created = {
        sql.split('"')[3]: sql for sql in redshift.statements if sql.startswith('CREATE TABLE "public"')
    }
    assert created["auto_classification_logs"].endswith(
        'DISTSTYLE KEY DISTKEY ("user_id") SORTKEY ("created_at")'
    )
    assert created["users"].endswith('DISTSTYLE ALL SORTKEY ("user_id")')
    assert "PRIMARY KEY" not in "".join(created.values())


def test_columns_are_encoded_as_declared(redshift: StandIn, tmp_path: Path, redshift_url: str) -> None:
    star = edited_star(tmp_path, {"auto_classification_logs.job_id": {"encoding": "az64"}})
    load_env = create_load_env(tmp_path, redshift_url, star)
    put_april(load_env, 5)
    load_env.load(APRIL)
    [created] = [sql for sql in redshift.statements if sql.startswith('CREATE TABLE "public"."auto_class')]
    assert '"job_id" integer ENCODE az64, "project_id" integer,' in created
    assert jobs_of(load_env) == [5]


def test_a_load_removes_the_staged_objects_of_a_killed_one(redshift: StandIn, load_env: LoadEnv) -> None:
    put_april(load_env, 5)
    bucket = staging_bucket(redshift, load_env)
    obstore.put(bucket, "staging/scx/left-rows.parquet", b"left")
    obstore.put(bucket, "staging/songplays/rows.parquet", b"another star's")
    load_env.load(APRIL)
    assert staged(redshift, load_env) == ["staging/songplays/rows.parquet"]


@pytest.fixture
def planted(redshift: StandIn) -> Iterator[list[str]]:
    """Provide the secrets in use: the database's password, and the keys of the environment."""
    secrets = [redshift.users["scx"], os.environ["AWS_SECRET_ACCESS_KEY"]]
    assert all(len(secret) > 8 for secret in secrets)
    yield secrets


def test_no_secret_is_in_a_statement_a_message_or_an_error(
    redshift: StandIn,
    load_env: LoadEnv,
    planted: list[str],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    put_april(load_env, 5)
    load_env.put("2021/03/bad.csv", ["1,10,short"])
    load_env.load(APRIL)
    errors = []
    for failure in (CONFLICT, Failure("XX000", "Disk Full"), Gone()):

        def refuse(sql: str, failure: Exception = failure) -> None:
            if sql.startswith("COPY"):
                raise failure

        redshift.before = refuse
        with pytest.raises(WarehouseError) as caught:
            load_env.load(APRIL)
        errors += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    redshift.before = lambda sql: None
    shown = capfd.readouterr()
    texts = [
        *redshift.statements,
        *load_env.messages,
        *errors,
        repr(load_env.warehouse),
        load_env.warehouse.url,
        shown.out,
        shown.err,
        caplog.text,
    ]
    for secret in planted:
        assert not [text for text in texts if secret in text]
