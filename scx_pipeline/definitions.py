"""The only wiring: every star's definitions, the resources, and the executor.
What any of them does lives elsewhere."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from scx_pipeline.orchestration.resources import resources
from scx_pipeline.settings import Settings, read_settings


def with_resources(stars: dg.Definitions, settings: Settings) -> dg.Definitions:
    """A star's, or all stars', definitions made runnable with these settings.

    One process per run: its steps share the warehouse's connection limits, and a step in a process of its own would
    cost more than most loads.
    """
    return dg.Definitions.merge(
        stars, dg.Definitions(resources=dict(resources(settings)), executor=dg.in_process_executor)
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster dev`, `dg` and the deployment load."""
    return with_resources(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent), read_settings()
    )
