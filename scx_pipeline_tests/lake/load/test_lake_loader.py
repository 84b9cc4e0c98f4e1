"""Loads from the lake: they leave a warehouse as loads from the objects do, or unchanged if anything fails.

Building and verifying a lake do not belong here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import obstore
import psycopg2
import pyarrow as pa
import pytest

from scx_pipeline.errors import CheckFailedError, LakeError, PipelineError, WarehouseError
from scx_pipeline.lake.build.unload import Unloader
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.lake.format.layout import LATEST_FOLDER
from scx_pipeline.lake.format.transaction import begin_transaction, commit
from scx_pipeline.lake.load.lake_loader import LakeLoader
from scx_pipeline.lake.load.lake_source import LakeSource
from scx_pipeline.lake.load.load_plan import plan_lake_load
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import LoadScope, Month, MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.ownership.adoption import adopt
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.broken_statements import InterruptedLoad, failing_statement
from scx_pipeline_tests.support.lake_loads import (
    STARS,
    BucketState,
    LakeLoadEnv,
    build_states,
    open_lake_load_env,
    put_scx,
    read_all_tables,
    without_history,
)
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    STAGING,
    LoadEnv,
    create_load_env,
    edited_star,
    job,
    jobs_of,
    range_of_keys,
)

POSTGRES, REDSHIFT = engines.SERVERS
# Warehouses, and whether the lake is in S3, which Redshift reads directly; otherwise it is in a folder.
DUCKDB_S3 = pytest.param("duckdb, s3", marks=pytest.mark.s3)
REDSHIFT_S3 = pytest.param("redshift, s3", marks=REDSHIFT.marks)
ONE_OF_EACH = [pytest.param("duckdb"), POSTGRES, REDSHIFT_S3]
WAREHOUSES_BY_STAR = {
    "scx": ONE_OF_EACH,
    "songplays": [*ONE_OF_EACH, DUCKDB_S3, REDSHIFT],
    "sensor_readings": [*ONE_OF_EACH, DUCKDB_S3, REDSHIFT],
}
# The URL of an empty warehouse, and the URL of a bucket for the lake, empty for a folder.
Where = tuple[str, str]


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[BucketState]]:
    """Return a function that gives the states of a star's bucket and lake."""
    return cache(lambda star: build_states(star, tmp_path_factory.mktemp(star)))


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    engine, _, remote = request.param.partition(", ")
    if engine == "duckdb":
        url = f"duckdb://{tmp_path}/loaded.duckdb"
        return url, f"{request.getfixturevalue('s3_bucket')}/lakes" if remote else ""
    url = str(request.getfixturevalue(f"{engine}_url"))
    staging = parse_qs(urlsplit(url).query).get("staging", [""])[0]
    return url, f"{staging}-lakes" if remote else ""


@pytest.fixture
def loads(tmp_path: Path) -> LakeLoadEnv:
    """Jobs of some months in a bucket and in a lake, both in a folder; the warehouse is an empty DuckDB file."""
    found = open_lake_load_env("scx", tmp_path)
    put_scx(found.load_env)
    found.build()
    return found


def open_state(star: str, state: BucketState, where: Where) -> LakeLoadEnv:
    """Open a state's bucket and lake with the warehouse at a URL."""
    warehouse, remote = where
    load_env = STARS[star][0](state.bucket, warehouse)
    if not remote:
        return LakeLoadEnv(load_env, state.lake.as_uri())
    url = f"{remote}/{state.lake.parent.name}"
    store = open_lake_store(url, "").store
    for path in state.lake.rglob("*"):
        if path.is_file():
            obstore.put(store, path.relative_to(state.lake).as_posix(), path.read_bytes())
    return LakeLoadEnv(load_env, url)


def assert_loaded(loads: LakeLoadEnv, state: BucketState) -> None:
    found = read_all_tables(loads.load_env)
    for name, rows in without_history(state.tables).items():
        assert found.get(name) == rows, name
    assert without_history(found).keys() == without_history(state.tables).keys()
    assert (loads.due(), loads.due_raw()) == ([], [])


# Equal to loads from the objects


