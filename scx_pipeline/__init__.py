"""scx_pipeline: raw log files land in a bucket, a trustworthy star schema comes out.

The names that Dagster projects of others use are here. They are imported on first use, so that `import scx_pipeline` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scx_pipeline.components.own_project import build_defs as build_defs
    from scx_pipeline.components.star_operations import StarOperations as StarOperations
    from scx_pipeline.components.star_schema import StarSchema as StarSchema
    from scx_pipeline.orchestration.resources.warehouse_resources import (
        WarehouseResource as WarehouseResource,
    )

__version__ = "0.1.0"
_PUBLIC = {
    "StarOperations": "scx_pipeline.components.star_operations",
    "StarSchema": "scx_pipeline.components.star_schema",
    "WarehouseResource": "scx_pipeline.orchestration.resources.warehouse_resources",
    "build_defs": "scx_pipeline.components.own_project",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """Return the names, of which `dg list components` shows the components."""
    return sorted({*globals(), *_PUBLIC})
