"""A star's folder: finding it, and reading its defs.yaml with file, line and a suggestion for every mistake.

What the SQL files may contain does not belong here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from scx_pipeline.declarations.compiled_star import CompiledStar, compile_star
from scx_pipeline.declarations.templates import render, template_scope
from scx_pipeline.errors import DeclarationError
from scx_pipeline.model.column import Column
from scx_pipeline.model.dialect import Dialect
from scx_pipeline.model.query import Chart, Query
from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.key_patterns import compile_pattern

DECLARATION = "defs.yaml"
_MODELS: dict[str, type[BaseModel]] = {
    "sources": Source,
    "dialect": Dialect,
    "tables": Table,
    "columns": Column,
    "files": FilePattern,
    "queries": Query,
    "chart": Chart,
}


@dataclass(frozen=True)
class StarOutline:
    """What a declaration says about a star, as far as it can be read without being valid."""

    path: Path
    type: str = ""
    name: str | None = None
    tables: tuple[str, ...] = ()  # with their schema

    @property
    def is_star(self) -> bool:
        """Whether it is no declaration of another Dagster component."""
        return not self.type or self.type.endswith("StarSchema")

    def at(self, *location: Any) -> str:
        """Return the line of a part of the declaration, for errors."""
        return _at_line(_read_yaml(self.path)[1], location)


def stars_folder() -> Path:
    """Return the folder of the stars that come with the package."""
    return Path(str(files("scx_pipeline") / "stars"))


def read_outline(path: Path) -> StarOutline:
    """Read the outline of a declaration. What is wrong with it is for `load_star` to say."""
    document: Any = None
    try:
        document = yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader)
        attributes = _render(document, path, None, None)
        schema, tables = attributes["schema"], [item["name"] for item in attributes["tables"]]
        full_names = tuple(f"{schema}.{name}" for name in tables)
        return StarOutline(path, str(document.get("type", "")), str(attributes["name"]), full_names)
    except (
        OSError,
        UnicodeDecodeError,
        yaml.YAMLError,
        DeclarationError,
        KeyError,
        TypeError,
        AttributeError,
    ):
        kind = document.get("type", "") if isinstance(document, dict) else ""
        return StarOutline(path, str(kind))


def load_star(folder: Path, variables: Mapping[str, Any] | None = None) -> CompiledStar:
    """Read and check a star's folder.

    Args:
        variables: Dagster's template variables; default: those that are known without Dagster.

    Raises:
        DeclarationError: With file, line and what to do.
    """
    path = folder / DECLARATION
    document, node = _read_yaml(path)
    _check_duplicate_keys(node, path)
    if not isinstance(document, dict) or not isinstance(document.get("attributes"), dict):
        raise DeclarationError(f"{path}, line 1: the star must be declared under `attributes:`")
    return compile_star(parse_star(_render(document, path, node, variables), path, node), folder)


def _render(
    document: Mapping[str, Any], path: Path, node: yaml.Node | None, variables: Mapping[str, Any] | None
) -> Any:
    """Return the document's attributes with the values of their template expressions."""
    # Most have none; and aliases that contain themselves are for the validation to refuse.
    if "{{" not in str(document):
        return document["attributes"]
    if variables is None:
        variables = template_scope(document.get("template_vars_module"), path.parent)
    return render(document["attributes"], variables, lambda at, message: _error_at(path, node, at, message))


def declared_at(folder: Path, *location: str | int) -> str:
    """Return the file and the line of a part of a star's declaration, for a message about what follows from it.

    Args:
        folder: the star's folder.
        location: the keys and numbers that lead from `attributes` to the part.
    """
    path = folder / DECLARATION
    try:
        line = _line_of(_read_yaml(path)[1], ("attributes", *location))
    except DeclarationError:  # it has changed since; what the message is about matters more
        return str(path)
    return f"{path}, line {line}"