@pytest.mark.parametrize(
    ("star", "where"),
    [
        pytest.param(star, *warehouse.values, marks=warehouse.marks)
        for star, warehouses in WAREHOUSES_BY_STAR.items()
        for warehouse in warehouses
    ],
    indirect=["where"],
)
def test_a_load_from_the_lake_equals_one_from_the_objects(
    star: str, where: Where, states: Callable[[str], list[BucketState]]
) -> None:
    first, second = states(star)
    before, after = open_state(star, first, where), open_state(star, second, where)
    assert before.load() == first.loads
    assert_loaded(before, first)
    assert read_all_tables(before.load_env) == first.tables
    assert after.load() == second.loads != []
    assert_loaded(after, second)
    assert read_all_tables(after.load_env) == second.tables


@pytest.mark.parametrize("where", [POSTGRES], indirect=True)
@pytest.mark.parametrize("star", STARS)
def test_loads_from_the_lake_and_from_the_objects_can_alternate(
    star: str, where: Where, states: Callable[[str], list[BucketState]]
) -> None:
    first, second = states(star)
    before, after = open_state(star, first, where), open_state(star, second, where)
    before.load_raw()
    assert before.due() == []
    after.load()
    before.load_raw()  # an older state
    assert after.load() != []
    assert without_history(read_all_tables(after.load_env)) == without_history(second.tables)
    assert after.due_raw() == []


def test_a_lake_that_was_unloaded_or_built_month_by_month_can_be_loaded(
    loads: LakeLoadEnv, tmp_path: Path
) -> None:
    """The counts of an object that two loads have read are those of the later load."""
    for month in ("2021-04", "2021-03", "2021-06", "2021-05"):
        loads.builder().load(range_of_keys(month))
    loads.load()
    reference = LoadEnv(loads.load_env.bucket_url, f"duckdb://{tmp_path}/raw.duckdb")
    LakeLoadEnv(reference, "").load_raw()
    wanted = without_history(read_all_tables(reference))
    assert without_history(read_all_tables(loads.load_env)) == wanted
    unloaded = (tmp_path / "unloaded").as_uri()
    Unloader(reference.compiled, reference.warehouse).run(unloaded)
    other = LakeLoadEnv(replace(loads.load_env, warehouse_url=f"duckdb://{tmp_path}/other.duckdb"), unloaded)
    other.load()
    assert read_all_tables(other.load_env) == read_all_tables(reference)


def test_a_single_month_can_be_loaded(loads: LakeLoadEnv) -> None:
    """An object that also has rows of other months is recorded, but those months are not."""
    report = loads.load_month(APRIL)
    assert (report.objects, report.rejected) == (1, 1)
    assert sorted(jobs_of(loads.load_env))[:3] == [4, 200, 201]
    assert [str(month) for (month,) in loads.load_env.rows("SELECT month FROM scx_pipeline.months")] == [
        APRIL
    ]
    assert loads.due() == [range_of_keys("2021-02", MARCH), range_of_keys("2021-05", "2021-06")]


def test_objects_of_months_that_differ_from_the_lake_stay_recorded(loads: LakeLoadEnv) -> None:
    """The lake knows of deleted objects only for months that the warehouse has in the same version."""
    loads.load()
    rows = [job(600 + number, f"2021-06-{number + 1:02d} 10:00:00") for number in range(25)]
    key = loads.load_env.put("2021/06/new.csv", [*rows, job(67, "2021-06-07", user_id="x")])
    loads.load_raw()
    for month in (MARCH, "2021-05"):  # the file may hold rows of May
        loads.load_month(month)
        assert key in {key for (key,) in loads.load_env.state("objects", "object_key")}
    assert [row for row in loads.load_env.state("rejected_rows", "object_key") if row == (key,)]
    loads.load()
    assert key not in {key for (key,) in loads.load_env.state("objects", "object_key")}
    loads.load_raw()
    assert loads.due_raw() == []


def test_stale_months_of_the_lake_are_stale_in_the_warehouse(tmp_path: Path) -> None:
    env = open_lake_load_env("songplays", tmp_path)
    STARS["songplays"][1](env.load_env)
    env.build()
    env.load()
    STARS["songplays"][2](env.load_env)
    env.builder().refresh()
    env.loader().refresh()
    stale = {month: reason for month, (reason, _) in env.manifest.stale.items()}
    assert stale
    assert _stale(env.load_env) == stale
    month = min(stale)
    env.load_month(str(month))  # it is stale in the lake, too
    assert _stale(env.load_env) == stale
    env.builder().load(MonthRange(month, month))
    assert env.plan().months == [month]
    env.load_month(str(month))
    assert month not in _stale(env.load_env)


