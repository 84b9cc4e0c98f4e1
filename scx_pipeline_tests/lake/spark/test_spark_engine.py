"""A lake that Spark builds equals the one that DuckDB builds, and gives the warehouse that the objects give.

Jobs in processes of their own do not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from scx_pipeline.declarations.sql_file import SqlFile
from scx_pipeline.declarations.sql_validation import compile_select
from scx_pipeline.declarations.transpiling import generate_sql
from scx_pipeline.errors import CheckFailedError, LakeError, PipelineError, SourceFileError
from scx_pipeline.lake.build.builder import LakeBuilder
from scx_pipeline.lake.format.layout import file_columns, partition_columns
from scx_pipeline.lake.format.parquet_reader import arrow_schema
from scx_pipeline.lake.spark import spark_engine
from scx_pipeline.lake.spark.spark_engine import SCHEMA, SparkLakeEngine
from scx_pipeline.lake.spark.spark_errors import find_reason
from scx_pipeline.lake.spark.spark_sql import CAPABILITIES
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.samples.scx.plan import ScxLogOptions
from scx_pipeline.samples.scx.scx_bucket import generate
from scx_pipeline_tests.cases.test_dialects import BY_ROW, COLUMNS, OF_ALL_ROWS, ROWS
from scx_pipeline_tests.support.lake.lake_contents import contents, counts
from scx_pipeline_tests.support.lake.lake_loads import (
    STARS,
    LakeLoadEnv,
    open_lake_load_env,
    read_all_tables,
    without_history,
)
from scx_pipeline_tests.support.load_env import PREFIX, create_load_env, job, scx_star
from scx_pipeline_tests.support.music_env import MusicEnv
from scx_pipeline_tests.support.snapshots import Row, in_order
from scx_pipeline_tests.support.stars import with_sources

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MUSIC = Path(__file__).parents[4] / "shared" / "data" / "music"


@dataclass
class SparkLoadEnv(LakeLoadEnv):
    """A bucket, a lake that Spark builds, and a warehouse."""

    spark: SparkSession | None = None

    def builder(self) -> LakeBuilder:
        assert self.spark is not None
        engine = SparkLakeEngine(self.spark, self.load_env.limits)
        return LakeBuilder(
            self.load_env.compiled, self.load_env.bucket, self.store, engine, lambda message: None
        )

    def _due_in_lake(self) -> list[LoadScope]:
        """Return one range with all due months: for Spark, one build costs more than a month."""
        months = [month for scope in super()._due_in_lake() if scope is not UNPARTITIONED for month in scope]
        return [MonthRange(min(months), max(months))] if months else super()._due_in_lake()


def with_spark_lake(loads: LakeLoadEnv, spark: SparkSession) -> SparkLoadEnv:
    """Return an environment over the same bucket with a lake that Spark builds and a warehouse loaded from it."""
    folder = Path(loads.lake.removeprefix("file://")).parent / "spark"
    folder.mkdir()
    kind = type(loads.load_env)
    load_env = kind(loads.load_env.bucket_url, f"duckdb://{folder}/dev.duckdb", loads.load_env.compiled)
    return SparkLoadEnv(load_env, (folder / "lake").as_uri(), spark)


def assert_same(by_spark: SparkLoadEnv, loads: LakeLoadEnv) -> None:
    """Compare the lakes, and the warehouse loaded from Spark's lake with one loaded from the objects."""
    assert by_spark.build()
    loads.build()
    found, wanted = contents(by_spark), contents(loads)
    for name in wanted:
        assert found[name] == wanted[name], name
    assert counts(by_spark) == counts(loads)
    assert by_spark.manifest.schemas == loads.manifest.schemas
    loads.load_raw()
    by_spark.load()
    assert without_history(read_all_tables(by_spark.load_env)) == without_history(
        read_all_tables(loads.load_env)
    )


def assert_files_are_as_declared(loads: SparkLoadEnv) -> None:
    """Check folders and columns against the declaration, and that files have one row group with statistics."""
    store = loads.store
    for table in loads.load_env.compiled.star.tables:
        for item in loads.manifest.select_files(table.name):
            assert [part.split("=")[0] for part in item.key.split("/")[1:-1]] == [
                column.name for column in partition_columns(table)
            ]
            assert store.folder is not None
            with pq.ParquetFile(store.folder / item.key) as file:
                assert file.schema_arrow.remove_metadata() == arrow_schema(file_columns(table))
                assert file.metadata.num_row_groups == 1
                group = file.metadata.row_group(0)
                assert all(group.column(index).statistics is not None for index in range(group.num_columns))
                assert group.column(0).compression == "ZSTD"


