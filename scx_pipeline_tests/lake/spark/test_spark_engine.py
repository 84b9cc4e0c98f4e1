"""A lake that Spark made is the lake that DuckDB made, and gives the warehouse that the objects give: table by table.
Jobs by spark-submit, and what becomes of a killed one, are in test_jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from scx_pipeline.declarations import compiled_star
from scx_pipeline.errors import CheckFailedError, LakeError, PipelineError, SourceFileError
from scx_pipeline.lake.build.builder import LakeBuilder
from scx_pipeline.lake.format.layout import file_columns, folders_of
from scx_pipeline.lake.format.parquet_reader import schema_of
from scx_pipeline.lake.spark import spark_engine
from scx_pipeline.lake.spark.spark_engine import SCHEMA, SparkLakeEngine, reason_of
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.samples.scx.scx_bucket import ScxLogOptions, generate
from scx_pipeline.warehouse.spark import CAPABILITIES
from scx_pipeline_tests.cases.test_dialects import BY_ROW, COLUMNS, OF_ALL_ROWS, ROWS
from scx_pipeline_tests.support.lake_contents import contents, counts
from scx_pipeline_tests.support.lake_loads import STARS, Loads, open_loads, published, standing
from scx_pipeline_tests.support.load_env import Row, folder_world, in_order, job, scx_star
from scx_pipeline_tests.support.music_env import MusicWorld

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MUSIC = Path(__file__).parents[4] / "shared" / "data" / "music"


@dataclass
class SparkLoads(Loads):
    """As `Loads`, with a lake that Spark builds."""

    spark: SparkSession | None = None

    def builder(self) -> LakeBuilder:
        assert self.spark is not None
        engine = SparkLakeEngine(self.spark, self.world.limits)
        return LakeBuilder(self.world.compiled, self.world.bucket, self.place, engine, lambda message: None)

    def _due_in_lake(self) -> list[LoadScope]:
        """All months that are due at once, and those between: a build takes Spark longer than a month does."""
        months = [month for span in super()._due_in_lake() if span for month in span]
        return [MonthRange(min(months), max(months))] if months else super()._due_in_lake()


def both(loads: Loads, spark: SparkSession) -> SparkLoads:
    """The same bucket with a lake that Spark builds, and a warehouse that is loaded from it."""
    folder = Path(loads.lake.removeprefix("file://")).parent / "spark"
    folder.mkdir()
    kind = type(loads.world)
    world = kind(loads.world.bucket_url, f"duckdb://{folder}/dev.duckdb", loads.world.compiled)
    return SparkLoads(world, (folder / "lake").as_uri(), spark)


def assert_same(made: SparkLoads, loads: Loads) -> None:
    """The lakes hold the same, and a warehouse that is loaded from Spark's what one has that is loaded from the objects."""
    assert made.build()
    loads.build()
    found, wanted = contents(made), contents(loads)
    for name in wanted:
        assert found[name] == wanted[name], name
    assert counts(made) == counts(loads)
    assert made.manifest.shapes == loads.manifest.shapes
    loads.load_raw()
    made.load()
    assert published(standing(made.world)) == published(standing(loads.world))


def assert_files_are_as_declared(made: SparkLoads) -> None:
    """In folders as declared, of the declared columns, in one row group with statistics."""
    place = made.place
    for table in made.world.compiled.star.tables:
        for item in made.manifest.of(table.name):
            assert [part.split("=")[0] for part in item.key.split("/")[1:-1]] == [
                column.name for column in folders_of(table)
            ]
            assert place.folder is not None
            with pq.ParquetFile(place.folder / item.key) as file:
                assert file.schema_arrow.remove_metadata() == schema_of(file_columns(table))
                assert file.metadata.num_row_groups == 1
                group = file.metadata.row_group(0)
                assert all(group.column(index).statistics is not None for index in range(group.num_columns))
                assert group.column(0).compression == "ZSTD"


@pytest.mark.parametrize("star", STARS)
def test_every_table_is_as_duckdb_makes_it_and_as_the_objects_make_it(
    spark: SparkSession, star: str, tmp_path: Path
) -> None:
    loads = open_loads(star, tmp_path)
    made = both(loads, spark)
    for change in STARS[star][1:]:
        change(loads.world)
        assert_same(made, loads)
        assert_files_are_as_declared(made)


def test_generated_logs_with_bad_late_and_doubled_rows_give_the_same(
    spark: SparkSession, tmp_path: Path
) -> None:
    world = folder_world(tmp_path)
    generate(ScxLogOptions("2021-04", 3, 3000, 7, "both", "gzip", 20, 50, 30), world.bucket.store)
    loads = Loads(world, (tmp_path / "lake").as_uri())
    assert_same(both(loads, spark), loads)


@pytest.mark.skipif(
    not MUSIC.is_dir(), reason="needs the public music data, which is not part of the project"
)
def test_the_public_music_data_gives_the_known_numbers_and_the_same_rows(
    spark: SparkSession, tmp_path: Path
) -> None:
    world = MusicWorld(MUSIC.as_uri(), f"duckdb://{tmp_path}/dev.duckdb")
    loads = Loads(world, (tmp_path / "lake").as_uri())
    made = both(loads, spark)
    assert_same(made, loads)
    found = {name: len(rows) for name, rows in contents(made).items() if not name.startswith("_")}
    assert found == {
        "staging_events": 8056, "staging_songs": 71, "songplays": 6820, "users": 96, "songs": 71, "artists": 69, "time": 6813,
    }  # fmt: skip
    assert sum(row[4] is not None for row in contents(made)["songplays"]) == 1


