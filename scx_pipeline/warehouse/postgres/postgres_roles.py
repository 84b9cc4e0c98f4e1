"""The roles of PostgreSQL, as statements that a superuser runs, or the database's owner with CREATEROLE: once or again.
Nothing is connected here."""

from __future__ import annotations

from scx_pipeline.warehouse.roles import ANALYST_MINUTES, Roles, lines, schemas_sql
from scx_pipeline.warehouse.sql_text import names, quote


def roles_sql(roles: Roles) -> str:
    """The statements, in a file's order."""
    return lines(
        f"-- Roles for scx_pipeline in the PostgreSQL database {roles.database}, as `scx roles` prints them. Run this connected to it, as a",
        "-- superuser or as its owner with CREATEROLE; again after a star was added. Passwords are set apart: \\password, or",
        "-- ALTER ROLE … PASSWORD. Tables that another role has loaded so far: REASSIGN OWNED BY that_role TO "
        f"{quote(roles.loader)};",
        "",
        "-- The one loads, the other reads. Neither may make databases, roles or schemas.",
        _role(roles.loader),
        _role(roles.analyst),
        f"ALTER ROLE {quote(roles.analyst)} SET default_transaction_read_only = on;",
        f"ALTER ROLE {quote(roles.analyst)} SET statement_timeout = '{ANALYST_MINUTES}min';",
        "",
        "-- By default everybody may connect, make temporary tables and look into the schema public.",
        database_sql(roles),
        schemas_sql(roles),
        "-- Who is no superuser sets a role's defaults as a member of it.",
        f"GRANT {quote(roles.loader)} TO CURRENT_USER;",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(roles.loader)} IN SCHEMA {names(roles.schemas)}",
        f"    GRANT SELECT ON TABLES TO {quote(roles.analyst)};",
        f"REVOKE {quote(roles.loader)} FROM CURRENT_USER;",
        "",
    )


def database_sql(roles: Roles) -> str:
    """The statements that are about the database as such: one made from a template has the others already."""
    database = quote(roles.database)
    return lines(
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC;",
        f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {quote(roles.loader)};",
        f"GRANT CONNECT ON DATABASE {database} TO {quote(roles.analyst)};",
    )


def _role(name: str) -> str:
    """PostgreSQL has no CREATE ROLE IF NOT EXISTS."""
    literal = name.replace("'", "''")
    return lines(
        "DO $$ BEGIN",
        f"    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{literal}') THEN CREATE ROLE {quote(name)} LOGIN; END IF;",
        "END $$;",
    )
