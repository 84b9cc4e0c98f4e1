"""Sensor readings on PostgreSQL, and other connections to it.

Helpers of the tests in this folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
from psycopg2.extensions import connection

from scx_pipeline_tests.support.sensor_env import SensorEnv, readings


@contextmanager
def open_connection(load_env: SensorEnv) -> Iterator[connection]:
    """Open another connection."""
    with closing(psycopg2.connect(load_env.warehouse_url)) as con:
        yield con


def count_readings(con: connection) -> int:
    with con.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM dwh.data_sample")
        [(count,)] = cursor.fetchall()
    return int(count)


def put(load_env: SensorEnv, month: str, *serials: str) -> None:
    load_env.put_minute(f"{month}-01 00:00", readings(f"{month}-01", serials))
