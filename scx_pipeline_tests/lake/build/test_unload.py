"""Unloads: every engine writes the same rows, columns and folders, also when an unload is repeated or interrupted.

The statements sent to an engine do not belong here.
"""

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
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.layout import MONTH, MONTH_COLUMNS, YEAR, new_run_id
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.parquet_files import Unload, arrow_type
from scx_pipeline.warehouse.postgres.postgres_session import PostgresSession
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import qualified
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.lake_env import Lake, lake_url, read_tables
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    LIMITS,
    MARCH,
    MAY,
    LoadEnv,
    create_load_env,
    edited_star,
    job,
)
from scx_pipeline_tests.support.music_env import create_music_env, event, song
from scx_pipeline_tests.support.sensor_env import create_sensor_env, readings

pytestmark = pytest.mark.reader_independent
TEXTS = ["", r"\N", "NULL", 'say "so"', "a,b\nc\r\nd", r"back\slash", "it's 100%", "서울 🌲", " blank "]


@pytest.fixture
def lake(load_env: LoadEnv, tmp_path: Path) -> Lake:
    """An empty lake that the engine of the warehouse can write to."""
    return Lake(lake_url(load_env.warehouse_url, tmp_path), load_env, tmp_path)


@pytest.fixture
def duckdb_lake(duckdb_env: LoadEnv, tmp_path: Path) -> Lake:
    return Lake(lake_url("", tmp_path), duckdb_env, tmp_path)


def put_months(load_env: LoadEnv) -> None:
    """Put jobs in March, April and May, with texts that are hard to write to files."""
    rows = [
        job(n, f"2021-0{3 + n % 3}-15 10:00:{n:02d}", summary=text, user_id=200 + n)
        for n, text in enumerate(TEXTS)
    ]
    rows.append(job(90, "2021-03-31 23:59:59.999999", noise_type=None, summary=None))
    load_env.put("2021/03/a.csv", [row for row in rows if str(row["created_at"]).startswith("2021-03")])
    load_env.put("2021/04/a.csv", [row for row in rows if str(row["created_at"]).startswith("2021-04")])
    load_env.put("2021/05/a.csv", [row for row in rows if str(row["created_at"]).startswith("2021-05")])


def load_months(load_env: LoadEnv) -> None:
    put_months(load_env)
    load_env.load(MARCH, MAY)


# Contents


def test_the_lake_holds_the_rows_of_the_warehouse_in_columns_of_the_declared_types(lake: Lake) -> None:
    load_months(lake.load_env)
    done = lake.unload()
    assert lake.contents() == read_tables(lake.load_env)
    for name in lake.tables:
        table = lake.load_env.compiled.star.table(name)
        parts = {"year", "month"} if table.is_partitioned else set()
        expected = pa.schema([(c.name, arrow_type(c)) for c in table.columns if c.name not in parts])
        assert set(lake.schemas(name)) == {expected}, name
    assert {item.name: item.rows for item in done.tables} == {
        name: len(rows) for name, rows in lake.contents().items()
    }


def test_partitioned_tables_are_in_folders_by_year_and_month_and_others_in_one_folder(lake: Lake) -> None:
    load_months(lake.load_env)
    lake.unload()
    months = [f"year=2021/month={number}" for number in (3, 4, 5)]
    for name in ("staging_cleansed_logs", FACTS, "time"):
        assert lake.folders(name) == [f"{name}/{month}" for month in months]
    for name in ("users", "projects"):
        assert lake.folders(name) == [name]
    assert lake.unpublished_keys() == []


