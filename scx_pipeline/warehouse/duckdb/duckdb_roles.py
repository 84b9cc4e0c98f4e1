"""What takes the place of roles on DuckDB, which has none: who may write the file, and how others open it.
All of it is comments: there is nothing to run in the database."""

from __future__ import annotations

from scx_pipeline.warehouse.roles import Roles, lines
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, quote


def roles_sql(roles: Roles) -> str:
    """The comments, in a file's order."""
    file = f"{roles.database}.duckdb"
    return lines(
        "-- DuckDB has no roles: whoever may write the file may do everything, and whoever may read it may read all of it. `scx roles`",
        "-- prints what takes their place. Nothing here is to be run in the database.",
        "--",
        f"-- 1. The system's account {roles.loader} alone writes the file and its folder (DuckDB keeps its log beside the file); the group",
        f"--    {roles.analyst} reads:",
        f"--        chown {roles.loader}:{roles.analyst} warehouse warehouse/{file}",
        "--        chmod u=rwx,g=rx,o= warehouse",
        f"--        chmod u=rw,g=r,o= warehouse/{file}",
        "--    New files of a load need the same: umask 027.",
        "-- 2. Analysts open it read-only, also where they may write it, since one writer keeps all others out:",
        f"--        ATTACH '/warehouse/{file}' AS {quote(roles.database)} (READ_ONLY);",
        f"--        duckdb -readonly /warehouse/{file}",
        _copies(roles, file),
        "",
    )


def _copies(roles: Roles, file: str) -> str:
    """What of it is for analysts who must not see rejected rows."""
    return lines(
        f"-- 3. The schema {STATE_SCHEMA} is in the same file, with the rejected rows as they were. Who must not read them is given a",
        "--    file of his own instead, made anew after loads:",
        f"--        ATTACH '/warehouse/{file}' AS {quote(roles.database)} (READ_ONLY);",
        "--        ATTACH '/analysts/new.duckdb' AS copied;",
        [
            f"--        CREATE SCHEMA IF NOT EXISTS copied.{quote(schema)};  -- and CREATE TABLE copied.{quote(schema)}.t AS FROM "
            f"{quote(roles.database)}.{quote(schema)}.t; of each table t"
            for schema in roles.schemas
        ],
        f"--    and then: mv /analysts/new.duckdb /analysts/{file}; or the data lake (`scx lake`) but for its folders _accounts.",
    )
