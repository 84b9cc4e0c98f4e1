"""Tables without a key on PostgreSQL: each month is a partition, built and swapped in at the end of a load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pyarrow as pa
import pytest

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import CheckFailedError, WarehouseError
from scx_pipeline.samples.sensor_readings.sensor_readings_bucket import SensorOptions, generate
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.postgres.staging_buffers import StreamingStagingBuffer
from scx_pipeline_tests.support.load_env import range_of_keys
from scx_pipeline_tests.support.sensor_env import FEBRUARY, JANUARY, SensorEnv, readings
from scx_pipeline_tests.support.servers.postgres import PostgresServer
from scx_pipeline_tests.support.stars import StarCopy
from scx_pipeline_tests.warehouse.postgres.january_readings import count_readings, open_connection, put

pytestmark = pytest.mark.postgres


PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'dwh.data_sample'::regclass ORDER BY 1"


SIZE = (
    "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits"
    " WHERE inhparent = 'dwh.data_sample'::regclass"
)


def test_each_month_is_a_partition(sensor_env: SensorEnv) -> None:
    put(sensor_env, JANUARY, "s1", "s2")
    put(sensor_env, FEBRUARY, "s3")
    sensor_env.loader().load(range_of_keys(JANUARY, FEBRUARY))
    assert sensor_env.rows(PARTITIONS) == [("dwh.data_sample_2023_01",), ("dwh.data_sample_2023_02",)]
    assert sensor_env.rows("SELECT sensor_serial FROM dwh.data_sample_2023_02") == [("s3",)]


def test_a_reload_of_a_month_leaves_the_others_as_they_are(sensor_env: SensorEnv) -> None:
    put(sensor_env, JANUARY, "s1")
    put(sensor_env, FEBRUARY, "s2")
    sensor_env.loader().load(range_of_keys(JANUARY, FEBRUARY))
    other = "SELECT oid, relfilenode FROM pg_class WHERE relname = 'data_sample_2023_02'"
    before = sensor_env.rows(other)
    put(sensor_env, JANUARY, "s3", "s4")
    sensor_env.january()
    assert sensor_env.rows(other) == before
    assert [row[1] for row in sensor_env.readings()] == ["s2", "s3", "s4"]


def test_a_month_without_files_has_no_partition(sensor_env: SensorEnv) -> None:
    put(sensor_env, JANUARY, "s1")
    put(sensor_env, FEBRUARY, "s2")
    sensor_env.loader().load(range_of_keys(JANUARY, FEBRUARY))
    sensor_env.delete_key("data_sample/2023-01-01 00:00:00.parquet")
    sensor_env.load_changed()
    assert sensor_env.rows(PARTITIONS) == [("dwh.data_sample_2023_02",)]
    counts = sensor_env.state("month_rows", "month, row_count, table_name")
    tables = [table.name for table in sensor_env.compiled.star.tables]
    assert set(counts) == {
        (month, rows, name) for month, rows in (("2023-01", 0), ("2023-02", 1)) for name in tables
    }


def test_reloads_do_not_bloat_the_table(sensor_env: SensorEnv) -> None:
    generate(SensorOptions("2023-01-01 00:00", files=30, rows=200), sensor_env.bucket.store)
    sensor_env.january()
    [(once,)] = sensor_env.rows(SIZE)
    for _ in range(3):
        sensor_env.january()
    [(after,)] = sensor_env.rows(SIZE)
    assert after <= 1.05 * once
    assert len(sensor_env.readings()) == 6000


def test_the_planner_knows_the_row_count_of_the_partitioned_table(sensor_env: SensorEnv) -> None:
    put(sensor_env, JANUARY, *"abcdefgh")
    put(sensor_env, FEBRUARY, *"ijkl")
    sensor_env.loader().load(range_of_keys(JANUARY, FEBRUARY))
    assert sensor_env.rows("SELECT reltuples::int FROM pg_class WHERE oid = 'dwh.data_sample'::regclass") == [
        (12,)
    ]


def test_an_owners_grants_and_indexes_survive_a_reload(
    sensor_env: SensorEnv, postgres: PostgresServer
) -> None:
    put(sensor_env, JANUARY, "s1")
    sensor_env.january()
    postgres.create_role("auditor")
    with postgres.superuser("dev") as run:
        run.execute("GRANT CONNECT ON DATABASE dev TO auditor")
        run.execute("GRANT USAGE ON SCHEMA dwh TO auditor")
    with open_connection(sensor_env) as con, con, con.cursor() as cursor:
        cursor.execute("GRANT SELECT ON dwh.data_sample TO auditor")
        cursor.execute("CREATE INDEX ON dwh.data_sample (sensor_serial)")
    put(sensor_env, JANUARY, "s2")
    sensor_env.january()
    indexed = "SELECT indexdef FROM pg_indexes WHERE tablename = 'data_sample_2023_01'"
    assert "(sensor_serial)" in sensor_env.rows(indexed)[0][0]
    with closing(psycopg2.connect(postgres.url("dev", "auditor"))) as con:
        assert count_readings(con) == 1


def test_a_failed_load_leaves_no_table(sensor_env: SensorEnv) -> None:
    put(sensor_env, JANUARY, "s1")
    sensor_env.january()
    before = sensor_env.tables()
    nulls = pa.nulls(3, pa.string())
    sensor_env.put_minute("2023-01-01 00:01", readings("2023-01-01 00:01", "abc", sensor_serial=nulls))
    with pytest.raises(CheckFailedError):
        sensor_env.january()
    assert sensor_env.tables() == before
    assert len(sensor_env.readings()) == 1


@contextmanager
def at_the_third_batch(act: Callable[[], None]) -> Iterator[None]:
    """Call a function after two batches were sent."""
    flush, numbers = StreamingStagingBuffer.flush, iter(range(1, 100))

    def act_and_flush(buffer: StreamingStagingBuffer) -> None:
        if next(numbers) == 3:
            act()
        flush(buffer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamingStagingBuffer, "flush", act_and_flush)
        yield


@pytest.fixture
def by_file(sensor_env: SensorEnv) -> SensorEnv:
    """Provide January with five files, read one at a time, of which three were loaded."""
    generate(SensorOptions("2023-01-01 00:00", files=3, rows=5_000), sensor_env.bucket.store)
    sensor_env.january()
    generate(SensorOptions("2023-01-02 00:00", files=2, rows=5_000), sensor_env.bucket.store)
    sensor_env.limits = Limits(batch_files=1)
    return sensor_env


def test_an_interrupted_load_leaves_the_month_unchanged(by_file: SensorEnv) -> None:
    before, tables = by_file.snapshot(), by_file.tables()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with at_the_third_batch(interrupt), pytest.raises(KeyboardInterrupt):
        by_file.january()
    assert (by_file.snapshot(), by_file.tables()) == (before, tables)
    by_file.january()
    assert len(by_file.readings()) == 25_000


def test_a_connection_cut_during_a_load_changes_nothing(by_file: SensorEnv, postgres: PostgresServer) -> None:
    before = by_file.snapshot()

    def cut() -> None:
        with postgres.superuser() as run:
            run.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'dev'")

    with at_the_third_batch(cut), pytest.raises(WarehouseError, match="nothing was changed"):
        by_file.january()
    assert by_file.snapshot() == before
    by_file.january()
    assert len(by_file.readings()) == 25_000


@pytest.mark.parametrize("files", [1, 2, 3, 100])
def test_the_number_of_files_per_batch_changes_nothing(by_file: SensorEnv, files: int) -> None:
    by_file.limits = Limits(batch_files=files)
    by_file.january()
    assert len(by_file.readings()) == 25_000
    assert by_file.state("months", "month") == [("2023-01",)]


def test_a_table_without_partitions_is_rebuilt_by_a_load_of_all_months(sensor_env: SensorEnv) -> None:
    put(sensor_env, JANUARY, "s1")
    put(sensor_env, FEBRUARY, "s2")
    sensor_env.loader().load(range_of_keys(JANUARY, FEBRUARY))
    with open_connection(sensor_env) as con, con, con.cursor() as cursor:
        cursor.execute("CREATE TABLE dwh.copied AS TABLE dwh.data_sample")
        cursor.execute("DROP TABLE dwh.data_sample")
        cursor.execute("ALTER TABLE dwh.copied RENAME TO data_sample")
    with pytest.raises(
        WarehouseError, match="\\(columns or partitioning\\), so all of sensor_readings must be rebuilt"
    ):
        sensor_env.january()
    sensor_env.loader().load(range_of_keys(JANUARY, FEBRUARY))
    assert sensor_env.rows(PARTITIONS) == [("dwh.data_sample_2023_01",), ("dwh.data_sample_2023_02",)]
    assert len(sensor_env.readings()) == 2


FACT = """
    - name: seen
      role: fact
      description: The readings of a sensor, one row each.
      event_time: create_at
      columns:
        - {name: sensor_serial, type: varchar(64), nullable: false, description: The sensor.}
        - {name: create_at, type: timestamp, nullable: false, description: When.}

  queries:"""
FACT_SQL = "SELECT sensor_serial, create_at FROM data_sample"


def test_a_fact_without_a_key_and_its_source_are_partitioned(sensor_env: SensorEnv, tmp_path: Path) -> None:
    sensor_env.compiled = _with_fact(tmp_path)
    put(sensor_env, JANUARY, "s1", "s1")
    put(sensor_env, FEBRUARY, "s2")
    sensor_env.loader().load(range_of_keys(JANUARY, FEBRUARY))
    put(sensor_env, JANUARY, "s1", "s1", "s3")
    sensor_env.january()
    for table in ("data_sample", "seen"):
        serials = sensor_env.rows(f"SELECT sensor_serial FROM dwh.{table} ORDER BY 1")
        assert serials == [("s1",), ("s1",), ("s2",), ("s3",)]
        months = sensor_env.rows(PARTITIONS.replace("data_sample", table))
        assert months == [(f"dwh.{table}_2023_01",), (f"dwh.{table}_2023_02",)]


def test_a_fact_without_a_key_is_rebuilt_from_the_existing_rows(
    sensor_env: SensorEnv, tmp_path: Path
) -> None:
    sensor_env.compiled = _with_fact(tmp_path)
    put(sensor_env, JANUARY, "s1")
    put(sensor_env, FEBRUARY, "s2")
    scope = range_of_keys(JANUARY, FEBRUARY)
    sensor_env.loader().load(scope)
    with open_connection(sensor_env) as con, con, con.cursor() as cursor:
        cursor.execute("DELETE FROM dwh.seen")
    sensor_env.loader().load(scope, {"seen"})
    assert sensor_env.rows("SELECT sensor_serial FROM dwh.seen ORDER BY 1") == [("s1",), ("s2",)]


def _with_fact(folder: Path) -> CompiledStar:
    copy = StarCopy.of("sensor_readings", folder)
    copy.replace("\n  queries:", FACT)
    copy.write("sql/seen.sql", FACT_SQL)
    return copy.load()
