"""`scx_pipeline.build_defs`: stars in another Dagster project, without components.

What is defined for a star does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import dagster as dg

from scx_pipeline.declarations.declared_stars import find_stars
from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.orchestration.build import build_stars
from scx_pipeline.settings import read_settings


def build_defs(stars: str | Path | Iterable[str | Path]) -> dg.Definitions:
    """Return the definitions of stars, to be merged with those of your project: call it once.

    They have assets, checks, jobs, schedules and sensors of each star, the sensor `alerts`, the job `maintain`, and the resources
    `warehouse`, `bucket` and `lake` of the settings SCX_…. There is no executor: the stars' jobs have their own.

    Args:
        stars: the folder in which each star has a folder with a defs.yaml, or several of them.

    Raises:
        PipelineError: for the first mistake in a declaration or a setting.
    """
    folders = [stars] if isinstance(stars, str | Path) else stars
    found = find_stars(map(Path, folders))
    return build_stars([load_star(folder) for folder in found.values()], read_settings())
