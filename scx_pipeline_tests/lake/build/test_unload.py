"""The lake that an unload leaves: the same rows, columns and folders from every engine, whatever is repeated or broken off.
What is sent to Redshift is in redshift/, the command in cli/."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import obstore
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scx_pipeline.errors import LakeError, PipelineError, WarehouseError
from scx_pipeline.lake.format.layout import FOLDERS, MONTH, YEAR, new_run
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.model.table import Table
from scx_pipeline.model.column import Column
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import qualified
from scx_pipeline.warehouse.postgres.postgres_warehouse import PostgresSession
from scx_pipeline.warehouse.redshift.copy_command import arrow_type
from scx_pipeline.warehouse.export import Unload
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.lake_env import Lake, lake_url, standing
from scx_pipeline_tests.support.music_env import event, music_world, song
from scx_pipeline_tests.support.sensor_env import readings, sensor_world
from scx_pipeline_tests.support.load_env import APRIL, FACTS, LIMITS, MARCH, MAY, World, edited_star, folder_world, job

pytestmark = pytest.mark.whoever_reads
TEXTS = ["", r"\N", "NULL", 'say "so"', "a,b\nc\r\nd", r"back\slash", "it's 100%", "서울 🌲", " blank "]


@pytest.fixture
def lake(world: World, tmp_path: Path) -> Lake:
    """An empty lake that the world's engine can write into."""
    return Lake(lake_url(world.warehouse_url, tmp_path), world, tmp_path)


@pytest.fixture
def duck_lake(duck: World, tmp_path: Path) -> Lake:
    return Lake(lake_url("", tmp_path), duck, tmp_path)


def put_months(world: World) -> None:
    """Jobs in March, April and May, with texts that a file could get wrong."""
    rows = [
        job(n, f"2021-0{3 + n % 3}-15 10:00:{n:02d}", summary=text, user_id=200 + n)
        for n, text in enumerate(TEXTS)
    ]
    rows.append(job(90, "2021-03-31 23:59:59.999999", noise_type=None, summary=None))
    world.put("2021/03/a.csv", [row for row in rows if str(row["created_at"]).startswith("2021-03")])
    world.put("2021/04/a.csv", [row for row in rows if str(row["created_at"]).startswith("2021-04")])
    world.put("2021/05/a.csv", [row for row in rows if str(row["created_at"]).startswith("2021-05")])


def loaded(world: World) -> None:
    put_months(world)
    world.load(MARCH, MAY)


# What is written


def test_the_lake_holds_the_rows_that_stand_in_columns_of_the_declared_types(lake: Lake) -> None:
    loaded(lake.world)
    done = lake.unload()
    assert lake.contents() == standing(lake.world)
    for name in lake.tables:
        table = lake.world.compiled.star.table(name)
        parts = {"year", "month"} if table.partitioned else set()
        expected = pa.schema([(c.name, arrow_type(c)) for c in table.columns if c.name not in parts])
        assert set(lake.schemas(name)) == {expected}, name
    assert {item.name: item.rows for item in done.tables} == {
        name: len(rows) for name, rows in lake.contents().items()
    }


def test_tables_that_are_kept_by_month_lie_in_folders_by_year_and_month_and_others_in_one(lake: Lake) -> None:
    loaded(lake.world)
    lake.unload()
    months = [f"year=2021/month={number}" for number in (3, 4, 5)]
    for name in ("staging_cleansed_logs", FACTS, "time"):
        assert lake.folders(name) == [f"{name}/{month}" for month in months]
    for name in ("users", "projects"):
        assert lake.folders(name) == [name]
    assert lake.left() == []