@pytest.mark.parametrize("star", STARS)
def test_every_table_equals_that_of_duckdb_and_of_a_load_from_the_objects(
    spark: SparkSession, star: str, tmp_path: Path
) -> None:
    loads = open_lake_load_env(star, tmp_path)
    by_spark = with_spark_lake(loads, spark)
    for change in STARS[star][1:]:
        change(loads.load_env)
        assert_same(by_spark, loads)
        assert_files_are_as_declared(by_spark)


def test_generated_logs_with_invalid_late_and_duplicate_rows_give_the_same_lake(
    spark: SparkSession, tmp_path: Path
) -> None:
    load_env = create_load_env(tmp_path)
    generate(ScxLogOptions("2021-04", 3, 3000, 7, "both", "gzip", 20, 50, 30), load_env.bucket.store)
    loads = LakeLoadEnv(load_env, (tmp_path / "lake").as_uri())
    assert_same(with_spark_lake(loads, spark), loads)


@pytest.mark.skipif(
    not MUSIC.is_dir(), reason="needs the public music data, which is not part of the project"
)
def test_the_public_music_data_gives_the_known_row_counts_and_the_same_lake(
    spark: SparkSession, tmp_path: Path
) -> None:
    load_env = MusicEnv(MUSIC.as_uri(), f"duckdb://{tmp_path}/dev.duckdb")
    loads = LakeLoadEnv(load_env, (tmp_path / "lake").as_uri())
    by_spark = with_spark_lake(loads, spark)
    assert_same(by_spark, loads)
    found = {name: len(rows) for name, rows in contents(by_spark).items() if not name.startswith("_")}
    assert found == {
        "staging_events": 8056, "staging_songs": 71, "songplays": 6820, "users": 96, "songs": 71, "artists": 69, "time": 6813,
    }  # fmt: skip
    assert sum(row[4] is not None for row in contents(by_spark)["songplays"]) == 1


# Files


@pytest.fixture
def jobs(tmp_path: Path, spark: SparkSession) -> SparkLoadEnv:
    """Jobs in March, April and June, and a lake of them, which DuckDB has built because that is faster."""
    env = with_spark_lake(open_lake_load_env("scx", tmp_path), spark)
    STARS["scx"][1](env.load_env)
    LakeLoadEnv(env.load_env, env.lake).build()
    return env


