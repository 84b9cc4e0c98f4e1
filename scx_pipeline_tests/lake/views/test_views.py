"""What is read through the views of a lake in DuckDB: the warehouse's rows, from a folder of any name.

Statements for other engines are not tested here, except that they are refused for a lake in a folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from scx_pipeline.errors import LakeError, PipelineError
from scx_pipeline.lake.inspect.lake_status import open_existing_lake
from scx_pipeline.lake.views.views import create_views, views_script
from scx_pipeline.model.star import Star
from scx_pipeline.reporting.queries import run_query
from scx_pipeline.warehouse.duckdb.duckdb_connection import duckdb_type
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import CAPABILITIES
from scx_pipeline_tests.lake.loaded_stars import put_jobs
from scx_pipeline_tests.support.lake.lake_env import Lake, lake_url, read_tables
from scx_pipeline_tests.support.load_env import FACTS, MARCH, MAY, create_load_env, edited_star, job
from scx_pipeline_tests.support.music_env import create_music_env, event
from scx_pipeline_tests.support.snapshots import Row, in_order


def views(lake: Lake, reader: str = "duckdb") -> str:
    star = lake.load_env.compiled.star
    return views_script(reader, star, *open_existing_lake(lake.url, star.name))


def create_view_file(lake: Lake) -> Path:
    """Create the DuckDB file with the lake's views."""
    path = lake.folder / "analysts" / "dev.duckdb"
    path.parent.mkdir(exist_ok=True)
    create_views(path, views(lake))
    return path


@contextmanager
def reading(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(create_view_file(lake)), read_only=True) as con:
        yield con


def read_views(con: duckdb.DuckDBPyConnection, star: Star) -> dict[str, list[Row]]:
    """Return the rows of the views by table."""
    return {
        table.name: in_order(con.execute(f'SELECT * FROM "{star.schema_name}"."{table.name}"').fetchall())
        for table in star.tables
    }


# Rows and columns


def test_the_views_have_the_rows_of_the_warehouse_in_columns_as_declared(any_lake: Lake) -> None:
    star = any_lake.load_env.compiled.star
    with reading(any_lake) as con:
        assert read_views(con, star) == read_tables(any_lake.load_env)
        for table in star.tables:
            columns = con.execute(f'DESCRIBE "{star.schema_name}"."{table.name}"').fetchall()
            assert [row[:2] for row in columns] == [(c.name, duckdb_type(c)) for c in table.columns]


def test_the_queries_of_a_star_give_the_results_of_the_warehouse(any_lake: Lake) -> None:
    compiled = any_lake.load_env.compiled
    with reading(any_lake) as con, any_lake.load_env.open_loaded() as session:
        for query in compiled.star.queries:
            found = con.execute(compiled.query_sql(query, CAPABILITIES)).df()
            expected = run_query(session, compiled, query.name)
            assert len(expected), query.name
            assert found.to_dict("records") == expected.to_dict("records"), query.name


def test_a_commit_is_visible_to_the_next_query(lake: Lake) -> None:
    with reading(lake) as con:
        before = read_views(con, lake.load_env.compiled.star)
        put_jobs(lake.load_env, user_id=5, first=100)
        lake.load_env.put("2021/04/a.csv", [])
        lake.load_env.load(MARCH, MAY)
        lake.unload()
        after = read_views(con, lake.load_env.compiled.star)
        assert after == read_tables(lake.load_env) != before


def test_orphan_files_are_not_read(lake: Lake) -> None:
    [path] = list((lake.folder / "lake" / "scx" / FACTS).glob("year=2021/month=4/*"))
    (path.parent / "copy.parquet").write_bytes(path.read_bytes())
    with reading(lake) as con:
        assert read_views(con, lake.load_env.compiled.star) == read_tables(lake.load_env)


def test_columns_that_the_first_file_lacks_are_an_error_and_not_null(lake: Lake) -> None:
    """DuckDB takes the columns of all files from the first file, which may be an orphan file."""
    path = lake.folder / "lake" / "scx" / "users" / "0.parquet"
    with reading(lake) as con:
        con.execute(f"COPY (SELECT 1 AS user_id) TO '{path}' (FORMAT parquet)")
        with pytest.raises(duckdb.BinderException, match="No matching columns found.*email_encrypted"):
            read_views(con, lake.load_env.compiled.star)


