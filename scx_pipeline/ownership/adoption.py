"""The adoption of foreign tables, so that the next load replaces their rows.

Replacing them does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import WarehouseError
from scx_pipeline.ownership.inspection import ForeignTable, Inspection, inspect
from scx_pipeline.ownership.table_records import (
    ADOPTED,
    Name,
    RecordedTable,
    check_table_names,
    columns_text,
    create_shared_objects,
    declared_tables,
    record_table,
)
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import quote
from scx_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class Adoption:
    """A foreign table that was or would be adopted."""

    table: str
    kind: str
    owner: str
    columns: Sequence[str]
    rows: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def adopt(compiled: CompiledStar, warehouse: Warehouse, tables: Collection[str], yes: bool) -> list[Adoption]:
    """Adopt foreign tables for the star.

    Args:
        tables: names of declared tables; empty for all.
        yes: adopt them; otherwise only return which would be adopted.

    Raises:
        WarehouseError: one of the tables is not declared or cannot be adopted.
    """
    star = compiled.star
    check_table_names(star, tables)
    if not yes:
        with warehouse.open_read_only() as reading:
            return _adopt(reading, compiled, tables, yes) if reading else []
    return warehouse.run(star.name, lambda session: _adopt(session, compiled, tables, yes))


def _adopt(session: Session, compiled: CompiledStar, tables: Collection[str], yes: bool) -> list[Adoption]:
    inspection = inspect(session, compiled)
    chosen = [item for item in inspection.foreign() if not tables or item.declared_table in tables]
    for item in chosen:
        if not item.adoptable:
            raise WarehouseError(f"{item.message()}; nothing was changed")
    adopted = [_describe_adoption(session, item) for item in chosen]
    if yes and chosen:
        session.begin()
        create_shared_objects(session, compiled.star.schema_name, inspection.found)
        for item in chosen:
            columns = columns_text(item.relation.columns)
            record_table(session, RecordedTable(item.star, item.schema, item.table, columns, "", "", ADOPTED))
    return adopted


def _describe_adoption(session: Session, item: ForeignTable) -> Adoption:
    [(rows,)] = session.rows(f"SELECT COUNT(*) FROM {quote(item.schema)}.{quote(item.table)}")
    columns = [f"{name} {kind}" for name, kind in item.relation.columns]
    return Adoption(item.name, item.relation.kind, item.relation.owner, columns, int(rows))


def explain_not_adopted(
    compiled: CompiledStar, warehouse: Warehouse, tables: Collection[str], adopted: Collection[Adoption]
) -> list[str]:
    """Return one message per requested table that was not adopted, saying why it need not be."""
    with warehouse.open_read_only() as session:
        inspection = inspect(session, compiled) if session else Inspection(compiled, {}, {})
    adopted_names, messages = {item.table for item in adopted}, []
    for table in compiled.star.tables:
        names = [(s, item.name) for s, item, declared in declared_tables(compiled) if declared == table.name]
        if table.name in tables and not any(f"{schema}.{name}" in adopted_names for schema, name in names):
            messages.append(
                f"{compiled.star.schema_name}.{table.name} {_why_not_adopted(inspection, names[0])}"
            )
    return messages


def _why_not_adopted(inspection: Inspection, name: Name) -> str:
    record = inspection.recorded.get(name)
    if name not in inspection.found:
        return "does not exist yet: the next load creates it"
    if record is not None and record.layout == ADOPTED:
        return "was adopted already: the next load rebuilds it"
    return "was created by this pipeline: nothing to adopt"