def _read_yaml(path: Path) -> tuple[Any, yaml.Node | None]:
    """Return the document, and its nodes with their positions."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise DeclarationError(f"{path}: not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise DeclarationError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        return yaml.load(text, Loader=yaml.CSafeLoader), node
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DeclarationError(f"{path}, line {line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise DeclarationError(f"{path}: {str(error).splitlines()[0]}") from None


def parse_star(attributes: Mapping[str, Any], path: Path, node: yaml.Node | None = None) -> Star:
    """Validate the `attributes` of a declaration.

    Args:
        attributes: The declaration.
        path: The file to name in errors.
        node: The YAML nodes of the file, for the lines of errors.

    Raises:
        DeclarationError: With the line of the first mistake.
    """
    try:
        star = Star.model_validate(attributes)
    except ValidationError as error:
        # A misspelt key is both unknown and missing; as an unknown key it has a line of its own and a suggestion.
        first = min(error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden")
        location = first["loc"] or _named_part(str(first["msg"]), attributes)
        raise _error_at(path, node, location, _describe(first)) from None
    for number, source in enumerate(star.sources):
        for position, item in enumerate(source.files):
            try:
                compile_pattern(item.pattern)
            except ValueError as error:
                location = ("sources", number, "files", position, "pattern")
                raise _error_at(path, node, location, str(error)) from None
    return star


def _named_part(message: str, attributes: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Return the location of the table, its column, or source that a message about the star names; empty if it names none."""
    named = re.search(
        r", (table|source) (\w+):(?: (\w+))?|a source and a (table) are both named (\w+)", message
    )
    if named is None:
        return ()
    section, name = f"{named[1] or named[4]}s", named[2] or named[5]
    place = [part["name"] for part in attributes[section]].index(name)
    columns = [column["name"] for column in attributes[section][place].get("columns", ())]
    return (section, place, *(("columns", columns.index(named[3])) if named[3] in columns else ()))


def _error_at(path: Path, node: yaml.Node | None, location: Sequence[Any], message: str) -> DeclarationError:
    return DeclarationError(f"{path}{_at_line(node, location)}: {message}")


def _at_line(node: yaml.Node | None, location: Sequence[Any]) -> str:
    line = _line_of(node, ("attributes", *location))
    return f", line {line}" if line else ""


def _check_duplicate_keys(node: yaml.Node | None, path: Path) -> None:
    """Reject a duplicate key, of which YAML would silently use the last value."""
    nodes, seen = [node], set()
    while nodes:
        item = nodes.pop()
        # An alias leads to a node again.
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, yaml.MappingNode):
            keys = [key.value for key, _ in item.value]
            for number, (key, _) in enumerate(item.value):
                if key.value in keys[:number]:
                    raise DeclarationError(
                        f"{path}, line {key.start_mark.line + 1}: duplicate key {key.value!r}"
                    )
            nodes += [value for _, value in item.value]
        elif isinstance(item, yaml.SequenceNode):
            nodes += item.value


def _describe(error: Any) -> str:
    """Return the message of a validation error."""
    location = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = _known_keys(error["loc"])
        similar = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        hint = f"did you mean {similar[0]!r}?" if similar else f"known here: {', '.join(known)}"
        return f"unknown key {error['loc'][-1]!r}; {hint}"
    if error["type"] == "missing":
        return f"the key {error['loc'][-1]!r} is missing ({location})"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{location}: {message}" if location else message


def _known_keys(location: Sequence[Any]) -> list[str]:
    model: type[BaseModel] = Star
    for part in location[:-1]:
        model = _MODELS.get(str(part), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _line_of(node: yaml.Node | None, location: Sequence[Any]) -> int | None:
    """Return the line of the deepest part of the location that the YAML contains."""
    if node is None:
        return None
    line = node.start_mark.line + 1
    for part in location:
        child = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, child = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            child = node.value[part]
            line = child.start_mark.line + 1
        if child is None:
            break
        node = child
    return line
