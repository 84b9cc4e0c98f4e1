"""Tables without a key on PostgreSQL: each month a partition, made aside and swapped in at the end of a load.
What is in the rows, on every engine, is tested in test_parquet.py and test_sensor_purity.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import psycopg2
import pyarrow as pa
import pytest
from psycopg2.extensions import connection

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import CheckFailedError, WarehouseError
from scx_pipeline.samples.sensor_readings.sensor_readings_bucket import SensorOptions, generate
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.postgres import partitions
from scx_pipeline.warehouse.postgres.staging_buffers import StreamingStagingBuffer
from scx_pipeline_tests.support.load_env import range_of_keys
from scx_pipeline_tests.support.sensor_env import FEBRUARY, JANUARY, SensorWorld, readings, sensor_world
from scx_pipeline_tests.support.servers.postgres import PostgresServer
from scx_pipeline_tests.support.stars import StarCopy

pytestmark = pytest.mark.postgres
PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'dwh.data_sample'::regclass ORDER BY 1"
SIZE = (
    "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits"
    " WHERE inhparent = 'dwh.data_sample'::regclass"
)


@pytest.fixture
def sensors(tmp_path: Path, postgres: PostgresServer) -> SensorWorld:
    """A local bucket and an empty PostgreSQL database."""
    return sensor_world(tmp_path, postgres.fresh_dev())


@contextmanager
def another(world: SensorWorld) -> Iterator[connection]:
    """Somebody else's connection."""
    with closing(psycopg2.connect(world.warehouse_url)) as con:
        yield con


def counted(con: connection) -> int:
    with con.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM dwh.data_sample")
        [(count,)] = cursor.fetchall()
    return int(count)


def put(world: SensorWorld, month: str, *serials: str) -> None:
    world.put_minute(f"{month}-01 00:00", readings(f"{month}-01", serials))


# ------------------------------------------------------------------ months


def test_each_month_is_a_partition(sensors: SensorWorld) -> None:
    put(sensors, JANUARY, "s1", "s2")
    put(sensors, FEBRUARY, "s3")
    sensors.loader().load(range_of_keys(JANUARY, FEBRUARY))
    assert sensors.rows(PARTITIONS) == [("dwh.data_sample_2023_01",), ("dwh.data_sample_2023_02",)]
    assert sensors.rows("SELECT sensor_serial FROM dwh.data_sample_2023_02") == [("s3",)]


def test_a_reload_of_a_month_leaves_the_others_as_they_are(sensors: SensorWorld) -> None:
    put(sensors, JANUARY, "s1")
    put(sensors, FEBRUARY, "s2")
    sensors.loader().load(range_of_keys(JANUARY, FEBRUARY))
    other = "SELECT oid, relfilenode FROM pg_class WHERE relname = 'data_sample_2023_02'"
    before = sensors.rows(other)
    put(sensors, JANUARY, "s3", "s4")
    sensors.january()
    assert sensors.rows(other) == before
    assert [row[1] for row in sensors.readings()] == ["s2", "s3", "s4"]


def test_a_month_whose_files_are_gone_has_no_partition(sensors: SensorWorld) -> None:
    put(sensors, JANUARY, "s1")
    put(sensors, FEBRUARY, "s2")
    sensors.loader().load(range_of_keys(JANUARY, FEBRUARY))
    sensors.delete_key("data_sample/2023-01-01 00:00:00.parquet")
    sensors.load_changed()
    assert sensors.rows(PARTITIONS) == [("dwh.data_sample_2023_02",)]
    assert sensors.state("month_rows", "month, row_count") == [("2023-01", 0), ("2023-02", 1)]


def test_reloads_do_not_bloat_the_table(sensors: SensorWorld) -> None:
    generate(SensorOptions("2023-01-01 00:00", files=30, rows=200), sensors.bucket.store)
    sensors.january()
    [(once,)] = sensors.rows(SIZE)
    for _ in range(3):
        sensors.january()
    [(after,)] = sensors.rows(SIZE)
    assert after <= 1.05 * once
    assert len(sensors.readings()) == 6000


def test_the_planner_knows_the_whole_table(sensors: SensorWorld) -> None:
    put(sensors, JANUARY, *"abcdefgh")
    put(sensors, FEBRUARY, *"ijkl")
    sensors.loader().load(range_of_keys(JANUARY, FEBRUARY))
    assert sensors.rows("SELECT reltuples::int FROM pg_class WHERE oid = 'dwh.data_sample'::regclass") == [
        (12,)
    ]


