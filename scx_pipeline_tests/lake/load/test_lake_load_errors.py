"""Loads from the lake that are refused: wrong rows, missing or damaged files, other versions, and foreign tables.

What a verification of the lake would find is not tested here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from scx_pipeline.errors import CheckFailedError, LakeError, PipelineError, WarehouseError
from scx_pipeline.lake.build.unload import Unloader
from scx_pipeline.lake.format.layout import LATEST_FOLDER
from scx_pipeline.lake.format.transaction import begin_transaction, commit
from scx_pipeline.lake.load.lake_load_plan import plan_lake_load
from scx_pipeline.lake.load.lake_loader import LakeLoader
from scx_pipeline.ownership.adoption import adopt
from scx_pipeline_tests.lake.load.opened_states import DUCKDB_S3, POSTGRES, REDSHIFT_S3, Where, open_state
from scx_pipeline_tests.support.lake.lake_loads import (
    STARS,
    BucketState,
    LakeLoadEnv,
    open_lake_load_env,
    put_scx,
)
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    STAGING,
    LoadEnv,
    create_load_env,
    edited_star,
    range_of_keys,
)

# Wrong rows and damaged files


def duplicate_row(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, rows.slice(0, 1)])


def move_row_to_may(rows: pa.Table) -> pa.Table:
    """Give the first row another month than the file's."""
    column = rows.schema.get_field_index("created_at")
    times = [rows["created_at"][0].as_py().replace(month=5), *rows["created_at"].to_pylist()[1:]]
    return rows.set_column(column, rows.schema.field(column), pa.array(times, rows.schema.field(column).type))


def reference_unknown_user(rows: pa.Table) -> pa.Table:
    column = rows.schema.get_field_index("user_id")
    users = pa.array([12345, *rows["user_id"].to_pylist()[1:]], rows["user_id"].type)
    return rows.set_column(column, rows.schema.field(column), users)


WRONG_ROWS: list[tuple[str, Callable[[pa.Table], pa.Table], str]] = [
    (STAGING, duplicate_row, r"was not published, nothing was changed: .*unique_job_id on staging_cleansed_logs: job_id \d+ occurs twice"),
    (FACTS, duplicate_row, "unique_job_id on auto_classification_logs"),
    (FACTS, reference_unknown_user, "references_users on auto_classification_logs: user_id is missing in users in 1 row: 12345"),
    (FACTS, move_row_to_may, "2021-03 of auto_classification_logs|row_count on auto_classification_logs"),
    (f"{LATEST_FOLDER}/users", duplicate_row, r"_latest/users: duplicate key user_id \d+ in 2021-03; nothing was changed: run `scx lake build scx --month 2021-03`"),
]  # fmt: skip


