"""What is read through the views and tables that `scx lake views` makes, and whether engines can read the statements.
That the document shows them as they are printed is tested in test_document.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from fsspec.implementations.local import LocalFileSystem
from sqlfluff.core import FluffConfig, Linter

from scx_pipeline.errors import LakeError, PipelineError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.manifest import DataFile, Manifest
from scx_pipeline.lake.inspect.lake_status import standing_lake
from scx_pipeline.lake.views.views import CHANGED, make_views, view_of, views_for
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.star import Star
from scx_pipeline.reporting.queries import run_query
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import CAPABILITIES, duckdb_type
from scx_pipeline_tests.lake.conftest import put_jobs
from scx_pipeline_tests.support.lake_env import Lake, lake_url, standing
from scx_pipeline_tests.support.load_env import (
    APRIL,
    FACTS,
    MARCH,
    MAY,
    Row,
    edited_star,
    folder_world,
    in_order,
    job,
    scx_star,
)
from scx_pipeline_tests.support.music_env import event, music_star, music_world


def views(lake: Lake, reader: str = "duckdb") -> str:
    star = lake.world.compiled.star
    return views_for(reader, star, *standing_lake(lake.url, star.name))


def made(lake: Lake) -> Path:
    """The DuckDB file with the lake's views."""
    path = lake.folder / "analysts" / "dev.duckdb"
    path.parent.mkdir(exist_ok=True)
    make_views(path, views(lake))
    return path


@contextmanager
def reading(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(made(lake)), read_only=True) as con:
        yield con


def through(con: duckdb.DuckDBPyConnection, star: Star) -> dict[str, list[Row]]:
    """What the views show, table by table."""
    return {
        table.name: in_order(con.execute(f'SELECT * FROM "{star.schema_name}"."{table.name}"').fetchall())
        for table in star.tables
    }


# DuckDB


def test_the_views_show_what_the_warehouse_holds_in_columns_as_declared(any_lake: Lake) -> None:
    star = any_lake.world.compiled.star
    with reading(any_lake) as con:
        assert through(con, star) == standing(any_lake.world)
        for table in star.tables:
            told = con.execute(f'DESCRIBE "{star.schema_name}"."{table.name}"').fetchall()
            assert [row[:2] for row in told] == [(c.name, duckdb_type(c)) for c in table.columns]


def test_the_analysts_queries_give_what_they_give_on_the_warehouse(any_lake: Lake) -> None:
    compiled = any_lake.world.compiled
    with reading(any_lake) as con, any_lake.world.reading() as session:
        for query in compiled.star.queries:
            told = con.execute(compiled.query(query, CAPABILITIES)).df()
            expected = run_query(session, compiled, query.name)
            assert len(expected), query.name
            assert told.to_dict("records") == expected.to_dict("records"), query.name


def test_a_commit_is_seen_by_the_next_query(lake: Lake) -> None:
    with reading(lake) as con:
        before = through(con, lake.world.compiled.star)
        put_jobs(lake.world, user_id=5, first=100)
        lake.world.put("2021/04/a.csv", [])
        lake.world.load(MARCH, MAY)
        lake.unload()
        after = through(con, lake.world.compiled.star)
        assert after == standing(lake.world) != before


def test_files_that_no_manifest_lists_are_not_seen(lake: Lake) -> None:
    [path] = list((lake.folder / "lake" / "scx" / FACTS).glob("year=2021/month=4/*"))
    (path.parent / "copy.parquet").write_bytes(path.read_bytes())
    with reading(lake) as con:
        assert through(con, lake.world.compiled.star) == standing(lake.world)


def test_columns_that_the_first_file_lacks_are_an_error_and_not_empty(lake: Lake) -> None:
    """DuckDB takes the columns of all files from the first, which may be one that is listed no more."""
    path = lake.folder / "lake" / "scx" / "users" / "0.parquet"
    with reading(lake) as con:
        con.execute(f"COPY (SELECT 1 AS user_id) TO '{path}' (FORMAT parquet)")
        with pytest.raises(duckdb.BinderException, match="No matching columns found.*email_encrypted"):
            through(con, lake.world.compiled.star)


def test_a_column_that_would_be_taken_for_no_files_is_refused(lake: Lake) -> None:
    star = edited_star(
        lake.folder,
        {"users.empty": {"type": "integer"}},
        {"users": ("SELECT", "SELECT\n    plan_id AS empty,")},
    )
    with pytest.raises(LakeError, match="users has a column empty, which DuckDB takes for no files"):
        views(replace(lake, world=replace(lake.world, compiled=star)))