# Files


@pytest.fixture
def jobs(tmp_path: Path, spark: SparkSession) -> SparkLoads:
    """Jobs in March, April and June, and a lake of them that DuckDB has built: it is the same lake."""
    made = both(open_loads("scx", tmp_path), spark)
    STARS["scx"][1](made.world)
    Loads(made.world, made.lake).build()
    return made


def test_a_large_month_is_cut_into_files_by_spark_too(
    jobs: SparkLoads, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(jobs)
    monkeypatch.setattr(spark_engine, "FILE_ROWS", 10)
    jobs.builder().load(MonthRange(Month(2021, 2), Month(2021, 6)))
    assert contents(jobs) == before
    files = [item for item in jobs.manifest.of("staging_cleansed_logs") if item.month == Month(2021, 3)]
    assert len(files) > 1
    assert max(item.rows for item in files) < sum(item.rows for item in files)


def test_spark_itself_reads_what_the_folders_hold(jobs: SparkLoads, spark: SparkSession) -> None:
    assert jobs.place.folder is not None
    for table in jobs.world.compiled.star.tables:
        frame = spark.read.parquet(str(jobs.place.folder / table.name)).select(*table.column_names)
        found = in_order([tuple(row) for row in frame.collect()])
        assert found == contents(jobs)[table.name]


# What goes wrong


def test_a_file_that_cannot_be_read_is_one_line_and_the_lake_is_as_it_was(jobs: SparkLoads) -> None:
    before = contents(jobs)
    jobs.world.put("2021/04/b.csv", b"job_id,job_id\n1,2\n")
    with pytest.raises(SourceFileError, match=r"auto_classify_jobs/2021/04/b.csv.*job_id") as caught:
        jobs.build()
    assert "\n" not in str(caught.value)
    assert contents(jobs) == before


def test_a_check_that_fails_keeps_the_lake_as_it_was_and_tells_every_result(jobs: SparkLoads) -> None:
    before = contents(jobs)
    jobs.world.put("2021/07/a.csv", [job(3, "2021-07-01 10:00:00")])  # a job that stands in March
    with pytest.raises(
        CheckFailedError, match="unique_job_id .*job_id 3 stands in 2021-03 and in 2021-07"
    ) as caught:
        jobs.build()
    assert isinstance(caught.value.report, LoadReport)
    assert contents(jobs) == before


def test_spark_s_own_reason_is_one_line_with_what_to_do(spark: SparkSession, jobs: SparkLoads) -> None:
    engine = SparkLakeEngine(spark, jobs.world.limits)
    with (
        pytest.raises(
            LakeError, match=r"^Spark: \[TABLE_OR_VIEW_NOT_FOUND\].*; nothing was changed$"
        ) as caught,
        engine.open(SCHEMA, jobs.place) as maker,
    ):
        maker.rows("SELECT * FROM nothing_of_ours")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
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
def test_of_many_lines_the_one_that_says_what_happened_is_told(text: str, told: str) -> None:
    assert told in reason_of(text)
    assert "\n" not in reason_of(text)


# The dialect


@pytest.fixture
def asked(spark: SparkSession, tmp_path: Path) -> Callable[[str], list[Row]]:
    """What gives the rows of a query in Redshift's dialect, of the three rows that the other engines are asked about."""
    jobs = both(open_loads("scx", tmp_path), spark)
    compiled = scx_star()
    moved = replace(compiled, star=compiled.star.model_copy(update={"schema_name": SCHEMA}))
    columns = [moved.star.staging[0].column(name) for name in COLUMNS]

    def rows(text: str) -> list[Row]:
        query = compiled_star._compile(compiled_star.SqlFile(tmp_path / "x.sql", text), compiled.star, None)
        with SparkLakeEngine(spark, jobs.world.limits).open(SCHEMA, jobs.place) as maker:
            frame = spark.createDataFrame(ROWS, maker.struct(columns))  # type: ignore[attr-defined]
            frame.createOrReplaceGlobalTempView("staging_cleansed_logs")
            return maker.rows(compiled_star._generate(query, moved, CAPABILITIES, UNPARTITIONED))

    return rows


def test_values_are_redshifts(asked: Callable[[str], list[Row]]) -> None:
    def listed(values: Mapping[str, Any]) -> str:
        return ", ".join(f"{value} AS value_{number}" for number, value in enumerate(values))

    [row] = asked(f"SELECT {listed(OF_ALL_ROWS)} FROM staging_cleansed_logs")
    assert dict(zip(OF_ALL_ROWS, row, strict=True)) == OF_ALL_ROWS
    rows = asked(f"SELECT {listed(BY_ROW)} FROM staging_cleansed_logs ORDER BY job_id")
    found = {value: list(column) for value, column in zip(BY_ROW, zip(*rows, strict=True), strict=True)}
    assert found == BY_ROW


def test_what_is_no_error_of_spark_s_stays_what_it_is(spark: SparkSession, jobs: SparkLoads) -> None:
    engine = SparkLakeEngine(spark, jobs.world.limits)
    with pytest.raises(PipelineError, match="^mine$"), engine.open(SCHEMA, jobs.place):
        raise PipelineError("mine")
