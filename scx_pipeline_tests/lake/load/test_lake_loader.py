"""A load from the lake leaves a warehouse as one from the objects does, or as it was, whatever becomes of it on its way.
How a lake is built, and what is said of one that is damaged, is tested elsewhere."""

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
from scx_pipeline.lake.format.commit import begin, commit
from scx_pipeline.lake.format.lake_store import open_lake_store
from scx_pipeline.lake.format.layout import NEWEST
from scx_pipeline.lake.load.lake_loader import LakeLoader
from scx_pipeline.lake.load.lake_source import LakeSource
from scx_pipeline.lake.load.load_plan import plan_loading
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import LoadScope, Month, MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.ownership.table_ownership import adopt
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.broken_statements import BrokenOff, breaking
from scx_pipeline_tests.support.lake_loads import (
    STARS,
    Loads,
    State,
    make_states,
    open_loads,
    published,
    put_scx,
    standing,
)
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    STAGING,
    World,
    edited_star,
    folder_world,
    job,
    jobs_of,
    range_of_keys,
)

POSTGRES, REDSHIFT = engines.SERVERS
# A lake in a folder, or, where it is said, one in S3, which Redshift reads itself.
DUCKDB_S3 = pytest.param("duckdb, s3", marks=pytest.mark.s3)
REDSHIFT_S3 = pytest.param("redshift, s3", marks=REDSHIFT.marks)
ONE_OF_EACH = [pytest.param("duckdb"), POSTGRES, REDSHIFT_S3]
PLACES = {
    "scx": ONE_OF_EACH,
    "songplays": [*ONE_OF_EACH, DUCKDB_S3, REDSHIFT],
    "sensor_readings": [*ONE_OF_EACH, DUCKDB_S3, REDSHIFT],
}
# The URL of an empty warehouse, and that of a bucket for a lake, nothing where it is a folder.
Where = tuple[str, str]


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[State]]:
    """The states of a star's bucket and lake."""
    return cache(lambda star: make_states(star, tmp_path_factory.mktemp(star)))


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    engine, _, remote = request.param.partition(", ")
    if engine == "duckdb":
        url = f"duckdb://{tmp_path}/fed.duckdb"
        return url, f"{request.getfixturevalue('s3_bucket')}/lakes" if remote else ""
    url = str(request.getfixturevalue(f"{engine}_url"))
    staging = parse_qs(urlsplit(url).query).get("staging", [""])[0]
    return url, f"{staging}-lakes" if remote else ""


@pytest.fixture
def loads(tmp_path: Path) -> Loads:
    """Jobs of some months, in the bucket and in a lake, both in a folder; the warehouse is an empty DuckDB file."""
    found = open_loads("scx", tmp_path)
    put_scx(found.world)
    found.build()
    return found


def of_state(star: str, state: State, where: Where) -> Loads:
    """A state's bucket and lake, and the warehouse of a URL."""
    warehouse, remote = where
    world = STARS[star][0](state.bucket, warehouse)
    if not remote:
        return Loads(world, state.lake.as_uri())
    url = f"{remote}/{state.lake.parent.name}"
    store = open_lake_store(url, "").store
    for path in state.lake.rglob("*"):
        if path.is_file():
            obstore.put(store, path.relative_to(state.lake).as_posix(), path.read_bytes())
    return Loads(world, url)


def assert_stands(loads: Loads, state: State) -> None:
    found = standing(loads.world)
    for name, rows in published(state.standing).items():
        assert found.get(name) == rows, name
    assert published(found).keys() == published(state.standing).keys()
    assert (loads.due(), loads.due_raw()) == ([], [])


# As from the objects


@pytest.mark.parametrize(
    ("star", "where"),
    [
        pytest.param(star, *place.values, marks=place.marks)
        for star, places in PLACES.items()
        for place in places
    ],
    indirect=["where"],
)
def test_a_load_from_the_lake_leaves_what_one_from_the_objects_does(
    star: str, where: Where, states: Callable[[str], list[State]]
) -> None:
    first, second = states(star)
    before, after = of_state(star, first, where), of_state(star, second, where)
    assert before.load() == first.done
    assert_stands(before, first)
    assert standing(before.world) == first.standing
    assert after.load() == second.done != []
    assert_stands(after, second)
    assert standing(after.world) == second.standing


@pytest.mark.parametrize("where", [POSTGRES], indirect=True)
@pytest.mark.parametrize("star", STARS)
def test_loads_from_the_lake_and_from_the_objects_mix(
    star: str, where: Where, states: Callable[[str], list[State]]
) -> None:
    first, second = states(star)
    before, after = of_state(star, first, where), of_state(star, second, where)
    before.load_raw()
    assert before.due() == []
    after.load()
    before.load_raw()  # an older state
    assert after.load() != []
    assert published(standing(after.world)) == published(second.standing)
    assert after.due_raw() == []


