"""Who may do what in a warehouse: one who loads and one who only reads, and the schemas it is about.
What an engine is told for it is in the engine's own file: `pgroles`, `rsroles`, `duckroles`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, names, quote

ANALYST_MINUTES = 30  # of a statement: one that is forgotten must not keep a load waiting


@dataclass(frozen=True)
class Roles:
    """Two names, the stars' schemas, and the database."""

    schemas: tuple[str, ...]
    loader: str = "scx_loader"
    analyst: str = "scx_analyst"
    database: str = "dev"

    @property
    def all_schemas(self) -> tuple[str, ...]:
        """The stars' schemas, and the engine's own."""
        return (*self.schemas, STATE_SCHEMA)


def lines(*parts: str | Iterable[str]) -> str:
    """The lines as one text."""
    every = [[part] if isinstance(part, str) else part for part in parts]
    return "\n".join(line for part in every for line in part)


def schemas_sql(roles: Roles) -> str:
    """The statements about schemas and the tables that stand in them, which PostgreSQL and Redshift have in common."""
    loader, analyst = quote(roles.loader), quote(roles.analyst)
    made = [schema for schema in roles.all_schemas if schema != "public"]
    return lines(
        "REVOKE ALL ON SCHEMA public FROM PUBLIC;",
        "",
        "-- Schemas are made here, so that whoever loads need not be allowed to make any; what it makes in them is its own.",
        [f"CREATE SCHEMA IF NOT EXISTS {quote(schema)};" for schema in made],
        f"GRANT USAGE, CREATE ON SCHEMA {names(roles.all_schemas)} TO {loader};",
        "",
        f"-- The stars' tables, those there are and those to come, are read; {STATE_SCHEMA} is not, as rejected rows are raw data.",
        f"GRANT USAGE ON SCHEMA {names(roles.schemas)} TO {analyst};",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {names(roles.schemas)} TO {analyst};",
    )
