"""The users of Amazon Redshift, as statements for a superuser; all but CREATE USER are repeatable.

No connection is opened here.
"""

from __future__ import annotations

from scx_pipeline.warehouse.roles import ANALYST_TIMEOUT_MINUTES, Roles, join_lines, schemas_sql
from scx_pipeline.warehouse.sql_text import names, quote

ANALYST_TIMEOUT_MS = ANALYST_TIMEOUT_MINUTES * 60 * 1000  # this server accepts no unit


def roles_sql(roles: Roles) -> str:
    """Return the statements in the order in which to run them."""
    loader, analyst = quote(roles.loader), quote(roles.analyst)
    return join_lines(
        f"-- Users for scx_pipeline in the Amazon Redshift database {roles.database}, as `scx roles` prints them. Run this connected to it, as a",
        "-- superuser; again after adding a star, when CREATE USER fails, as it has no IF NOT EXISTS: continue after it. Log in by",
        "-- IAM, or set passwords separately: ALTER USER … PASSWORD. For an IAM user: scx roles --loader IAMR:loader",
        "",
        "-- One user loads, the other reads. Neither may create databases, users or schemas.",
        f"CREATE USER {loader} PASSWORD DISABLE;",
        f"CREATE USER {analyst} PASSWORD DISABLE;",
        f"ALTER USER {analyst} SET statement_timeout TO {ANALYST_TIMEOUT_MS};",
        "",
        "-- By default every user may create temporary tables, and tables in the schema public.",
        database_sql(roles),
        schemas_sql(roles),
        f"ALTER DEFAULT PRIVILEGES FOR USER {loader} IN SCHEMA {names(roles.schemas)} GRANT SELECT ON TABLES TO {analyst};",
        "",
        "-- If ASSUMEROLE is restricted, for COPY and UNLOAD by the cluster's default role:",
        f"-- GRANT ASSUMEROLE ON DEFAULT TO {loader} FOR COPY, UNLOAD;",
        "-- `scx maintain` bases its advice on this view.",
        f"GRANT SELECT ON svv_table_info TO {loader};",
        "",
    )


def database_sql(roles: Roles) -> str:
    """Return the statements about the database itself; every user with a password may connect to it."""
    database = quote(roles.database)
    return join_lines(
        f"REVOKE TEMP ON DATABASE {database} FROM PUBLIC;",
        f"GRANT TEMP ON DATABASE {database} TO {quote(roles.loader)};",
    )
