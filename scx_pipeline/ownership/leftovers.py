"""Leftovers: tables that the pipeline created and that no star declares any longer.

Tables that others created are never dropped.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history.state_tables import STATE_TABLES
from scx_pipeline.ownership.table_records import (
    ADOPTED,
    Name,
    RecordedTable,
    columns_text,
    declared_tables,
    delete_records,
    read_tables,
)
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, qualified
from scx_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class Leftover:
    """A recorded table that no star declares any longer."""

    star: str
    schema: str
    table: str
    exists: bool
    changed: bool  # Others changed it, or created it and no load replaced it: it is not dropped.

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def state(self) -> str:
        if not self.exists:
            return "no longer exists"
        return (
            "was created or changed by others, and is left alone"
            if self.changed
            else "as the pipeline created it"
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def find_leftovers(
    session: Session, compiled: CompiledStar | None, declared: Collection[str] = ()
) -> list[Leftover]:
    """Return the leftovers of a star, or, without a star, of all stars that are not in `declared`."""
    if compiled is None:
        recorded = [item for item in read_tables(session) if item.star not in declared]
        current: set[Name] = set()
    else:
        recorded = read_tables(session, compiled.star.name)
        current = {(schema, table.name) for schema, table, _ in declared_tables(compiled)}
    return [_leftover(session, item) for item in recorded if (item.schema, item.table) not in current]


def _leftover(session: Session, item: RecordedTable) -> Leftover:
    relation = session.catalog.find_relations(item.schema, [item.table]).get(item.table)
    changed = relation is not None and (
        item.layout == ADOPTED or not relation.is_table or columns_text(relation.columns) != item.columns
    )
    return Leftover(item.star, item.schema, item.table, relation is not None, changed)


def drop_leftovers(warehouse: Warehouse, star: str, compiled: CompiledStar | None) -> list[Leftover]:
    """Drop a star's leftovers in one transaction; without `compiled`, delete the load history of the removed star as well."""

    def work(session: Session) -> list[Leftover]:
        found = [item for item in find_leftovers(session, compiled) if item.star == star]
        session.begin()
        for item in found:
            if item.exists and not item.changed:
                session.tables.drop_table(item.schema, item.table)
        delete_records(session, [(item.schema, item.table) for item in found])
        if compiled is None:
            mark = session.capabilities.placeholder
            for table in STATE_TABLES:
                session.execute(f"DELETE FROM {qualified(STATE_SCHEMA, table)} WHERE star = {mark}", [star])
        return found

    return warehouse.run(star, work)
