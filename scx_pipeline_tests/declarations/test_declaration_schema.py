"""The JSON schema of defs.yaml: it accepts valid stars, and refuses what an editor should mark."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from scx_pipeline.declarations.declaration_schema import declaration_schema
from scx_pipeline.declarations.declared_stars import find_stars
from scx_pipeline.declarations.star_folder import DECLARATION, stars_folder

VALIDATOR = jsonschema.Draft202012Validator(declaration_schema())


def document(name: str) -> Any:
    return yaml.safe_load((stars_folder() / name / DECLARATION).read_text("utf-8"))


def mistakes(declared: Any) -> list[tuple[str, str]]:
    return [(error.json_path, error.validator) for error in VALIDATOR.iter_errors(declared)]


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(declaration_schema())


@pytest.mark.parametrize("name", find_stars([stars_folder()]))
def test_the_schema_accepts_the_projects_stars(name: str) -> None:
    assert mistakes(document(name)) == []


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("shcema", "public", ("$.attributes", "additionalProperties")),
        ("first_month", "January 2020", ("$.attributes.first_month", "pattern")),
        ("name", "My Star", ("$.attributes.name", "pattern")),
        ("tables", [], ("$.attributes.tables", "minItems")),
        ("fresh_within_days", "two", ("$.attributes.fresh_within_days", "anyOf")),
    ],
)
def test_the_schema_refuses_a_mistake_in_the_star(key: str, value: object, expected: tuple[str, str]) -> None:
    declared = document("scx")
    declared["attributes"][key] = value
    assert mistakes(declared) == [expected]


@pytest.mark.parametrize("declared_type", ["int", "varchar", "varchar(0)", "decimal(3)", "VARCHAR(3)"])
def test_the_schema_refuses_unknown_types_of_columns(declared_type: str) -> None:
    declared = document("scx")
    declared["attributes"]["tables"][0]["columns"][0]["type"] = declared_type
    assert mistakes(declared) == [("$.attributes.tables[0].columns[0].type", "pattern")]


def test_a_missing_key_is_refused() -> None:
    declared = document("scx")
    del declared["attributes"]["schema"]
    assert mistakes(declared) == [("$.attributes", "required")]
    assert mistakes({"type": "scx_pipeline.components.StarSchema"}) == [("$", "required")]