def test_every_type_and_null_is_preserved(server_url: str, tmp_path: Path) -> None:
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
    timestamp = datetime(2021, 4, 30, 23, 59, 59, 999999)
    some = (
        -32768,
        2**31 - 1,
        -(2**63),
        0.1 + 0.2,
        True,
        date(2021, 2, 28),
        timestamp,
        Decimal("-1234567890.12"),
        r"\N",
        "\n",
    )
    rows = [
        (*some, 2021, 4),
        (*some[:4], False, *some[5:8], "", '"', 2021, 4),
        (*[None] * len(kinds), 2020, 12),
    ]
    table = Table(
        name="all_types", role="staging", source="x", description="x", columns=(*columns, *MONTH_COLUMNS)
    )
    url = f"{lake_url(server_url, tmp_path)}/types/"
    with open_warehouse(server_url or f"duckdb://{tmp_path}/dev.duckdb", LIMITS).transaction(
        "scx"
    ) as session:
        session.begin()
        if "public" not in session.catalog.list_schemas() and "main" not in session.catalog.list_schemas():
            raise AssertionError(session.catalog.list_schemas())
        schema = "public" if "public" in session.catalog.list_schemas() else "main"
        session.tables.create_table(schema, table)
        session.insert_rows(qualified(schema, table), table.columns, rows)
        select = f"SELECT * FROM {qualified(schema, table)}"
        assert session.unload(Unload(select, columns, MONTH_COLUMNS, url)) == len(rows)
    store = open_lake_store(url, "")
    found = [
        (tuple(row.values()), key.rpartition("/")[0])
        for key in store.list()
        for row in _read(store, key, pa.schema([(c.name, arrow_type(c)) for c in columns])).to_pylist()
    ]
    wanted = [(row[:-2], f"year={row[-2]}/month={row[-1]}") for row in rows]
    assert sorted(found, key=repr) == sorted(wanted, key=repr)


def _read(store: LakeStore, key: str, schema: pa.Schema) -> pa.Table:
    content = pa.BufferReader(bytes(obstore.get(store.store, key).bytes()))
    table = pq.ParquetFile(content, coerce_int96_timestamp_unit="us").read()
    assert table.schema.remove_metadata() == schema
    return table


def test_stars_without_facts_or_with_unpartitioned_tables_can_be_unloaded(
    server_url: str, tmp_path: Path
) -> None:
    sensors = create_sensor_env(tmp_path / "s", server_url)
    sensors.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00", ["s1", "s1", "s2"]))
    sensors.january()
    lake = Lake(lake_url(server_url, tmp_path), sensors, tmp_path)
    lake.unload()
    assert lake.rows("data_sample") == sensors.table("data_sample")
    assert lake.folders("data_sample") == ["data_sample/year=2023/month=1"]
    music_env = create_music_env(tmp_path / "m", server_url)
    music_env.put_song("A/A/A/one", song("SOZCTXZ12AB0182364", year=1999))
    music_env.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00"), event(1, 1, "2018-11-05 10:05:00")])
    music_env.settle()
    lake = Lake(lake.url, music_env, tmp_path)
    lake.unload()
    assert lake.contents() == read_tables(music_env)
    assert lake.folders("songs") == ["songs/year=1999/artist_id=AR5KOSW1187FB35FF4"]


def test_a_lake_in_s3_equals_one_in_a_folder(duckdb_lake: Lake, s3_bucket: str, tmp_path: Path) -> None:
    load_months(duckdb_lake.load_env)
    duckdb_lake.unload()
    lake = Lake(f"{s3_bucket}/lakes/one", duckdb_lake.load_env, tmp_path)
    lake.unload()
    assert lake.contents() == duckdb_lake.contents()
    lake.unload(APRIL)
    assert lake.contents() == duckdb_lake.contents()
    assert lake.unpublished_keys() == []


@pytest.mark.parametrize(
    "name", ["with space", "100% größe", "a#b?c=d&e", "%41", "'quote\"", "[x]@y:z", "year=1999", "{i}*"]
)
def test_a_lake_can_be_in_a_folder_of_any_name(duckdb_env: LoadEnv, tmp_path: Path, name: str) -> None:
    load_months(duckdb_env)
    lake = Lake((tmp_path / name).as_uri(), duckdb_env, tmp_path)
    lake.unload()
    assert lake.contents() == read_tables(duckdb_env)
    assert len(list((tmp_path / name / "scx" / FACTS).rglob("*.parquet"))) == 3
    assert [path.name for path in (tmp_path / name).iterdir()] == ["scx"]


