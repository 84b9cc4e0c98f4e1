"""The schemas, tables and columns of a warehouse.

Nothing is changed here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.query_session import QuerySession
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA


@dataclass(frozen=True)
class Relation:
    """A table, a view or another object that occupies a name in a schema."""

    kind: str  # table, view, …
    owner: str  # empty where the engine has none
    columns: tuple[tuple[str, str], ...]  # name and the engine's type

    @property
    def is_table(self) -> bool:
        """Return whether it is a table of the database itself, whose rows can be replaced."""
        return self.kind == "table"


class Catalog(ABC):
    """What exists in a database, as a session sees it."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session

    def list_schemas(self) -> set[str]:
        """Return the names of the existing schemas."""
        found = self.session.rows(
            "SELECT schema_name FROM information_schema.schemata WHERE catalog_name = current_database()"
        )
        return {name for (name,) in found}

    @abstractmethod
    def list_columns(self, schema: str, tables: Collection[str]) -> dict[str, list[tuple[str, str]]]:
        """Return the columns of those tables that exist, in order, as (name, the engine's type).

        One query for many tables takes no longer than for one, which is milliseconds on some engines.
        """

    @abstractmethod
    def find_relations(self, schema: str, names: Collection[str]) -> dict[str, Relation]:
        """Return what the schema has under these names: tables, views, and anything else a table would collide with."""

    def conflicting_names(self, schema: str, table: Table, scope: LoadScope) -> list[str]:
        """Return the names that a load needs besides the table's own, and that foreign relations occupy."""
        return []

    def list_dependents(self, schema: str, name: str) -> list[str]:
        """Return what prevents a table from being dropped, such as users' views."""
        return []

    def table_columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        """Return the columns of a table in order as (name, the engine's type); empty if it does not exist."""
        return self.list_columns(schema, [table]).get(table, [])

    def has_table(self, schema: str, table: str) -> bool:
        """Return whether the table exists."""
        return bool(self.table_columns(schema, table))

    def differs(self, schema: str, table: Table, columns: Sequence[tuple[str, str]] | None = None) -> bool:
        """Return whether the table exists with other columns, types or column order than declared.

        Args:
            columns: Its existing columns, if the caller has them already.
        """
        existing = self.table_columns(schema, table.name) if columns is None else columns
        declared = [(column.name, self.session.engine_type(column).lower()) for column in table.columns]
        return bool(existing) and [(name, kind.lower()) for name, kind in existing] != declared

    def has_published_data(self) -> bool:
        """Return whether any load was ever published in this database."""
        return self.has_table(STATE_SCHEMA, "months")


def group_columns(rows: Iterable[tuple[str, str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Group columns, given as (table, name, type), by table."""
    found: dict[str, list[tuple[str, str]]] = {}
    for table, name, kind in rows:
        found.setdefault(table, []).append((name, kind))
    return found
