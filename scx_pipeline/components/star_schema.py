"""The StarSchema component: `type: scx_pipeline.StarSchema` in a star's defs.yaml.

Assets, checks and sensors do not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, ConfigDict

from scx_pipeline.components.star_scaffolder import StarScaffolder
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.declarations.templates import EnvironmentScope
from scx_pipeline.model.star import Star
from scx_pipeline.orchestration.build import build_star, shared_resources
from scx_pipeline.settings import read_settings


class StarAttributes(BaseModel):
    """The attributes of a star before its templates are evaluated: any. `load_star` validates them, with lines."""

    model_config = ConfigDict(extra="allow")

    @classmethod
    def model_json_schema(cls, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Return the schema of a star, in which a template may take the place of any number or truth value."""
        schema: dict[str, Any] = _for_dagster(Star.model_json_schema(*arguments, **options))
        return schema


def _for_dagster(schema: Any) -> Any:
    """Allow templates. A pair gets `items`, without which Dagster's sample of the YAML fails, and with it any project."""
    if isinstance(schema, list):
        return [_for_dagster(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _for_dagster(value) for key, value in schema.items()}
    if "prefixItems" in found:
        found["items"] = found["prefixItems"][0]
    if found.get("type") in ("integer", "number", "boolean") or "enum" in found:
        return {"anyOf": [found, {"type": "string", "pattern": r"\{\{"}]}
    return found


@dg.scaffold_with(StarScaffolder)
@dataclass
class StarSchema(dg.Component):
    """A star schema from raw files: defs.yaml declares sources, tables and rules, sql/ has a SELECT per dimension and fact."""

    compiled: CompiledStar

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """Return what the registry shows."""
        return dg.ComponentTypeSpec(
            description="A star schema from raw files, loaded month by month and checked before it is published.",
            owners=["team:scx_pipeline"],
            tags=["etl", "star schema", "duckdb", "postgresql", "redshift"],
            produces=["asset", "asset_check", "job", "schedule", "sensor", "resource"],
        )

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model of the YAML's attributes."""
        return StarAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> StarSchema:
        """Load the star from its folder, so that errors name file and line and suggest a fix."""
        variables = {**context.resolution_context.scope, "env": EnvironmentScope()}
        return cls(load_star(Path(context.path), variables))

    @classmethod
    def get_code_references_for_yaml(cls, *arguments: Any) -> Sequence[Any]:
        """Return none: the assets already refer to their declaration."""
        return []

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the star's assets, checks, job, schedule and sensor, and the resources that all stars share."""
        settings = read_settings()
        shared = dg.Definitions(resources=shared_resources(settings))
        return dg.Definitions.merge(build_star(self.compiled, settings), shared)
