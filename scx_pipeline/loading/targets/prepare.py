"""The preparation of a star's tables for a load: creating missing tables and rebuilding those that are not as declared.

Loading rows into them does not belong here.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import IncompleteRebuildError, WarehouseError
from scx_pipeline.history.history_writer import delete_month_records
from scx_pipeline.loading.schema_drift import (
    loaded_months,
    loaded_unpartitioned,
    rebuild_reason,
    select_declared,
)
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope
from scx_pipeline.model.table import Table
from scx_pipeline.ownership.inspection import Inspection, check_dependents, inspect
from scx_pipeline.ownership.table_records import (
    create_shared_objects,
    declared_tables,
    mark_undeclared,
    record_tables,
    stored_tables,
)
from scx_pipeline.warehouse.session import Session


def prepare_tables(
    session: Session, compiled: CompiledStar, scope: LoadScope, names: Collection[str]
) -> CompiledStar:
    """Create and record what is missing in the star's schema and the state schema, and rebuild what has drifted.

    If one monthly table is not as declared, all monthly tables are rebuilt, and likewise the unpartitioned tables. The
    load must build all of them and cover every loaded month. Where readers would block the commit, tables are rebuilt
    under temporary names.

    Args:
        names: the tables that the load builds.

    Returns:
        The star with the current names of its tables.

    Raises:
        WarehouseError: the load does not cover what must be rebuilt, or a foreign table has a declared name. Nothing
            was changed.
    """
    inspection, star = inspect(session, compiled), compiled.star
    inspection.check()
    _check_names(session, inspection, scope)
    create_shared_objects(session, star.schema_name, inspection.found)
    rebuilt: list[Table] = []
    # A load of months reads the unpartitioned tables, which must be as declared; the reverse is not true.
    for tables in (
        (star.unpartitioned_tables,)
        if scope is UNPARTITIONED
        else (star.unpartitioned_tables, star.monthly_tables)
    ):
        if _must_rebuild(session, inspection, tables, scope, names):
            rebuilt += tables
    if rebuilt:
        session.begin()
        if star.monthly_tables[:1] and star.monthly_tables[0] in rebuilt:
            delete_month_records(session, star)
    mark_undeclared(session, compiled, inspection.recorded)
    renamed = compiled.with_stored_names(_start_rebuild(session, inspection, rebuilt))
    _create(session, inspection, renamed, rebuilt)
    return renamed


def create_tables(session: Session, compiled: CompiledStar) -> list[str]:
    """Create and record what is missing of a star's tables, as a load does, and return their names; no row is loaded.

    Tables that are not as declared are created again if nothing was loaded into them.

    Raises:
        WarehouseError: loaded tables are not as declared, or a foreign table has a declared name. Nothing was changed.
    """
    before = inspect(session, compiled).found
    # A load that builds no table: tables with rows cannot be rebuilt by it.
    renamed = prepare_tables(session, compiled, compiled.star.months(), ())
    session.begin()
    swap_rebuilt(session, compiled, renamed)
    created = [(schema, table.name) for schema, table, _ in declared_tables(compiled)]
    return [f"{schema}.{name}" for schema, name in created if (schema, name) not in before]


def _start_rebuild(session: Session, inspection: Inspection, tables: Sequence[Table]) -> dict[str, str]:
    """Drop these tables, or return a temporary name for each where readers would block the commit."""
    existing = [
        (schema, table.name)
        for schema, table, _ in select_declared(inspection.compiled, tables)
        if (schema, table.name) in inspection.found
    ]
    check_dependents(session, existing, "must be rebuilt")
    if session.capabilities.drop_blocks_readers and existing:
        return {table.name: f"{table.name[:24]}__{uuid.uuid4().hex[:6]}" for table in tables}
    for schema, name in existing:
        session.tables.drop_table(schema, name)
    return {}


def _create(
    session: Session, inspection: Inspection, renamed: CompiledStar, rebuilt: Sequence[Table]
) -> None:
    """Create and record the missing tables and those that are rebuilt."""
    recreated = {table.name for table in rebuilt}
    missing = [
        (schema, table, stored)
        for (schema, table, declared), (_, stored) in zip(
            declared_tables(inspection.compiled), stored_tables(renamed), strict=True
        )
        if (schema, table.name) not in inspection.found or declared in recreated
    ]
    if missing:
        with session.atomic():
            for schema, _, stored in missing:
                session.tables.create_table(schema, stored)
            record_tables(session, inspection.compiled.star.name, missing)


def swap_rebuilt(session: Session, compiled: CompiledStar, renamed: CompiledStar) -> None:
    """Replace the star's tables by those that were rebuilt under temporary names."""
    for (schema, table, _), (_, stored) in zip(
        declared_tables(compiled), stored_tables(renamed), strict=True
    ):
        if stored.name != table.name:
            session.tables.swap_in(schema, stored, table)


def _check_names(session: Session, inspection: Inspection, scope: LoadScope) -> None:
    star = inspection.compiled.star
    for schema, table, _ in declared_tables(inspection.compiled):
        taken = session.catalog.conflicting_names(schema, table, scope)
        if taken:
            raise WarehouseError(
                f"{schema}.{taken[0]} was not created by this pipeline, but {schema}.{table.name} needs this name for the partition of a month: "
                f"rename it, or declare another `schema:` for the star {star.name}; nothing was changed"
            )


def _must_rebuild(
    session: Session,
    inspection: Inspection,
    tables: Sequence[Table],
    scope: LoadScope,
    names: Collection[str],
) -> bool:
    """Return whether these tables must be rebuilt. Raises IncompleteRebuildError if the load does not build all of them."""
    if not tables:
        return False
    star, monthly = inspection.compiled.star, not all(table.is_unpartitioned for table in tables)
    loaded = loaded_months(session, star.name) if monthly else loaded_unpartitioned(session, star.name)
    reason = rebuild_reason(session, inspection, tables, loaded)
    if not reason:
        return False
    months = () if scope is UNPARTITIONED else scope
    missing = [str(m) for m in sorted(loaded or ()) if m in star.months() and m not in months]
    missing += [table.name for table in tables if table.name not in names] if loaded is not None else []
    if missing:
        raise IncompleteRebuildError(
            f"{reason}, so all of {star.name} must be rebuilt in one load, but {missing[0]} is not part of this load: "
            f"run `scx load {star.name}`; nothing was changed"
        )
    return True
