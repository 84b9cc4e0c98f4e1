"""The tables of a star follow any change of its declaration, and leftovers are dropped on demand."""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline.errors import CheckFailedError, WarehouseError
from scx_pipeline.model.calendar import contiguous_ranges
from scx_pipeline.ownership.adoption import adopt
from scx_pipeline.ownership.leftovers import drop_leftovers, find_leftovers
from scx_pipeline_tests.ownership.declaration_edits import (
    CHANGES,
    allow_jobs_in_two_months,
    edited_declaration,
    move_schema,
    remove_projects,
    rename_projects,
    rename_source,
)
from scx_pipeline_tests.ownership.warehouse_content import ALL_MONTHS, JUNE, built, put_months, query, run
from scx_pipeline_tests.support.load_env import APRIL, MARCH, LoadEnv, edited_star, filled, job, scx_star

pytestmark = pytest.mark.reader_independent


def test_after_any_change_of_the_declaration_the_planned_loads_equal_a_build_from_scratch(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    put_months(load_env, MARCH, JUNE)
    for month in (MARCH, JUNE):  # There is a gap between them.
        load_env.load(month)
    # On servers, where a load takes longer, a few: a wider column, a new one, and a renamed table.
    changes = CHANGES if load_env.warehouse_url.startswith("duckdb") else CHANGES[::3]
    for change in changes:
        load_env.compiled = edited_declaration(tmp_path, change)
        ranges = contiguous_ranges([item.month for item in load_env.plan().changed])
        assert len(ranges) == 1, f"{change.__name__}: all months at once"
        load_env.load_changed()
        assert load_env.changed() == [], change.__name__
        assert filled(load_env) == built(load_env, tmp_path), change.__name__


def test_a_table_that_is_declared_again_is_rebuilt(load_env: LoadEnv, tmp_path: Path) -> None:
    put_months(load_env, MARCH, JUNE)
    load_env.load_changed()
    for change, gone, new in ((move_schema, "2021/06", APRIL), (rename_projects, "2021/04", JUNE)):
        load_env.compiled = edited_declaration(tmp_path, change)
        load_env.load_changed()
        load_env.delete(f"{gone}/a.csv")
        put_months(load_env, new)
        load_env.load_changed()
        load_env.compiled = scx_star()
        assert "was undeclared for some time" in load_env.plan().schema_drift.rebuild_reason
        with pytest.raises(WarehouseError, match="must be rebuilt in one load"):
            load_env.load(MARCH)
        load_env.load_changed()
        assert load_env.changed() == [], change.__name__
        assert filled(load_env) == built(load_env, tmp_path), change.__name__


def test_records_of_objects_and_rejected_rows_of_an_undeclared_source_are_deleted(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    good = [job(number, "2021-03-05 10:00:00") for number in range(200)]
    load_env.put("2021/03/a.csv", [*good, job(200, "not a time")])
    load_env.load_changed()
    load_env.compiled = edited_declaration(tmp_path, rename_source)
    load_env.load_changed()
    assert {source for (source,) in load_env.state("objects", "source")} == {"logs"}
    assert load_env.state("rejected_rows", "source, line") == [("logs", 202)]


def test_a_key_with_fewer_columns_is_checked_over_all_months(load_env: LoadEnv, tmp_path: Path) -> None:
    load_env.compiled = edited_declaration(tmp_path, allow_jobs_in_two_months)
    load_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    load_env.put("2021/04/a.csv", [job(1, "2021-04-05 10:00:00")])
    load_env.load(MARCH, APRIL)
    load_env.compiled = scx_star()
    before = load_env.snapshot()
    with pytest.raises(WarehouseError, match="2021-04 is not part of this load: run `scx load scx`"):
        load_env.load(MARCH)
    with pytest.raises(CheckFailedError, match="job_id 1 occurs in 2021-03 and in 2021-04"):
        load_env.load_changed()
    assert load_env.snapshot() == before


def test_tables_that_are_no_longer_declared_are_named_and_dropped_on_demand(
    load_env: LoadEnv, tmp_path: Path
) -> None:
    put_months(load_env, MARCH)
    load_env.load(MARCH)
    assert load_env.plan().schema_drift.leftovers == []
    load_env.compiled = edited_declaration(tmp_path, rename_projects)
    expected = ["public.projects", "scx_pipeline.scx__projects"]
    assert [item.name for item in load_env.plan().schema_drift.leftovers] == expected
    load_env.load_changed()
    assert [item.name for item in load_env.plan().schema_drift.leftovers] == expected
    dropped = drop_leftovers(load_env.warehouse, "scx", load_env.compiled)
    assert [item.name for item in dropped] == expected
    assert "public.projects" not in load_env.tables()
    assert load_env.plan().schema_drift.leftovers == []
    assert filled(load_env) == built(load_env, tmp_path)


def test_a_leftover_that_others_replaced_is_not_dropped(duckdb_env: LoadEnv, tmp_path: Path) -> None:
    put_months(duckdb_env, MARCH)
    duckdb_env.load(MARCH)
    duckdb_env.compiled = edited_declaration(tmp_path, rename_projects)
    duckdb_env.load_changed()
    run(duckdb_env, "DROP TABLE public.projects", "CREATE TABLE public.projects AS SELECT 7 AS who")
    drop_leftovers(duckdb_env.warehouse, "scx", duckdb_env.compiled)
    assert query(duckdb_env, "SELECT * FROM public.projects") == [(7,)]


def test_a_table_that_was_adopted_and_never_loaded_is_not_dropped(
    duckdb_env: LoadEnv, tmp_path: Path
) -> None:
    put_months(duckdb_env, MARCH)
    duckdb_env.compiled = edited_declaration(tmp_path, remove_projects)
    duckdb_env.load(MARCH)
    run(duckdb_env, "CREATE TABLE public.projects AS SELECT 7 AS who")
    adopt(scx_star(), duckdb_env.warehouse, ["projects"], yes=True)
    duckdb_env.load(MARCH)
    [left] = drop_leftovers(duckdb_env.warehouse, "scx", duckdb_env.compiled)
    assert (left.name, left.state) == (
        "public.projects",
        "was created or changed by others, and is left alone",
    )
    assert query(duckdb_env, "SELECT * FROM public.projects") == [(7,)]


def test_the_tables_of_a_removed_star_are_dropped_with_its_history(postgres_env: LoadEnv) -> None:
    put_months(postgres_env, MARCH)
    postgres_env.load(MARCH)
    with postgres_env.open_loaded() as session:
        assert find_leftovers(session, None, ["scx"]) == []
        found = find_leftovers(session, None, ["another"])
    assert len(found) == len(postgres_env.compiled.star.tables) + 2
    assert drop_leftovers(postgres_env.warehouse, "scx", None) == found
    assert postgres_env.state("months") == postgres_env.state("objects") == postgres_env.state("tables") == []
    assert not [name for name in postgres_env.tables() if name.startswith("public.")]


def test_a_load_of_one_month_is_refused_if_all_months_must_be_rebuilt(
    duckdb_env: LoadEnv, tmp_path: Path
) -> None:
    put_months(duckdb_env, MARCH, JUNE)
    for month in (MARCH, JUNE):
        duckdb_env.load(month)
    before = duckdb_env.snapshot()
    duckdb_env.compiled = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    with pytest.raises(
        WarehouseError,
        match=r"public.users does not match its declaration.*2021-06 is not part of this load: run `scx load scx`",
    ):
        duckdb_env.load(MARCH)
    assert duckdb_env.snapshot() == before
    assert duckdb_env.changed() == ALL_MONTHS
