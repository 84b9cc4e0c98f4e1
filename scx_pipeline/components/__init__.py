"""The Dagster component that turns a star's folder into Dagster definitions.

What a declaration means does not belong here.
"""

from scx_pipeline.components.star_schema import StarSchema

__all__ = ["StarSchema"]
