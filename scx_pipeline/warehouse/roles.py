"""The two roles of a warehouse: one that loads and one that only reads.

The statements of a single engine belong to its package.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, names, quote

ANALYST_TIMEOUT_MINUTES = 30  # of a statement: a forgotten one must not block loads


@dataclass(frozen=True)
class Roles:
    """The names of the roles, the stars' schemas, and the database."""

    schemas: tuple[str, ...]
    loader: str = "scx_loader"
    analyst: str = "scx_analyst"
    database: str = "dev"

    @property
    def all_schemas(self) -> tuple[str, ...]:
        """Return the stars' schemas, and the pipeline's own."""
        return (*self.schemas, STATE_SCHEMA)


def join_lines(*parts: str | Iterable[str]) -> str:
    """Return lines, and lists of lines, as one text."""
    every = [[part] if isinstance(part, str) else part for part in parts]
    return "\n".join(line for part in every for line in part)


def schemas_sql(roles: Roles) -> str:
    """Return the statements about schemas and existing tables that PostgreSQL and Redshift have in common."""
    loader, analyst = quote(roles.loader), quote(roles.analyst)
    created = [schema for schema in roles.all_schemas if schema != "public"]
    return join_lines(
        "REVOKE ALL ON SCHEMA public FROM PUBLIC;",
        "",
        "-- Schemas are created here, so that the loader needs no right to create any; it owns what it creates in them.",
        [f"CREATE SCHEMA IF NOT EXISTS {quote(schema)};" for schema in created],
        f"GRANT USAGE, CREATE ON SCHEMA {names(roles.all_schemas)} TO {loader};",
        "",
        f"-- Analysts read the stars' tables, existing and future ones, but not {STATE_SCHEMA}, as rejected rows are raw data.",
        f"GRANT USAGE ON SCHEMA {names(roles.schemas)} TO {analyst};",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {names(roles.schemas)} TO {analyst};",
    )
