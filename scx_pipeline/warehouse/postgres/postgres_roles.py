"""The roles of PostgreSQL, as statements for a superuser, or the database's owner with CREATEROLE; repeatable.

No connection is opened here.
"""

from __future__ import annotations

from scx_pipeline.warehouse.roles import ANALYST_TIMEOUT_MINUTES, Roles, join_lines, schemas_sql
from scx_pipeline.warehouse.sql_text import names, quote


def roles_sql(roles: Roles) -> str:
    """Return the statements in the order in which to run them."""
    return join_lines(
        f"-- Roles for scx_pipeline in the PostgreSQL database {roles.database}, as `scx roles` prints them. Run this connected to it, as a",
        "-- superuser or as its owner with CREATEROLE; again after adding a star. Set passwords separately: \\password, or",
        "-- ALTER ROLE … PASSWORD. For tables loaded by another role: REASSIGN OWNED BY that_role TO "
        f"{quote(roles.loader)};",
        "",
        "-- One role loads, the other reads. Neither may create databases, roles or schemas.",
        _role(roles.loader),
        _role(roles.analyst),
        f"ALTER ROLE {quote(roles.analyst)} SET default_transaction_read_only = on;",
        f"ALTER ROLE {quote(roles.analyst)} SET statement_timeout = '{ANALYST_TIMEOUT_MINUTES}min';",
        "",
        "-- By default every role may connect, create temporary tables and use the schema public.",
        database_sql(roles),
        schemas_sql(roles),
        "-- Only members of a role may set its defaults, unless they are superusers.",
        f"GRANT {quote(roles.loader)} TO CURRENT_USER;",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(roles.loader)} IN SCHEMA {names(roles.schemas)}",
        f"    GRANT SELECT ON TABLES TO {quote(roles.analyst)};",
        f"REVOKE {quote(roles.loader)} FROM CURRENT_USER;",
        "",
    )


def database_sql(roles: Roles) -> str:
    """Return the statements about the database itself: a database created from a template has the others already."""
    database = quote(roles.database)
    return join_lines(
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC;",
        f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {quote(roles.loader)};",
        f"GRANT CONNECT ON DATABASE {database} TO {quote(roles.analyst)};",
    )


def _role(name: str) -> str:
    """Return a DO block that creates a role, as PostgreSQL has no CREATE ROLE IF NOT EXISTS."""
    literal = name.replace("'", "''")
    return join_lines(
        "DO $$ BEGIN",
        f"    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{literal}') THEN CREATE ROLE {quote(name)} LOGIN; END IF;",
        "END $$;",
    )
