"""A declared source: a set of objects in the bucket that share one format.

Listing and parsing objects does not belong here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scx_pipeline.model.fact import (
    Fact,
    Name,
)


class FilePattern(Fact):
    """How the keys below the source's prefix look, and which month or day they name, if any.

    `*` matches within a folder, `**` across folders; `{year}`, `{month}` and `{day}` match digits. A row's event time
    may lie `allowed_lateness_days` days before the named month or day (rows written late), and `allowed_earliness_days` days after it.
    """

    pattern: str
    allowed_lateness_days: int = Field(0, ge=0, le=28)
    allowed_earliness_days: int = Field(0, ge=0, le=28)


class Source(Fact):
    """A set of objects in the bucket that share one format.

    `csv`: values with a header. `json_lines`: one object a line. `json`: one document a file, an object or an array of
    objects. `parquet`: typed columns, found by their names. A source without `event_time` belongs to no month: its staging
    table is read whole when any object changed.
    """

    name: Name
    description: str
    format: Literal["csv", "json_lines", "json", "parquet"]
    prefix: str
    files: tuple[FilePattern, ...] = Field(min_length=1)
    event_time: Name | None = None
    null_values: tuple[str, ...] = Field(
        (), description="texts that stand for no value, such as the empty one"
    )
    reject_limit: float = Field(0.0, ge=0, le=1, description="share of a load's rows that may be rejected")
    on_invalid_file: Literal["fail", "reject"] = Field(
        "fail",
        description="what a Parquet file does that is damaged or has other columns: fail the load, or count as a rejected row",
    )
    max_stored_rejects: int = Field(
        1000,
        ge=1,
        le=10_000,
        description="rejected rows of a file that are stored; further ones are only counted",
    )
    rows_per_file: int | None = Field(None, ge=1, description="warn of a file that has not as many rows")
    files_per_day: int | None = Field(None, ge=1, description="warn of a day that has not as many files")