def test_what_an_owner_grants_and_indexes_outlives_a_reload(
    sensors: SensorWorld, postgres: PostgresServer
) -> None:
    put(sensors, JANUARY, "s1")
    sensors.january()
    postgres.create_role("auditor")
    with postgres.superuser("dev") as run:
        run.execute("GRANT CONNECT ON DATABASE dev TO auditor")
        run.execute("GRANT USAGE ON SCHEMA dwh TO auditor")
    with another(sensors) as con, con, con.cursor() as cursor:
        cursor.execute("GRANT SELECT ON dwh.data_sample TO auditor")
        cursor.execute("CREATE INDEX ON dwh.data_sample (sensor_serial)")
    put(sensors, JANUARY, "s2")
    sensors.january()
    indexed = "SELECT indexdef FROM pg_indexes WHERE tablename = 'data_sample_2023_01'"
    assert "(sensor_serial)" in sensors.rows(indexed)[0][0]
    with closing(psycopg2.connect(postgres.url("dev", "auditor"))) as con:
        assert counted(con) == 1


def test_a_load_that_is_refused_leaves_no_table_behind(sensors: SensorWorld) -> None:
    put(sensors, JANUARY, "s1")
    sensors.january()
    before = sensors.tables()
    nulls = pa.nulls(3, pa.string())
    sensors.put_minute("2023-01-01 00:01", readings("2023-01-01 00:01", "abc", sensor_serial=nulls))
    with pytest.raises(CheckFailedError):
        sensors.january()
    assert sensors.tables() == before
    assert len(sensors.readings()) == 1


# ------------------------------------------------------------------ loads that are broken off


@contextmanager
def at_the_third_batch(happens: Callable[[], None]) -> Iterator[None]:
    """Something happens when two batches are on their way."""
    flush, count = StreamingStagingBuffer.flush, iter(range(1, 100))

    def flushing(buffer: StreamingStagingBuffer) -> None:
        if next(count) == 3:
            happens()
        flush(buffer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamingStagingBuffer, "flush", flushing)
        yield


@pytest.fixture
def by_file(sensors: SensorWorld) -> SensorWorld:
    """January with five files, read one at a time, and of which three were loaded."""
    generate(SensorOptions("2023-01-01 00:00", files=3, rows=5_000), sensors.bucket.store)
    sensors.january()
    generate(SensorOptions("2023-01-02 00:00", files=2, rows=5_000), sensors.bucket.store)
    sensors.limits = Limits(batch_files=1)
    return sensors


def test_a_load_that_is_interrupted_leaves_the_month_as_it_was(by_file: SensorWorld) -> None:
    before, tables = by_file.snapshot(), by_file.tables()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with at_the_third_batch(interrupt), pytest.raises(KeyboardInterrupt):
        by_file.january()
    assert (by_file.snapshot(), by_file.tables()) == (before, tables)
    by_file.january()
    assert len(by_file.readings()) == 25_000


def test_a_connection_that_is_cut_half_way_changes_nothing(
    by_file: SensorWorld, postgres: PostgresServer
) -> None:
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
def test_how_many_files_are_read_at_a_time_changes_nothing(by_file: SensorWorld, files: int) -> None:
    by_file.limits = Limits(batch_files=files)
    by_file.january()
    assert len(by_file.readings()) == 25_000
    assert by_file.state("months", "month") == [("2023-01",)]


# ------------------------------------------------------------------ readers


def test_a_reader_that_polls_sees_whole_states_only(sensors: SensorWorld) -> None:
    generate(SensorOptions("2023-01-01 00:00", files=40, rows=500), sensors.bucket.store)
    sensors.january()
    seen, done = set[int](), Event()

    def poll() -> None:
        with another(sensors) as con:
            con.autocommit = True
            while not done.is_set():
                seen.add(counted(con))

    thread = Thread(target=poll)
    thread.start()
    try:
        generate(SensorOptions("2023-01-02 00:00", files=20, rows=500), sensors.bucket.store)
        sensors.january()
        sensors.delete_key("data_sample/2023-01-02 00:00:00.parquet")
        sensors.january()
        time.sleep(0.2)
    finally:
        done.set()
        thread.join()
    assert seen <= {20_000, 30_000, 29_500}
    assert {20_000, 29_500} <= seen


