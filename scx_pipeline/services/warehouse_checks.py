"""Checks of the warehouse: connection, privileges, and whose tables have the stars' names.

Nothing is changed: trial tables are created in a transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Sequence

from scx_pipeline.declarations.declared_stars import load_declared_stars
from scx_pipeline.errors import PipelineError, SettingsError, WarehouseError
from scx_pipeline.model.column import Column
from scx_pipeline.ownership.inspection import inspect
from scx_pipeline.ownership.leftovers import find_leftovers
from scx_pipeline.services.check import EXAMPLES, CheckContext
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.session import BULK_INSERT_ROWS, Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, quote
from scx_pipeline.warehouse.warehouse import Warehouse


def check_warehouse_access(context: CheckContext) -> None:
    """Check that the warehouse can be connected to. Raises SettingsError."""
    try:
        with open_warehouse(context.settings.warehouse, context.limits).open_if_loaded():
            pass
    except PipelineError as error:
        example = EXAMPLES["SCX_WAREHOUSE_URL"]
        raise SettingsError(f"SCX_WAREHOUSE_URL: {error}; for example, {example}") from None


def check_write_access(context: CheckContext) -> str:
    """Check that tables can be created and rows inserted in all schemas, in a transaction that is rolled back.

    Raises:
        WarehouseError: if a privilege is missing.
    """
    warehouse = open_warehouse(context.settings.warehouse, context.limits)
    schemas = {compiled.star.schema_name for compiled in load_declared_stars()}
    try:
        with warehouse.transaction("doctor") as session:
            session.begin()
            _try_writing(session, [*sorted(schemas), STATE_SCHEMA])
            raise _RollBackError
    except _RollBackError:
        return f"{warehouse.url}: connected, may create tables in {', '.join(sorted(schemas))}, and load rows"


def _try_writing(session: Session, schemas: Sequence[str]) -> None:
    """Do what every load does, in all schemas: the loader's role may have privileges there and nowhere else."""
    existing = session.catalog.list_schemas()
    for schema in schemas:
        if schema not in existing:
            session.create_schema(schema)
        session.execute(f"CREATE TABLE {quote(schema)}.scx_pipeline_doctor (n INTEGER)")
    # Enough rows to be inserted the way that a load inserts its rows.
    number = Column(name="n", type="integer", description="A number.")
    written = f"{quote(schemas[-1])}.scx_pipeline_doctor"
    session.insert_rows(written, [number], [(n,) for n in range(BULK_INSERT_ROWS + 1)])
    session.create_temporary("_doctor", f"SELECT n FROM {written}")


def check_tables(context: CheckContext) -> str:
    """Check that no table of others has the name of a star's table. Raises WarehouseError."""
    return describe_tables(open_warehouse(context.settings.warehouse, context.limits))


def describe_tables(warehouse: Warehouse) -> str:
    """Describe the tables of a warehouse: whether any is foreign, and which ones no star declares any more.

    Raises:
        WarehouseError: if a table of others has the name of a star's table.
    """
    stars = load_declared_stars()
    with warehouse.open_read_only() as session:
        if session is None:
            return "none yet"
        foreign = [item for compiled in stars for item in inspect(session, compiled).foreign()]
        leftovers = [item for compiled in stars for item in find_leftovers(session, compiled)]
        leftovers += find_leftovers(session, None, [compiled.star.name for compiled in stars])
    if foreign:
        raise WarehouseError("; ".join(item.message() for item in foreign))
    listed = ", ".join(item.name for item in leftovers)
    suffix = f"; no longer declared: {listed} (see `scx drop`)" if listed else ""
    return f"no table of others has a declared name{suffix}"


class _RollBackError(Exception):
    """Ends the trial transaction."""
