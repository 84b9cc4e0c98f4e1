"""A declared source: a set of objects in the bucket that share one format.

Listing and parsing objects does not belong here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scx_pipeline.model.declaration import AssetName, Declaration, Name
from scx_pipeline.model.dialect import DEFAULT_DIALECT, Dialect


class FilePattern(Declaration):
    """The pattern of keys below the source's prefix, and the month or day that they name, if any.

    `*` matches within a folder, `**` across folders; `{year}`, `{month}` and `{day}` match digits. The event times of
    an object's rows may precede the named month or day by `allowed_lateness_days` (rows written late) and follow it by
    `allowed_earliness_days`.
    """

    pattern: str = Field(description="the keys below the prefix, with *, **, {year}, {month} and {day}")
    allowed_lateness_days: int = Field(
        0, ge=0, le=28, description="the days by which rows may precede the month or day in the key"
    )
    allowed_earliness_days: int = Field(
        0, ge=0, le=28, description="the days by which rows may follow the month or day in the key"
    )


class Source(Declaration):
    """A set of objects in the bucket that share one format.

    `csv`: values with a header. `json_lines`: one object per line. `json`: one document per file, an object or an array
    of objects. `parquet`: typed columns, matched by name. A source without `event_time` is unpartitioned: its staging
    table is reloaded entirely when any object changes.
    """

    name: Name = Field(description="its name, which staging tables refer to")
    description: str = Field(description="what its objects contain, as shown in Dagster")
    format: Literal["csv", "json_lines", "json", "parquet"] = Field(
        description="the format of its objects; json: one document per file"
    )
    prefix: str = Field(
        description="the folder that the patterns are relative to, with its /; an empty text: the bucket's root"
    )
    files: tuple[FilePattern, ...] = Field(
        min_length=1,
        description="which keys below the prefix are read; the first pattern that matches counts",
    )
    url: str | None = Field(
        None, description="the bucket, s3://bucket[/prefix] or file:///folder; default: SCX_BUCKET_URL"
    )
    region: str | None = Field(None, description="of the S3 bucket in url; default: AWS_REGION")
    endpoint: str | None = Field(
        None, description="the S3 server of the bucket in url; default: AWS_ENDPOINT_URL, or AWS itself"
    )
    anonymous: bool = Field(
        False, description="whether the S3 bucket in url is public, so that no credentials are used"
    )
    dialect: Dialect = Field(
        DEFAULT_DIALECT,
        description="csv: how the files are written; default: as RFC 4180 says, in UTF-8, with a header",
    )
    event_time: Name | None = Field(
        None, description="the column that decides a row's month; default: the source is unpartitioned"
    )
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

    @property
    def location(self) -> tuple[object, ...]:
        """What its bucket is opened by; all None or False for the bucket of the settings."""
        return self.url, self.region, self.endpoint, self.anonymous
