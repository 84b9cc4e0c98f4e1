"""Loads through PgBouncer have the same rows, or fail with one line.

Skipped where PgBouncer is not installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline.maintenance.maintain import maintain
from scx_pipeline.maintenance.retention import RetentionPolicy
from scx_pipeline_tests.support.load_env import APRIL, MARCH, MAY, LoadEnv
from scx_pipeline_tests.support.servers.pgbouncer import pgbouncer, program
from scx_pipeline_tests.support.servers.postgres import LOADER, PostgresServer
from scx_pipeline_tests.warehouse.postgres.spring_loads import HOSTILE, alter_settings, sensors_in


@pytest.fixture
def pooled(postgres: PostgresServer, spring: LoadEnv) -> Iterator[LoadEnv]:
    """Provide loads through a pooler that gives each transaction another connection of the server."""
    if program() is None:
        pytest.skip("needs PgBouncer: apt-get install pgbouncer")
    with pgbouncer(postgres, "dev") as pooler:
        yield LoadEnv(spring.bucket_url, pooler.url("dev"))


def test_loads_through_pgbouncer_in_transaction_mode_give_the_same_rows(
    pooled: LoadEnv, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere")  # which a pooler rejects
    duckdb_env = LoadEnv(pooled.bucket_url, f"duckdb://{tmp_path}/dev.duckdb")
    with alter_settings(postgres, f"ROLE {LOADER}", HOSTILE):
        for load_env in (pooled, duckdb_env):
            for month in (MARCH, APRIL, MAY, APRIL, MARCH):
                load_env.load(month)
        assert pooled.snapshot(load_ids=False) == duckdb_env.snapshot(load_ids=False)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(pooled.load, [MARCH, MAY]))
        assert pooled.snapshot(load_ids=False) == duckdb_env.snapshot(load_ids=False)
        sensor_env = sensors_in(tmp_path, pooled.warehouse_url)
        sensor_env.january()
        sensor_env.january()
        assert len(sensor_env.readings()) == 2
        assert maintain(pooled.compiled, pooled.warehouse, RetentionPolicy()).after is not None
        with pooled.warehouse.open_autocommit("scx") as session:
            for _ in range(4):  # each on another connection
                assert session.rows("SELECT format_type('text'::regtype, -1)") == [("text",)]


def test_loads_through_pgbouncer_leave_its_connections_as_they_were(pooled: LoadEnv) -> None:
    pooled.load(MARCH)
    pooled.plan()
    maintain(pooled.compiled, pooled.warehouse, RetentionPolicy())
    left = set()
    with closing(psycopg2.connect(pooled.warehouse_url)) as con, con.cursor() as cursor:
        con.autocommit = True
        for _ in range(6):
            cursor.execute(
                "SELECT current_setting('lock_timeout'), current_setting('search_path'), current_setting('extra_float_digits'),"
                " (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),"
                " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
            )
            left.add(cursor.fetchone())
    assert left == {("0", '"$user", public', "1", 0, 0)}


def test_a_pooler_in_statement_mode_is_rejected_with_one_line(
    postgres: PostgresServer, spring: LoadEnv
) -> None:
    if program() is None:
        pytest.skip("needs PgBouncer: apt-get install pgbouncer")
    with pgbouncer(postgres, "dev", "statement") as pooler:
        load_env = LoadEnv(spring.bucket_url, pooler.url("dev"))
        with pytest.raises(WarehouseError, match="pool_mode = transaction or session") as caught:
            load_env.load(MARCH)
    assert "\n" not in str(caught.value)