def test_a_column_may_have_any_other_name(tmp_path: Path) -> None:
    names = ("key", "content", "filename", "files", "newest")
    facts = {f"users.{name}": {"type": "integer"} for name in names}
    given = "".join(f"\n    plan_id AS {name}," for name in names)
    world = folder_world(
        tmp_path, compiled=edited_star(tmp_path, facts, {"users": ("SELECT", f"SELECT{given}")})
    )
    put_jobs(world)
    world.load(MARCH, MAY)
    lake = Lake(lake_url("", tmp_path), world, tmp_path)
    lake.unload()
    with reading(lake) as con:
        assert through(con, world.compiled.star) == standing(world)


def test_tables_without_files_are_empty_until_they_have_some(tmp_path: Path) -> None:
    world = music_world(tmp_path)
    world.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00")])
    world.settle()
    lake = Lake(lake_url("", tmp_path), world, tmp_path)
    lake.unload()
    assert lake.keys("songs") == []
    with reading(lake) as con:
        assert through(con, world.compiled.star) == standing(world)
        world.delete_key("log_data/2018/11/2018-11-05-events.json")
        world.settle()
        lake.unload()
        assert lake.keys("songplays") == []
        assert through(con, world.compiled.star) == {name: [] for name in lake.tables}


def test_values_that_name_folders_come_back_as_they_were(tmp_path: Path) -> None:
    facts = {FACTS: {"partition_by": ["year", "month", "ground_profile", "user_id"]}}
    world = folder_world(tmp_path, compiled=edited_star(tmp_path, facts))
    texts = ["a b", "é%2F", "x=y&z", "+", "001", None, "'"]
    rows = [
        job(n, f"2021-03-{n + 1:02d} 10:00:00", ground_profile=text, user_id=n)
        for n, text in enumerate(texts)
    ]
    world.put("2021/03/a.csv", rows)
    world.load(MARCH)
    lake = Lake(lake_url("", tmp_path), world, tmp_path)
    lake.unload()
    with reading(lake) as con:
        assert through(con, world.compiled.star) == standing(world)


@pytest.mark.parametrize("name", ["with space", "100% größe", "a#b&e", "%41", "'quote\""])
def test_a_lake_may_be_in_a_folder_with_an_odd_name(lake: Lake, name: str) -> None:
    odd = replace(lake, url=(lake.folder / name).as_uri())
    odd.unload()
    with reading(odd) as con:
        assert through(con, lake.world.compiled.star) == standing(lake.world)


@pytest.mark.parametrize("name", ["[x]", "a*", "b?", "{i}", "year=1999", "back\\slash"])
def test_a_folder_whose_name_would_be_misread_is_refused(lake: Lake, name: str) -> None:
    place = replace(lake.place, folder=lake.folder / name / "scx")
    with pytest.raises(LakeError, match="would be misread in SQL: move the lake, or link to it"):
        views_for("duckdb", lake.world.compiled.star, place, lake.manifest)


def test_views_take_no_tables_place(lake: Lake) -> None:
    path = lake.folder / "own.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE SCHEMA public; CREATE TABLE public.time AS SELECT 1 AS own")
    with pytest.raises(PipelineError, match=r"own\.duckdb has tables of its own by these names"):
        make_views(path, views(lake))
    with duckdb.connect(str(path)) as con:
        assert con.execute("FROM duckdb_views() SELECT count(*) WHERE NOT internal").fetchall() == [(0,)]
    with pytest.raises(PipelineError, match=r"cannot make the views in .*nowhere"):
        make_views(lake.folder / "nowhere" / "a.duckdb", views(lake))


# What is written while it is read


