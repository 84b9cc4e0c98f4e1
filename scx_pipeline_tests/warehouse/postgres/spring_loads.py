"""Objects of March to May, and settings of the server.

Helpers of the tests in this folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scx_pipeline_tests.support.load_env import APRIL, MARCH, MAY, LoadEnv, create_load_env, job
from scx_pipeline_tests.support.sensor_env import SensorEnv, readings
from scx_pipeline_tests.support.servers.postgres import PostgresServer

# Each of these role settings would change what a load does, if the load did not set it.
HOSTILE = {
    "client_encoding": "LATIN1",
    "DateStyle": "German, DMY",
    "TimeZone": "Asia/Seoul",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "search_path": "nowhere, pg_catalog",
    "statement_timeout": "10s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "transaction_timeout": "10s",
    "exit_on_error": "on",
}
TEXTS = ("Brücke", "한국어", "\N{GRINNING FACE} a\\b'c", "Ελλάς")


def put_spring(load_env: LoadEnv) -> None:
    """Put objects of March to May, with texts that no single-byte encoding can store."""
    for number, month in enumerate((MARCH, APRIL, MAY), 3):
        rows = [
            job(number * 10 + n, f"{month}-05 10:00:00", user_id=n + 1, project_name=text)
            for n, text in enumerate(TEXTS)
        ]
        load_env.put(f"2021/0{number}/a.csv", rows)


@contextmanager
def alter_settings(server: PostgresServer, where: str, settings: dict[str, str]) -> Iterator[None]:
    """Alter the settings of the role or the database `dev` within the block."""
    with server.superuser() as run:
        for name, value in settings.items():
            text = value if name == "search_path" else f"'{value}'"
            run.execute(f"ALTER {where} SET {name} = {text}")
    try:
        yield
    finally:
        with server.superuser() as run:
            run.execute(f"ALTER {where} RESET ALL")


def sensors_in(folder: Path, url: str) -> SensorEnv:
    """Return two minutes of readings, whose table has a partition per month."""
    load_env = SensorEnv(create_load_env(folder / "sensors").bucket_url, url)
    for minute in ("2023-01-01 00:00", "2023-02-01 00:01"):
        load_env.put_minute(minute, readings(minute))
    return load_env


def raise_sqlstate(state: str, message: str = "failed") -> str:
    """Return a statement that fails with this SQLSTATE."""
    return f"DO $$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = '{state}'; END $$"