def test_spark_splits_a_large_month_into_files(jobs: SparkLoadEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(jobs)
    monkeypatch.setattr(spark_engine, "MAX_FILE_ROWS", 10)
    jobs.builder().load(MonthRange(Month(2021, 2), Month(2021, 6)))
    assert contents(jobs) == before
    files = [
        item for item in jobs.manifest.select_files("staging_cleansed_logs") if item.month == Month(2021, 3)
    ]
    assert len(files) > 1
    assert max(item.rows for item in files) < sum(item.rows for item in files)


def test_spark_reads_the_folders_of_the_lake(jobs: SparkLoadEnv, spark: SparkSession) -> None:
    assert jobs.store.folder is not None
    for table in jobs.load_env.compiled.star.tables:
        frame = spark.read.parquet(str(jobs.store.folder / table.name)).select(*table.column_names)
        found = in_order([tuple(row) for row in frame.collect()])
        assert found == contents(jobs)[table.name]


# Errors


def test_a_file_that_cannot_be_read_is_reported_in_one_line_and_the_lake_is_unchanged(
    jobs: SparkLoadEnv,
) -> None:
    before = contents(jobs)
    jobs.load_env.put("2021/04/b.csv", b"job_id,job_id\n1,2\n")
    with pytest.raises(SourceFileError, match=r"auto_classify_jobs/2021/04/b.csv.*job_id") as caught:
        jobs.build()
    assert "\n" not in str(caught.value)
    assert caught.value.key == f"{PREFIX}2021/04/b.csv"
    assert contents(jobs) == before


def test_a_file_that_cannot_be_read_is_one_rejected_row_if_the_source_allows_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    loads = open_lake_load_env("scx", tmp_path)
    loads.load_env.compiled = with_sources(scx_star(), on_invalid_file="reject", reject_limit=0.5)
    loads.load_env.put("2021/04/a.csv", [job(1, "2021-04-05 10:00:00")])
    loads.load_env.put_key(f"{PREFIX}2021/04/b.csv", b"job_id,job_id\n1,2\n")
    by_spark = with_spark_lake(loads, spark)
    assert_same(by_spark, loads)
    assert [row[1:3] for row in contents(by_spark)["_history/rejected_rows"]] == [
        (f"{PREFIX}2021/04/b.csv", None)
    ]


def test_months_that_fail_a_check_are_unchanged_in_the_lake_and_reported(jobs: SparkLoadEnv) -> None:
    before = contents(jobs)
    jobs.load_env.put("2021/07/a.csv", [job(3, "2021-07-01 10:00:00")])  # a job of March
    with pytest.raises(
        CheckFailedError, match="unique_job_id .*job_id 3 occurs in 2021-03 and in 2021-07"
    ) as caught:
        jobs.build()
    report = caught.value.report
    assert isinstance(report, LoadReport)
    assert [str(month) for month in report.held] == ["2021-07"]
    history = "_history/objects"  # the other months were built again, and one of them has read the new object
    assert {**contents(jobs), history: None} == {**before, history: None}


def test_an_error_of_spark_is_reported_in_one_line(spark: SparkSession, jobs: SparkLoadEnv) -> None:
    engine = SparkLakeEngine(spark, jobs.load_env.limits)
    with (
        pytest.raises(
            LakeError, match=r"^Spark: \[TABLE_OR_VIEW_NOT_FOUND\].*; nothing was changed$"
        ) as caught,
        engine.open(SCHEMA, jobs.store) as session,
    ):
        session.rows("SELECT * FROM no_such_table")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x\nJob aborted: ExecutorLostFailure (executor 1 exited)\n at y",
            "an executor was lost: give executors more memory",
        ),
        ("x\njava.lang.OutOfMemoryError: Java heap space\n", "give the driver and the executors more memory"),
        ("ModuleNotFoundError: No module named 'duckdb'", "the workers need the same packages"),
        ("[SOMETHING_ELSE] it says\nmore", "[SOMETHING_ELSE] it says"),
        ("", "no reason"),
    ],
)
def test_the_informative_line_of_an_error_is_reported_with_advice(text: str, message: str) -> None:
    assert message in find_reason(text)
    assert "\n" not in find_reason(text)


# The dialect


@pytest.fixture
def run_query(spark: SparkSession, tmp_path: Path) -> Callable[[str], list[Row]]:
    """Return a function that runs a query in Redshift's dialect over the three rows that the other engines are tested with."""
    jobs = with_spark_lake(open_lake_load_env("scx", tmp_path), spark)
    compiled = scx_star()
    moved = replace(compiled, star=compiled.star.model_copy(update={"schema_name": SCHEMA}))
    columns = [moved.star.staging_tables[0].column(name) for name in COLUMNS]

    def rows(text: str) -> list[Row]:
        query = compile_select(SqlFile(tmp_path / "x.sql", text), compiled.star)
        with SparkLakeEngine(spark, jobs.load_env.limits).open(SCHEMA, jobs.store) as session:
            frame = spark.createDataFrame(ROWS, session.struct_type(columns))  # type: ignore[attr-defined]
            frame.createOrReplaceGlobalTempView("staging_cleansed_logs")
            return session.rows(
                generate_sql(query, moved.star, moved.stored_table, CAPABILITIES, UNPARTITIONED)
            )

    return rows


def test_values_equal_those_of_redshift(run_query: Callable[[str], list[Row]]) -> None:
    def select_list(values: Mapping[str, Any]) -> str:
        return ", ".join(f"{value} AS value_{number}" for number, value in enumerate(values))

    [row] = run_query(f"SELECT {select_list(OF_ALL_ROWS)} FROM staging_cleansed_logs")
    assert dict(zip(OF_ALL_ROWS, row, strict=True)) == OF_ALL_ROWS
    rows = run_query(f"SELECT {select_list(BY_ROW)} FROM staging_cleansed_logs ORDER BY job_id")
    found = {value: list(column) for value, column in zip(BY_ROW, zip(*rows, strict=True), strict=True)}
    assert found == BY_ROW


def test_an_error_that_spark_did_not_raise_is_not_translated(spark: SparkSession, jobs: SparkLoadEnv) -> None:
    engine = SparkLakeEngine(spark, jobs.load_env.limits)
    with pytest.raises(PipelineError, match="^mine$"), engine.open(SCHEMA, jobs.store):
        raise PipelineError("mine")
