"""A declared column: its neutral type and the rules for its values.

Parsing and checking values does not belong here.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from scx_pipeline.model.declaration import MAX_TEXT_BYTES, ColumnName, Declaration, Name, NeutralType
from scx_pipeline.model.dialect import DateFormat, TimeFormat

Unit = Literal["seconds", "milliseconds", "microseconds"]
Encoding = Literal[
    "raw", "az64", "bytedict", "delta", "delta32k", "lzo", "mostly8", "mostly16", "mostly32", "runlength", "text255",
    "text32k", "zstd",
]  # fmt: skip


class DaysAfter(Declaration):
    """The number of days by which a date or timestamp may follow that of another column."""

    column: Name = Field(description="the other column, a date or timestamp of the same table")
    least: int = Field(description="the least number of days; negative: it may precede the other column")
    most: int = Field(description="the greatest number of days")


class Column(Declaration):
    """A column: its neutral type and the constraints on its values."""

    name: ColumnName = Field(description="its name, in the tables and in SQL")
    type: NeutralType = Field(
        description="smallint, integer, bigint, double, boolean, date, timestamp (in UTC), decimal(p,s), varchar(bytes) or varchar(max)"
    )
    description: str = Field(description="what its values mean, as shown in Dagster")
    nullable: bool = Field(
        True, description="whether it may be NULL; if not, rows of a file without a value are rejected"
    )
    accepted_values: tuple[str | int, ...] = Field((), description="the values it may hold (NULL aside)")
    range: tuple[float, float] | None = Field(
        None, description="the smallest and the largest value, inclusive"
    )
    days_after: DaysAfter | None = Field(
        None, description="the number of days by which it follows another date or timestamp of its row"
    )
    references: Name | None = Field(None, description="the dimension whose key must contain its values")
    field: str | None = Field(
        None,
        min_length=1,
        description="the field to read: a name in the header of a CSV file, a field of JSON (outer.inner if nested), a column"
        " of a Parquet file; default: the column's name",
    )
    unit: Unit | None = Field(
        None, description="for a timestamp that the source stores as a number: the unit since 1970-01-01 UTC"
    )
    date_format: DateFormat | None = Field(
        None, description="CSV sources: the form of a date, if it is not that of the source's dialect"
    )
    timestamp_format: TimeFormat | None = Field(
        None, description="CSV sources: the form of a timestamp, if it is not that of the source's dialect"
    )
    encoding: Encoding | None = Field(
        None, description="Redshift: the compression encoding; default: chosen by Redshift"
    )

    @property
    def field_name(self) -> str:
        """The whole name of its field in a source."""
        return self.field or self.name

    @property
    def field_path(self) -> tuple[str, ...]:
        """The path of its field in a source, from the outermost object."""
        return tuple(self.field_name.split("."))

    @property
    def max_bytes(self) -> int | None:
        """The maximum number of UTF-8 bytes of a text column; None for other types."""
        match = re.fullmatch(r"varchar\((\w+)\)", self.type)
        if not match:
            return None
        return MAX_TEXT_BYTES if match[1] == "max" else int(match[1])
