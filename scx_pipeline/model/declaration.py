"""The base class of all declarations, and the types of their names and values.

The declarations themselves do not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

from scx_pipeline.model.calendar import Month
from scx_pipeline.model.reserved_names import RESERVED_PREFIX, SYSTEM_COLUMNS, SYSTEM_SCHEMAS

# Redshift's VARCHAR(MAX): a text that fits here fits every engine.
MAX_TEXT_BYTES = 65535

_IDENTIFIER = r"^[a-z_][a-z0-9_]{0,62}$"
_TYPE = r"^(?:smallint|integer|bigint|double|boolean|date|timestamp|varchar\((?:max|[1-9]\d{0,4})\)|decimal\(\d+,\s*\d+\))$"


def _check_identifier(text: str) -> str:
    if not re.fullmatch(_IDENTIFIER, text):
        raise ValueError(
            f"{text!r} is not a valid name on every engine: use lower-case letters, digits and _, at most 63 characters"
        )
    if text.startswith(RESERVED_PREFIX):
        raise ValueError(
            f"{text!r} starts with {RESERVED_PREFIX}, which is reserved for the pipeline: choose another name"
        )
    return text


def _check_column_name(text: str) -> str:
    if text in SYSTEM_COLUMNS:
        raise ValueError(
            f"{text!r} is not a valid name on every engine: PostgreSQL or Redshift has a system column of that name"
        )
    return text


def _check_schema_name(text: str) -> str:
    if text in SYSTEM_SCHEMAS or text.startswith("pg_"):
        raise ValueError(
            f"the schema {text!r} belongs to the pipeline or to an engine: choose another schema for the star"
        )
    return text


def _check_type(text: str) -> str:
    if not re.fullmatch(_TYPE, text):
        raise ValueError(
            f"unknown type {text!r}: use smallint, integer, bigint, double, boolean, date, timestamp, "
            "decimal(p,s), varchar(bytes) or varchar(max)"
        )
    sizes = [int(number) for number in re.findall(r"\d+", text)]
    if text.startswith("varchar") and sizes and sizes[0] > MAX_TEXT_BYTES:
        raise ValueError(
            f"{text} exceeds {MAX_TEXT_BYTES} bytes, the longest text that every engine supports"
        )
    if (text.startswith("decimal") and not sizes[1] <= sizes[0] <= 38) or sizes[:1] == [0]:
        raise ValueError(
            f"{text}: the precision must be from 1 to 38, and the scale must not exceed the precision"
        )
    return text


def _check_asset(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*", text):
        raise ValueError(
            f"{text!r} is not the name of an asset: write its key as Dagster shows it, such as shop/export"
        )
    return text


def _check_cron(text: str) -> str:
    import dagster as dg

    try:
        dg.ScheduleDefinition("check", cron_schedule=text, job_name="check")
    except dg.DagsterInvalidDefinitionError:
        raise ValueError(
            f"{text!r} is not a cron schedule: write, for example, '30 6 * * 1-5' (times are UTC)"
        ) from None
    return text


def _check_tag(tags: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in tags.items():
        if not re.fullmatch(r"([\w.-]{1,63}/)?[\w.-]{1,63}", name, re.ASCII) or not re.fullmatch(
            r"[\w.-]{0,63}", value, re.ASCII
        ):
            raise ValueError(
                f"{name}: {value!r} is not a tag of Dagster: use at most 63 letters, digits, _, - and . for each"
            )
    return tags


def _to_month(value: Any) -> Month:
    return value if isinstance(value, Month) else Month.parse(str(value))


def _text_like(pattern: str) -> WithJsonSchema:
    """Describe a text to editors; the validators have the messages."""
    return WithJsonSchema({"type": "string", "pattern": pattern})


Name = Annotated[str, AfterValidator(_check_identifier), _text_like(_IDENTIFIER)]
ColumnName = Annotated[Name, AfterValidator(_check_column_name)]
SchemaName = Annotated[Name, AfterValidator(_check_schema_name)]
NeutralType = Annotated[str, AfterValidator(_check_type), _text_like(_TYPE)]
AssetName = Annotated[str, AfterValidator(_check_asset)]
Cron = Annotated[str, AfterValidator(_check_cron)]
Tags = Annotated[Mapping[str, str], AfterValidator(_check_tag)]
MonthText = Annotated[Month, BeforeValidator(_to_month), _text_like(r"^\d{4}-\d{2}$")]


def find_name_problem(text: str) -> str:
    """Return why a text cannot name a star and its schema; empty if it can."""
    try:
        TypeAdapter(SchemaName).validate_python(text)
    except ValidationError as error:
        return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    return ""


class Declaration(BaseModel):
    """Base of all declarations: immutable, and unknown keys are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
