"""The StarSchema component: `type: scx_pipeline.components.StarSchema` in a star's defs.yaml.
A thin door; what the facts mean is decided in `spec` and `engine`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from pydantic import BaseModel

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.model.star import Star
from scx_pipeline.orchestration.build import build_star


@dataclass
class StarSchema(dg.Component):
    """A star schema, declared by facts in defs.yaml and one SELECT per table in sql/.

    Its attributes are those of `scx_pipeline.model.star.Star`.
    """

    compiled: CompiledStar

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The shape of the YAML's attributes: the Star itself."""
        return Star

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> StarSchema:
        """Read the star from its folder, so that a mistake is told with its file, line and a suggestion."""
        return cls(load_star(Path(context.path)))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The star's assets, checks, job, schedule and sensor."""
        return build_star(self.compiled)
