"""docs/declaration.md has every key of defs.yaml with a description and an example, and its example is a valid star."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel

from scx_pipeline.declarations.star_folder import parse_star
from tools.declaration_page import EXAMPLE, MODELS, declaration_page, key_rows

LINES = declaration_page().splitlines()


def keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def test_the_example_is_a_valid_star() -> None:
    document = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    assert parse_star(document["attributes"], Path("defs.yaml")).name == "shop"


def test_every_key_has_a_type_a_default_a_description_and_an_example() -> None:
    for model in MODELS:
        rows = key_rows(model)
        assert [row.key for row in rows] == keys(model)
        for row in rows:
            assert all((row.type, row.default, row.description, row.example)), f"{model.__name__}.{row.key}"


def test_the_page_has_a_row_per_key_below_the_heading_of_its_model() -> None:
    assert "| `warn_above` | number from 0 to 1 | none |" in "\n".join(LINES)
    assert "| `schema` | text | required |" in "\n".join(LINES)
    heading = LINES.index("## tables")
    assert heading < next(n for n, line in enumerate(LINES) if line.startswith("| `equal_row_count`"))


def test_every_model_is_reachable_from_the_star() -> None:
    assert {model.__name__ for model in MODELS} == {
        "Star",
        "Source",
        "Dialect",
        "FilePattern",
        "Table",
        "Column",
        "DaysAfter",
        "Query",
        "Chart",
    }