def test_a_lake_that_was_unloaded_or_built_month_by_month_can_be_loaded(loads: Loads, tmp_path: Path) -> None:
    """Of an object that two loads have read, the counts are those of the later one, and so are the rows of both."""
    for month in ("2021-04", "2021-03", "2021-06", "2021-05"):
        loads.builder().load(range_of_keys(month))
    loads.load()
    reference = World(loads.world.bucket_url, f"duckdb://{tmp_path}/raw.duckdb")
    Loads(reference, "").load_raw()
    wanted = published(standing(reference))
    assert published(standing(loads.world)) == wanted
    unloaded = (tmp_path / "unloaded").as_uri()
    Unloader(reference.compiled, reference.warehouse).run(unloaded)
    other = Loads(replace(loads.world, warehouse_url=f"duckdb://{tmp_path}/other.duckdb"), unloaded)
    other.load()
    assert standing(other.world) == standing(reference)


def test_a_month_of_many_is_loaded_alone(loads: Loads) -> None:
    """An object that holds rows of other months as well is known afterwards, and they are not."""
    report = loads.load_month(APRIL)
    assert (report.objects, report.rejected) == (1, 1)
    assert sorted(jobs_of(loads.world))[:3] == [4, 200, 201]
    assert [str(month) for (month,) in loads.world.rows("SELECT month FROM scx_pipeline.months")] == [APRIL]
    assert loads.due() == [range_of_keys("2021-02", MARCH), range_of_keys("2021-05", "2021-06")]


def test_objects_of_months_that_the_lake_has_otherwise_are_not_forgotten(loads: Loads) -> None:
    """Only of what stands as in the lake does it know that an object has gone."""
    loads.load()
    rows = [job(600 + number, f"2021-06-{number + 1:02d} 10:00:00") for number in range(25)]
    key = loads.world.put("2021/06/new.csv", [*rows, job(67, "2021-06-07", user_id="x")])
    loads.load_raw()
    for month in (MARCH, "2021-05"):  # the file may hold rows of May
        loads.load_month(month)
        assert key in {key for (key,) in loads.world.state("objects", "object_key")}
    assert [row for row in loads.world.state("rejected_rows", "object_key") if row == (key,)]
    loads.load()
    assert key not in {key for (key,) in loads.world.state("objects", "object_key")}
    loads.load_raw()
    assert loads.due_raw() == []


def test_months_are_stale_as_they_are_in_the_lake(tmp_path: Path) -> None:
    made = open_loads("songplays", tmp_path)
    STARS["songplays"][1](made.world)
    made.build()
    made.load()
    STARS["songplays"][2](made.world)
    made.builder().refresh()
    made.loader().refresh()
    stale = {month: why for month, (why, _) in made.manifest.stale.items()}
    assert stale
    assert _stale(made.world) == stale
    month = min(stale)
    made.load_month(str(month))  # the lake has not got it better
    assert _stale(made.world) == stale
    made.builder().load(MonthRange(month, month))
    assert made.plan().months == [month]
    made.load_month(str(month))
    assert month not in _stale(made.world)


def _stale(world: World) -> dict[Month, str]:
    return {Month.parse(month): why for month, why in world.state("stale_months", "month, reason")}


# Broken off, or refused


def doubled(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, rows.slice(0, 1)])


def of_may(rows: pa.Table) -> pa.Table:
    """A row of another month than the file's."""
    column = rows.schema.get_field_index("created_at")
    moments = [rows["created_at"][0].as_py().replace(month=5), *rows["created_at"].to_pylist()[1:]]
    return rows.set_column(
        column, rows.schema.field(column), pa.array(moments, rows.schema.field(column).type)
    )


def without_a_job(rows: pa.Table) -> pa.Table:
    column = rows.schema.get_field_index("user_id")
    users = pa.array([12345, *rows["user_id"].to_pylist()[1:]], rows["user_id"].type)
    return rows.set_column(column, rows.schema.field(column), users)


WRONG: list[tuple[str, Callable[[pa.Table], pa.Table], str]] = [
    (STAGING, doubled, r"was not published, nothing was changed: .*unique_job_id on staging_cleansed_logs: job_id \d+ stands twice"),
    (FACTS, doubled, "unique_job_id on auto_classification_logs"),
    (FACTS, without_a_job, "references_users on auto_classification_logs: 1 rows have a user_id that users lacks: 12345"),
    (FACTS, of_may, "2021-03 of auto_classification_logs|row_count on auto_classification_logs"),
    (f"{NEWEST}/users", doubled, r"_newest/users: user_id \d+ stands twice in 2021-03; nothing was changed: run `scx lake build scx --month 2021-03`"),
]  # fmt: skip


