"""The content of buckets and warehouses in the tests of table ownership: statements of others, months, full builds.

Assertions do not belong here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scx_pipeline_tests.support.load_env import APRIL, MARCH, LoadEnv, filled, job

# Files may have rows of the day before their month, so April is the only month between without any file.
JUNE = "2021-06"


ALL_MONTHS = ["2021-02", MARCH, APRIL, "2021-05", JUNE]


def run(load_env: LoadEnv, *statements: str) -> None:
    """Run statements in the warehouse, as another application does."""
    with load_env.warehouse.transaction("another application") as session:
        session.begin()
        if session.capabilities.name == "duckdb":
            session.create_schema("public")
        for statement in statements:
            session.execute(statement)


def query(load_env: LoadEnv, sql: str) -> list[tuple[Any, ...]]:
    """Return the result of a query, even if nothing was ever loaded."""
    with load_env.warehouse.open_read_only() as session:
        assert session is not None
        return session.rows(sql)


def put_months(load_env: LoadEnv, *months: str) -> None:
    """Put two jobs into each month, of the same two users."""
    for month in months:
        number, day = int(month[-2:]) * 10, f"{month}-05 10:00:00"
        rows = [job(number + user, day, user_id=user, plan_id=number) for user in (1, 2)]
        load_env.put(f"{month[:4]}/{month[5:7]}/a.csv", rows)


def built(load_env: LoadEnv, folder: Path) -> Any:
    """Return the tables of a build from scratch in an empty DuckDB."""
    number = len(list(folder.glob("built*.duckdb")))
    fresh = LoadEnv(load_env.bucket_url, f"duckdb://{folder}/built{number}.duckdb", load_env.compiled)
    fresh.load_changed()
    return filled(fresh)


OTHER_COLUMNS = "CREATE TABLE public.users (who INTEGER)"


SAME_COLUMNS = "CREATE TABLE public.users (user_id INTEGER, email_encrypted VARCHAR(150), plan_id INTEGER)"


OTHERS = {
    "other columns": (OTHER_COLUMNS, "INSERT INTO public.users VALUES (7)"),
    "the same columns": (SAME_COLUMNS, "INSERT INTO public.users VALUES (7, 'x', 1)"),
    "a view": ("CREATE VIEW public.users AS SELECT 7 AS who",),
}
