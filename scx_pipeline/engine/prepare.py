"""Getting a star's tables ready for a load: creating what is missing, and rebuilding what differs from its declaration.
Whose a table is, and what of it differs, is told in `ownership`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from scx_pipeline.engine.history import forget_months, read_months, read_whole
from scx_pipeline.engine.ownership import (
    ForeignTable,
    Inspection,
    Leftover,
    create_state,
    declared_tables,
    find_leftovers,
    forget_tables,
    inspect,
    record_tables,
)
from scx_pipeline.engine.sql import CompiledStar
from scx_pipeline.errors import WarehouseError
from scx_pipeline.spec import Month, Span, Table
from scx_pipeline.warehouse.base import Session


@dataclass(frozen=True)
class Readiness:
    """How a star's tables in a warehouse are, held against the declaration."""

    rebuild: str = (
        ""  # why the tables with months must be rebuilt, all months in one load; empty where they need not
    )
    rebuild_whole: str = ""  # the same of the tables without months
    foreign: Sequence[ForeignTable] = ()
    leftovers: Sequence[Leftover] = ()


def read_readiness(session: Session, compiled: CompiledStar) -> Readiness:
    """Compare the star's tables with the declaration; nothing is changed."""
    look, star = inspect(session, compiled), compiled.star
    return Readiness(
        _rebuild_reason(session, look, star.monthly, _loaded(session, star.name, True)),
        _rebuild_reason(session, look, star.whole, _loaded(session, star.name, False)),
        look.foreign(),
        find_leftovers(session, compiled),
    )


def stands_as_declared(session: Session, compiled: CompiledStar, tables: Sequence[Table]) -> bool:
    """Whether all of the tables exist and are as declared."""
    look, wanted = inspect(session, compiled), {table.name for table in tables}
    own = [item for item in declared_tables(compiled) if item[2] in wanted]
    return all(
        (schema, table.name) in look.found and not look.difference(session, schema, table)
        for schema, table, _ in own
    )


def prepare_tables(
    session: Session, compiled: CompiledStar, span: Span | None, names: Collection[str]
) -> None:
    """Create what is missing, in the star's schema and the state schema, and record it.

    Where a table is otherwise than declared, all of its kind (with months, or without) are rebuilt, if the load makes
    all of them (`names`) and the span covers every month that was loaded. Raises WarehouseError otherwise, and for a
    table that has a declared name and is not ours, before anything is changed.
    """
    look, star = inspect(session, compiled), compiled.star
    look.check()
    _check_names(session, look, span)
    if star.schema_name not in session.schemas():
        session.make_schema(star.schema_name)
    create_state(session)
    gone: set[tuple[str, str]] = set()
    # A load of months reads the tables without months, which must be as declared; the other way round nothing is read.
    for tables in (star.whole, star.monthly) if span else (star.whole,):
        gone |= _rebuild(session, look, tables, span, names)
    missing = [
        (schema, table)
        for schema, table, _ in declared_tables(compiled)
        if (schema, table.name) not in look.found or (schema, table.name) in gone
    ]
    if missing:
        with session.at_once():
            for schema, table in missing:
                session.create_table(schema, table)
            record_tables(session, star.name, missing)


def _check_names(session: Session, look: Inspection, span: Span | None) -> None:
    star = look.compiled.star
    for schema, table, _ in declared_tables(look.compiled):
        taken = session.taken_names(schema, table, span)
        if taken:
            raise WarehouseError(
                f"{schema}.{taken[0]} was not made by this pipeline, and {schema}.{table.name} needs its name for a month: "
                f"rename it, or declare another `schema:` for the star {star.name}; nothing was changed"
            )


def _rebuild(
    session: Session, look: Inspection, tables: Sequence[Table], span: Span | None, names: Collection[str]
) -> set[tuple[str, str]]:
    """Drop these tables, to be rebuilt, if any is otherwise than declared; which were dropped."""
    star, monthly = look.compiled.star, tables is not look.compiled.star.whole
    loaded = _loaded(session, star.name, monthly)
    reason = _rebuild_reason(session, look, tables, loaded)
    if not reason:
        return set()
    others = [
        str(month) for month in sorted(loaded or ()) if month in star.months() and month not in (span or ())
    ]
    others += [table.name for table in tables if table.name not in names] if loaded is not None else []
    if others:
        raise WarehouseError(
            f"{reason}, so all of {star.name} must be rebuilt in one load, of which {others[0]} is not part: "
            f"run `scx load {star.name}`; nothing was changed"
        )
    session.begin()
    dropped = set()
    for schema, table, _ in _declared(look.compiled, tables):
        if (schema, table.name) in look.found:
            session.drop_table(schema, table.name)
            dropped.add((schema, table.name))
    forget_tables(session, dropped)
    if monthly:
        forget_months(session, star)
    return dropped


def _loaded(session: Session, star: str, monthly: bool) -> Collection[Month] | None:
    """The months that were loaded, none of tables without months; None where these, or those, never were."""
    if monthly:
        return read_months(session, star) or None
    return () if read_whole(session, star) else None


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
    return f"{early[0]} was loaded, and the first month is {first} now" if early else ""


def _declared(compiled: CompiledStar, tables: Sequence[Table]) -> list[tuple[str, Table, str]]:
    wanted = {table.name for table in tables}
    return [item for item in declared_tables(compiled) if item[2] in wanted]