@pytest.mark.parametrize(("folder", "change", "told"), WRONG)
def test_a_lake_whose_rows_are_wrong_changes_nothing(
    loads: Loads, folder: str, change: Callable[[pa.Table], pa.Table], told: str
) -> None:
    loads.load_month(MARCH)
    before = loads.world.snapshot()
    loads.rewrite(folder, change)
    with pytest.raises((CheckFailedError, LakeError), match=told) as caught:
        loads.load_month(MARCH)
    assert "\n" not in str(caught.value)
    assert loads.world.snapshot() == before


@pytest.mark.parametrize("where", [DUCKDB_S3, POSTGRES, REDSHIFT_S3], indirect=True)
def test_rows_that_are_wrong_and_files_that_are_gone_change_nothing_on_any_engine(
    where: Where, states: Callable[[str], list[State]], tmp_path: Path
) -> None:
    state = states("scx")[0]
    wrong = replace(state, lake=tmp_path / "wrong" / "lake")
    shutil.copytree(state.lake, wrong.lake)
    Loads(STARS["scx"][0](state.bucket, where[0]), wrong.lake.as_uri()).rewrite(FACTS, doubled)
    of_state("scx", state, where).load_month(APRIL)
    loads = of_state("scx", wrong, where)
    before = loads.world.snapshot()
    with pytest.raises(
        CheckFailedError,
        match=r"unique_job_id on auto_classification_logs: job_id \d+ stands twice in 2021-03",
    ):
        loads.loader().load(range_of_keys(MARCH, APRIL))
    assert loads.world.snapshot() == before
    item = loads.manifest.of(FACTS)[0]
    loads.place.remove([item.key])
    with pytest.raises(LakeError, match=f"{item.key} is gone: another run has replaced it"):
        loads.loader().load(range_of_keys(MARCH, APRIL))
    assert loads.world.snapshot() == before


