"""Generate docs/declaration.md: every key of defs.yaml, from the models of the declarations.

The examples come from declaration.yaml, a star that uses every key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from inspect import getdoc
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from scx_pipeline.declarations.declaration_schema import declaration_schema
from scx_pipeline.model.star import Star

EXAMPLE = Path(__file__).with_name("declaration.yaml")
INTRODUCTION = """# The keys of defs.yaml

A star's `defs.yaml` has `type: scx_pipeline.components.StarSchema` and, under `attributes:`, the keys below. [stars.md](stars.md) explains how they work together.
An unknown key, a missing one and a wrong value are refused with file and line; `scx check` reports them.

An editor completes the keys and marks mistakes with the JSON schema that `scx schema` prints. For the YAML language server, which Visual Studio Code, Neovim and others use:

```sh
scx schema > defs.schema.json
```

```yaml
# yaml-language-server: $schema=../defs.schema.json
type: scx_pipeline.components.StarSchema
```"""


@dataclass(frozen=True)
class KeyRow:
    """The row of a key in the page's tables."""

    key: str
    type: str
    default: str
    description: str
    example: str


def _nested_models(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the models that are declared below a model, each with its key."""
    for name, field in model.model_fields.items():
        for part in _parts(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield field.alias or name, part
                yield from _nested_models(part)


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


# Every model of a declaration with the key that it is declared under.
MODELS: Mapping[type[BaseModel], str] = {
    Star: "attributes",
    **{model: key for key, model in _nested_models(Star)},
}


def declaration_page() -> str:
    """Return docs/declaration.md without the mark of generated pages."""
    example = EXAMPLE.read_text("utf-8").partition("\n")[2]
    parts = [INTRODUCTION]
    for model, key in MODELS.items():
        lines = ["| key | type | default | | example |", "|---|---|---|---|---|"]
        lines += [f"| {' | '.join(_cells(row))} |" for row in key_rows(model)]
        parts += [f"## {key}", getdoc(model) or "", "\n".join(lines)]
    parts += ["## An example with every key", f"```yaml\n{example.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def key_rows(model: type[BaseModel]) -> list[KeyRow]:
    """Return a row for each key of a model."""
    schema = declaration_schema()
    facts = schema["$defs"].get(model.__name__, schema["properties"]["attributes"])
    examples = _examples()[MODELS[model]]
    return [
        KeyRow(
            key,
            _type(item),
            "required" if key in facts.get("required", ()) else _default(item["default"]),
            item.get("description", ""),
            _example(examples.get(key)),
        )
        for key, item in facts["properties"].items()
    ]


def _examples() -> dict[str, dict[str, Any]]:
    """Return the first value of each key of the example, by the key of its model."""
    found: dict[str, dict[str, Any]] = {}

    def collect(key: str, value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                collect(key, item)
        elif isinstance(value, dict):
            for name, item in value.items():
                found.setdefault(key, {}).setdefault(name, item)
                collect(name, item)

    collect("attributes", yaml.safe_load(EXAMPLE.read_text("utf-8"))["attributes"])
    return found


def _type(item: Mapping[str, Any]) -> str:
    """Return the type of a property of the schema in words."""
    if "anyOf" in item:  # the default says that it may be none
        return " or ".join(_type(part) for part in item["anyOf"] if part != {"type": "null"})
    if "enum" in item:
        return ", ".join(f"`{value}`" for value in item["enum"])
    if "$ref" in item:
        key = _key_of(item)
        return f"[{key}](#{key})"
    if "prefixItems" in item:
        return f"list of {len(item['prefixItems'])} {_type(item['prefixItems'][0])}s"
    if item["type"] == "array":
        return f"list of {_type(item['items'])}"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    return words.get(item["type"], item["type"]) + _bounds(item)


def _key_of(item: Mapping[str, Any]) -> str:
    name = item["$ref"].rpartition("/")[2]
    return next(key for model, key in MODELS.items() if model.__name__ == name)


def _bounds(item: Mapping[str, Any]) -> str:
    if "minimum" not in item:
        return ""
    low, high = item["minimum"], item.get("maximum")
    return f" from {low:,}" + ("" if high is None else f" to {high:,}")


def _default(value: Any) -> str:
    return "none" if value in (None, [], ()) else f"`{_as_yaml(value)}`"


def _example(value: Any) -> str:
    if value is None:
        return ""
    has_section = isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict))
    return "below" if has_section else f"`{_as_yaml(value)}`"


def _as_yaml(value: Any) -> str:
    """Return a value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _cells(row: KeyRow) -> list[str]:
    key, *others = astuple(row)
    return [f"`{key}`", *(text.replace("|", "\\|") for text in others)]
