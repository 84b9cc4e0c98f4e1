"""The warehouse that a URL names.

Drivers are imported with the engine of the URL, not before.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.capabilities import Capabilities, Engine, Limits
from scx_pipeline.warehouse.sql_text import TableSql
from scx_pipeline.warehouse.warehouse import Notify, Warehouse

if TYPE_CHECKING:
    from scx_pipeline.warehouse.roles import Roles

_ENGINES = {engine.value: engine for engine in Engine} | {"postgres": Engine.POSTGRESQL}  # as libpq has it
_MODULES = {
    Engine.DUCKDB: "scx_pipeline.warehouse.duckdb.duckdb_warehouse",
    Engine.POSTGRESQL: "scx_pipeline.warehouse.postgres.postgres_warehouse",
    Engine.REDSHIFT: "scx_pipeline.warehouse.redshift.redshift_warehouse",
}


def open_warehouse(url: str, limits: Limits, notify: Notify = lambda message: None) -> Warehouse:
    """Return the warehouse of a URL, without connecting to it.

    Args:
        url: Its scheme names the engine.
        limits: The memory, threads and seconds it may use.
        notify: Called with progress messages, such as what a load waits for.

    Raises:
        WarehouseError: The URL is malformed or names no known engine.
    """
    warehouse = _import_engine(engine_of(url)).open_url(url, limits, notify)
    assert isinstance(warehouse, Warehouse)
    return warehouse


def connection_info(url: str) -> dict[str, str | int | None]:
    """Return the parts of the URL that are not secret, by name."""
    info: dict[str, str | int | None] = _import_engine(engine_of(url)).connection_info(url)
    return info


def capabilities_of(url: str) -> Capabilities:
    """Return how the engine of the URL differs from the others."""
    found = _import_engine(engine_of(url)).CAPABILITIES
    assert isinstance(found, Capabilities)
    return found


def table_sql_of(engine: Engine) -> TableSql:
    """Return the statements that create tables on an engine; no connection is needed."""
    found = _import_engine(engine).TABLE_SQL
    assert isinstance(found, TableSql)
    return found


def roles_sql(engine: Engine, roles: Roles) -> str:
    """Return the statements by which an administrator creates one role that loads and one that only reads."""
    return str(_import_engine(engine).roles_sql(roles))


def engine_of(url: str) -> Engine:
    """Return the engine that the scheme of a URL names. Raises WarehouseError if it names none."""
    # Whatever else precedes `://` may be a login, which must not be shown.
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    scheme = found[1] if found else ""
    if scheme not in _ENGINES:
        raise WarehouseError(
            f"SCX_WAREHOUSE_URL {f'starts with {scheme}://' if scheme else 'has no scheme'}: use duckdb:///…/dev.duckdb, "
            "postgresql://user:password@host:5432/dev or redshift://user:password@host:5439/dev?staging=s3://bucket/prefix"
        )
    return _ENGINES[scheme]


def _import_engine(engine: Engine) -> Any:
    return import_module(_MODULES[engine])
