"""Unloads: every engine writes the same rows, columns and folders, also when an unload is repeated.

The statements sent to an engine, interrupted unloads and errors are not tested here.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.layout import MONTH_COLUMNS
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.parquet_files import Unload, arrow_type
from scx_pipeline.warehouse.sql_text import qualified
from scx_pipeline_tests.lake.build.months_to_unload import load_months
from scx_pipeline_tests.support import engines
from scx_pipeline_tests.support.lake.lake_env import Lake, lake_url, read_tables
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    LIMITS,
    MARCH,
    MAY,
    LoadEnv,
    create_load_env,
    job,
)
from scx_pipeline_tests.support.music_env import create_music_env, event, song
from scx_pipeline_tests.support.sensor_env import create_sensor_env, readings

pytestmark = pytest.mark.reader_independent


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
    for table in sensors.compiled.star.tables:
        assert lake.rows(table.name) == sensors.table(table.name)
    assert lake.folders("data_sample") == ["data_sample/year=2023/month=1"]
    music_env = create_music_env(tmp_path / "m", server_url)
    music_env.put_song("A/A/A/one", song("SOZCTXZ12AB0182364", year=1999))
    music_env.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00"), event(1, 1, "2018-11-05 10:05:00")])
    music_env.settle()
    lake = Lake(lake.url, music_env, tmp_path)
    lake.unload()
    assert lake.contents() == read_tables(music_env)
    assert lake.folders("songs") == ["songs/year=1999/artist_id=AR5KOSW1187FB35FF4"]


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