def test_every_type_and_no_value_of_it_come_through(server_url: str, tmp_path: Path) -> None:
    kinds = [
        "smallint",
        "integer",
        "bigint",
        "double",
        "boolean",
        "date",
        "timestamp",
        "decimal(12,2)",
        "varchar(64)",
        "varchar(max)",
    ]
    columns = tuple(
        Column(name=f"c{number}", type=kind, description="x") for number, kind in enumerate(kinds)
    )
    moment = datetime(2021, 4, 30, 23, 59, 59, 999999)
    some = (
        -32768,
        2**31 - 1,
        -(2**63),
        0.1 + 0.2,
        True,
        date(2021, 2, 28),
        moment,
        Decimal("-1234567890.12"),
        r"\N",
        "\n",
    )
    rows = [
        (*some, 2021, 4),
        (*some[:4], False, *some[5:8], "", '"', 2021, 4),
        (*[None] * len(kinds), 2020, 12),
    ]
    table = Table(name="all_types", role="staging", source="x", description="x", columns=(*columns, *FOLDERS))
    url = f"{lake_url(server_url, tmp_path)}/types/"
    with open_warehouse(server_url or f"duckdb://{tmp_path}/dev.duckdb", LIMITS).transaction(
        "scx"
    ) as session:
        session.begin()
        if "public" not in session.schemas() and "main" not in session.schemas():
            raise AssertionError(session.schemas())
        schema = "public" if "public" in session.schemas() else "main"
        session.create_table(schema, table)
        session.insert_rows(qualified(schema, table), table.columns, rows)
        select = f"SELECT * FROM {qualified(schema, table)}"
        assert session.unload(Unload(select, columns, FOLDERS, url)) == len(rows)
    place = open_lake_store(url, "")
    found = [
        (tuple(row.values()), key.rpartition("/")[0])
        for key in place.list()
        for row in _read(place, key, pa.schema([(c.name, arrow_type(c)) for c in columns])).to_pylist()
    ]
    wanted = [(row[:-2], f"year={row[-2]}/month={row[-1]}") for row in rows]
    assert sorted(found, key=repr) == sorted(wanted, key=repr)


def _read(place: LakeStore, key: str, schema: pa.Schema) -> pa.Table:
    content = pa.BufferReader(bytes(obstore.get(place.store, key).bytes()))
    table = pq.ParquetFile(content, coerce_int96_timestamp_unit="us").read()
    assert table.schema.remove_metadata() == schema
    return table


def test_stars_without_facts_or_with_tables_without_months_are_unloaded_too(
    server_url: str, tmp_path: Path
) -> None:
    sensors = sensor_world(tmp_path / "s", server_url)
    sensors.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00", ["s1", "s1", "s2"]))
    sensors.january()
    lake = Lake(lake_url(server_url, tmp_path), sensors, tmp_path)
    lake.unload()
    assert lake.rows("data_sample") == sensors.table("data_sample")
    assert lake.folders("data_sample") == ["data_sample/year=2023/month=1"]
    music = music_world(tmp_path / "m", server_url)
    music.put_song("A/A/A/one", song("SOZCTXZ12AB0182364", year=1999))
    music.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00"), event(1, 1, "2018-11-05 10:05:00")])
    music.settle()
    lake = Lake(lake.url, music, tmp_path)
    lake.unload()
    assert lake.contents() == standing(music)
    assert lake.folders("songs") == ["songs/year=1999/artist_id=AR5KOSW1187FB35FF4"]


def test_s3_and_a_folder_hold_the_same(duck_lake: Lake, s3_bucket: str, tmp_path: Path) -> None:
    loaded(duck_lake.world)
    duck_lake.unload()
    lake = Lake(f"{s3_bucket}/lakes/one", duck_lake.world, tmp_path)
    lake.unload()
    assert lake.contents() == duck_lake.contents()
    lake.unload(APRIL)
    assert lake.contents() == duck_lake.contents()
    assert lake.left() == []


@pytest.mark.parametrize(
    "name", ["with space", "100% größe", "a#b?c=d&e", "%41", "'quote\"", "[x]@y:z", "year=1999", "{i}*"]
)
def test_a_lake_may_be_in_any_folder(duck: World, tmp_path: Path, name: str) -> None:
    loaded(duck)
    lake = Lake((tmp_path / name).as_uri(), duck, tmp_path)
    lake.unload()
    assert lake.contents() == standing(duck)
    assert len(list((tmp_path / name / "scx" / FACTS).rglob("*.parquet"))) == 3
    assert [path.name for path in (tmp_path / name).iterdir()] == ["scx"]


# What is repeated


def test_an_unload_again_replaces_the_files_of_the_one_before(lake: Lake) -> None:
    loaded(lake.world)
    lake.unload()
    first = lake.keys()
    lake.unload()
    assert lake.contents() == standing(lake.world)
    assert len(lake.keys()) == len(first)
    assert not set(lake.keys()) & set(first)


def test_months_that_are_named_are_the_only_ones_replaced(lake: Lake) -> None:
    loaded(lake.world)
    lake.unload()
    before = lake.keys(FACTS)
    for month in ("03", "04", "05"):
        lake.world.put(f"2021/{month}/a.csv", [job(int(month), f"2021-{month}-20 10:00:00", user_id=300)])
    lake.world.load(MARCH, MAY)
    lake.unload(APRIL)
    march, april, may = (f"{FACTS}/year=2021/month={number}/" for number in (3, 4, 5))
    kept = [key for key in lake.keys(FACTS) if not key.startswith(april)]
    assert kept == [key for key in before if key.startswith((march, may))]
    assert [row[0] for row in lake.rows(FACTS) if row[0] in (3, 4, 5) and row[1] == 10 and row[2] == 300] == [
        4
    ]
    assert lake.rows("users") == lake.world.table("users")


