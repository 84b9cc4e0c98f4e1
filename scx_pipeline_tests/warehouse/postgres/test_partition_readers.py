"""Readers of a table on PostgreSQL while its partitions are replaced.

They see committed states only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread

import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline.samples.sensor_readings.sensor_readings_bucket import SensorOptions, generate
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.postgres import partition_targets
from scx_pipeline_tests.support.sensor_env import JANUARY, SensorEnv
from scx_pipeline_tests.warehouse.postgres.january_readings import count_readings, open_connection, put

pytestmark = pytest.mark.postgres


def test_a_polling_reader_sees_only_committed_states(sensor_env: SensorEnv) -> None:
    generate(SensorOptions("2023-01-01 00:00", files=40, rows=500), sensor_env.bucket.store)
    sensor_env.january()
    seen, done = set[int](), Event()

    def poll() -> None:
        with open_connection(sensor_env) as con:
            con.autocommit = True
            while not done.is_set():
                seen.add(count_readings(con))

    thread = Thread(target=poll)
    thread.start()
    try:
        generate(SensorOptions("2023-01-02 00:00", files=20, rows=500), sensor_env.bucket.store)
        sensor_env.january()
        sensor_env.delete_key("data_sample/2023-01-02 00:00:00.parquet")
        sensor_env.january()
        time.sleep(0.2)
    finally:
        done.set()
        thread.join()
    assert seen <= {20_000, 30_000, 29_500}
    assert {20_000, 29_500} <= seen


def test_readers_see_the_old_month_until_the_commit(
    sensor_env: SensorEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(sensor_env, JANUARY, "s1")
    sensor_env.january()
    seen: list[int] = []
    swap = partition_targets.NewPartitionsTarget.swap

    def count_before_swap(months: partition_targets.NewPartitionsTarget) -> None:
        with open_connection(sensor_env) as con:  # it is not locked out yet, although all rows were sent
            seen.append(count_readings(con))
        swap(months)

    monkeypatch.setattr(partition_targets.NewPartitionsTarget, "swap", count_before_swap)
    put(sensor_env, JANUARY, "s2", "s3")
    sensor_env.january()
    assert seen == [1]
    assert len(sensor_env.readings()) == 2


def test_a_load_waits_for_a_reader_and_admits_new_ones(
    sensor_env: SensorEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_targets, "LOCK_ATTEMPT_SECONDS", 0.2)
    put(sensor_env, JANUARY, "s1")
    sensor_env.january()
    put(sensor_env, JANUARY, "s2", "s3")
    with open_connection(sensor_env) as reader, open_connection(sensor_env) as newcomer:
        assert count_readings(reader) == 1  # its transaction stays open
        thread = Thread(target=sensor_env.january)
        thread.start()
        _wait_until(lambda: bool(sensor_env.messages))
        assert count_readings(newcomer) == 1
        newcomer.rollback()
        assert thread.is_alive()
        reader.rollback()
        thread.join(20)
    assert set(sensor_env.messages) == {'waiting for queries that read "dwh"."data_sample"'}
    assert len(sensor_env.readings()) == 2


def test_an_endless_query_is_reported_and_nothing_changes(
    sensor_env: SensorEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_targets, "LOCK_ATTEMPT_SECONDS", 0.1)
    put(sensor_env, JANUARY, "s1")
    sensor_env.january()
    before = sensor_env.snapshot()
    put(sensor_env, JANUARY, "s2")
    sensor_env.limits = Limits(lock_timeout=0.5)
    message = r'"dwh"."data_sample" is still being read by a query after 0.5 s \(SCX_LOCK_TIMEOUT\)'
    with open_connection(sensor_env) as reader:
        count_readings(reader)
        with pytest.raises(WarehouseError, match=message):
            sensor_env.january()
    assert sensor_env.snapshot() == before


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_view_on_a_partition_prevents_its_replacement(sensor_env: SensorEnv) -> None:
    put(sensor_env, JANUARY, "s1")
    sensor_env.january()
    with open_connection(sensor_env) as con, con, con.cursor() as cursor:
        cursor.execute("CREATE VIEW dwh.mine AS TABLE dwh.data_sample_2023_01")
    before = sensor_env.snapshot()
    message = "cannot drop table .*data_sample_2023_01 because other objects depend on it .*: drop it, .*; nothing was changed"
    with pytest.raises(WarehouseError, match=message):
        sensor_env.january()
    assert sensor_env.snapshot() == before