def _stale(load_env: LoadEnv) -> dict[Month, str]:
    return {Month.parse(month): reason for month, reason in load_env.state("stale_months", "month, reason")}


# Interrupted and refused loads


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
    (FACTS, reference_unknown_user, "references_users on auto_classification_logs: 1 rows have a user_id that is missing in users: 12345"),
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
def test_wrong_rows_and_missing_files_change_nothing_on_any_engine(
    where: Where, states: Callable[[str], list[BucketState]], tmp_path: Path
) -> None:
    state = states("scx")[0]
    wrong = replace(state, lake=tmp_path / "wrong" / "lake")
    shutil.copytree(state.lake, wrong.lake)
    LakeLoadEnv(STARS["scx"][0](state.bucket, where[0]), wrong.lake.as_uri()).rewrite(FACTS, duplicate_row)
    open_state("scx", state, where).load_month(APRIL)
    loads = open_state("scx", wrong, where)
    before = loads.load_env.snapshot()
    with pytest.raises(
        CheckFailedError,
        match=r"unique_job_id on auto_classification_logs: job_id \d+ occurs twice in 2021-03",
    ):
        loads.loader().load(range_of_keys(MARCH, APRIL))
    assert loads.load_env.snapshot() == before
    item = loads.manifest.select_files(FACTS)[0]
    loads.store.remove([item.key])
    with pytest.raises(LakeError, match=f"{item.key} is missing: another run replaced it"):
        loads.loader().load(range_of_keys(MARCH, APRIL))
    assert loads.load_env.snapshot() == before


def test_a_load_is_retried_if_another_run_replaced_a_file(
    loads: LakeLoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    runs: list[LoadReport] = []
    load_table = LakeSource.load_table

    def rebuild_and_load(target: LakeSource, table: Table, scope: LoadScope) -> None:
        if table.name == "users" and not runs:
            loads.load_env.put("2021/03/b.csv", [job(50, "2021-03-20 10:00:00", user_id=77)])
            runs.append(loads.builder().load(range_of_keys(MARCH)))
        load_table(target, table, scope)

    monkeypatch.setattr(LakeSource, "load_table", rebuild_and_load)
    loads.loader(messages.append).load(range_of_keys(MARCH))
    assert 50 in jobs_of(loads.load_env)
    assert (77,) in loads.load_env.table("users", "user_id")
    [line] = [line for line in messages if line.endswith("; retrying")]
    assert "/_latest/users/year=2021/month=3/" in line


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


@pytest.mark.postgres
def test_an_interrupted_load_leaves_the_tables_unchanged(
    postgres_url: str, states: Callable[[str], list[BucketState]]
) -> None:
    first, second = states("scx")
    open_state("scx", first, (postgres_url, "")).load()
    loads = open_state("scx", second, (postgres_url, ""))
    before = loads.load_env.snapshot()
    scope = loads.due()[0]
    assert scope
    number, broken = 3, ["-"]
    while broken:
        with failing_statement((number, number % 2 == 0)) as broken:
            try:
                loads.loader().load(scope)
            except (InterruptedLoad, psycopg2.Error, PipelineError):
                assert loads.load_env.snapshot() == before
        number += 11
    assert number > 100
    assert loads.load() == second.loads[1:]
    assert without_history(read_all_tables(loads.load_env)) == without_history(second.tables)


@pytest.mark.postgres
def test_a_connection_closed_by_the_server_leaves_the_tables_unchanged(
    postgres_url: str, states: Callable[[str], list[BucketState]], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = open_state("scx", states("scx")[0], (postgres_url, ""))
    loads.load_month(APRIL)
    before = loads.load_env.snapshot()
    load_table = LakeSource.load_table

    def terminate_and_load(target: LakeSource, table: Table, scope: LoadScope) -> None:
        if table.name == "users":
            with psycopg2.connect(postgres_url) as con, con.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'scx_pipeline' AND pid <> pg_backend_pid()"
                )
        load_table(target, table, scope)

    monkeypatch.setattr(LakeSource, "load_table", terminate_and_load)
    with pytest.raises(WarehouseError, match=r"terminating connection|closed") as caught:
        loads.loader().load(range_of_keys(MARCH, APRIL))
    assert "\n" not in str(caught.value)
    assert loads.load_env.snapshot() == before


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