# Repeated unloads


def test_a_repeated_unload_replaces_the_files_of_the_previous_one(lake: Lake) -> None:
    load_months(lake.load_env)
    lake.unload()
    first = lake.keys()
    lake.unload()
    assert lake.contents() == read_tables(lake.load_env)
    assert len(lake.keys()) == len(first)
    assert not set(lake.keys()) & set(first)


def test_an_unload_of_a_month_replaces_only_this_month(lake: Lake) -> None:
    load_months(lake.load_env)
    lake.unload()
    before = lake.keys(FACTS)
    for month in ("03", "04", "05"):
        lake.load_env.put(f"2021/{month}/a.csv", [job(int(month), f"2021-{month}-20 10:00:00", user_id=300)])
    lake.load_env.load(MARCH, MAY)
    lake.unload(APRIL)
    march, april, may = (f"{FACTS}/year=2021/month={number}/" for number in (3, 4, 5))
    kept = [key for key in lake.keys(FACTS) if not key.startswith(april)]
    assert kept == [key for key in before if key.startswith((march, may))]
    assert [row[0] for row in lake.rows(FACTS) if row[0] in (3, 4, 5) and row[1] == 10 and row[2] == 300] == [
        4
    ]
    assert lake.rows("users") == lake.load_env.table("users")


def test_a_month_that_became_empty_has_no_folder(lake: Lake) -> None:
    load_months(lake.load_env)
    lake.unload()
    lake.load_env.delete("2021/04/a.csv")
    lake.load_env.load(APRIL)
    lake.unload(APRIL)
    assert lake.folders(FACTS) == [f"{FACTS}/year=2021/month={number}" for number in (3, 5)]
    lake.load_env.delete("2021/05/a.csv")
    lake.load_env.load(MAY)
    lake.unload()
    assert lake.folders(FACTS) == [f"{FACTS}/year=2021/month=3"]
    assert lake.contents() == read_tables(lake.load_env)


def test_foreign_files_are_kept_unless_they_are_parquet_files_of_a_written_month(duckdb_lake: Lake) -> None:
    load_months(duckdb_lake.load_env)
    duckdb_lake.unload()
    store = duckdb_lake.store
    foreign = [
        f"{FACTS}/year=2021/month=4/part-0.snappy.parquet",
        f"{FACTS}/year=2021/month=3/part-0.parquet",
    ]
    for key in (*foreign, f"{FACTS}/_SUCCESS"):
        store.write(key, b"x")
    duckdb_lake.unload(APRIL)
    found = set(duckdb_lake.keys())
    assert [key in found for key in (*foreign, f"{FACTS}/_SUCCESS")] == [False, True, True]


# Failures