class Interrupted(LocalFileSystem):  # type: ignore[misc]
    """A file system in which something happens just before the folders are listed for the nth time."""

    protocol = ("interrupted",)
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.left, self.happens = -1, lambda: None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("interrupted://")))

    def glob(self, path: str, **options: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.happens()
        return super().glob(path, **options)


def test_a_query_sees_one_commit_or_says_that_there_was_another(lake: Lake, tmp_path: Path) -> None:
    """April's jobs are now this user's, now that one's; a commit comes before each listing of a query in turn."""
    other = folder_world(tmp_path / "other")
    put_jobs(other)
    other.put("2021/04/a.csv", [job(n, f"2021-04-{n:02d} 10:00:00", user_id=5) for n in (1, 2)])
    other.load(MARCH, MAY)
    query = (
        f"SELECT f.user_id, u.user_id, count(*) FROM public.{FACTS} AS f LEFT JOIN public.users AS u USING (user_id)"
        " GROUP BY ALL ORDER BY ALL"
    )
    one, two = [(211, 211, 6)], [(5, 5, 2), (211, 211, 4)]
    files, outcomes = Interrupted(), []
    with viewing(lake, files, [FACTS, "users"]) as con:
        for at in range(1, 10):
            before = con.execute(query).fetchall()
            after, world = (two, other) if before == one else (one, lake.world)
            files.left, files.happens = at, partial(replace(lake, world=world).unload, APRIL)
            try:
                found = con.execute(query).fetchall()
                assert found in (before, after)
                outcomes.append("after" if found == after else "before")
            except duckdb.Error as error:
                outcomes.append("told" if CHANGED in str(error) else "gone")
    # Of each table, the manifests are listed twice and then the files; and as the query runs, each table's manifests once more.
    assert outcomes[:2] == ["after"] * 2
    assert {*outcomes[2:8]} <= {"told", "gone"}
    assert outcomes[8] == "before"


@contextmanager
def viewing(lake: Lake, files: Interrupted, tables: list[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Views of a lake's tables that are read through another file system."""
    star = lake.world.compiled.star
    with duckdb.connect() as con:
        con.register_filesystem(files)
        con.execute("CREATE SCHEMA public")
        for name in tables:
            con.execute(view_of(star, star.table(name), f"interrupted://{lake.place.folder}"))
        yield con


# Other engines


def sample(star: Star) -> Manifest:
    """A manifest of two months and of what is in no month."""
    files: dict[str, tuple[DataFile, ...]] = {}
    for table in star.tables:
        keys = [f"{table.name}/year=2021/month={month}/a.parquet" for month in (4, 12)]
        if table.name == "songs":
            keys = [f"songs/year={year}/artist_id=AR%201/a.parquet" for year in (1999, 2001)]
        months = [Month(2021, 4), Month(2021, 12)] if table.partitioned else [None, None]
        files[table.name] = tuple(DataFile(k, 1, 1, m) for k, m in zip(keys, months, strict=True))
    return Manifest(star.name, 2, files=files)


LAKE = LakeStore("s3://scx-lake/stars/scx", None)  # type: ignore[arg-type]


def statements(script: str) -> list[str]:
    """The statements of a script, without its comments."""
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";\n") if part.strip()]


@pytest.mark.parametrize(
    ("reader", "dialect"), [("athena", "athena"), ("redshift", "redshift"), ("spark", "sparksql")]
)
def test_other_engines_can_read_their_statements(reader: str, dialect: str) -> None:
    star = music_star().star  # with tables by month, in other folders, and in none
    found = statements(views_for(reader, star, LAKE, sample(star)))
    assert sum(statement.startswith("CREATE") for statement in found) == len(star.tables) + 1
    linter = Linter(config=FluffConfig(overrides={"dialect": dialect}))
    for statement in found:
        if (reader, statement[:15]) in NOT_OF_SQLFLUFF:
            one = (
                statement
                if statement.count("\nPARTITION") < 2
                else statement[: statement.rindex("\nPARTITION")]
            )
            assert not isinstance(sqlglot.parse_one(one, read=reader), sqlglot.exp.Command), statement
        else:
            assert linter.parse_string(f"{statement};\n").violations == [], statement


# STORED AS of Athena and partitions of Redshift are not in its grammars; sqlglot knows them, though one partition at a time.
NOT_OF_SQLFLUFF = {("athena", "CREATE EXTERNAL"), ("redshift", 'ALTER TABLE "so')}


def test_athena_finds_new_months_by_itself_and_is_told_of_other_folders() -> None:
    star = music_star().star
    script = views_for("athena", star, LAKE, sample(star))
    assert "'projection.year.range' = '2018,2038'" in script
    assert (
        "'storage.location.template' = 's3://scx-lake/stars/scx/time/year=${year}/month=${month}/'" in script
    )
    assert "PARTITION (`year` = 1999, `artist_id` = 'AR 1')\n  LOCATION 's3://scx-lake/stars/scx/songs/year=1999/artist_id=AR%201/'" in script  # fmt: skip


def test_redshift_is_told_of_the_months_of_the_manifest_in_order() -> None:
    star = scx_star().star
    script = views_for("redshift", star, LAKE, sample(star))
    added = script[script.index('ALTER TABLE "public_lake"."time"') :]
    assert added.index('PARTITION ("year" = 2021, "month" = 4)') < added.index(
        '("year" = 2021, "month" = 12)'
    )
    assert '"email_encrypted" VARCHAR(150)' in script


@pytest.mark.parametrize("reader", ["athena", "redshift"])
def test_engines_of_aws_read_from_s3_only(lake: Lake, reader: str) -> None:
    with pytest.raises(
        LakeError, match="reads from S3, and the lake is .*: set --lake to s3://bucket/prefix"
    ):
        views(lake, reader)


def test_the_views_of_a_lake_in_s3_are_duckdbs() -> None:
    star = scx_star().star
    script = views_for("duckdb", star, LAKE, sample(star))
    assert len(duckdb.extract_statements(script)) == 1 + len(star.tables)
    assert "LOAD httpfs" in script


def test_a_lake_without_the_star_has_no_views(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="has nothing of scx yet: run `scx lake build scx`"):
        standing_lake((tmp_path / "none").as_uri(), "scx")
    assert not (tmp_path / "none").exists()
