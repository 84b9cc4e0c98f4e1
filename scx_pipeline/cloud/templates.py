"""The CloudFormation templates, and the values of their parameters, completed and checked.

No request is sent to AWS here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scx_pipeline.errors import SettingsError
from scx_pipeline.settings import redact

_FOLDER = files(__package__) / "templates"


@dataclass(frozen=True)
class Template:
    """A CloudFormation template: its text, its parameters as declared, and its resources' types and conditions by logical ID."""

    name: str
    text: str
    parameters: Mapping[str, Mapping[str, Any]]
    resources: Mapping[str, str]

    def prefix_of(self, name: str) -> str | None:
        """Return the parameter with the prefix of a bucket; None for a parameter that is no bucket."""
        return f"{name}Prefix" if f"{name}Prefix" in self.parameters else None


def load_template(name: str) -> Template:
    """Load a template."""
    import yaml

    class TemplateLoader(yaml.SafeLoader):
        """YAML without the values of CloudFormation's tags."""

    TemplateLoader.add_multi_constructor("!", lambda loader, tag, node: None)
    text = (_FOLDER / f"{name}.yaml").read_text("utf-8")
    found = yaml.load(text, TemplateLoader)
    resources = {
        key: f"{item['Type']}, if {item['Condition']}" if "Condition" in item else item["Type"]
        for key, item in found["Resources"].items()
    }
    return Template(name, text, found["Parameters"], resources)


def read_parameters(path: Path | None, assignments: Iterable[str]) -> dict[str, str]:
    """Read parameters from a YAML file and from texts such as `BaseCapacity=8`, which take precedence.

    Raises:
        SettingsError: The file cannot be read or is not a mapping, or a text is not of this form.
    """
    import yaml

    try:
        loaded = yaml.safe_load(path.read_text("utf-8")) if path else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(loaded, dict):
        raise SettingsError(f"{path}: write one parameter a line, such as `Bucket: s3://scx-logs`")
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--parameter {text}: write Key=Value, such as BaseCapacity=8")
        loaded[name] = value
    return {str(name): _text(value) for name, value in loaded.items()}


def complete_parameters(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """Check parameters and add the defaults of the others.

    A bucket and its prefix are given as one s3:// URL. A bucket that is not given, but whose prefix has a default, is placed
    below `Bucket`.

    Returns:
        The value of every parameter of the template.

    Raises:
        SettingsError: A parameter is unknown, missing, or not as the template declares it.
    """
    prefixes = {template.prefix_of(name) for name in template.parameters}
    values: dict[str, str] = {}
    for name, value in given.items():
        if name not in (known := [item for item in template.parameters if item not in prefixes]):
            raise SettingsError(f"{template.name} has no parameter {name}; {_suggest(name, known)}")
        values |= _split(name, value) if template.prefix_of(name) else {name: value}
    for name, declared in template.parameters.items():
        prefix = template.parameters.get(f"{name}Prefix", {}).get("Default")
        if name not in values and "Default" in declared:
            values[name] = str(declared["Default"])
        elif name not in values and prefix and "Bucket" in values:
            values |= {name: values["Bucket"], f"{name}Prefix": f"{values['BucketPrefix']}{prefix}"}
        elif name not in values:
            raise SettingsError(f"{template.name} needs the parameter {name} ({declared['Description']})")
        if wrong := _complaint(values[name], declared):
            raise SettingsError(f"{name} is {values[name]!r}: {wrong} ({declared['Description']})")
    return values


def _complaint(value: str, declared: Mapping[str, Any]) -> str:
    """Return why CloudFormation would refuse a value, or an empty text."""
    allowed = [str(item) for item in declared.get("AllowedValues", [value])]
    pattern = r"\d+" if declared["Type"] == "Number" else declared.get("AllowedPattern", "(?s:.*)")
    least, most = declared.get("MinValue", 0), declared.get("MaxValue", float("inf"))
    if value not in allowed:
        return f"must be one of {', '.join(allowed)}"
    if not re.fullmatch(pattern, value):
        return f"must match {pattern}"
    if declared["Type"] == "Number" and not least <= int(value) <= most:
        return f"must be at least {least} and at most {most}"
    return ""


def _split(name: str, url: str) -> dict[str, str]:
    """Return the parameters of a bucket and a prefix; none for an empty URL."""
    parts = urlsplit(url)
    if url and (parts.scheme != "s3" or not parts.netloc):
        raise SettingsError(f"{name} is {redact(url)!r}: write s3://bucket or s3://bucket/prefix")
    prefix = f"{parts.path.strip('/')}/".lstrip("/")
    return {name: parts.netloc, f"{name}Prefix": prefix} if url else {}


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _suggest(name: str, known: Sequence[str]) -> str:
    lower = {item.lower(): item for item in known}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    return f"did you mean {lower[near[0]]}?" if near else f"there are: {', '.join(known)}"
