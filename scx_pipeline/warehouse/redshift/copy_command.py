"""The text of a COPY into Redshift, its manifest, and the S3 prefix that it reads from.

Which rows go into which table is not decided here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scx_pipeline.errors import PipelineError, WarehouseError
from scx_pipeline.model.column import Column
from scx_pipeline.settings import redact
from scx_pipeline.storage.object_store import ObjectStore, parse_s3_url
from scx_pipeline.storage.s3 import open_s3
from scx_pipeline.warehouse.parquet_files import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData

# The compression of Parquet files that COPY can read, and of those that are uploaded.
READABLE_CODECS = {"UNCOMPRESSED", "SNAPPY", "GZIP"}
CODEC = "snappy"
NO_STAGING_PREFIX = (
    "SCX_WAREHOUSE_URL has no staging prefix for COPY: add staging=s3://bucket/prefix, "
    "which this pipeline may write and the cluster's role may read"
)


@dataclass(frozen=True)
class Entry:
    """An object in a manifest."""

    url: str
    size: int


@dataclass(frozen=True)
class Access:
    """The role by which the cluster reads objects, and their region if it is not the cluster's."""

    iam_role: str = "default"
    region: str | None = None

    @property
    def sql(self) -> str:
        """Return the clause of a statement."""
        return f"IAM_ROLE {'default' if self.iam_role == 'default' else redshift_literal(self.iam_role)}"


def copy_sql(table: str, manifest: str, access: Access, options: Sequence[str]) -> str:
    """Return the COPY of a manifest's objects into a table, with each option on its own line."""
    return "\n".join((f"COPY {table} FROM {redshift_literal(manifest)}", access.sql, *options, "MANIFEST"))


def redshift_literal(text: str) -> str:
    """Return the text as a literal; Redshift reads backslashes in it as escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def create_manifest(entries: Sequence[Entry]) -> bytes:
    """Return a manifest by which COPY reads exactly these objects, or fails if their size has changed."""
    listed = [{"url": item.url, "mandatory": True, "meta": {"content_length": item.size}} for item in entries]
    return json.dumps({"entries": listed}, indent=0).encode()


@dataclass(frozen=True)
class StagingPrefix(ObjectStore):
    """A folder in S3 for the objects of one load: they are removed after it, and what a crash left before the next."""

    error_type: type[PipelineError] = field(default=WarehouseError, repr=False, kw_only=True)
    setting: str = field(default="staging in SCX_WAREHOUSE_URL", repr=False, kw_only=True)
    keys: list[str] = field(default_factory=list, kw_only=True)

    def put(self, name: str, content: bytes | Path) -> Entry:
        """Write an object; several may have the same name. Raises WarehouseError."""
        key = f"{uuid.uuid4().hex}-{name}"
        self.keys.append(key)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        self.write(key, content)
        return Entry(f"{self.url}/{key}", size)

    def manifest(self, entries: Sequence[Entry]) -> str:
        """Write a manifest of these objects, and return its URL."""
        return self.put("manifest.json", create_manifest(entries)).url

    def sweep(self) -> None:
        """Remove what an earlier load left; no other load may be using the prefix."""
        self.remove([*self.list()])

    def clear(self) -> None:
        """Remove every object that this load put."""
        self.remove(self.keys)
        self.keys.clear()


def open_staging_prefix(url: str | None, name: str) -> StagingPrefix:
    """Open the folder of this name in the staging prefix.

    Raises:
        WarehouseError: The URL of the warehouse has no staging prefix, or it is not an S3 URL.
    """
    if not url:
        raise WarehouseError(NO_STAGING_PREFIX)
    location = parse_s3_url(url, name)
    if location is None:
        raise WarehouseError(f"staging in SCX_WAREHOUSE_URL is {redact(url)!r}: use s3://bucket/prefix")
    bucket, prefix = location
    return StagingPrefix(f"s3://{bucket}/{prefix}", open_s3(bucket, prefix))


def to_copy_schema(schema: pa.Schema) -> pa.Schema:
    """Return the columns as COPY reads them correctly: timestamps in UTC, as COPY reads others as 64-bit numbers."""
    import pyarrow as pa

    kinds = [pa.timestamp("us", "UTC") if pa.types.is_timestamp(kind) else kind for kind in schema.types]
    return pa.schema(list(zip(schema.names, kinds, strict=True)))


def can_copy_unchanged(footer: FileMetaData) -> bool:
    """Return whether COPY reads a Parquet file of another writer correctly, as far as its footer shows."""
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    codecs = {group.column(number).compression for group in groups for number in range(group.num_columns)}
    columns = [footer.schema.column(number) for number in range(len(footer.schema))]
    timestamps = [column for column in columns if str(column.logical_type.type) == "TIMESTAMP"]
    return codecs <= READABLE_CODECS and all(
        column.converted_type == "TIMESTAMP_MICROS" for column in timestamps
    )


def arrow_table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> pa.Table:
    """Return rows of plain values as an Arrow table of these columns."""
    import pyarrow as pa

    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [pa.array(items, arrow_type(column)) for column, items in zip(columns, values, strict=True)]
    return pa.table(arrays, names=[column.name for column in columns])
