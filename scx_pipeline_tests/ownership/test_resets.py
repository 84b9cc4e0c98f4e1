"""A reset removes what the pipeline owns of a star, and the next load gives the same as from nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline.ownership.adoption import adopt
from scx_pipeline.ownership.resets import find_reset, reset
from scx_pipeline_tests.ownership.warehouse_content import (
    JUNE,
    OTHER_COLUMNS,
    built,
    put_months,
    query,
    run,
)
from scx_pipeline_tests.support.load_env import APRIL, FACTS, MARCH, STAGING, LoadEnv, filled, job
from scx_pipeline_tests.support.music_env import MusicEnv, event, song
from scx_pipeline_tests.support.sensor_env import SensorEnv, readings

pytestmark = pytest.mark.reader_independent


def tables(load_env: LoadEnv) -> list[str]:
    """Return the relations of the star's schema, and what the state schema has besides the history."""
    found = query(
        load_env,
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        " OR (table_schema = 'scx_pipeline' AND table_name LIKE 'scx!_!_%' ESCAPE '!')",
    )
    return sorted(name for (name,) in found)


def history(load_env: LoadEnv, star: str) -> int:
    """Return the number of rows that the load history has of a star."""
    names = ("loads", "months", "month_rows", "objects", "rejected_rows", "check_results", "tables")
    return sum(
        query(load_env, f"SELECT COUNT(*) FROM scx_pipeline.{name} WHERE star = '{star}'")[0][0]
        for name in names
    )


def test_a_reset_removes_tables_and_history_and_the_next_load_equals_a_build_from_scratch(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    put_months(load_env, MARCH, APRIL, JUNE)
    load_env.put(
        "2021/04/b.csv", [*(job(number, "2021-04-06 10:00:00") for number in range(100, 140)), "x,y"]
    )
    load_env.load_changed()
    load_env.delete("2021/06/a.csv")  # rows of June must not stay
    with load_env.open_loaded() as session:
        found = find_reset(session, load_env.compiled, [])
    removed = reset(load_env.warehouse, load_env.compiled, [])
    assert removed == found
    rows = {item.name: item.rows for item in removed.tables}
    assert (rows["public.users"], rows[f"public.{FACTS}"], rows["scx_pipeline.scx__users"]) == (3, 46, 7)
    assert removed.records["rejected_rows"] == 1
    assert removed.records["loads"] == 1
    assert (tables(load_env), history(load_env, "scx")) == ([], 0)
    assert load_env.changed() == ["2021-02", MARCH, APRIL]
    load_env.load_changed()
    assert filled(load_env) == built(load_env, tmp_path)


def test_a_reset_of_one_table_makes_all_loaded_months_due_and_keeps_the_other_tables(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    put_months(load_env, MARCH, JUNE)
    load_env.load_changed()
    load_env.delete("2021/06/a.csv")
    for name in ("users", STAGING, FACTS):
        removed = reset(load_env.warehouse, load_env.compiled, [name])
        assert removed.tables[0].name == f"public.{name}"
        assert [item.name for item in removed.tables[1:]] == (
            ["scx_pipeline.scx__users"] if name == "users" else []
        )
        assert [*removed.records] == ["month_rows"]
        assert name not in tables(load_env)
        assert query(load_env, "SELECT COUNT(*) FROM public.projects") != [(0,)]
        assert f"public.{name} does not exist yet" in load_env.plan().schema_drift.rebuild_reason
        assert {MARCH, APRIL} <= set(load_env.changed())
        load_env.load_changed()
        assert load_env.changed() == []
        assert filled(load_env) == built(load_env, tmp_path), name


def test_a_reset_of_an_unpartitioned_table_makes_the_unpartitioned_tables_due(
    music_env: MusicEnv, tmp_path: Path
) -> None:
    music_env.put_song("a.json", song("SO1"))
    music_env.put_day("2018-11-01", [event(1, 0, "2018-11-01 10:00:00")])
    music_env.settle()
    expected = filled(music_env)
    reset(music_env.warehouse, music_env.compiled, ["songs"])
    assert "songplays.songs does not exist yet" in str(music_env.plan().unpartitioned)
    music_env.settle()
    assert filled(music_env) == expected


def test_a_reset_of_a_star_keeps_the_others(sensor_env: SensorEnv) -> None:
    scx = LoadEnv(sensor_env.bucket_url, sensor_env.warehouse_url)
    put_months(scx, MARCH)
    scx.load(MARCH)
    sensor_env.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00"))
    sensor_env.load("2023-01")
    before = history(scx, "sensor_readings")
    reset(scx.warehouse, scx.compiled, [])
    assert (history(scx, "scx"), history(scx, "sensor_readings")) == (0, before)
    assert sensor_env.changed() == []


def test_tables_of_others_are_left_alone(load_env: LoadEnv) -> None:
    put_months(load_env, MARCH)
    load_env.load(MARCH)
    run(
        load_env,
        "DROP TABLE public.users",
        OTHER_COLUMNS,
        "DROP TABLE public.projects",
        "CREATE TABLE public.projects (mine INTEGER)",
        "CREATE TABLE public.notes (mine INTEGER)",
    )
    adopt(load_env.compiled, load_env.warehouse, ["projects"], yes=True)
    removed = reset(load_env.warehouse, load_env.compiled, [])
    assert removed.kept == ["public.users", "public.projects"]
    assert tables(load_env) == ["notes", "projects", "users"]
    with pytest.raises(WarehouseError, match="public.users was changed by others"):
        load_env.load(MARCH)


def test_a_reset_of_what_was_never_loaded_removes_nothing(load_env: LoadEnv) -> None:
    removed = reset(load_env.warehouse, load_env.compiled, [])
    assert (removed.tables, removed.kept, removed.is_empty) == ([], [], True)


def test_a_reset_is_refused_while_views_select_from_a_table(postgres_env: LoadEnv) -> None:
    put_months(postgres_env, MARCH)
    postgres_env.load(MARCH)
    run(postgres_env, "CREATE VIEW public.emails AS SELECT email_encrypted FROM public.users")
    before = filled(postgres_env)
    with pytest.raises(
        WarehouseError, match=r"public.users is to be dropped, but views select from it \(emails\)"
    ):
        reset(postgres_env.warehouse, postgres_env.compiled, [])
    assert filled(postgres_env) == before


def test_a_table_that_is_not_declared_is_refused(duckdb_env: LoadEnv) -> None:
    with pytest.raises(
        WarehouseError, match="people is not a table of scx, which has: staging_cleansed_logs"
    ):
        reset(duckdb_env.warehouse, duckdb_env.compiled, ["people"])