def test_a_file_that_another_run_replaced_is_read_anew(loads: Loads, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    runs: list[LoadReport] = []
    take = LakeSource.take

    def meanwhile(target: LakeSource, table: Table, span: LoadScope) -> None:
        if table.name == "users" and not runs:
            loads.world.put("2021/03/b.csv", [job(50, "2021-03-20 10:00:00", user_id=77)])
            runs.append(loads.builder().load(range_of_keys(MARCH)))
        take(target, table, span)

    monkeypatch.setattr(LakeSource, "take", meanwhile)
    loads.loader(told.append).load(range_of_keys(MARCH))
    assert 50 in jobs_of(loads.world)
    assert (77,) in loads.world.table("users", "user_id")
    [line] = [line for line in told if line.endswith("; beginning anew")]
    assert "/_newest/users/year=2021/month=3/" in line


@pytest.mark.parametrize("folder", [FACTS, f"{NEWEST}/users", "_accounts/objects"])
def test_a_file_that_is_gone_is_one_clear_line(loads: Loads, folder: str) -> None:
    item = loads.manifest.of(folder)[0]
    loads.place.remove([item.key])
    with pytest.raises(
        LakeError, match=r"is gone: another run has replaced it, or it was removed; run again"
    ) as caught:
        loads.load_month(MARCH)
    assert item.key in str(caught.value)
    assert "\n" not in str(caught.value)
    assert loads.world.snapshot() == {}


def test_a_damaged_file_is_one_clear_line(loads: Loads) -> None:
    item = loads.manifest.of(FACTS)[0]
    loads.place.write(item.key, b"PAR1 and nothing else")
    with pytest.raises(LakeError, match=f"^cannot read the lake .*{item.key}") as caught:
        loads.load_month(MARCH)
    assert "\n" not in str(caught.value)
    assert loads.world.snapshot() == {}


def test_what_the_lake_has_not_or_of_another_make_is_refused(loads: Loads, tmp_path: Path) -> None:
    with pytest.raises(
        LakeError,
        match=r"^2021-07 of scx does not stand in the lake .*: run `scx lake build scx --month 2021-07` first$",
    ):
        loads.loader().load(range_of_keys(APRIL, "2021-07"))
    later = edited_star(
        tmp_path, sql={"time": ("EXTRACT(YEAR FROM created_at)", "EXTRACT(YEAR FROM created_at) + 0")}
    )
    other = Loads(replace(loads.world, compiled=later), loads.lake)
    with pytest.raises(
        LakeError,
        match=r"^2021-03 of scx in .* was made by another version of the star's tables or SQL: run `scx lake build scx --month 2021-03` first$",
    ):
        other.load_month(MARCH)
    plan = other.plan()
    with pytest.raises(LakeError, match="^2021-02 of scx in .* was made by another version"):
        plan.check(plan.unpartitioned, plan.months)
    with pytest.raises(
        PipelineError, match="^a load from the lake makes all of the tables of scx that have months"
    ):
        loads.loader().load(range_of_keys(MARCH), ["users"])
    with pytest.raises(LakeError, match=r"has nothing of scx yet: run `scx lake build scx`"):
        LakeLoader(loads.world.compiled, (tmp_path / "none").as_uri(), loads.world.warehouse).load(
            range_of_keys(MARCH)
        )
    assert not (tmp_path / "none").exists()
    assert loads.world.snapshot() == {}


def test_files_of_another_shape_are_refused(loads: Loads) -> None:
    turn = begin(loads.place, "scx", lambda message: None)
    shapes = {**turn.before.shapes, FACTS: turn.before.shapes[FACTS][1:]}
    commit(turn, [], replace(turn.before, shapes=shapes))
    with pytest.raises(
        LakeError,
        match=r"^auto_classification_logs of scx in .* has other columns or folders .* `scx lake build scx --all` first",
    ):
        loads.load_month(MARCH)


def test_months_that_were_made_with_other_songs_wait_for_these(tmp_path: Path) -> None:
    made = open_loads("songplays", tmp_path)
    STARS["songplays"][1](made.world)
    made.build()
    with pytest.raises(
        LakeError,
        match="^the tables without months of songplays do not stand as those that the lake's months",
    ):
        made.load_month("2018-11")
    made.loader().refresh()
    made.load_month("2018-11")


@pytest.mark.postgres
def test_a_load_that_is_broken_off_leaves_the_tables_as_they_were(
    postgres_url: str, states: Callable[[str], list[State]]
) -> None:
    first, second = states("scx")
    of_state("scx", first, (postgres_url, "")).load()
    loads = of_state("scx", second, (postgres_url, ""))
    before = loads.world.snapshot()
    span = loads.due()[0]
    assert span
    number, broken = 3, ["-"]
    while broken:
        with breaking((number, number % 2 == 0)) as broken:
            try:
                loads.loader().load(span)
            except (BrokenOff, psycopg2.Error, PipelineError):
                assert loads.world.snapshot() == before
        number += 11
    assert number > 100
    assert loads.load() == second.done[1:]
    assert published(standing(loads.world)) == published(second.standing)


@pytest.mark.postgres
def test_a_server_that_ends_the_connection_leaves_the_tables_as_they_were(
    postgres_url: str, states: Callable[[str], list[State]], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = of_state("scx", states("scx")[0], (postgres_url, ""))
    loads.load_month(APRIL)
    before = loads.world.snapshot()
    take = LakeSource.take

    def cut(target: LakeSource, table: Table, span: LoadScope) -> None:
        if table.name == "users":
            with psycopg2.connect(postgres_url) as con, con.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'scx_pipeline' AND pid <> pg_backend_pid()"
                )
        take(target, table, span)

    monkeypatch.setattr(LakeSource, "take", cut)
    with pytest.raises(WarehouseError, match=r"terminating connection|closed") as caught:
        loads.loader().load(range_of_keys(MARCH, APRIL))
    assert "\n" not in str(caught.value)
    assert loads.world.snapshot() == before


# ------------------------------------------------------------------ whose the tables are


def test_a_load_from_the_lake_refuses_tables_of_others_and_rebuilds_its_own(
    tmp_path: Path, postgres_url: str
) -> None:
    source, target = folder_world(tmp_path), World((tmp_path / "bucket").as_uri(), postgres_url)
    put_scx(source)
    lake, months = (tmp_path / "lake").as_uri(), range_of_keys(MARCH, APRIL)
    source.load(MARCH, APRIL)
    Unloader(source.compiled, source.warehouse).run(lake)
    with target.warehouse.transaction("another application") as session:
        session.execute("CREATE TABLE public.users (who INTEGER)")
    with pytest.raises(WarehouseError, match="public.users was not made by this pipeline"):
        LakeLoader(target.compiled, lake, target.warehouse).load(months)
    adopt(target.compiled, target.warehouse, ["users"], yes=True)
    LakeLoader(target.compiled, lake, target.warehouse).load(months)
    assert _rows(target) == _rows(source)

    source.compiled = target.compiled = edited_star(tmp_path, {"users.plan_id": {"type": "bigint"}})
    source.load(MARCH, APRIL)
    Unloader(source.compiled, source.warehouse).run(lake)
    assert plan_loading(target.compiled, lake, target.warehouse).months == months.months
    with pytest.raises(WarehouseError, match=f"{APRIL} is not part"):
        LakeLoader(target.compiled, lake, target.warehouse).load(range_of_keys(MARCH))
    LakeLoader(target.compiled, lake, target.warehouse).load(months)
    assert _rows(target) == _rows(source)


def _rows(world: World) -> dict[str, list[tuple[object, ...]]]:
    return {table.name: world.table(table.name) for table in world.compiled.star.tables}