def test_a_column_with_the_name_that_duckdb_uses_for_no_files_is_refused(lake: Lake) -> None:
    star = edited_star(
        lake.folder,
        {"users.empty": {"type": "integer"}},
        {"users": ("SELECT", "SELECT\n    plan_id AS empty,")},
    )
    with pytest.raises(
        LakeError, match="users has a column empty, which DuckDB uses for tables without files"
    ):
        views(replace(lake, load_env=replace(lake.load_env, compiled=star)))


def test_a_column_can_have_any_other_name(tmp_path: Path) -> None:
    names = ("key", "content", "filename", "files", "newest")
    facts = {f"users.{name}": {"type": "integer"} for name in names}
    selected = "".join(f"\n    plan_id AS {name}," for name in names)
    load_env = create_load_env(
        tmp_path, compiled=edited_star(tmp_path, facts, {"users": ("SELECT", f"SELECT{selected}")})
    )
    put_jobs(load_env)
    load_env.load(MARCH, MAY)
    lake = Lake(lake_url("", tmp_path), load_env, tmp_path)
    lake.unload()
    with reading(lake) as con:
        assert read_views(con, load_env.compiled.star) == read_tables(load_env)


def test_tables_without_files_are_empty(tmp_path: Path) -> None:
    load_env = create_music_env(tmp_path)
    load_env.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00")])
    load_env.settle()
    lake = Lake(lake_url("", tmp_path), load_env, tmp_path)
    lake.unload()
    assert lake.keys("songs") == []
    with reading(lake) as con:
        assert read_views(con, load_env.compiled.star) == read_tables(load_env)
        load_env.delete_key("log_data/2018/11/2018-11-05-events.json")
        load_env.settle()
        lake.unload()
        assert lake.keys("songplays") == []
        assert read_views(con, load_env.compiled.star) == {name: [] for name in lake.tables}


def test_values_that_name_folders_are_preserved(tmp_path: Path) -> None:
    facts = {FACTS: {"partition_by": ["year", "month", "ground_profile", "user_id"]}}
    load_env = create_load_env(tmp_path, compiled=edited_star(tmp_path, facts))
    texts = ["a b", "é%2F", "x=y&z", "+", "001", None, "'"]
    rows = [
        job(n, f"2021-03-{n + 1:02d} 10:00:00", ground_profile=text, user_id=n)
        for n, text in enumerate(texts)
    ]
    load_env.put("2021/03/a.csv", rows)
    load_env.load(MARCH)
    lake = Lake(lake_url("", tmp_path), load_env, tmp_path)
    lake.unload()
    with reading(lake) as con:
        assert read_views(con, load_env.compiled.star) == read_tables(load_env)


# Places


@pytest.mark.parametrize("name", ["with space", "100% größe", "a#b&e", "%41", "'quote\""])
def test_a_lake_can_be_in_a_folder_with_special_characters(lake: Lake, name: str) -> None:
    odd = replace(lake, url=(lake.folder / name).as_uri())
    odd.unload()
    with reading(odd) as con:
        assert read_views(con, lake.load_env.compiled.star) == read_tables(lake.load_env)


@pytest.mark.parametrize("name", ["[x]", "a*", "b?", "{i}", "year=1999", "back\\slash"])
def test_a_folder_with_characters_of_another_meaning_is_refused(lake: Lake, name: str) -> None:
    store = replace(lake.store, folder=lake.folder / name / "scx")
    with pytest.raises(
        LakeError, match="has characters with another meaning in SQL: .*: move the lake, or link to it"
    ):
        views_script("duckdb", lake.load_env.compiled.star, store, lake.manifest)


@pytest.mark.parametrize("reader", ["athena", "redshift"])
def test_engines_of_aws_require_a_lake_in_s3(lake: Lake, reader: str) -> None:
    with pytest.raises(
        LakeError, match="reads from S3, but the lake is .*: set --lake to s3://bucket/prefix"
    ):
        views(lake, reader)


def test_a_lake_without_the_star_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="has no data of scx yet: run `scx lake build scx`"):
        open_existing_lake((tmp_path / "none").as_uri(), "scx")
    assert not (tmp_path / "none").exists()


def test_views_do_not_replace_tables(lake: Lake) -> None:
    path = lake.folder / "own.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE SCHEMA public; CREATE TABLE public.time AS SELECT 1 AS own")
    with pytest.raises(PipelineError, match=r"own\.duckdb already has tables with these names"):
        create_views(path, views(lake))
    with duckdb.connect(str(path)) as con:
        assert con.execute("FROM duckdb_views() SELECT count(*) WHERE NOT internal").fetchall() == [(0,)]
    with pytest.raises(PipelineError, match=r"cannot create the views in .*nowhere"):
        create_views(lake.folder / "nowhere" / "a.duckdb", views(lake))