def test_a_table_that_cannot_be_written_leaves_the_lake_unchanged(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_months(lake.load_env)
    lake.unload()
    before = lake.keys()
    fail_at(monkeypatch, type(_session_of(lake.load_env)), "time")
    with pytest.raises(LakeError, match="no room for time"):
        lake.unload()
    assert lake.keys() == before


def _session_of(load_env: LoadEnv) -> Session:
    with load_env.open_loaded() as session:
        return session


def fail_at(monkeypatch: pytest.MonkeyPatch, kind: type[Session], table: str) -> None:
    """Make an engine fail after it has written a table."""
    unload = kind.unload

    def failing(session: Session, request: Unload) -> int:
        written = unload(session, request)
        if f"/{table}/" in request.url:
            raise LakeError(f"no room for {table}")
        return written

    monkeypatch.setattr(kind, "unload", failing)


def test_missing_rows_in_the_files_fail_the_unload(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    load_months(lake.load_env)
    kind = type(_session_of(lake.load_env))
    unload = kind.unload

    def without_rows(request: Unload) -> Unload:
        return replace(request, select=f"SELECT * FROM ({request.select}) AS q WHERE 1 = 0")

    monkeypatch.setattr(kind, "unload", lambda session, request: unload(session, without_rows(request)))
    with pytest.raises(
        LakeError,
        match=r"^2021-03 of staging_cleansed_logs has \d+ rows, but 0 were written; nothing was changed",
    ):
        lake.unload()
    assert lake.keys() == []


class _KilledError(BaseException):
    """Raised in place of killing the process."""


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Raises at the n-th change of the lake, and prevents any cleanup afterwards."""
    state = {"remaining": 10**9}

    def counted(method: Any) -> Any:
        def call(store: LakeStore, *arguments: Any) -> Any:
            if state["remaining"] <= 0:
                raise _KilledError
            state["remaining"] -= 1
            return method(store, *arguments)

        return call

    for name in ("create", "move", "_remove"):
        monkeypatch.setattr(LakeStore, name, counted(getattr(LakeStore, name)))
    monkeypatch.setattr(LakeStore, "each", staticmethod(lambda work, keys: [work(key) for key in keys]))
    yield state


def test_a_kill_at_any_change_leaves_the_old_or_the_new_rows_and_the_next_run_cleans_up(
    duckdb_lake: Lake, killer: dict[str, int], tmp_path: Path
) -> None:
    lake, load_env = duckdb_lake, duckdb_lake.load_env
    load_months(load_env)
    lake.unload()
    old, folder, kept = read_tables(load_env), tmp_path / "lake", tmp_path / "kept"
    shutil.copytree(folder, kept)
    load_env.put("2021/03/a.csv", [job(1000, "2021-03-20 10:00:00")])
    load_env.load(MARCH)
    new = read_tables(load_env)
    number, finished = 0, False
    while not finished:
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        killer["remaining"] = number
        try:
            lake.unload(MARCH)
            finished = True
        except _KilledError:
            pass
        killer["remaining"] = 10**9
        found = lake.contents()
        assert found in (old, new), number
        for name in found:  # an engine that reads folders may see both for a while, but never misses rows
            assert _holds(lake.rows_in_folders(name), found[name]), (number, name)
        lake.unload(APRIL)  # another month than the changed one
        assert lake.contents()[FACTS] == found[FACTS]
        assert {name: lake.rows_in_folders(name) for name in found} == lake.contents()
        assert lake.unpublished_keys() == []
        number += 1
    assert number > 15
    assert lake.contents() == new


def _holds(rows: list[Any], wanted: list[Any]) -> bool:
    return set(map(repr, wanted)) <= set(map(repr, rows))


@pytest.mark.parametrize("is_retried", [True, False])
def test_a_lost_response_does_not_fail_an_unload_that_was_written(
    duckdb_lake: Lake, monkeypatch: pytest.MonkeyPatch, is_retried: bool
) -> None:
    load_months(duckdb_lake.load_env)
    create = LakeStore.create
    calls: list[str] = []

    def unresponsive(store: LakeStore, key: str, content: bytes) -> bool:
        calls.append(key)
        written = create(store, key, content)
        if len(calls) < 2:
            return written
        if is_retried:  # as if the client library had repeated the request and found the object
            return False
        raise LakeError("no answer")

    monkeypatch.setattr(LakeStore, "create", unresponsive)
    duckdb_lake.unload()
    assert duckdb_lake.contents() == read_tables(duckdb_lake.load_env)
    assert len(calls) == 2


def test_a_refused_move_leaves_the_lake_unchanged(duckdb_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    load_months(duckdb_lake.load_env)
    duckdb_lake.unload()
    before = duckdb_lake.keys()
    move = LakeStore.move

    def refusing(store: LakeStore, source: str, target: str) -> bool:
        if "month=5" in source:
            raise LakeError(f"cannot write {target}")
        return move(store, source, target)

    monkeypatch.setattr(LakeStore, "move", refusing)
    with pytest.raises(LakeError, match="cannot write"):
        duckdb_lake.unload()
    assert duckdb_lake.keys() == before


def test_an_unload_that_lost_the_write_lock_changes_nothing(duckdb_lake: Lake) -> None:
    load_months(duckdb_lake.load_env)
    inner: list[str] = []

    def meanwhile(message: str) -> None:
        if message == FACTS and not inner:
            inner.append(duckdb_lake.unload(APRIL).run)

    with pytest.raises(
        LakeError, match="another run started to write after this one and now holds the write lock"
    ):
        duckdb_lake.unload(progress=meanwhile)
    assert duckdb_lake.folders(FACTS) == [f"{FACTS}/year=2021/month=4"]
    assert [key for key in sorted(duckdb_lake.keys()) if inner[0] not in key] == []
    assert duckdb_lake.unpublished_keys() == []


def test_a_later_run_has_a_later_id_even_if_clocks_disagree() -> None:
    ahead = "29990101T000000000000-0123abcd"
    assert new_run_id([f"users/{ahead}-data_0.parquet"]) > ahead
    assert new_run_id([f"_unload/{ahead}/started", "users/x.parquet"]) > ahead
    assert new_run_id([]) < ahead


# Errors


def test_a_lake_that_cannot_be_written_is_reported_in_one_line(duckdb_lake: Lake, tmp_path: Path) -> None:
    load_months(duckdb_lake.load_env)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        LakeError, match=r"cannot create .*file/scx.* \(SCX_LAKE_URL or --lake\): Not a directory"
    ) as caught:
        Lake((tmp_path / "file").as_uri(), duckdb_lake.load_env, tmp_path).unload()
    assert "\n" not in str(caught.value)


def test_a_missing_bucket_is_reported_in_one_line(duckdb_lake: Lake, s3_bucket: str, tmp_path: Path) -> None:
    load_months(duckdb_lake.load_env)
    with pytest.raises(LakeError, match=r"s3://scx-not-there/x/scx/.*\(SCX_LAKE_URL or --lake\): ") as caught:
        Lake("s3://scx-not-there/x", duckdb_lake.load_env, tmp_path).unload()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["lake", "ftp://x/y", "s3://", "file://elsewhere/lake"])
def test_an_invalid_lake_url_is_refused(duckdb_lake: Lake, tmp_path: Path, url: str) -> None:
    load_months(duckdb_lake.load_env)
    with pytest.raises(LakeError, match="write file:///folder or s3://bucket/prefix"):
        Lake(url, duckdb_lake.load_env, tmp_path).unload()


def test_an_unload_of_a_star_that_was_never_loaded_is_refused(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="is empty: run `scx load`"):
        lake.unload()
    sensors = create_sensor_env(tmp_path / "s", lake.load_env.warehouse_url)
    sensors.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00"))
    sensors.january()
    with pytest.raises(
        PipelineError,
        match="public.staging_cleansed_logs does not match its declaration: run `scx load scx` first",
    ):
        lake.unload()
    assert lake.keys() == []


def test_a_year_that_is_not_of_the_event_time_is_refused(server_url: str, tmp_path: Path) -> None:
    odd = edited_star(
        tmp_path, sql={"time": ("EXTRACT(YEAR FROM created_at)", "EXTRACT(YEAR FROM created_at) + 1")}
    )
    load_env = create_load_env(tmp_path, server_url, odd)
    load_months(load_env)
    lake = Lake(lake_url(server_url, tmp_path), load_env, tmp_path)
    with pytest.raises(LakeError, match=r"^time: year is not the year of created_at in 10 rows"):
        lake.unload()
    assert lake.keys() == []


# Reading and writing


@pytest.mark.parametrize("engine", engines.SERVERS)
def test_all_tables_are_unloaded_as_of_one_commit(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    load_env = create_load_env(tmp_path, request.getfixturevalue(f"{engine}_url"))
    load_months(load_env)
    before = read_tables(load_env)

    def meanwhile(message: str) -> None:
        if message == "projects":
            load_env.put("2021/04/a.csv", [job(77, "2021-04-20 10:00:00", project_id=78, user_id=79)])
            load_env.load(APRIL)

    lake = Lake(lake_url(load_env.warehouse_url, tmp_path), load_env, tmp_path)
    lake.unload(progress=meanwhile)
    assert read_tables(load_env) != before
    assert lake.contents() == before


def test_a_closed_connection_is_reported_in_one_line(postgres_env: LoadEnv, tmp_path: Path) -> None:
    load_months(postgres_env)

    def broken(message: str) -> None:
        if message == "time":
            with psycopg2.connect(postgres_env.warehouse_url) as con, con.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'scx_pipeline' AND pid <> pg_backend_pid()"
                )

    lake = Lake(lake_url("", tmp_path), postgres_env, tmp_path)
    with pytest.raises(WarehouseError, match=r"terminating connection|closed") as caught:
        lake.unload(progress=broken)
    assert "\n" not in str(caught.value)
    assert lake.keys() == []


def test_a_failing_select_is_reported_with_the_error_of_the_server(
    postgres_env: LoadEnv, tmp_path: Path
) -> None:
    load_months(postgres_env)
    request = Unload(
        "SELECT 1 / (5000 - i) AS a FROM generate_series(1, 9000) AS r(i)",
        (Column(name="a", type="integer", description="x"),), (), f"{(tmp_path / 'out').as_uri()}/",
    )  # fmt: skip
    with (
        pytest.raises(WarehouseError, match=r"division by zero \(SQLSTATE 22012\)"),
        postgres_env.open_loaded() as session,
    ):
        assert isinstance(session, PostgresSession)
        session.unload(request)


MANY = (
    "SELECT i AS a, repeat(md5(i::text), 4) AS b, 2000 + i % 20 AS year, 1 + i % 12 AS month"
    " FROM generate_series(1, 400000) AS r(i)"
)
MANY_COLUMNS = (
    Column(name="a", type="integer", description="x"),
    Column(name="b", type="varchar(200)", description="x"),
)


@pytest.mark.parametrize("kind", ["varchar(200)", "boolean"])
def test_files_that_cannot_be_written_cancel_the_select(
    postgres_env: LoadEnv, tmp_path: Path, kind: str
) -> None:
    """The folder cannot be created, or values are not of the type that they are read as."""
    load_months(postgres_env)
    (tmp_path / "file").write_text("in the way")
    columns = (MANY_COLUMNS[0], MANY_COLUMNS[1].model_copy(update={"type": kind}))
    url = f"{(tmp_path / ('file' if kind == 'varchar(200)' else 'out')).as_uri()}/x/"
    with (
        postgres_env.open_loaded() as session,
        pytest.raises(LakeError, match=r"cannot write file:///") as caught,
    ):
        session.unload(Unload(MANY, columns, (YEAR, MONTH), url))
    assert "\n" not in str(caught.value)


def test_all_rows_of_postgres_are_written(postgres_env: LoadEnv, tmp_path: Path) -> None:
    load_months(postgres_env)
    url = f"{(tmp_path / 'out').as_uri()}/"
    with postgres_env.open_loaded() as session:
        assert session.unload(Unload(MANY, MANY_COLUMNS, (YEAR, MONTH), url)) == 400_000
    files = [str(path) for path in (tmp_path / "out").rglob("*.parquet")]
    with duckdb.connect() as con:
        found = con.execute(
            "SELECT count(*), sum(a), count(DISTINCT (year, month)) FROM read_parquet($1)", [files]
        )
        assert found.fetchone() == (400_000, 400_000 * 400_001 // 2, len(files))
