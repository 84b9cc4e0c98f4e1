"""The Dagster definitions that are deployed: the declared stars with the alert sensor, maintenance, and resources.

Only assembly belongs here.
"""

from __future__ import annotations

import dagster as dg

from scx_pipeline.declarations.declared_stars import load_declared_stars
from scx_pipeline.orchestration.build import build_stars, with_resources
from scx_pipeline.settings import read_settings


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions that `dagster dev`, `dg` and the deployment load."""
    settings = read_settings()
    return with_resources(build_stars(load_declared_stars(), settings), settings)
