"""Who may do what in a warehouse: one who loads and one who only reads, and the schemas it is about.
What an engine is told for it is in the engine's own file: `pgroles`, `rsroles`, `duckroles`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scx_pipeline.warehouse.base import STATE_SCHEMA

ANALYST_TIMEOUT = (
    "30min"  # of a statement of the analyst's: one that is forgotten must not keep a load waiting
)


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
