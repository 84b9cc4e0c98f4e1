"""Getting a star's tables ready for a load: creating what is missing, and rebuilding what differs from its declaration.
Who owns a table, and how it differs from its declaration, is found out in `ownership`."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import WarehouseError
from scx_pipeline.history.load_history import forget_months, read_months, read_unpartitioned
from scx_pipeline.model.calendar import LoadScope, Month
from scx_pipeline.model.table import Table
from scx_pipeline.ownership.table_ownership import (
    ForeignTable,
    Inspection,
    Leftover,
    create_shared,
    declared_tables,
    find_leftovers,
    inspect,
    mark_left_out,
    record_tables,
    stored_tables,
)
from scx_pipeline.warehouse.session import Session


@dataclass(frozen=True)
class Readiness:
    """How a star's tables in a warehouse are, held against the declaration."""

    rebuild: str = (
        ""  # why the tables with months must be rebuilt, all months in one load; empty where they need not
    )
    rebuild_unpartitioned: str = ""  # the same of the tables without months
    foreign: Sequence[ForeignTable] = ()
    leftovers: Sequence[Leftover] = ()


def read_readiness(session: Session, compiled: CompiledStar) -> Readiness:
    """Compare the star's tables with the declaration; nothing is changed."""
    look, star = inspect(session, compiled), compiled.star
    return Readiness(
        _rebuild_reason(session, look, star.monthly, _loaded(session, star.name, True)),
        _rebuild_reason(session, look, star.unpartitioned, _loaded(session, star.name, False)),
        look.foreign(),
        find_leftovers(session, compiled),
    )


def matches_declaration(session: Session, compiled: CompiledStar, tables: Sequence[Table]) -> bool:
    """Whether all of the tables are ours, and as declared."""
    look = inspect(session, compiled)
    foreign = {(item.schema, item.table) for item in look.foreign()}
    return all(
        (schema, table.name) in look.found.keys() - foreign and not look.difference(session, schema, table)
        for schema, table, _ in _declared(compiled, tables)
    )


def prepare_tables(
    session: Session, compiled: CompiledStar, scope: LoadScope, names: Collection[str]
) -> CompiledStar:
    """Create what is missing, in the star's schema and the state schema, and record it; the star as it is named then.

    Where a table is otherwise than declared, all of its kind (with months, or without) are rebuilt, if the load makes
    all of them (`names`) and the span covers every month that was loaded: under other names, where readers of the old
    ones would wait for the commit. Raises WarehouseError otherwise, and for a table that has a declared name and is not
    ours, before anything is changed.
    """
    look, star = inspect(session, compiled), compiled.star
    look.check()
    _check_names(session, look, scope)
    create_shared(session, look)
    rebuilt: list[Table] = []
    # A load of months reads the tables without months, which must be as declared; the other way round nothing is read.
    for tables in (star.unpartitioned, star.monthly) if scope else (star.unpartitioned,):
        if _must_rebuild(session, look, tables, scope, names):
            rebuilt += tables
    if rebuilt:
        session.begin()
        if star.monthly[:1] and star.monthly[0] in rebuilt:
            forget_months(session, star)
    mark_left_out(session, look)
    renamed = compiled.rebuilt_aside(_start_rebuild(session, look, rebuilt))
    _create(session, look, renamed, rebuilt)
    return renamed


def _start_rebuild(session: Session, look: Inspection, tables: Sequence[Table]) -> dict[str, str]:
    """Drop these tables, or find a name for each to be built under, where readers of it would wait for the commit."""
    standing = [
        (schema, table.name)
        for schema, table, _ in _declared(look.compiled, tables)
        if (schema, table.name) in look.found
    ]
    for schema, name in standing:
        dependents = session.dependents(schema, name)
        if dependents:
            raise WarehouseError(
                f"{schema}.{name} must be rebuilt, but views select from it ({', '.join(dependents)}): drop them, and create them again after "
                "the load; nothing was changed"
            )
    if session.capabilities.readers_wait and standing:
        return {table.name: f"{table.name[:24]}__{uuid.uuid4().hex[:6]}" for table in tables}
    for schema, name in standing:
        session.drop_table(schema, name)
    return {}


