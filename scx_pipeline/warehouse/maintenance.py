"""The health of tables, sizes and advice, and the statements that maintain them.

Nothing is deleted here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scx_pipeline.warehouse.query_session import QuerySession

Fact = str | int | float | datetime | None


@dataclass(frozen=True)
class TableHealth:
    """A table's size and whatever else its engine reports."""

    name: str  # schema and table
    rows: int | None  # as far as the engine knows without counting
    bytes: int | None  # None if the engine does not report it by table
    facts: Mapping[str, Fact] = field(default_factory=dict)
    advice: tuple[str, ...] = ()


@dataclass(frozen=True)
class HealthReport:
    """The health of tables and of the database they are in."""

    tables: Sequence[TableHealth]
    facts: Mapping[str, Fact] = field(default_factory=dict)
    advice: tuple[str, ...] = ()

    def as_rows(self) -> tuple[list[str], list[tuple[Fact, ...]]]:
        """Return the tables' facts as column names and one row per table."""
        names = list(dict.fromkeys(name for table in self.tables for name in table.facts))
        rows = [
            (table.name, table.rows, table.bytes, *(_format_fact(table.facts.get(name)) for name in names))
            for table in self.tables
        ]
        return ["table", "rows", "bytes", *names], rows

    @property
    def all_advice(self) -> list[str]:
        """Return the advice for all tables, each with its table, then for the database."""
        of_tables = [f"{table.name}: {line}" for table in self.tables for line in table.advice]
        return [*of_tables, *self.advice]


class Maintenance(ABC):
    """Maintenance of tables, given by qualified names, in a session's database."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session

    @abstractmethod
    def report_health(self, tables: Sequence[str]) -> HealthReport:
        """Return what the engine reports about these tables, and advice."""

    @abstractmethod
    def list_statements(self, tables: Sequence[str]) -> list[str]:
        """Return the statements to maintain these tables; each must commit automatically."""


def _format_fact(fact: Fact) -> Fact:
    return f"{fact:%Y-%m-%d %H:%M}" if isinstance(fact, datetime) else fact


def format_megabytes(size: float) -> str:
    """Format a number of bytes for advice."""
    return f"{size / 1e6:,.1f} MB"


def unquote(table: str) -> str:
    """Return a qualified name without its quotes."""
    return table.replace('"', "")
