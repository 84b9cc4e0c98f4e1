"""The tables that a star has in a warehouse, the record of those that the pipeline created, and the state tables themselves.

Comparing the record with what exists does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.latest_rows import latest_rows_table
from scx_pipeline.errors import WarehouseError
from scx_pipeline.history.state_tables import STATE_TABLES, TABLES
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.catalog import Relation
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, TableSql, qualified

Name = tuple[str, str]  # schema and table
# Recorded instead of the layout of a table that others created: the next load rebuilds it.
ADOPTED = "adopted"
# Recorded instead of the layout of a table that loads skip because it is undeclared: declared again, it is rebuilt.
UNDECLARED = "undeclared"


@dataclass(frozen=True)
class RecordedTable:
    """A table as it was when the pipeline created or adopted it."""

    star: str
    schema: str
    table: str
    columns: str  # as the engine describes them
    key: str
    event_time: str
    layout: str


def read_tables(session: Session, star: str | None = None) -> list[RecordedTable]:
    """Return the recorded tables of one star or of all; empty if nothing was ever loaded."""
    return read_records(session, star) if session.catalog.has_table(STATE_SCHEMA, TABLES.name) else []


def read_records(session: Session, star: str | None = None) -> list[RecordedTable]:
    """Return the same as `read_tables`; the state table must exist."""
    mark = session.capabilities.placeholder
    rows = session.rows(
        "SELECT star, schema_name, table_name, column_list, key_columns, event_time, layout"
        f" FROM {qualified(STATE_SCHEMA, TABLES)}{f' WHERE star = {mark}' if star else ''} ORDER BY 1, 2, 3",
        [star] if star else [],
    )
    return [RecordedTable(*row) for row in rows]


def record_tables(session: Session, star: str, created: Sequence[tuple[str, Table, Table]]) -> None:
    """Record tables in the transaction that created them.

    Args:
        created: schema, table, and the table under its current name.
    """
    for schema in dict.fromkeys(schema for schema, _, _ in created):
        tables = [(table, stored) for other, table, stored in created if other == schema]
        columns = session.catalog.list_columns(schema, [stored.name for _, stored in tables])
        for table, stored in tables:
            key, text = ", ".join(table.key), columns_text(columns[stored.name])
            layout = session.tables.physical_layout(table)
            record_table(
                session, RecordedTable(star, schema, table.name, text, key, table.event_time or "", layout)
            )


def record_table(session: Session, item: RecordedTable) -> None:
    """Record a table, in place of an earlier record of it."""
    delete_records(session, [(item.schema, item.table)])
    now = datetime.now(UTC).replace(tzinfo=None)
    row = (item.schema, item.table, item.star, item.columns, item.key, item.event_time, item.layout, now)
    session.insert_rows(qualified(STATE_SCHEMA, TABLES), TABLES.columns, [row])


def mark_undeclared(session: Session, compiled: CompiledStar, recorded: Mapping[Name, RecordedTable]) -> None:
    """Mark the star's recorded tables that are undeclared: a load skips them, so their rows become stale."""
    names = {(schema, table.name) for schema, table, _ in declared_tables(compiled)}
    mark, star = session.capabilities.placeholder, compiled.star.name
    for name, item in recorded.items():
        if item.star == star and name not in names and item.layout not in (UNDECLARED, ADOPTED):
            session.begin()
            session.execute(
                f"UPDATE {qualified(STATE_SCHEMA, TABLES)} SET layout = {mark} WHERE schema_name = {mark} AND table_name = {mark}",
                [UNDECLARED, item.schema, item.table],
            )


def delete_records(session: Session, names: Iterable[Name]) -> None:
    """Delete the records of tables."""
    mark = session.capabilities.placeholder
    for schema, table in names:
        session.execute(
            f"DELETE FROM {qualified(STATE_SCHEMA, TABLES)} WHERE schema_name = {mark} AND table_name = {mark}",
            [schema, table],
        )


