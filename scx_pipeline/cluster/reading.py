"""Settings of what is to be made, from one YAML file and from flags over it, with the setting's name in every refusal.
Which settings there are is in `plan` and `spark_plan`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from scx_pipeline.errors import SettingsError

Plan = TypeVar("Plan", bound=BaseModel)


def read_settings_of(
    model: type[Plan],
    file: Path | None,
    flags: Mapping[str, object],
    defaults: Mapping[str, object] = MappingProxyType({}),
) -> Plan:
    """The settings of a YAML file, over them the flags and below them the defaults that are not None.

    Raises SettingsError naming the setting.
    """
    given = _known(flags)
    try:
        return model.model_validate({**_known(defaults), **_read_file(file), **given})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"]))
        where = f"--{name.replace('_', '-')}" if name in given or file is None else f"{file}, {name}"
        known = model.model_fields.get(name.partition(".")[0])
        hint = (
            f" ({known.description})"
            if known and known.description
            else f"; there are: {', '.join(model.model_fields)}"
        )
        raise SettingsError(f"{where}: {first['msg']}{hint}") from None


def _known(settings: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in settings.items() if value is not None}


def _read_file(file: Path | None) -> dict[str, object]:
    import yaml

    if file is None:
        return {}
    try:
        loaded = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{file}: cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(loaded, dict):
        raise SettingsError(f"{file}: write one setting a line, such as `bucket: s3://scx-logs`")
    return loaded


def s3_url(text: str) -> str:
    """An s3:// URL without a / at its end, or no text at all. Raises ValueError."""
    if text and (urlsplit(text).scheme != "s3" or not urlsplit(text).netloc):
        raise ValueError(f"{text!r} is no bucket: write s3://bucket or s3://bucket/prefix")
    return text.rstrip("/")
