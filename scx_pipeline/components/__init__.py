"""The doors from YAML into the project: `StarSchema` turns a star's folder into Dagster definitions.
No logic lives here: what a declaration means is in `spec` and `engine`, what Dagster sees in `orchestration`."""

from scx_pipeline.components.star_schema import StarSchema

__all__ = ["StarSchema"]
