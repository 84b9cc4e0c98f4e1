"""How a star's tables in a warehouse differ from its declaration, and what must be rebuilt because of it.

Rebuilding them does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.history.history_reader import read_month_states, read_unpartitioned_state
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.table import Table
from scx_pipeline.ownership.inspection import ForeignTable, Inspection, inspect
from scx_pipeline.ownership.leftovers import Leftover, find_leftovers
from scx_pipeline.ownership.table_records import declared_tables
from scx_pipeline.warehouse.session import Session


@dataclass(frozen=True)
class SchemaDrift:
    """The differences between a star's tables in a warehouse and its declaration."""

    # Why the monthly tables must be rebuilt, all months in one load; empty if they need not.
    rebuild_reason: str = ""
    # Why the unpartitioned tables must be rebuilt; empty if they need not.
    unpartitioned_rebuild_reason: str = ""
    foreign: Sequence[ForeignTable] = ()
    leftovers: Sequence[Leftover] = ()


def detect_schema_drift(session: Session, compiled: CompiledStar) -> SchemaDrift:
    """Compare the star's tables with the declaration, without changing anything."""
    inspection, star = inspect(session, compiled), compiled.star
    return SchemaDrift(
        rebuild_reason(session, inspection, star.monthly_tables, loaded_months(session, star.name)),
        rebuild_reason(
            session, inspection, star.unpartitioned_tables, loaded_unpartitioned(session, star.name)
        ),
        inspection.foreign(),
        find_leftovers(session, compiled),
    )


def matches_declaration(session: Session, compiled: CompiledStar, tables: Sequence[Table]) -> bool:
    """Return whether all of the tables belong to the star and are as declared."""
    inspection = inspect(session, compiled)
    foreign = {(item.schema, item.table) for item in inspection.foreign()}
    return all(
        (schema, table.name) in inspection.found.keys() - foreign
        and not inspection.difference(session, schema, table)
        for schema, table, _ in select_declared(compiled, tables)
    )


def loaded_months(session: Session, star: str) -> Collection[Month] | None:
    """Return the loaded months; None if the monthly tables were never loaded."""
    return read_month_states(session, star) or None


def loaded_unpartitioned(session: Session, star: str) -> Collection[Month] | None:
    """Return no months, as the unpartitioned tables have none; None if they were never loaded."""
    return () if read_unpartitioned_state(session, star) else None


def rebuild_reason(
    session: Session, inspection: Inspection, tables: Sequence[Table], loaded: Collection[Month] | None
) -> str:
    """Return why these tables must be rebuilt; empty if they need not. `loaded` is None if they were never loaded."""
    for schema, table, _ in select_declared(inspection.compiled, tables):
        name = f"{schema}.{table.name}"
        if (schema, table.name) in inspection.found:
            difference = inspection.difference(session, schema, table)
            if difference:
                return f"{name} {difference}"
        elif loaded is not None:
            return f"{name} does not exist yet"
    first = inspection.compiled.star.first_month
    early = sorted(month for month in loaded or () if month < first)
    return f"{early[0]} was loaded, but the first month is now {first}" if early else ""


def select_declared(compiled: CompiledStar, tables: Sequence[Table]) -> list[tuple[str, Table, str]]:
    """Return the entries of `declared_tables` that belong to these tables."""
    wanted = {table.name for table in tables}
    return [item for item in declared_tables(compiled) if item[2] in wanted]
