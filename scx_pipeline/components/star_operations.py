"""The component StarOperations: `type: scx_pipeline.StarOperations`, once in a project whose stars are components.

Stars do not belong here.
"""

from __future__ import annotations

import dagster as dg

from scx_pipeline.declarations.declared_stars import find_stars
from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.orchestration.build import build_operations
from scx_pipeline.settings import read_settings


class StarOperations(dg.Component):
    """Alerts and maintenance for the stars that are in the same folder as this component."""

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """Return what the registry shows."""
        return dg.ComponentTypeSpec(
            description="Alerts and maintenance for the stars in the same folder.",
            owners=["team:scx_pipeline"],
            produces=["sensor", "job", "schedule", "resource"],
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the alert sensor, and the job and schedule of maintenance."""
        found = find_stars([context.path.parent])
        return build_operations([load_star(folder) for folder in found.values()], read_settings())