def _create(session: Session, look: Inspection, renamed: CompiledStar, rebuilt: Sequence[Table]) -> None:
    """Create and record the tables that are missing, and those that are rebuilt."""
    again = {table.name for table in rebuilt}
    missing = [
        (schema, table, stored)
        for (schema, table, declared), (_, stored) in zip(
            declared_tables(look.compiled), stored_tables(renamed), strict=True
        )
        if (schema, table.name) not in look.found or declared in again
    ]
    if missing:
        with session.at_once():
            for schema, _, stored in missing:
                session.create_table(schema, stored)
            record_tables(session, look.compiled.star.name, missing)


def swap_rebuilt(session: Session, compiled: CompiledStar, renamed: CompiledStar) -> None:
    """Put the tables that were rebuilt under other names in the place of the star's."""
    for (schema, table, _), (_, stored) in zip(
        declared_tables(compiled), stored_tables(renamed), strict=True
    ):
        if stored.name != table.name:
            session.swap_in(schema, stored, table)


def _check_names(session: Session, look: Inspection, scope: LoadScope) -> None:
    star = look.compiled.star
    for schema, table, _ in declared_tables(look.compiled):
        taken = session.taken_names(schema, table, scope)
        if taken:
            raise WarehouseError(
                f"{schema}.{taken[0]} was not made by this pipeline, but {schema}.{table.name} needs its name for a month's partition: "
                f"rename it, or declare another `schema:` for the star {star.name}; nothing was changed"
            )


def _must_rebuild(
    session: Session,
    look: Inspection,
    tables: Sequence[Table],
    scope: LoadScope,
    names: Collection[str],
) -> bool:
    """Whether these tables are otherwise than declared. Raises WarehouseError where the load does not make all of them."""
    if not tables:
        return False
    star, monthly = look.compiled.star, not all(table.unpartitioned for table in tables)
    loaded = _loaded(session, star.name, monthly)
    reason = _rebuild_reason(session, look, tables, loaded)
    if not reason:
        return False
    others = [str(m) for m in sorted(loaded or ()) if m in star.months() and m not in (scope or ())]
    others += [table.name for table in tables if table.name not in names] if loaded is not None else []
    if others:
        raise WarehouseError(
            f"{reason}, so all of {star.name} must be rebuilt in one load, but {others[0]} is not part of this one: "
            f"run `scx load {star.name}`; nothing was changed"
        )
    return True


def _loaded(session: Session, star: str, monthly: bool) -> Collection[Month] | None:
    """The months that were loaded, none of tables without months; None where these, or those, never were."""
    if monthly:
        return read_months(session, star) or None
    return () if read_unpartitioned(session, star) else None


def _rebuild_reason(
    session: Session, look: Inspection, tables: Sequence[Table], loaded: Collection[Month] | None
) -> str:
    """Why these tables must be rebuilt; empty where they need not. `loaded` is as `_loaded` gives it."""
    for schema, table, _ in _declared(look.compiled, tables):
        name = f"{schema}.{table.name}"
        if (schema, table.name) in look.found:
            difference = look.difference(session, schema, table)
            if difference:
                return f"{name} {difference}"
        elif loaded is not None:
            return f"{name} does not exist yet"
    first = look.compiled.star.first_month
    early = sorted(month for month in loaded or () if month < first)
    return f"{early[0]} was loaded, but the first month is now {first}" if early else ""


def _declared(compiled: CompiledStar, tables: Sequence[Table]) -> list[tuple[str, Table, str]]:
    wanted = {table.name for table in tables}
    return [item for item in declared_tables(compiled) if item[2] in wanted]
