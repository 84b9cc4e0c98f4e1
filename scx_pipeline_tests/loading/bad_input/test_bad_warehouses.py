"""Warehouses that do not answer, cannot be written or have too little memory: each is named, and no password is shown.

Errors that only Redshift has are not tested here.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline_tests.loading.bad_input.refusals import LARGE_FILE, assert_load_refused
from scx_pipeline_tests.support.load_env import MARCH, LoadEnv, job
from scx_pipeline_tests.support.servers.ports import free_ports
from scx_pipeline_tests.support.servers.postgres import PostgresServer


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    return url.replace(
        parts.netloc, f"{parts.username}:{quote(password, safe='')}@{parts.hostname}:{parts.port}"
    )


def test_an_unresponsive_postgres_is_named(duckdb_env: LoadEnv) -> None:
    port = free_ports(1)[0]
    duckdb_env.warehouse_url = f"postgresql://scx:s3cr%40t@127.0.0.1:{port}/dev"
    with pytest.raises(WarehouseError) as caught:
        duckdb_env.load(MARCH)
    assert f"cannot connect to postgresql://127.0.0.1:{port}/dev" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "s3cr" not in str(caught.value)


def test_a_wrong_password_is_reported_without_the_password(postgres_env: LoadEnv) -> None:
    postgres_env.warehouse_url = with_password(postgres_env.warehouse_url, "wr0ng@:/")
    for attempt in (lambda: postgres_env.load(MARCH), postgres_env.plan):
        with pytest.raises(WarehouseError, match="password authentication failed") as caught:
            attempt()
        assert "wr0ng" not in f"{caught.value}{caught.value.__cause__}"


def test_a_missing_database_is_named(postgres_env: LoadEnv) -> None:
    postgres_env.warehouse_url = postgres_env.warehouse_url.replace("/dev", "/nowhere")
    with pytest.raises(WarehouseError, match='/nowhere: .*database "nowhere" does not exist'):
        postgres_env.load(MARCH)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://scx:s3cr@t:/x%zz@127.0.0.1:5432/dev",
        "postgresql://scx:s3cret%zz@127.0.0.1:5432/dev",
        "postgresql://scx:s3cret@127.0.0.1:port/dev",
        "postgresql://scx:s3cret@127.0.0.1:99999/dev",
        "postgresql://scx:s3cret#x@127.0.0.1/dev",
        "postgresql://scx:s3cret?x@127.0.0.1/dev",
        "postgresql://scx:s3cret@[::1/dev",
        "postgresql://scx:s3cret@/dev",
        "postgresql://scx:s3cret@127.0.0.1",
        "mysql://scx:s3cret@127.0.0.1/dev",
        "scx:s3cret@127.0.0.1/dev",
        "duckdb://relative.duckdb",
    ],
)
def test_a_malformed_warehouse_url_is_reported_without_its_password(url: str, duckdb_env: LoadEnv) -> None:
    duckdb_env.warehouse_url = url
    with pytest.raises(WarehouseError, match="SCX_WAREHOUSE_URL .*: use ") as caught:
        duckdb_env.load(MARCH)
    assert "s3cr" not in str(caught.value)


def test_a_read_only_database_is_named(postgres_env: LoadEnv, postgres: PostgresServer) -> None:
    postgres_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    postgres_env.load(MARCH)
    with postgres.superuser() as run:
        run.execute("ALTER DATABASE dev SET default_transaction_read_only = on")
    postgres_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    assert_load_refused(
        postgres_env,
        WarehouseError,
        "postgresql://127.0.0.1:",
        "read-only transaction",
        "nothing was changed",
    )


def test_a_read_only_role_is_reported(postgres_env: LoadEnv, postgres: PostgresServer) -> None:
    postgres_env.put("2021/03/a.csv", [job(1, "2021-03-05 10:00:00")])
    postgres_env.load(MARCH)
    postgres.create_role("reader")
    with postgres.superuser("dev") as run:
        run.execute("GRANT CONNECT, TEMPORARY ON DATABASE dev TO reader")
        for schema in ("public", "scx_pipeline"):
            run.execute(f"GRANT USAGE ON SCHEMA {schema} TO reader")
            run.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader")
    postgres_env.warehouse_url = postgres.url("dev", "reader")
    postgres_env.put("2021/04/a.csv", [job(2, "2021-04-05 10:00:00")])
    assert_load_refused(
        postgres_env, WarehouseError, "postgresql://127.0.0.1:", "permission denied", "nothing was changed"
    )


def test_too_little_memory_is_reported_with_its_setting(march: LoadEnv) -> None:
    march.put_raw(
        "2021/04/a.csv", LARGE_FILE + b"not a job\n"
    )  # which every warehouse leaves to the pipeline to read
    march.limits = Limits(memory="6MB", threads=2, lock_timeout=5)
    assert_load_refused(march, WarehouseError, "Out of Memory", "raise SCX_MEMORY_LIMIT (6MB)")


@pytest.mark.parametrize("kind", ["folder", "text", "below a file"])
def test_a_file_that_is_not_a_duckdb_database_is_named(
    kind: str, duckdb_env: LoadEnv, tmp_path: Path
) -> None:
    path = tmp_path / "other.duckdb"
    if kind == "folder":
        path.mkdir()
    else:
        path.write_text("no database, but a text\n" * 500)
    path = path / "dev.duckdb" if kind == "below a file" else path
    duckdb_env.warehouse_url = f"duckdb://{path}"
    with pytest.raises(WarehouseError, match=str(path)):
        duckdb_env.load(MARCH)
    if kind != "below a file":
        with pytest.raises(WarehouseError, match=str(path)):
            duckdb_env.plan()


def test_an_unwritable_duckdb_file_is_named(duckdb_env: LoadEnv, read_only_folder: Path) -> None:
    duckdb_env.warehouse_url = f"duckdb://{read_only_folder}/dev.duckdb"
    with pytest.raises(WarehouseError, match=f"{read_only_folder}/dev.duckdb"):
        duckdb_env.load(MARCH)


@pytest.fixture
def read_only_folder() -> Path:
    """A folder in which no user, not even root, can create a file."""
    return Path("/proc/self")


def test_an_empty_warehouse_says_how_to_fill_it(load_env: LoadEnv) -> None:
    with pytest.raises(WarehouseError, match="is empty: run `scx load`"), load_env.open_loaded():
        pass


def test_no_connection_is_opened_before_it_is_needed() -> None:
    open_warehouse("postgresql://scx:secret@127.0.0.1:1/dev", Limits())
    open_warehouse("duckdb:///nowhere/at/all/dev.duckdb", Limits())
