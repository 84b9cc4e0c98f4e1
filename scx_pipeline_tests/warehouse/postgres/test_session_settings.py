"""Settings of the role, the database and the environment change no row of a load.

Statement timeouts are tested separately.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.postgres import session_settings
from scx_pipeline_tests.support.load_env import (
    APRIL,
    LIMITS,
    MARCH,
    MAY,
    LoadEnv,
    create_load_env,
    jobs_of,
    range_of_keys,
)
from scx_pipeline_tests.support.sensor_env import SensorEnv
from scx_pipeline_tests.support.servers.postgres import LOADER, PostgresServer
from scx_pipeline_tests.warehouse.postgres.spring_loads import (
    HOSTILE,
    TEXTS,
    alter_settings,
    put_spring,
    sensors_in,
)


@pytest.mark.reader_independent
@pytest.mark.parametrize("where", [f"ROLE {LOADER}", "DATABASE dev", "environment"])
def test_settings_of_the_role_the_database_or_the_environment_change_no_row(
    where: str, spring: LoadEnv, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb_env = LoadEnv(spring.bucket_url, f"duckdb://{tmp_path}/dev.duckdb")
    sensor_env = sensors_in(tmp_path, spring.warehouse_url)
    if where == "environment":
        monkeypatch.setenv(
            "PGOPTIONS", " ".join(f"-c {name}={value.replace(' ', '')}" for name, value in HOSTILE.items())
        )
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
        load_spring_and_january(spring, duckdb_env, sensor_env)
    else:
        with alter_settings(postgres, where, HOSTILE):
            load_spring_and_january(spring, duckdb_env, sensor_env)
    assert {text for (text,) in spring.table("staging_cleansed_logs", "project_name")} == set(TEXTS)


def load_spring_and_january(postgres_env: LoadEnv, duckdb_env: LoadEnv, sensor_env: SensorEnv) -> None:
    for load_env in (postgres_env, duckdb_env):
        load_env.load(MARCH, MAY)
        load_env.load(APRIL)  # while the other months exist
    assert postgres_env.snapshot(load_ids=False) == duckdb_env.snapshot(load_ids=False)
    assert postgres_env.changed() == duckdb_env.changed()
    sensor_env.loader().load(range_of_keys("2023-01", "2023-02"))
    sensor_env.january()
    assert len(sensor_env.readings()) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [("statement_timeout", "0"), ("lock_timeout", "20s"), ("idle_in_transaction_session_timeout", "0"), ("transaction_timeout", "0"),
     ("row_security", "off"), ("search_path", '"$user", public'), ("transaction_isolation", "read committed")],
)  # fmt: skip
def test_a_load_sets_its_own_timeouts_and_isolation(
    name: str, value: str, postgres_env: LoadEnv, postgres: PostgresServer
) -> None:
    role = {"statement_timeout": "5s", "lock_timeout": "5s", "transaction_timeout": "5s", "search_path": "nowhere",
            "idle_in_transaction_session_timeout": "5s", "default_transaction_isolation": "serializable"}  # fmt: skip
    with (
        alter_settings(postgres, f"ROLE {LOADER}", role),
        postgres_env.warehouse.transaction("scx") as session,
    ):
        assert session.rows("SELECT current_setting(%s)", [name]) == [(value,)]


def test_a_reader_keeps_the_roles_statement_timeout_unless_one_is_configured(
    spring: LoadEnv, postgres: PostgresServer
) -> None:
    spring.load(MARCH)
    query = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
    with alter_settings(postgres, f"ROLE {LOADER}", {"statement_timeout": "5s", "lock_timeout": "5s"}):
        assert spring.rows(query) == [("5s", "20s")]
        spring.limits = replace(LIMITS, statement_timeout=7)
        assert spring.rows(query) == [("7s", "20s")]


def test_a_server_that_ends_idle_transactions_does_not_end_a_load(
    spring: LoadEnv, postgres: PostgresServer
) -> None:
    with alter_settings(postgres, f"ROLE {LOADER}", {"idle_in_transaction_session_timeout": "50ms"}):
        spring.loader(lambda message: time.sleep(0.1)).load(range_of_keys(MARCH))
    assert jobs_of(spring) == [30, 31, 32, 33]


def test_rows_that_a_policy_hides_from_the_load_are_an_error(
    spring: LoadEnv, postgres: PostgresServer
) -> None:
    spring.load(MARCH)
    before = spring.snapshot()
    with postgres.superuser("dev") as run:
        run.execute("ALTER TABLE public.users ENABLE ROW LEVEL SECURITY")
        run.execute("ALTER TABLE public.users FORCE ROW LEVEL SECURITY")
        run.execute("CREATE POLICY partly ON public.users USING (user_id = 1)")
    with pytest.raises(WarehouseError, match="row-level security") as caught:
        spring.load(APRIL)
    assert "\n" not in str(caught.value)
    with postgres.superuser("dev") as run:
        run.execute("ALTER TABLE public.users DISABLE ROW LEVEL SECURITY")
    assert spring.snapshot() == before


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding_is_rejected_with_one_line(
    encoding: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    with postgres.superuser() as run:
        run.execute(
            f"CREATE DATABASE texts TEMPLATE template0 ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
        )
    try:
        load_env = create_load_env(tmp_path, postgres.url("texts"))
        put_spring(load_env)
        for attempt in (lambda: load_env.load(MARCH), load_env.plan, load_env.snapshot):
            with pytest.raises(WarehouseError, match=rf"encoding {encoding}, .*ENCODING 'UTF8'") as caught:
                attempt()
            assert "\n" not in str(caught.value)
    finally:
        with postgres.superuser() as run:
            run.execute("DROP DATABASE texts WITH (FORCE)")


def test_every_setting_of_a_session_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "operate.md").read_text("utf-8")
    ours = {**session_settings.of_load(LIMITS), **session_settings.MEMORY, "client_encoding": "UTF8"}
    assert [name for name in ours if f"`{name}`" not in text] == []
