"""What replaces roles on DuckDB, which has none: who may write the file, and how others open it.

All of it is comments: there is nothing to run in the database.
"""

from __future__ import annotations

from scx_pipeline.warehouse.roles import Roles, join_lines
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, quote


def roles_sql(roles: Roles) -> str:
    """Return the comments in the order in which to read them."""
    file = f"{roles.database}.duckdb"
    return join_lines(
        "-- DuckDB has no roles: users who may write the file may do everything, and users who may read it may read all of it.",
        "-- `scx roles` prints what replaces roles. Nothing here is to be run in the database.",
        "--",
        f"-- 1. Only the system account {roles.loader} writes the file and its folder (DuckDB keeps its log next to the file);",
        f"--    the group {roles.analyst} reads:",
        f"--        chown {roles.loader}:{roles.analyst} warehouse warehouse/{file}",
        "--        chmod u=rwx,g=rx,o= warehouse",
        f"--        chmod u=rw,g=r,o= warehouse/{file}",
        "--    New files of a load need the same: umask 027.",
        "-- 2. Analysts open it read-only, even if they may write it, since one writer blocks everyone else:",
        f"--        ATTACH '/warehouse/{file}' AS {quote(roles.database)} (READ_ONLY);",
        f"--        duckdb -readonly /warehouse/{file}",
        f"-- 3. The schema {STATE_SCHEMA} is in the same file, with the rejected rows as they were read. Give analysts who must not",
        "--    read them a file of their own instead, rebuilt after loads:",
        f"--        ATTACH '/warehouse/{file}' AS {quote(roles.database)} (READ_ONLY);",
        "--        ATTACH '/analysts/new.duckdb' AS copied;",
        [
            f"--        CREATE SCHEMA IF NOT EXISTS copied.{quote(schema)};  -- and CREATE TABLE copied.{quote(schema)}.t AS FROM "
            f"{quote(roles.database)}.{quote(schema)}.t; for each table t"
            for schema in roles.schemas
        ],
        f"--    and then: mv /analysts/new.duckdb /analysts/{file}; or the data lake (`scx lake`) without its folders _accounts.",
        "",
    )
