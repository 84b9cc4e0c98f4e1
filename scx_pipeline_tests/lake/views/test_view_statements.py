"""The statements of `scx lake views` for each engine: valid in its dialect, with every partition of the manifest.

What is read through the views is not tested here.
"""

from __future__ import annotations

import duckdb
import pytest
import sqlglot
from sqlfluff.core import FluffConfig, Linter

from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.manifest import DataFile, Manifest
from scx_pipeline.lake.views.views import views_script
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.star import Star
from scx_pipeline_tests.support.lake.lake_env import Lake
from scx_pipeline_tests.support.load_env import scx_star
from scx_pipeline_tests.support.music_env import music_star
from scx_pipeline_tests.support.scx_command import Scx


def sample(star: Star) -> Manifest:
    """Return a manifest with files of two months, and of unpartitioned tables."""
    files: dict[str, tuple[DataFile, ...]] = {}
    for table in star.tables:
        keys = [f"{table.name}/year=2021/month={month}/a.parquet" for month in (4, 12)]
        if table.name == "songs":
            keys = [f"songs/year={year}/artist_id=AR%201/a.parquet" for year in (1999, 2001)]
        months = [Month(2021, 4), Month(2021, 12)] if table.is_partitioned else [None, None]
        files[table.name] = tuple(DataFile(k, 1, 1, m) for k, m in zip(keys, months, strict=True))
    return Manifest(star.name, 2, files=files)


LAKE = LakeStore("s3://scx-lake/stars/scx", None)  # type: ignore[arg-type]


def statements(script: str) -> list[str]:
    """Return the statements of a script, without its comments."""
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";\n") if part.strip()]


@pytest.mark.parametrize(
    ("reader", "dialect"), [("athena", "athena"), ("redshift", "redshift"), ("spark", "sparksql")]
)
def test_statements_are_valid_in_the_dialect_of_their_engine(reader: str, dialect: str) -> None:
    star = music_star().star  # with tables partitioned by month, partitioned otherwise, and not partitioned
    found = statements(views_script(reader, star, LAKE, sample(star)))
    assert sum(statement.startswith("CREATE") for statement in found) == len(star.tables) + 1
    linter = Linter(config=FluffConfig(overrides={"dialect": dialect}))
    for statement in found:
        if (reader, statement[:15]) in UNKNOWN_TO_SQLFLUFF:
            one = (
                statement
                if statement.count("\nPARTITION") < 2
                else statement[: statement.rindex("\nPARTITION")]
            )
            assert not isinstance(sqlglot.parse_one(one, read=reader), sqlglot.exp.Command), statement
        else:
            assert linter.parse_string(f"{statement};\n").violations == [], statement


# Its grammars lack Athena's STORED AS and Redshift's partitions; sqlglot parses them, though one partition at a time.
UNKNOWN_TO_SQLFLUFF = {("athena", "CREATE EXTERNAL"), ("redshift", 'ALTER TABLE "so')}


def test_athena_projects_months_and_adds_other_partitions() -> None:
    star = music_star().star
    script = views_script("athena", star, LAKE, sample(star))
    assert "'projection.year.range' = '2018,2038'" in script
    assert (
        "'storage.location.template' = 's3://scx-lake/stars/scx/time/year=${year}/month=${month}/'" in script
    )
    assert "PARTITION (`year` = 1999, `artist_id` = 'AR 1')\n  LOCATION 's3://scx-lake/stars/scx/songs/year=1999/artist_id=AR%201/'" in script  # fmt: skip


def test_redshift_adds_the_months_of_the_manifest_in_order() -> None:
    star = scx_star().star
    script = views_script("redshift", star, LAKE, sample(star))
    added = script[script.index('ALTER TABLE "public_lake"."time"') :]
    assert added.index('PARTITION ("year" = 2021, "month" = 4)') < added.index(
        '("year" = 2021, "month" = 12)'
    )
    assert '"email_encrypted" VARCHAR(150)' in script


def test_the_views_of_a_lake_in_s3_are_valid_in_duckdb() -> None:
    star = scx_star().star
    script = views_script("duckdb", star, LAKE, sample(star))
    assert len(duckdb.extract_statements(script)) == 1 + len(star.tables)
    assert "LOAD httpfs" in script


# The command


def test_the_command_prints_views_or_creates_them_in_a_file(lake: Lake, scx: Scx) -> None:
    result = scx("lake", "views", "scx", "--lake", lake.url)
    assert result.code == 0
    assert result.out.count("CREATE OR REPLACE VIEW") == 5
    result = scx("lake", "views", "scx", "--lake", lake.url, "--into", str(lake.folder / "own.duckdb"))
    assert (result.code, result.out) == (0, f"{lake.folder / 'own.duckdb'}: 5 views of {lake.store.url}\n")
    result = scx("lake", "views", "scx", "--for", "spark", "--into", "a.duckdb")
    assert (result.code, "choose one of --for and --into" in result.err) == (1, True)
