"""What is found of tables when a warehouse is looked after: sizes, what an engine tells of them, and what to do about it.
How an engine finds it is in its own file: `pgcare`, `rscare`, `duckcare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

Fact = str | int | float | datetime | None


@dataclass(frozen=True)
class TableHealth:
    """A table: how large it is, and what else its engine tells."""

    name: str  # schema and table
    rows: int | None  # as far as the engine knows without counting
    bytes: int | None  # None where they are not told apart
    facts: Mapping[str, Fact] = field(default_factory=dict)
    advice: tuple[str, ...] = ()


@dataclass(frozen=True)
class HealthReport:
    """Tables, and what is found of the database as a whole."""

    tables: Sequence[TableHealth]
    facts: Mapping[str, Fact] = field(default_factory=dict)
    advice: tuple[str, ...] = ()

    def as_rows(self) -> tuple[list[str], list[tuple[Fact, ...]]]:
        """The tables' facts as a table: its columns, and a row for each."""
        names = list(dict.fromkeys(name for table in self.tables for name in table.facts))
        rows = [
            (table.name, table.rows, table.bytes, *(_minute(table.facts.get(name)) for name in names))
            for table in self.tables
        ]
        return ["table", "rows", "bytes", *names], rows

    @property
    def all_advice(self) -> list[str]:
        """All that there is to do, each with its table."""
        of_tables = [f"{table.name}: {line}" for table in self.tables for line in table.advice]
        return [*of_tables, *self.advice]


def _minute(fact: Fact) -> Fact:
    return f"{fact:%Y-%m-%d %H:%M}" if isinstance(fact, datetime) else fact


def megabytes(size: float) -> str:
    """A size as advice has it."""
    return f"{size / 1e6:,.1f} MB"
