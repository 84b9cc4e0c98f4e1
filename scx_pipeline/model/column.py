"""A declared column: its neutral type and the rules for its values.

Parsing and checking values does not belong here.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from scx_pipeline.model.fact import (
    MAX_TEXT_BYTES,
    ColumnName,
    Fact,
    FieldPath,
    Name,
    NeutralType,
)

Unit = Literal["seconds", "milliseconds", "microseconds"]


Encoding = Literal[
    "raw", "az64", "bytedict", "delta", "delta32k", "lzo", "mostly8", "mostly16", "mostly32", "runlength", "text255",
    "text32k", "zstd",
]  # fmt: skip


class DaysAfter(Fact):
    """How many days after another column's moment one may lie."""

    column: Name
    least: int
    most: int


class Column(Fact):
    """A column: its neutral type, and what must hold for every value."""

    name: ColumnName
    type: NeutralType
    description: str
    nullable: bool = True
    accepted_values: tuple[str | int, ...] = Field((), description="the values it may take (NULL aside)")
    range: tuple[float, float] | None = Field(None, description="smallest and largest value, both allowed")
    days_after: DaysAfter | None = Field(None, description="how long after another moment of its row it is")
    references: Name | None = Field(None, description="the dimension whose key it must be found in")
    field: FieldPath | None = Field(
        None,
        description="of a JSON source: the field it is read from, outer.inner if nested; default: its name",
    )
    unit: Unit | None = Field(None, description="of a timestamp that its source counts from 1970-01-01 UTC")

    encoding: Encoding | None = Field(
        None, description="of Redshift: how it is packed; default: as Redshift finds best"
    )

    @property
    def field_path(self) -> tuple[str, ...]:
        """The way to its field in a JSON source, from the outermost object."""
        return tuple((self.field or self.name).split("."))

    @property
    def max_bytes(self) -> int | None:
        """How many UTF-8 bytes a text may take; None for what is no text."""
        match = re.fullmatch(r"varchar\((\w+)\)", self.type)
        if not match:
            return None
        return MAX_TEXT_BYTES if match[1] == "max" else int(match[1])
