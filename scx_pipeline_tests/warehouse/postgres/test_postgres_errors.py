"""URLs and errors of PostgreSQL: one line with advice, and no password.

A failed load changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

from scx_pipeline.errors import WarehouseBusyError, WarehouseError
from scx_pipeline.warehouse.postgres import postgres_warehouse as engine
from scx_pipeline_tests.support.load_env import APRIL, LIMITS, MARCH, LoadEnv, jobs_of
from scx_pipeline_tests.support.servers.postgres import LOADER, PostgresServer
from scx_pipeline_tests.support.servers.proxy import proxy
from scx_pipeline_tests.warehouse.postgres.spring_loads import raise_sqlstate


def test_a_load_by_a_socket_succeeds(spring: LoadEnv, postgres: PostgresServer, tmp_path: Path) -> None:
    folder = Path("/tmp") / f"scx-{postgres.pid}"  # the path of a socket may have some hundred characters
    folder.mkdir()
    parts = urlsplit(spring.warehouse_url)
    url = f"postgresql://{parts.username}:{parts.password}@/dev?host={folder}"
    try:
        with proxy(postgres.port, folder / ".s.PGSQL.5432"):
            load_env = LoadEnv(spring.bucket_url, url)
            load_env.load(MARCH)
            assert jobs_of(load_env) == [30, 31, 32, 33]
            assert load_env.warehouse.url == f"postgresql:///dev?host={folder}&port=5432"
    finally:
        (folder / ".s.PGSQL.5432").unlink(missing_ok=True)
        folder.rmdir()


@pytest.mark.parametrize(
    ("url", "match"),
    [
        (
            "postgresql://u:se:cret@a:5432,b:5432/dev",
            "names several hosts: use only the one that accepts writes",
        ),
        ("postgresql://u:pass@se,cret@127.0.0.1:1/dev", "cannot be read"),
        ("postgresql://u:pass@secret@127.0.0.1:1/dev", "cannot be read"),
        ("postgresql://u:secret@/dev", "names no host"),
    ],
)
def test_an_invalid_url_is_rejected_without_its_password(url: str, match: str) -> None:
    with pytest.raises(WarehouseError, match=match) as caught:
        engine.open_url(url, LIMITS, print).open_if_loaded().__enter__()
    assert "\n" not in str(caught.value)
    assert "cret" not in str(caught.value)


def error_in_load(load_env: LoadEnv, *statements: str) -> str:
    """Return the one-line error of statements in a load."""
    with pytest.raises(WarehouseError) as caught, load_env.warehouse.transaction("scx") as session:
        for statement in statements:
            session.execute(statement)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; nothing was changed")
    return str(caught.value)


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("53100", "free space on the server's disk"),
        ("53200", "too little memory"),
        ("22001", "a text is longer than its column"),
        ("25P03", "ends idle transactions"),
        ("25P04", "ends long transactions"),
        ("57014", "the role's statement_timeout"),
        ("2BP01", "drop it, and create it again"),
        ("57P01", "an administrator ended the session"),
        ("42P01", "dropped or renamed"),
        ("42601", "SQLSTATE 42601"),
        ("XX000", "SQLSTATE XX000"),
        ("22P02", "SQLSTATE 22P02"),
        ("0A000", "SQLSTATE 0A000"),
    ],
)
def test_an_error_of_the_server_is_one_line_with_advice_or_its_sqlstate(
    state: str, advice: str, postgres_env: LoadEnv
) -> None:
    assert advice in error_in_load(postgres_env, raise_sqlstate(state))


def test_a_text_that_is_not_unicode_is_one_line(postgres_env: LoadEnv) -> None:
    with (
        pytest.raises(WarehouseError, match=r"b\\udcff.csv' is not Unicode text") as caught,
        postgres_env.warehouse.transaction("scx") as session,
    ):
        session.rows("SELECT %s", ["a/b\udcff.csv"])
    assert "\n" not in str(caught.value)


def test_a_server_without_free_connections_is_one_line(
    postgres_env: LoadEnv, postgres: PostgresServer
) -> None:
    with (
        limit_connections(postgres, 1),
        closing(psycopg2.connect(postgres_env.warehouse_url)),
        pytest.raises(WarehouseError, match="too many connections.*max_connections") as caught,
    ):
        postgres_env.plan()
    assert "\n" not in str(caught.value)


@contextmanager
def limit_connections(server: PostgresServer, connections: int) -> Iterator[None]:
    with server.superuser() as run:
        run.execute(f"ALTER ROLE {LOADER} CONNECTION LIMIT {connections}")
    try:
        yield
    finally:
        with server.superuser() as run:
            run.execute(f"ALTER ROLE {LOADER} CONNECTION LIMIT -1")


def test_a_load_waits_for_a_lock_up_to_the_lock_timeout(spring: LoadEnv, postgres: PostgresServer) -> None:
    spring.load(MARCH)
    spring.limits = replace(LIMITS, lock_timeout=0.2)
    with postgres.superuser("dev") as run:
        run.execute("BEGIN")
        run.execute("LOCK TABLE public.users")
        with pytest.raises(WarehouseBusyError, match=r"waited 0.2 s \(SCX_LOCK_TIMEOUT\)") as caught:
            spring.load(APRIL)
        run.execute("ROLLBACK")
    assert "\n" not in str(caught.value)
