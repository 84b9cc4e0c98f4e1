"""Unloads from PostgreSQL, whose rows this process writes: all of them arrive, and a failure on either side ends both.

What every engine does in the same way is not tested here.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import psycopg2
import pytest

from scx_pipeline.errors import LakeError, WarehouseError
from scx_pipeline.lake.format.layout import MONTH, YEAR
from scx_pipeline.model.column import Column
from scx_pipeline.warehouse.parquet_files import Unload
from scx_pipeline.warehouse.postgres.postgres_session import PostgresSession
from scx_pipeline_tests.lake.build.months_to_unload import load_months
from scx_pipeline_tests.support.lake.lake_env import Lake, lake_url
from scx_pipeline_tests.support.load_env import LoadEnv


def test_a_closed_connection_is_reported_in_one_line(postgres_env: LoadEnv, tmp_path: Path) -> None:
    load_months(postgres_env)

    def broken(message: str) -> None:
        if message == "time":
            with psycopg2.connect(postgres_env.warehouse_url) as con, con.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'scx_pipeline' AND pid <> pg_backend_pid()"
                )

    lake = Lake(lake_url("", tmp_path), postgres_env, tmp_path)
    with pytest.raises(WarehouseError, match=r"terminating connection|closed") as caught:
        lake.unload(progress=broken)
    assert "\n" not in str(caught.value)
    assert lake.keys() == []


def test_a_failing_select_is_reported_with_the_error_of_the_server(
    postgres_env: LoadEnv, tmp_path: Path
) -> None:
    load_months(postgres_env)
    request = Unload(
        "SELECT 1 / (5000 - i) AS a FROM generate_series(1, 9000) AS r(i)",
        (Column(name="a", type="integer", description="x"),), (), f"{(tmp_path / 'out').as_uri()}/",
    )  # fmt: skip
    with (
        pytest.raises(WarehouseError, match=r"division by zero \(SQLSTATE 22012\)"),
        postgres_env.open_loaded() as session,
    ):
        assert isinstance(session, PostgresSession)
        session.unload(request)


MANY = (
    "SELECT i AS a, repeat(md5(i::text), 4) AS b, 2000 + i % 20 AS year, 1 + i % 12 AS month"
    " FROM generate_series(1, 400000) AS r(i)"
)
MANY_COLUMNS = (
    Column(name="a", type="integer", description="x"),
    Column(name="b", type="varchar(200)", description="x"),
)


@pytest.mark.parametrize("kind", ["varchar(200)", "boolean"])
def test_files_that_cannot_be_written_cancel_the_select(
    postgres_env: LoadEnv, tmp_path: Path, kind: str
) -> None:
    """The folder cannot be created, or values are not of the type that they are read as."""
    load_months(postgres_env)
    (tmp_path / "file").write_text("in the way")
    columns = (MANY_COLUMNS[0], MANY_COLUMNS[1].model_copy(update={"type": kind}))
    url = f"{(tmp_path / ('file' if kind == 'varchar(200)' else 'out')).as_uri()}/x/"
    with (
        postgres_env.open_loaded() as session,
        pytest.raises(LakeError, match=r"cannot write file:///") as caught,
    ):
        session.unload(Unload(MANY, columns, (YEAR, MONTH), url))
    assert "\n" not in str(caught.value)


def test_all_rows_of_postgres_are_written(postgres_env: LoadEnv, tmp_path: Path) -> None:
    load_months(postgres_env)
    url = f"{(tmp_path / 'out').as_uri()}/"
    with postgres_env.open_loaded() as session:
        assert session.unload(Unload(MANY, MANY_COLUMNS, (YEAR, MONTH), url)) == 400_000
    files = [str(path) for path in (tmp_path / "out").rglob("*.parquet")]
    with duckdb.connect() as con:
        found = con.execute(
            "SELECT count(*), sum(a), count(DISTINCT (year, month)) FROM read_parquet($1)", [files]
        )
        assert found.fetchone() == (400_000, 400_000 * 400_001 // 2, len(files))