@pytest.mark.parametrize(("folder", "change", "message"), WRONG_ROWS)
def test_wrong_rows_in_the_lake_change_nothing(
    loads: LakeLoadEnv, folder: str, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    loads.load_month(MARCH)
    before = loads.load_env.snapshot()
    loads.rewrite(folder, change)
    with pytest.raises((CheckFailedError, LakeError), match=message) as caught:
        loads.load_month(MARCH)
    assert "\n" not in str(caught.value)
    assert loads.load_env.snapshot() == before


@pytest.mark.parametrize("where", [DUCKDB_S3, POSTGRES, REDSHIFT_S3], indirect=True)
def test_wrong_rows_hold_their_month_and_missing_files_change_nothing_on_any_engine(
    where: Where, states: Callable[[str], list[BucketState]], tmp_path: Path
) -> None:
    state = states("scx")[0]
    wrong = replace(state, lake=tmp_path / "wrong" / "lake")
    shutil.copytree(state.lake, wrong.lake)
    LakeLoadEnv(STARS["scx"][0](state.bucket, where[0]), wrong.lake.as_uri()).rewrite(FACTS, duplicate_row)
    open_state("scx", state, where).load_month(APRIL)
    loads = open_state("scx", wrong, where)
    before = loads.load_env.snapshot(load_ids=False)
    with pytest.raises(
        CheckFailedError,
        match=r"1 of 2 months was published; .*unique_job_id on auto_classification_logs: job_id \d+ occurs twice in 2021-03",
    ):
        loads.loader().load(range_of_keys(MARCH, APRIL))
    assert loads.load_env.snapshot(load_ids=False) == before
    item = loads.manifest.select_files(FACTS)[0]
    loads.store.remove([item.key])
    with pytest.raises(LakeError, match=f"{item.key} is missing: another run replaced it"):
        loads.loader().load(range_of_keys(MARCH, APRIL))
    assert loads.load_env.snapshot(load_ids=False) == before


@pytest.mark.parametrize("folder", [FACTS, f"{LATEST_FOLDER}/users", "_history/objects"])
def test_a_missing_file_is_reported_in_one_line(loads: LakeLoadEnv, folder: str) -> None:
    item = loads.manifest.select_files(folder)[0]
    loads.store.remove([item.key])
    with pytest.raises(
        LakeError, match=r"is missing: another run replaced it, or it was deleted; run the load again"
    ) as caught:
        loads.load_month(MARCH)
    assert item.key in str(caught.value)
    assert "\n" not in str(caught.value)
    assert loads.load_env.snapshot() == {}


def test_a_damaged_file_is_reported_in_one_line(loads: LakeLoadEnv) -> None:
    item = loads.manifest.select_files(FACTS)[0]
    loads.store.write(item.key, b"PAR1 and nothing else")
    with pytest.raises(LakeError, match=f"^cannot read the lake .*{item.key}") as caught:
        loads.load_month(MARCH)
    assert "\n" not in str(caught.value)
    assert loads.load_env.snapshot() == {}


# Other versions


def test_months_that_are_not_built_or_built_by_another_version_are_refused(
    loads: LakeLoadEnv, tmp_path: Path
) -> None:
    with pytest.raises(
        LakeError,
        match=r"^the lake .* does not have 2021-07 of scx: run `scx lake build scx --month 2021-07` first$",
    ):
        loads.loader().load(range_of_keys(APRIL, "2021-07"))
    later = edited_star(
        tmp_path, sql={"time": ("EXTRACT(YEAR FROM created_at)", "EXTRACT(YEAR FROM created_at) + 0")}
    )
    other = LakeLoadEnv(replace(loads.load_env, compiled=later), loads.lake)
    with pytest.raises(
        LakeError,
        match=r"^2021-03 of scx in .* was built by another version of the star's tables or SQL: run `scx lake build scx --month 2021-03` first$",
    ):
        other.load_month(MARCH)
    plan = other.plan()
    with pytest.raises(LakeError, match="^2021-02 of scx in .* was built by another version"):
        plan.check(plan.unpartitioned, plan.months)
    with pytest.raises(PipelineError, match="^a load from the lake loads all partitioned tables of scx"):
        loads.loader().load(range_of_keys(MARCH), ["users"])
    with pytest.raises(LakeError, match=r"has no data of scx yet: run `scx lake build scx`"):
        LakeLoader(loads.load_env.compiled, (tmp_path / "none").as_uri(), loads.load_env.warehouse).load(
            range_of_keys(MARCH)
        )
    assert not (tmp_path / "none").exists()
    assert loads.load_env.snapshot() == {}


def test_files_with_another_schema_are_refused(loads: LakeLoadEnv) -> None:
    transaction = begin_transaction(loads.store, "scx", lambda message: None)
    schemas = {**transaction.before.schemas, FACTS: transaction.before.schemas[FACTS][1:]}
    commit(transaction, [], replace(transaction.before, schemas=schemas))
    with pytest.raises(
        LakeError,
        match=r"^auto_classification_logs of scx in .* does not match its declaration .* `scx lake build scx --all` first",
    ):
        loads.load_month(MARCH)


def test_months_that_were_built_with_other_songs_cannot_be_loaded_before_these(tmp_path: Path) -> None:
    env = open_lake_load_env("songplays", tmp_path)
    STARS["songplays"][1](env.load_env)
    env.build()
    with pytest.raises(
        LakeError,
        match="^the unpartitioned tables of songplays in the warehouse are not the version that the lake's months",
    ):
        env.load_month("2018-11")
    env.loader().refresh()
    env.load_month("2018-11")


# Ownership of tables


def test_a_load_from_the_lake_refuses_foreign_tables_and_rebuilds_its_own(
    tmp_path: Path, postgres_url: str
) -> None:
    source, target = create_load_env(tmp_path), LoadEnv((tmp_path / "bucket").as_uri(), postgres_url)
    put_scx(source)
    lake, months = (tmp_path / "lake").as_uri(), range_of_keys(MARCH, APRIL)
    source.load(MARCH, APRIL)
    Unloader(source.compiled, source.warehouse).run(lake)
    with target.warehouse.transaction("another application") as session:
        session.execute("CREATE TABLE public.users (who INTEGER)")
    with pytest.raises(WarehouseError, match="public.users was not created by this pipeline"):
        LakeLoader(target.compiled, lake, target.warehouse).load(months)
    adopt(target.compiled, target.warehouse, ["users"], yes=True)
    LakeLoader(target.compiled, lake, target.warehouse).load(months)
    assert _rows(target) == _rows(source)

    source.compiled = target.compiled = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    source.load(MARCH, APRIL)
    Unloader(source.compiled, source.warehouse).run(lake)
    assert plan_lake_load(target.compiled, lake, target.warehouse).months == months.months
    with pytest.raises(WarehouseError, match=f"{APRIL} is not part"):
        LakeLoader(target.compiled, lake, target.warehouse).load(range_of_keys(MARCH))
    LakeLoader(target.compiled, lake, target.warehouse).load(months)
    assert _rows(target) == _rows(source)


def _rows(load_env: LoadEnv) -> dict[str, list[tuple[object, ...]]]:
    return {table.name: load_env.table(table.name) for table in load_env.compiled.star.tables}