def test_a_month_without_rows_any_more_loses_its_folder(lake: Lake) -> None:
    loaded(lake.world)
    lake.unload()
    lake.world.delete("2021/04/a.csv")
    lake.world.load(APRIL)
    lake.unload(APRIL)
    assert lake.folders(FACTS) == [f"{FACTS}/year=2021/month={number}" for number in (3, 5)]
    lake.world.delete("2021/05/a.csv")
    lake.world.load(MAY)
    lake.unload()
    assert lake.folders(FACTS) == [f"{FACTS}/year=2021/month=3"]
    assert lake.contents() == standing(lake.world)


def test_files_of_others_stay_unless_they_are_parquet_of_a_month_that_is_written(duck_lake: Lake) -> None:
    loaded(duck_lake.world)
    duck_lake.unload()
    place = duck_lake.place
    strange = [
        f"{FACTS}/year=2021/month=4/part-0.snappy.parquet",
        f"{FACTS}/year=2021/month=3/part-0.parquet",
    ]
    for key in (*strange, f"{FACTS}/_SUCCESS"):
        place.write(key, b"x")
    duck_lake.unload(APRIL)
    found = set(duck_lake.keys())
    assert [key in found for key in (*strange, f"{FACTS}/_SUCCESS")] == [False, True, True]


# What is broken off


