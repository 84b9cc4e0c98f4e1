"""The base of all declared facts, and the names and types that they may have.

What a fact means belongs to the module of the fact.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from scx_pipeline.model.calendar import Month
from scx_pipeline.model.reserved_names import PREFIX, SYSTEM_COLUMNS, SYSTEM_SCHEMAS

MAX_TEXT_BYTES = 65535  # Redshift's VARCHAR(MAX), so that a text that fits one engine fits all


_TYPE = re.compile(
    r"^(?:smallint|integer|bigint|double|boolean|date|timestamp|varchar\((?:max|[1-9]\d{0,4})\)|decimal\(\d+,\s*\d+\))$"
)


def _identifier(text: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", text):
        raise ValueError(
            f"{text!r} is not a name that every engine takes: use lower-case letters, digits and _, at most 63"
        )
    if text.startswith(PREFIX):
        raise ValueError(
            f"{text!r} begins with {PREFIX}, which is reserved for the pipeline: choose another name"
        )
    return text


def _no_system_column(text: str) -> str:
    if text in SYSTEM_COLUMNS:
        raise ValueError(
            f"{text!r} is not a name that every engine takes: PostgreSQL or Redshift has a system column of that name"
        )
    return text


def _no_system_schema(text: str) -> str:
    if text in SYSTEM_SCHEMAS or text.startswith("pg_"):
        raise ValueError(
            f"{text!r} is a schema of the pipeline's own or of an engine's: choose another one for the star"
        )
    return text


def _neutral_type(text: str) -> str:
    if not _TYPE.fullmatch(text):
        raise ValueError(
            f"unknown type {text!r}: use smallint, integer, bigint, double, boolean, date, timestamp, "
            "decimal(p,s), varchar(bytes) or varchar(max)"
        )
    sizes = [int(number) for number in re.findall(r"\d+", text)]
    if text.startswith("varchar") and sizes and sizes[0] > MAX_TEXT_BYTES:
        raise ValueError(f"{text} is more than a text can have on every engine, {MAX_TEXT_BYTES} bytes")
    if (text.startswith("decimal") and not sizes[1] <= sizes[0] <= 38) or sizes[:1] == [0]:
        raise ValueError(
            f"{text}: a decimal has 1 to 38 digits, of which not more than all stand behind the point"
        )
    return text


def _field_path(text: str) -> str:
    if not all(text.split(".")) or set(text) & set('"\\*'):
        raise ValueError(
            f"{text!r} is not the way to a field: write its name, or outer.inner for a nested one, "
            'and none that has a ", \\ or *'
        )
    return text


def _month(value: Any) -> Month:
    return value if isinstance(value, Month) else Month.parse(str(value))


Name = Annotated[str, AfterValidator(_identifier)]


ColumnName = Annotated[Name, AfterValidator(_no_system_column)]


SchemaName = Annotated[Name, AfterValidator(_no_system_schema)]


NeutralType = Annotated[str, AfterValidator(_neutral_type)]


FieldPath = Annotated[str, AfterValidator(_field_path)]


MonthText = Annotated[Month, BeforeValidator(_month, json_schema_input_type=str)]


class Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
