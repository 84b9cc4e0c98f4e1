"""The users of Amazon Redshift, as statements that a superuser runs; all but CREATE USER may be run again.
Nothing is connected here."""

from __future__ import annotations

from scx_pipeline.warehouse.roles import ANALYST_MINUTES, Roles, lines, schemas_sql
from scx_pipeline.warehouse.sql_text import names, quote

ANALYST_TIMEOUT = ANALYST_MINUTES * 60 * 1000  # ms; this server takes no unit


def roles_sql(roles: Roles) -> str:
    """The statements, in a file's order."""
    loader, analyst = quote(roles.loader), quote(roles.analyst)
    return lines(
        f"-- Users for scx_pipeline in the Amazon Redshift database {roles.database}, as `scx roles` prints them. Run this connected to it, as a",
        "-- superuser; again after a star was added, where CREATE USER fails, as it has no IF NOT EXISTS: go on after it. Log in by",
        "-- IAM, or set passwords apart: ALTER USER … PASSWORD. A user of IAM's own is named so: scx roles --loader IAMR:loader",
        "",
        "-- The one loads, the other reads. Neither may make databases, users or schemas.",
        f"CREATE USER {loader} PASSWORD DISABLE;",
        f"CREATE USER {analyst} PASSWORD DISABLE;",
        f"ALTER USER {analyst} SET statement_timeout TO {ANALYST_TIMEOUT};",
        "",
        "-- By default everybody may make temporary tables, and tables in the schema public.",
        database_sql(roles),
        schemas_sql(roles),
        f"ALTER DEFAULT PRIVILEGES FOR USER {loader} IN SCHEMA {names(roles.schemas)} GRANT SELECT ON TABLES TO {analyst};",
        "",
        "-- Where ASSUMEROLE is controlled, for COPY and UNLOAD by the cluster's default role:",
        f"-- GRANT ASSUMEROLE ON DEFAULT TO {loader} FOR COPY, UNLOAD;",
        "-- What `scx maintain` gives its advice by.",
        f"GRANT SELECT ON svv_table_info TO {loader};",
        "",
    )


def database_sql(roles: Roles) -> str:
    """The statements that are about the database as such; whoever has a password may connect to it."""
    database = quote(roles.database)
    return lines(
        f"REVOKE TEMP ON DATABASE {database} FROM PUBLIC;",
        f"GRANT TEMP ON DATABASE {database} TO {quote(roles.loader)};",
    )