def test_a_table_that_cannot_be_written_leaves_the_lake_as_it_was(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(lake.world)
    lake.unload()
    before = lake.keys()
    fail_at(monkeypatch, type(_session_of(lake.world)), "time")
    with pytest.raises(LakeError, match="no room for time"):
        lake.unload()
    assert lake.keys() == before


def _session_of(world: World) -> Session:
    with world.reading() as session:
        return session


def fail_at(monkeypatch: pytest.MonkeyPatch, kind: type[Session], table: str) -> None:
    """Have an engine fail at a table, after it has written it."""
    unload = kind.unload

    def failing(session: Session, asked: Unload) -> int:
        written = unload(session, asked)
        if f"/{table}/" in asked.url:
            raise LakeError(f"no room for {table}")
        return written

    monkeypatch.setattr(kind, "unload", failing)


def test_rows_that_did_not_arrive_are_noticed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded(lake.world)
    kind = type(_session_of(lake.world))
    unload = kind.unload

    def none_of(asked: Unload) -> Unload:
        return replace(asked, select=f"SELECT * FROM ({asked.select}) AS q WHERE 1 = 0")

    monkeypatch.setattr(kind, "unload", lambda session, asked: unload(session, none_of(asked)))
    with pytest.raises(
        LakeError,
        match=r"^2021-03 of staging_cleansed_logs has \d+ rows, but 0 were written; nothing was changed",
    ):
        lake.unload()
    assert lake.keys() == []


class _KilledError(BaseException):
    """As if the process were no more."""


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Kills at the n-th change of the lake; nothing is put right afterwards."""
    state = {"left": 10**9}

    def counted(method: Any) -> Any:
        def call(place: LakeStore, *arguments: Any) -> Any:
            if state["left"] <= 0:
                raise _KilledError
            state["left"] -= 1
            return method(place, *arguments)

        return call

    for name in ("create", "move", "_remove"):
        monkeypatch.setattr(LakeStore, name, counted(getattr(LakeStore, name)))
    monkeypatch.setattr(LakeStore, "each", staticmethod(lambda work, keys: [work(key) for key in keys]))
    yield state


def test_a_kill_at_any_change_leaves_the_old_rows_or_the_new_ones_and_the_next_run_cleans_up(
    duck_lake: Lake, killer: dict[str, int], tmp_path: Path
) -> None:
    lake, world = duck_lake, duck_lake.world
    loaded(world)
    lake.unload()
    old, folder, kept = standing(world), tmp_path / "lake", tmp_path / "kept"
    shutil.copytree(folder, kept)
    world.put("2021/03/a.csv", [job(1000, "2021-03-20 10:00:00")])
    world.load(MARCH)
    new = standing(world)
    number, finished = 0, False
    while not finished:
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        killer["left"] = number
        try:
            lake.unload(MARCH)
            finished = True
        except _KilledError:
            pass
        killer["left"] = 10**9
        found = lake.contents()
        assert found in (old, new), number
        for name in found:  # whoever reads folders may see both for a moment, and never misses any
            assert _holds(lake.listed(name), found[name]), (number, name)
        lake.unload(APRIL)  # which has nothing to do with the month that changed
        assert lake.contents()[FACTS] == found[FACTS]
        assert {name: lake.listed(name) for name in found} == lake.contents()
        assert lake.left() == []
        number += 1
    assert number > 15
    assert lake.contents() == new


def _holds(rows: list[Any], wanted: list[Any]) -> bool:
    return set(map(repr, wanted)) <= set(map(repr, rows))


@pytest.mark.parametrize("known", [True, False])
def test_an_answer_that_is_lost_on_its_way_is_no_failure_of_what_was_written(
    duck_lake: Lake, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    loaded(duck_lake.world)
    create = LakeStore.create
    calls: list[str] = []

    def deaf(place: LakeStore, key: str, content: bytes) -> bool:
        calls.append(key)
        written = create(place, key, content)
        if len(calls) < 2:
            return written
        if known:  # as when the library sends it again by itself, and finds it there
            return False
        raise LakeError("no answer")

    monkeypatch.setattr(LakeStore, "create", deaf)
    duck_lake.unload()
    assert duck_lake.contents() == standing(duck_lake.world)
    assert len(calls) == 2


def test_a_lake_that_refuses_a_move_is_as_it_was(duck_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded(duck_lake.world)
    duck_lake.unload()
    before = duck_lake.keys()
    move = LakeStore.move

    def refusing(place: LakeStore, source: str, target: str) -> bool:
        if "month=5" in source:
            raise LakeError(f"cannot write {target}")
        return move(place, source, target)

    monkeypatch.setattr(LakeStore, "move", refusing)
    with pytest.raises(LakeError, match="cannot write"):
        duck_lake.unload()
    assert duck_lake.keys() == before


def test_an_unload_that_another_one_took_for_dead_changes_nothing(duck_lake: Lake) -> None:
    loaded(duck_lake.world)
    inner: list[str] = []

    def meanwhile(message: str) -> None:
        if message == FACTS and not inner:
            inner.append(duck_lake.unload(APRIL).run)

    with pytest.raises(LakeError, match="another run began to write after this one and takes its place"):
        duck_lake.unload(progress=meanwhile)
    assert duck_lake.folders(FACTS) == [f"{FACTS}/year=2021/month=4"]
    assert [key for key in sorted(duck_lake.keys()) if inner[0] not in key] == []
    assert duck_lake.left() == []


def test_a_later_unload_has_a_later_name_whatever_the_clock_says() -> None:
    ahead = "29990101T000000000000-0123abcd"
    assert new_run([f"users/{ahead}-data_0.parquet"]) > ahead
    assert new_run([f"_unload/{ahead}/begun", "users/x.parquet"]) > ahead
    assert new_run([]) < ahead


# What is refused


def test_a_lake_that_cannot_be_written_is_one_clear_line(duck_lake: Lake, tmp_path: Path) -> None:
    loaded(duck_lake.world)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        LakeError, match=r"cannot make .*file/scx.* \(SCX_LAKE_URL or --lake\): Not a directory"
    ) as caught:
        Lake((tmp_path / "file").as_uri(), duck_lake.world, tmp_path).unload()
    assert "\n" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_one_clear_line(
    duck_lake: Lake, s3_bucket: str, tmp_path: Path
) -> None:
    loaded(duck_lake.world)
    with pytest.raises(LakeError, match=r"s3://scx-not-there/x/scx/.*\(SCX_LAKE_URL or --lake\): ") as caught:
        Lake("s3://scx-not-there/x", duck_lake.world, tmp_path).unload()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["lake", "ftp://x/y", "s3://", "file://elsewhere/lake"])
def test_an_address_that_is_no_lake_is_refused(duck_lake: Lake, tmp_path: Path, url: str) -> None:
    loaded(duck_lake.world)
    with pytest.raises(LakeError, match="write file:///folder or s3://bucket/prefix"):
        Lake(url, duck_lake.world, tmp_path).unload()


def test_a_star_that_was_never_loaded_says_so(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="is empty: run `scx load`"):
        lake.unload()
    sensors = sensor_world(tmp_path / "s", lake.world.warehouse_url)
    sensors.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00"))
    sensors.january()
    with pytest.raises(
        PipelineError,
        match="public.staging_cleansed_logs does not stand as it is declared: run `scx load scx` first",
    ):
        lake.unload()
    assert lake.keys() == []


def test_a_year_that_is_another_s_is_refused(server_url: str, tmp_path: Path) -> None:
    odd = edited_star(
        tmp_path, sql={"time": ("EXTRACT(YEAR FROM created_at)", "EXTRACT(YEAR FROM created_at) + 1")}
    )
    world = folder_world(tmp_path, server_url, odd)
    loaded(world)
    lake = Lake(lake_url(server_url, tmp_path), world, tmp_path)
    with pytest.raises(LakeError, match=r"^time: year is not the year of created_at in 10 rows"):
        lake.unload()
    assert lake.keys() == []


# How it is read and written


@pytest.mark.parametrize("engine", engines.SERVERS)
def test_all_tables_are_as_one_commit_left_them(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    world = folder_world(tmp_path, request.getfixturevalue(f"{engine}_url"))
    loaded(world)
    before = standing(world)

    def meanwhile(message: str) -> None:
        if message == "projects":
            world.put("2021/04/a.csv", [job(77, "2021-04-20 10:00:00", project_id=78, user_id=79)])
            world.load(APRIL)

    lake = Lake(lake_url(world.warehouse_url, tmp_path), world, tmp_path)
    lake.unload(progress=meanwhile)
    assert standing(world) != before
    assert lake.contents() == before


def test_a_connection_that_breaks_in_the_middle_is_one_clear_line(pg: World, tmp_path: Path) -> None:
    loaded(pg)

    def broken(message: str) -> None:
        if message == "time":
            with psycopg2.connect(pg.warehouse_url) as con, con.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'scx_pipeline' AND pid <> pg_backend_pid()"
                )

    lake = Lake(lake_url("", tmp_path), pg, tmp_path)
    with pytest.raises(WarehouseError, match=r"terminating connection|closed") as caught:
        lake.unload(progress=broken)
    assert "\n" not in str(caught.value)
    assert lake.keys() == []


def test_a_select_that_fails_half_way_is_told_as_the_server_tells_it(pg: World, tmp_path: Path) -> None:
    loaded(pg)
    asked = Unload(
        "SELECT 1 / (5000 - i) AS a FROM generate_series(1, 9000) AS r(i)",
        (Column(name="a", type="integer", description="x"),), (), f"{(tmp_path / 'out').as_uri()}/",
    )  # fmt: skip
    with pytest.raises(WarehouseError, match=r"division by zero \(SQLSTATE 22012\)"), pg.reading() as session:
        assert isinstance(session, PostgresSession)
        session.unload(asked)


MANY = (
    "SELECT i AS a, repeat(md5(i::text), 4) AS b, 2000 + i % 20 AS year, 1 + i % 12 AS month"
    " FROM generate_series(1, 400000) AS r(i)"
)
MANY_COLUMNS = (
    Column(name="a", type="integer", description="x"),
    Column(name="b", type="varchar(200)", description="x"),
)


@pytest.mark.parametrize("kind", ["varchar(200)", "boolean"])
def test_files_that_cannot_be_written_end_a_select_that_is_half_sent(
    pg: World, tmp_path: Path, kind: str
) -> None:
    """Where a folder cannot be made, and where values are not of the type that they are read as."""
    loaded(pg)
    (tmp_path / "file").write_text("in the way")
    columns = (MANY_COLUMNS[0], MANY_COLUMNS[1].model_copy(update={"type": kind}))
    url = f"{(tmp_path / ('file' if kind == 'varchar(200)' else 'out')).as_uri()}/x/"
    with pg.reading() as session, pytest.raises(LakeError, match=r"cannot write file:///") as caught:
        session.unload(Unload(MANY, columns, (YEAR, MONTH), url))
    assert "\n" not in str(caught.value)


def test_rows_of_postgres_all_come_through_the_pipe(pg: World, tmp_path: Path) -> None:
    loaded(pg)
    url = f"{(tmp_path / 'out').as_uri()}/"
    with pg.reading() as session:
        assert session.unload(Unload(MANY, MANY_COLUMNS, (YEAR, MONTH), url)) == 400_000
    files = [str(path) for path in (tmp_path / "out").rglob("*.parquet")]
    with duckdb.connect() as con:
        found = con.execute(
            "SELECT count(*), sum(a), count(DISTINCT (year, month)) FROM read_parquet($1)", [files]
        )
        assert found.fetchone() == (400_000, 400_000 * 400_001 // 2, len(files))
