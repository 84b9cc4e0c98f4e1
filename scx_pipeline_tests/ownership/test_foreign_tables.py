"""Foreign tables are refused, adopted on demand, and otherwise never changed."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError, WarehouseError
from scx_pipeline.maintenance.maintain import preview_maintenance
from scx_pipeline.maintenance.retention import RetentionPolicy
from scx_pipeline.ownership.adoption import adopt
from scx_pipeline.services.warehouse_checks import describe_tables
from scx_pipeline_tests.ownership.warehouse_content import (
    ALL_MONTHS,
    JUNE,
    OTHER_COLUMNS,
    OTHERS,
    SAME_COLUMNS,
    built,
    put_months,
    query,
    run,
)
from scx_pipeline_tests.support.load_env import FACTS, MARCH, LoadEnv, filled
from scx_pipeline_tests.support.sensor_env import SensorEnv, readings

pytestmark = pytest.mark.reader_independent


def test_a_foreign_relation_with_a_declared_name_is_refused_before_anything_changes(
    load_env: LoadEnv,
) -> None:
    put_months(load_env, MARCH)
    for what, statements in OTHERS.items():
        run(load_env, *statements)
        [foreign] = load_env.plan().schema_drift.foreign
        assert (foreign.name, foreign.adoptable) == ("public.users", what != "a view")
        before = query(load_env, "SELECT * FROM public.users")
        with pytest.raises(WarehouseError, match="public.users was not created by this pipeline") as caught:
            load_env.load(MARCH)
        message = str(caught.value)
        assert "declare another `schema:` for the star scx" in message
        assert ("scx adopt scx users" in message) == ("run it with --yes" in message) == foreign.adoptable
        assert foreign.relation.columns[0][0] in message
        assert "nothing was changed" in message
        assert query(load_env, "SELECT * FROM public.users") == before
        assert _tables_of_stars(load_env) == ["users"]
        run(load_env, f"DROP {'VIEW' if what == 'a view' else 'TABLE'} public.users")


def test_a_schema_that_differs_only_in_case_is_the_schema_of_the_star_in_duckdb(duckdb_env: LoadEnv) -> None:
    with duckdb.connect(duckdb_env.warehouse_url.removeprefix("duckdb://")) as con:
        con.execute('CREATE SCHEMA "PUBLIC"; CREATE TABLE "PUBLIC".users AS SELECT 7 AS who')
    put_months(duckdb_env, MARCH)
    assert [foreign.name for foreign in duckdb_env.plan().schema_drift.foreign] == ["public.users"]
    with pytest.raises(WarehouseError, match="public.users was not created by this pipeline"):
        duckdb_env.load(MARCH)
    run(duckdb_env, 'DROP TABLE "PUBLIC".users')
    assert duckdb_env.load(MARCH).loaded
    assert MARCH not in duckdb_env.changed()


def _tables_of_stars(load_env: LoadEnv) -> list[str]:
    found = query(load_env, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    return sorted(name for (name,) in found)


def test_doctor_names_foreign_tables(duckdb_env: LoadEnv, postgres_env: LoadEnv) -> None:
    for load_env in (duckdb_env, postgres_env):
        assert describe_tables(load_env.warehouse).startswith(("none yet", "no table of others"))
        run(load_env, OTHER_COLUMNS)
        with pytest.raises(
            PipelineError, match="(?i)public.users was not created by this pipeline.*who INTEGER"
        ):
            describe_tables(load_env.warehouse)


def test_the_owner_of_a_foreign_table_is_named(postgres_env: LoadEnv) -> None:
    run(postgres_env, OTHER_COLUMNS)
    put_months(postgres_env, MARCH)
    [foreign] = postgres_env.plan().schema_drift.foreign
    assert foreign.relation.owner == "scx_loader"
    assert "(table of scx_loader with the columns who integer)" in foreign.message()


def test_adopt_first_shows_a_table_and_the_next_load_rebuilds_it(load_env: LoadEnv, tmp_path: Path) -> None:
    run(load_env, *OTHERS["the same columns"])
    put_months(load_env, MARCH, JUNE)
    [shown] = adopt(load_env.compiled, load_env.warehouse, ["users"], yes=False)
    assert (shown.table, shown.kind, shown.rows, len(shown.columns)) == ("public.users", "table", 1, 3)
    with pytest.raises(WarehouseError, match="scx adopt"):
        load_env.load(MARCH)
    adopt(load_env.compiled, load_env.warehouse, ["users"], yes=True)
    assert len(query(load_env, "SELECT * FROM public.users")) == 1, "its rows stay until a load replaces them"
    load_env.load_changed()
    assert filled(load_env) == built(load_env, tmp_path)
    assert load_env.changed() == []


def test_a_view_cannot_be_adopted(duckdb_env: LoadEnv) -> None:
    run(duckdb_env, *OTHERS["a view"])
    with pytest.raises(WarehouseError, match="rename or remove it; nothing was changed"):
        adopt(duckdb_env.compiled, duckdb_env.warehouse, [], yes=True)


def test_a_table_replaced_by_others_is_refused(postgres_env: LoadEnv) -> None:
    put_months(postgres_env, MARCH)
    postgres_env.load(MARCH)
    run(postgres_env, "DROP TABLE public.users", *OTHERS["other columns"])
    with pytest.raises(WarehouseError, match="public.users was changed by others since"):
        postgres_env.load(MARCH)
    assert query(postgres_env, "SELECT * FROM public.users") == [(7,)]


def test_tables_of_another_star_are_refused(duckdb_env: LoadEnv) -> None:
    put_months(duckdb_env, MARCH)
    duckdb_env.load(MARCH)
    star = duckdb_env.compiled.star.model_copy(update={"name": "other"})
    other = CompiledStar(
        star, duckdb_env.compiled.folder, duckdb_env.compiled.tables, duckdb_env.compiled.queries
    )
    with pytest.raises(WarehouseError, match="belongs to the star scx ") as caught:
        LoadEnv(duckdb_env.bucket_url, duckdb_env.warehouse_url, other).load(MARCH)
    message = str(caught.value)
    assert "declare another `schema:` for one of the two stars" in message
    assert "if scx no longer declares it, run `scx drop scx` first" in message
    assert "remove it" not in message


def test_foreign_tables_are_named_each_with_its_own_reason(duckdb_env: LoadEnv) -> None:
    put_months(duckdb_env, MARCH)
    duckdb_env.load(MARCH)
    run(
        duckdb_env,
        "UPDATE scx_pipeline.tables SET star = 'other' WHERE table_name = 'users'",
        "DELETE FROM scx_pipeline.tables WHERE table_name IN ('projects', 'time')",
    )
    with pytest.raises(WarehouseError) as caught:
        duckdb_env.load(MARCH)
    message = str(caught.value)
    assert message.startswith("public.users belongs to the star other ")
    assert message.endswith(
        "; in addition, public.projects was not created by this pipeline, public.time was not created by this pipeline; nothing was changed"
    )
    run(duckdb_env, "DELETE FROM scx_pipeline.tables WHERE table_name = 'users'")
    with pytest.raises(WarehouseError, match="the same applies to public.projects, public.time; nothing"):
        duckdb_env.load(MARCH)


def test_all_tables_of_a_version_that_recorded_no_tables_can_be_adopted_at_once(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    put_months(load_env, MARCH, JUNE)
    load_env.load(MARCH, JUNE)
    run(load_env, "DROP TABLE scx_pipeline.tables")
    before = load_env.table(FACTS)
    with pytest.raises(
        WarehouseError, match="a version that did not record.*`scx adopt scx --all`.* with --yes;"
    ):
        load_env.load(MARCH)
    assert (
        len(adopt(load_env.compiled, load_env.warehouse, [], yes=True))
        == len(load_env.compiled.star.tables) + 2
    )
    assert load_env.table(FACTS) == before
    assert load_env.changed() == ALL_MONTHS
    load_env.load_changed()
    assert filled(load_env) == built(load_env, tmp_path)


def test_a_state_schema_of_another_application_is_refused(load_env: LoadEnv) -> None:
    schema = ["CREATE SCHEMA scx_pipeline"] if load_env.warehouse_url.startswith("duckdb") else []
    run(load_env, *schema, "CREATE TABLE scx_pipeline.months (name VARCHAR(3))")
    put_months(load_env, MARCH)
    for action in (load_env.plan, lambda: load_env.load(MARCH)):
        with pytest.raises(
            WarehouseError, match="the schema scx_pipeline, which .*, has a table months"
        ) as caught:
            action()
        assert "if a newer version of scx_pipeline created it, use that version" in str(caught.value)
        assert "if another application did, rename its schema" in str(caught.value)
    assert query(load_env, "SELECT * FROM scx_pipeline.months") == []


def test_a_foreign_table_with_the_name_of_the_staging_buffer_is_kept(duckdb_env: LoadEnv) -> None:
    name = "staging_cleansed_logs__staging"
    run(duckdb_env, f"CREATE TABLE public.{name} AS SELECT 7 AS who")
    put_months(duckdb_env, MARCH)
    duckdb_env.load(MARCH)
    assert query(duckdb_env, f"SELECT * FROM public.{name}") == [(7,)]
    assert len([table for table in duckdb_env.tables() if "__staging" in table]) == 1


def test_indexes_of_others_may_have_any_name(postgres_env: LoadEnv) -> None:
    run(
        postgres_env,
        "CREATE TABLE public.mine (a INTEGER CONSTRAINT users_pkey PRIMARY KEY, b TIMESTAMP)",
        f"CREATE INDEX {FACTS}_created_at_idx ON public.mine (b)",
    )
    put_months(postgres_env, MARCH)
    postgres_env.load(MARCH)
    assert len(postgres_env.table("users")) == 2


def test_a_foreign_table_with_the_name_of_a_partition_is_refused_and_kept(postgres_env: LoadEnv) -> None:
    sensor_env = SensorEnv(postgres_env.bucket_url, postgres_env.warehouse_url)
    sensor_env.put_minute("2023-01-01 00:00", readings("2023-01-01 00:00", "a"))
    run(postgres_env, "CREATE TABLE dwh.data_sample_2023_01 AS SELECT 7 AS who")
    with pytest.raises(WarehouseError, match="dwh.data_sample_2023_01 was not created by this pipeline"):
        sensor_env.january()
    assert query(postgres_env, "SELECT * FROM dwh.data_sample_2023_01") == [(7,)]


def test_maintenance_ignores_foreign_tables(postgres_env: LoadEnv) -> None:
    run(postgres_env, SAME_COLUMNS)
    assert (
        preview_maintenance(postgres_env.compiled, postgres_env.warehouse, RetentionPolicy()).before is None
    )
    put_months(postgres_env, MARCH)
    adopt(postgres_env.compiled, postgres_env.warehouse, [], yes=True)
    postgres_env.load_changed()
    run(postgres_env, "DROP TABLE public.projects", "CREATE TABLE public.projects (who INTEGER)")
    statements = " ".join(
        preview_maintenance(postgres_env.compiled, postgres_env.warehouse, RetentionPolicy()).statements
    )
    assert "users" in statements
    assert '"public"."projects"' not in statements
