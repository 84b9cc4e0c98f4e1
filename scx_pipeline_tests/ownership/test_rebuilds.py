"""Rebuilds of tables: indexes, keys and partitions, and readers and views during a rebuild."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.errors import CheckFailedError, WarehouseBusyError, WarehouseError
from scx_pipeline.warehouse.session import Session
from scx_pipeline_tests.ownership.declaration_edits import with_type
from scx_pipeline_tests.ownership.warehouse_content import JUNE, built, put_months, query, run
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    STAGING,
    LoadEnv,
    edited_star,
    filled,
    job,
    range_of_keys,
)
from scx_pipeline_tests.support.music_env import MusicEnv, event, song
from scx_pipeline_tests.support.sensor_env import SensorEnv, readings

pytestmark = pytest.mark.reader_independent


def _load_again(load_env: LoadEnv) -> None:
    load_env.put("2021/03/b.csv", [job(99, "2021-03-06 10:00:00")])
    load_env.load(MARCH)


def test_a_dropped_brin_index_is_recreated(postgres_env: LoadEnv) -> None:
    put_months(postgres_env, MARCH, JUNE)
    postgres_env.load(MARCH, JUNE)
    brin = f"SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'public.{FACTS}'::regclass AND NOT indisprimary"
    [(name,)] = query(postgres_env, brin)
    run(postgres_env, f"DROP INDEX public.{name.removeprefix('public.')}")
    _load_again(postgres_env)
    assert len(query(postgres_env, brin)) == 1


def test_a_primary_key_of_other_columns_under_the_usual_name_is_not_trusted(postgres_env: LoadEnv) -> None:
    put_months(postgres_env, MARCH)
    postgres_env.load(MARCH)
    [(name,)] = query(
        postgres_env,
        f"SELECT conname FROM pg_constraint WHERE conrelid = 'public.{FACTS}'::regclass AND contype = 'p'",
    )
    run(
        postgres_env,
        *(
            f"ALTER TABLE public.{table} DROP CONSTRAINT {key}"
            for table, key in ((FACTS, name), (STAGING, f"{STAGING}_pkey"))
        ),
        f"ALTER TABLE public.{FACTS} ADD CONSTRAINT {name} PRIMARY KEY (job_id, created_at) DEFERRABLE INITIALLY DEFERRED",
    )
    postgres_env.put("2021/04/a.csv", [job(31, "2021-04-05 10:00:00")])  # a job of March
    with pytest.raises(CheckFailedError, match="job_id 31 occurs in 2021-03 and in 2021-04"):
        postgres_env.load(APRIL)


def test_readers_see_the_old_rows_until_a_rebuild_commits(load_env: LoadEnv, tmp_path: Path) -> None:
    put_months(load_env, MARCH)
    load_env.load(MARCH)
    load_env.compiled = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    seen = []

    def read(message: str) -> None:
        if "checks in" in message:
            with load_env.warehouse.open_loaded() as session:
                seen.append((session.rows("SELECT COUNT(*) FROM public.users"), _type_of_plan(session)))

    load_env.loader(read).load(range_of_keys("2021-02", MARCH))
    assert seen == [([(2,)], "integer")]
    with load_env.open_loaded() as session:
        assert _type_of_plan(session) == "bigint"
    assert not [name for name in load_env.tables() if name.count("__") > ("scx__" in name)]


def _type_of_plan(session: Session) -> str:
    return dict(session.catalog.table_columns("public", "users"))["plan_id"].lower()


def test_a_rebuild_waits_for_a_reader_until_the_lock_timeout_and_changes_nothing(
    postgres_env: LoadEnv, tmp_path: Path
) -> None:
    put_months(postgres_env, MARCH)
    postgres_env.load(MARCH)
    before = postgres_env.snapshot()
    postgres_env.compiled = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    postgres_env.limits = replace(postgres_env.limits, lock_timeout=0.5)
    with postgres_env.open_loaded() as session:
        session.rows("SELECT COUNT(*) FROM public.users")
        with pytest.raises(
            WarehouseBusyError, match=r"public.*users.* is still being read .*SCX_LOCK_TIMEOUT"
        ):
            postgres_env.load_changed()
    assert postgres_env.snapshot() == before


def test_a_view_on_a_table_that_must_be_rebuilt_is_named_before_anything_changes(
    postgres_env: LoadEnv, tmp_path: Path
) -> None:
    put_months(postgres_env, MARCH)
    postgres_env.load(MARCH)
    run(postgres_env, "CREATE VIEW dwh.mine AS SELECT user_id FROM public.users")
    before = postgres_env.snapshot()
    postgres_env.compiled = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    with pytest.raises(
        WarehouseError, match=r"public.users must be rebuilt, but views select from it \(dwh.mine\)"
    ):
        postgres_env.load_changed()
    assert postgres_env.snapshot() == before
    assert len(query(postgres_env, "SELECT * FROM dwh.mine")) == 2


def test_unpartitioned_tables_are_rebuilt_by_the_planned_refresh(music_env: MusicEnv, tmp_path: Path) -> None:
    music_env.put_song("a", song("S1"))
    music_env.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00")])
    music_env.settle()
    music_env.compiled = with_type(music_env.compiled, "songs", "year", "bigint")
    assert "public" not in str(music_env.plan().unpartitioned)
    assert "songs does not match its declaration" in str(music_env.plan().unpartitioned)
    music_env.settle()
    fresh = MusicEnv(music_env.bucket_url, f"duckdb://{tmp_path}/built.duckdb", music_env.compiled)
    fresh.settle()
    assert filled(music_env) == filled(fresh)
    music_env.compiled = with_type(music_env.compiled, "songplays", "session_id", "bigint")
    fresh = MusicEnv(music_env.bucket_url, f"duckdb://{tmp_path}/again.duckdb", music_env.compiled)
    music_env.settle()
    fresh.settle()
    assert filled(music_env) == filled(fresh)
    assert not [name for name in music_env.tables() if name.count("__") > ("songplays__" in name)]


def test_a_partitioned_table_is_rebuilt_with_its_months(sensor_env: SensorEnv, tmp_path: Path) -> None:
    for minute in ("2023-01-01 00:00", "2023-02-01 00:00"):
        sensor_env.put_minute(minute, readings(minute, "ab"))
    sensor_env.load("2023-01", "2023-02")
    sensor_env.compiled = with_type(sensor_env.compiled, "data_sample", "product_name", "varchar(64)")
    if sensor_env.warehouse.capabilities.name != "duckdb":  # DuckDB has no length limit of texts.
        assert "data_sample does not match its declaration" in sensor_env.plan().changed[0].reason
    sensor_env.load_changed()
    for letters in ("abc", "c"):
        sensor_env.put_minute("2023-02-01 00:00", readings("2023-02-01 00:00", letters))
        sensor_env.load_changed()
    assert [row[1] for row in sensor_env.readings()] == ["a", "b", "c"]
    assert sensor_env.changed() == []
    assert filled(sensor_env) == built(sensor_env, tmp_path)
    if sensor_env.warehouse.capabilities.name == "postgresql":
        partitions = "SELECT inhrelid::regclass::text FROM pg_inherits ORDER BY 1"
        assert query(sensor_env, partitions) == [("dwh.data_sample_2023_01",), ("dwh.data_sample_2023_02",)]
