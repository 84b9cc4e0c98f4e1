"""A declared source: a set of objects in the bucket that share one format.

Listing and parsing objects does not belong here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scx_pipeline.model.declaration import AssetName, Declaration, Name


class FilePattern(Declaration):
    """The pattern of keys below the source's prefix, and the month or day that they name, if any.

    `*` matches within a folder, `**` across folders; `{year}`, `{month}` and `{day}` match digits. The event times of
    an object's rows may precede the named month or day by `allowed_lateness_days` (rows written late) and follow it by
    `allowed_earliness_days`.
    """

    pattern: str
    allowed_lateness_days: int = Field(0, ge=0, le=28)
    allowed_earliness_days: int = Field(0, ge=0, le=28)


class Source(Declaration):
    """A set of objects in the bucket that share one format.

    `csv`: values with a header. `json_lines`: one object per line. `json`: one document per file, an object or an array
    of objects. `parquet`: typed columns, matched by name. A source without `event_time` is unpartitioned: its staging
    table is reloaded entirely when any object changes.
    """

    name: Name
    description: str
    format: Literal["csv", "json_lines", "json", "parquet"]
    prefix: str
    files: tuple[FilePattern, ...] = Field(min_length=1)
    event_time: Name | None = None
    null_values: tuple[str, ...] = Field(
        (), description="texts that are read as NULL, such as the empty text"
    )
    reject_limit: float = Field(
        0.0, ge=0, le=1, description="the share of a month's rows that may be rejected"
    )
    warn_above: float | None = Field(
        None,
        ge=0,
        le=1,
        description="the share of a month's rejected rows above which a check warns; default: never",
    )
    on_invalid_file: Literal["fail", "reject"] = Field(
        "fail",
        description="fail the load on a file that cannot be read as declared, or count the file as one rejected row",
    )
    max_stored_rejects: int = Field(
        1000,
        ge=1,
        le=10_000,
        description="the number of rejected rows that are stored per file; further ones are only counted",
    )
    rows_per_file: int | None = Field(None, ge=1, description="warn about a file with another number of rows")
    deps: tuple[AssetName, ...] = Field(
        (), description="assets of the same Dagster project that write the objects, such as shop/export"
    )
    files_per_day: int | None = Field(None, ge=1, description="warn about a day with another number of files")
