"""The StarSchema component: `type: scx_pipeline.components.StarSchema` in a star's defs.yaml.

Assets, checks and sensors do not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from pydantic import BaseModel

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.model.star import Star
from scx_pipeline.orchestration.build import build_star
from scx_pipeline.settings import read_settings


@dataclass
class StarSchema(dg.Component):
    """A star schema, declared in defs.yaml with one SELECT per table in sql/.

    Its attributes are those of `scx_pipeline.model.star.Star`.
    """

    compiled: CompiledStar

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model of the YAML's attributes."""
        return Star

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> StarSchema:
        """Load the star from its folder, so that errors name file and line and suggest a fix."""
        return cls(load_star(Path(context.path)))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the star's assets, checks, job, schedule and sensor."""
        return build_star(self.compiled, read_settings())