def test_readers_see_the_old_month_until_the_commit(
    sensors: SensorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(sensors, JANUARY, "s1")
    sensors.january()
    seen: list[int] = []
    swap = partitions.NewPartitionsTarget.swap

    def looked_at(months: partitions.NewPartitionsTarget) -> None:
        with another(sensors) as con:  # nothing keeps it out yet, although all rows are there
            seen.append(counted(con))
        swap(months)

    monkeypatch.setattr(partitions.NewPartitionsTarget, "swap", looked_at)
    put(sensors, JANUARY, "s2", "s3")
    sensors.january()
    assert seen == [1]
    assert len(sensors.readings()) == 2


def test_a_query_that_reads_is_waited_for_and_others_may_begin_meanwhile(
    sensors: SensorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "POLITE", 0.2)
    put(sensors, JANUARY, "s1")
    sensors.january()
    put(sensors, JANUARY, "s2", "s3")
    with another(sensors) as reader, another(sensors) as newcomer:
        assert counted(reader) == 1  # its transaction stays open
        thread = Thread(target=sensors.january)
        thread.start()
        _wait_until(lambda: bool(sensors.told))
        assert counted(newcomer) == 1
        newcomer.rollback()
        assert thread.is_alive()
        reader.rollback()
        thread.join(20)
    assert set(sensors.told) == {'waiting for queries that read "dwh"."data_sample"'}
    assert len(sensors.readings()) == 2


def test_a_query_that_never_ends_is_named_and_nothing_changes(
    sensors: SensorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "POLITE", 0.1)
    put(sensors, JANUARY, "s1")
    sensors.january()
    before = sensors.snapshot()
    put(sensors, JANUARY, "s2")
    sensors.limits = Limits(lock_timeout=0.5)
    told = (
        r'"dwh"."data_sample" is being read by a query that does not end; waited 0.5 s \(SCX_LOCK_TIMEOUT\)'
    )
    with another(sensors) as reader:
        counted(reader)
        with pytest.raises(WarehouseError, match=told):
            sensors.january()
    assert sensors.snapshot() == before


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_view_on_a_months_partition_keeps_it_and_is_told(sensors: SensorWorld) -> None:
    put(sensors, JANUARY, "s1")
    sensors.january()
    with another(sensors) as con, con, con.cursor() as cursor:
        cursor.execute("CREATE VIEW dwh.mine AS TABLE dwh.data_sample_2023_01")
    before = sensors.snapshot()
    told = "cannot drop table .*data_sample_2023_01 because other objects depend on it .*: drop that, .*; nothing was changed"
    with pytest.raises(WarehouseError, match=told):
        sensors.january()
    assert sensors.snapshot() == before


# ------------------------------------------------------------------ how a table is kept changes


def test_a_table_that_stands_in_one_piece_is_rebuilt_by_a_load_of_all(sensors: SensorWorld) -> None:
    put(sensors, JANUARY, "s1")
    put(sensors, FEBRUARY, "s2")
    sensors.loader().load(range_of_keys(JANUARY, FEBRUARY))
    with another(sensors) as con, con, con.cursor() as cursor:
        cursor.execute("CREATE TABLE dwh.copied AS TABLE dwh.data_sample")
        cursor.execute("DROP TABLE dwh.data_sample")
        cursor.execute("ALTER TABLE dwh.copied RENAME TO data_sample")
    with pytest.raises(
        WarehouseError, match="in its columns or its partitioning, so all of sensor_readings must be rebuilt"
    ):
        sensors.january()
    sensors.loader().load(range_of_keys(JANUARY, FEBRUARY))
    assert sensors.rows(PARTITIONS) == [("dwh.data_sample_2023_01",), ("dwh.data_sample_2023_02",)]
    assert len(sensors.readings()) == 2


# ------------------------------------------------------------------ tables that others are made from

FACT = """
    - name: seen
      role: fact
      description: The readings of a sensor, as often as they are read.
      event_time: create_at
      columns:
        - {name: sensor_serial, type: varchar(64), nullable: false, description: The sensor.}
        - {name: create_at, type: timestamp, nullable: false, description: When.}

  queries:"""
FACT_SQL = "SELECT sensor_serial, create_at FROM data_sample"


def test_a_fact_without_a_key_is_kept_by_partition_and_so_is_what_it_is_made_from(
    sensors: SensorWorld, tmp_path: Path
) -> None:
    sensors.compiled = _with_fact(tmp_path)
    put(sensors, JANUARY, "s1", "s1")
    put(sensors, FEBRUARY, "s2")
    sensors.loader().load(range_of_keys(JANUARY, FEBRUARY))
    put(sensors, JANUARY, "s1", "s1", "s3")
    sensors.january()
    for table in ("data_sample", "seen"):
        serials = sensors.rows(f"SELECT sensor_serial FROM dwh.{table} ORDER BY 1")
        assert serials == [("s1",), ("s1",), ("s2",), ("s3",)]
        months = sensors.rows(PARTITIONS.replace("data_sample", table))
        assert months == [(f"dwh.{table}_2023_01",), (f"dwh.{table}_2023_02",)]


def test_a_fact_without_a_key_is_made_anew_from_the_rows_that_stand(
    sensors: SensorWorld, tmp_path: Path
) -> None:
    sensors.compiled = _with_fact(tmp_path)
    put(sensors, JANUARY, "s1")
    put(sensors, FEBRUARY, "s2")
    span = range_of_keys(JANUARY, FEBRUARY)
    sensors.loader().load(span)
    with another(sensors) as con, con, con.cursor() as cursor:
        cursor.execute("DELETE FROM dwh.seen")
    sensors.loader().load(span, {"seen"})
    assert sensors.rows("SELECT sensor_serial FROM dwh.seen ORDER BY 1") == [("s1",), ("s2",)]


def _with_fact(folder: Path) -> CompiledStar:
    copy = StarCopy.of("sensor_readings", folder)
    copy.replace("\n  queries:", FACT)
    copy.path("sql").mkdir()
    copy.write("sql/seen.sql", FACT_SQL)
    return copy.load()
