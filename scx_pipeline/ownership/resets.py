"""A reset: the removal of a star's tables and of its load history, so that it is loaded again from nothing.

Tables that others created or changed are left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history.history_reader import is_in, select_rows
from scx_pipeline.history.history_writer import delete_state_rows
from scx_pipeline.history.state_tables import MONTH_ROWS, STATE_TABLES, TABLES
from scx_pipeline.model.table import Table
from scx_pipeline.ownership.inspection import check_dependents, inspect
from scx_pipeline.ownership.table_records import (
    ADOPTED,
    Name,
    check_table_names,
    declared_tables,
    delete_records,
)
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, qualified_name
from scx_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class RemovedTable:
    """A table that a reset removes or would remove, with the number of its rows."""

    schema: str
    table: str
    rows: int

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class Reset:
    """What a reset removes or would remove."""

    tables: Sequence[RemovedTable]
    records: Mapping[str, int]  # rows of the load history, by state table
    kept: Sequence[str]  # tables that others created or changed

    @property
    def is_empty(self) -> bool:
        return not self.tables and not self.records

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def find_reset(session: Session, compiled: CompiledStar, tables: Collection[str]) -> Reset:
    """Return what a reset would remove.

    Args:
        tables: names of declared tables; empty for all tables and the load history.

    Raises:
        WarehouseError: a table is not declared, or another application owns the state schema.
    """
    check_table_names(compiled.star, tables)
    inspection = inspect(session, compiled)
    names = [
        (s, item.name) for s, item, declared in declared_tables(compiled) if not tables or declared in tables
    ]
    others = {(item.schema, item.table) for item in inspection.foreign()}
    others |= {name for name, record in inspection.recorded.items() if record.layout == ADOPTED}
    found = [name for name in names if name in inspection.found]
    has_history = all((STATE_SCHEMA, table.name) in inspection.found for table in STATE_TABLES)
    return Reset(
        [_count_rows(session, name) for name in found if name not in others],
        _count_records(session, compiled.star.name, tables) if has_history else {},
        [f"{schema}.{table}" for schema, table in found if (schema, table) in others],
    )


def reset(warehouse: Warehouse, compiled: CompiledStar, tables: Collection[str]) -> Reset:
    """Remove a star's tables and load history, or some of its tables, in one transaction, and return what was removed.

    Without its history, the star is loaded as if nothing was ever loaded. Without one of its tables, all of its tables of that
    kind, monthly or unpartitioned, are rebuilt by the next load, as they are if a table is missing for another reason.

    Raises:
        WarehouseError: as for `find_reset`, or views select from a table. Nothing was changed.
    """

    def work(session: Session) -> Reset:
        found = find_reset(session, compiled, tables)
        names = [(item.schema, item.table) for item in found.tables]
        check_dependents(session, names, "is to be dropped")
        session.begin()
        for schema, table in names:
            session.tables.drop_table(schema, table)
        if found.records or names:
            delete_records(session, names)
        for state in _state_tables(tables):
            if state.name in found.records:
                delete_state_rows(session, state, compiled.star.name, *_of_tables(tables))
        return found

    return warehouse.run(compiled.star.name, work)


def _count_rows(session: Session, name: Name) -> RemovedTable:
    [(rows,)] = session.rows(f"SELECT COUNT(*) FROM {qualified_name(*name)}")
    return RemovedTable(*name, int(rows))


def _count_records(session: Session, star: str, tables: Collection[str]) -> dict[str, int]:
    counts = {
        state.name: int(select_rows(session, state, "COUNT(*)", star, *_of_tables(tables))[0][0])
        for state in _state_tables(tables)
    }
    return {name: count for name, count in counts.items() if count}


def _state_tables(tables: Collection[str]) -> Sequence[Table]:
    """Return the state tables of which rows are removed: the number of rows of these tables, or the whole history."""
    return [MONTH_ROWS] if tables else [table for table in STATE_TABLES if table is not TABLES]


def _of_tables(tables: Collection[str]) -> tuple[str, list[str]]:
    """Return the condition on the rows of a state table, with its values."""
    return is_in("table_name", tables), [*tables]