def declared_tables(compiled: CompiledStar) -> list[tuple[str, Table, str]]:
    """Return the tables that a load of the star builds: schema, table, and the declared table that it belongs to."""
    star = compiled.star
    own = [(star.schema_name, table, table.name) for table in star.tables]
    return own + [
        (STATE_SCHEMA, latest_rows_table(compiled, table), table.name) for table in scd1_tables(star.tables)
    ]


def creation_statements(compiled: CompiledStar, table_sql: TableSql) -> list[str]:
    """Return the statements by which the first load of a star creates the schemas, the state tables and its tables."""
    star = compiled.star
    schemas = [table_sql.create_schema(name) for name in dict.fromkeys((star.schema_name, STATE_SCHEMA))]
    state = [(STATE_SCHEMA, table) for table in STATE_TABLES]
    own = [(schema, table) for schema, table, _ in declared_tables(compiled)]
    return schemas + [
        statement for schema, table in state + own for statement in table_sql.create_stored(schema, table)
    ]


def stored_tables(compiled: CompiledStar) -> list[tuple[str, Table]]:
    """Return the same tables in the same order under their current names: schema and table."""
    star = compiled.star
    own = [(star.schema_name, compiled.stored_table(table)) for table in star.tables]
    return own + [(STATE_SCHEMA, latest_rows_table(compiled, table)) for table in scd1_tables(star.tables)]


def scd1_tables(tables: Iterable[Table]) -> list[Table]:
    """Return the tables of SCD type 1 that are built from months, for which the latest rows of each month are stored."""
    return [table for table in tables if not table.is_partitioned and not table.is_unpartitioned]


def check_table_names(star: Star, names: Collection[str]) -> None:
    """Check that the star declares tables of these names. Raises WarehouseError."""
    declared = [table.name for table in star.tables]
    unknown = sorted(set(names) - set(declared))
    if unknown:
        raise WarehouseError(f"{unknown[0]} is not a table of {star.name}, which has: {', '.join(declared)}")


def columns_text(columns: Iterable[tuple[str, str]]) -> str:
    """Format columns, given as (name, type), for a message or a record."""
    return ", ".join(f"{name} {kind}" for name, kind in columns)


def check_state_tables(session: Session, found: Mapping[Name, Relation]) -> None:
    """Check that the state tables that exist have the expected columns. Raises WarehouseError."""
    for table in STATE_TABLES:
        relation = found.get((STATE_SCHEMA, table.name))
        if relation and not (
            relation.is_table and not session.catalog.differs(STATE_SCHEMA, table, relation.columns)
        ):
            owner = f" of {relation.owner}" if relation.owner else ""
            raise WarehouseError(
                f"the schema {STATE_SCHEMA}, which stores the load history, has a {relation.kind} {table.name}{owner} with unexpected columns "
                f"({columns_text(relation.columns)}): if a newer version of scx_pipeline created it, use that version; if another "
                "application did, rename its schema or load into another database; nothing was changed"
            )


def create_shared_objects(session: Session, schema: str, found: Collection[Name]) -> None:
    """Create what is missing of the star's schema, the state schema and the state tables.

    Args:
        found: the existing tables of both schemas.
    """
    if {(STATE_SCHEMA, table.name) for table in STATE_TABLES} <= set(found) and any(
        name[0] == schema for name in found
    ):
        return
    with (
        session.open_shared() as shared
    ):  # Otherwise the first load of another star could create the same objects.
        existing = shared.catalog.list_schemas()
        for name in dict.fromkeys((schema, STATE_SCHEMA)):
            if name not in existing:  # PostgreSQL requires the privilege even if the schema exists.
                shared.create_schema(name)
        columns = shared.catalog.list_columns(STATE_SCHEMA, [table.name for table in STATE_TABLES])
        missing = [table for table in STATE_TABLES if table.name not in columns]
        if missing:
            with shared.atomic():
                for table in missing:
                    shared.tables.create_table(STATE_SCHEMA, table)
