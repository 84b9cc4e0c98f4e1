"""The JSON schema of defs.yaml, by which editors complete keys and mark mistakes while a star is written.

The rules that relate several keys, and the SQL files, are not part of it.
"""

from __future__ import annotations

from typing import Any

from scx_pipeline.model.star import Star


def declaration_schema() -> dict[str, Any]:
    """Return the JSON schema of a star's defs.yaml; other keys next to `attributes` are Dagster's."""
    attributes = Star.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A star of scx_pipeline (defs.yaml)",
        "$defs": attributes.pop("$defs"),
        "type": "object",
        "required": ["type", "attributes"],
        "properties": {
            "type": {"type": "string", "description": "the Dagster component that loads the star"},
            "attributes": attributes,
        },
    }
