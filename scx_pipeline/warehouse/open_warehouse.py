"""Open the warehouse that a URL names.

Drivers are imported with the engine of the URL, not before.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.capabilities import Limits

if TYPE_CHECKING:
    from scx_pipeline.warehouse.roles import Roles
from scx_pipeline.warehouse.warehouse import Notify, Warehouse

_ENGINES = {"duckdb": "duckdb", "postgresql": "postgres", "postgres": "postgres", "redshift": "redshift"}


def open_warehouse(url: str, limits: Limits, notify: Notify = lambda message: None) -> Warehouse:
    """The warehouse of a URL; nothing is connected yet. Raises WarehouseError for a URL of no known engine."""
    warehouse = _engine(url).open_url(url, limits, notify)
    assert isinstance(warehouse, Warehouse)
    return warehouse


def connection_info(url: str) -> tuple[str, dict[str, str | int | None]]:
    """The engine's name, and of the URL what is no secret, by name. Raises WarehouseError as `open_warehouse`."""
    engine = _engine(url)
    return engine.CAPABILITIES.name, engine.connection_info(url)


def roles_sql(url: str, roles: Roles) -> str:
    """What an administrator of a URL's engine runs, so that one may load and another only read."""
    return str(_engine(url).roles_sql(roles))


def _engine(url: str) -> Any:
    """The module of a URL's engine."""
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in _ENGINES:
        raise WarehouseError(
            f"SCX_WAREHOUSE_URL begins with {scheme + '://' if scheme else 'no scheme'!r}: write duckdb:///…/dev.duckdb, "
            "postgresql://user:password@host:5432/dev or redshift://user:password@host:5439/dev?staging=s3://bucket/prefix"
        )
    engine = _ENGINES[scheme]
    return import_module(f"scx_pipeline.warehouse.{engine}.{engine}_warehouse")
