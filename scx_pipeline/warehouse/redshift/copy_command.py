"""COPY into Redshift: the statement's text, its manifest, and the place in S3 where what it reads lies until the load ends.
Which rows go into which table is decided in `redshift`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scx_pipeline.errors import WarehouseError
from scx_pipeline.model.column import Column
from scx_pipeline.storage.s3 import open_s3, reason_of

if TYPE_CHECKING:
    import pyarrow as pa
    from obstore.store import ObjectStore
    from pyarrow.parquet import FileMetaData

# How pages of Parquet files may be packed, by the guide; and how those that are written here are, as Parquet and DuckDB call it.
CODECS = {"UNCOMPRESSED", "SNAPPY", "GZIP"}
CODEC = "snappy"
NO_PLACE = (
    "SCX_WAREHOUSE_URL names no place for what COPY reads: add staging=s3://bucket/prefix, "
    "which this pipeline may write and the cluster's role may read"
)


@dataclass(frozen=True)
class Entry:
    """An object that COPY is to read."""

    url: str
    size: int


@dataclass(frozen=True)
class Access:
    """How the cluster gets at objects: by which role, and in which region they are where that is not its own."""

    iam_role: str = "default"
    region: str | None = None

    @property
    def sql(self) -> str:
        """The role as a statement says it."""
        return f"IAM_ROLE {'default' if self.iam_role == 'default' else quoted(self.iam_role)}"


def copy_sql(table: str, manifest: str, access: Access, options: Sequence[str]) -> str:
    """COPY of a manifest's objects into a table; each option on a line of its own."""
    return "\n".join((f"COPY {table} FROM {quoted(manifest)}", access.sql, *options, "MANIFEST"))


def quoted(text: str) -> str:
    """The text as a literal; Redshift reads backslashes in it as escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def manifest_of(entries: Sequence[Entry]) -> bytes:
    """A manifest by which COPY reads exactly these objects, as long as they were when they were listed, or fails."""
    listed = [{"url": item.url, "mandatory": True, "meta": {"content_length": item.size}} for item in entries]
    return json.dumps({"entries": listed}, indent=0).encode()


@dataclass
class StagingPrefix:
    """A folder in S3 for the objects of one load. What was put there is gone after it, and what a crash left before it."""

    url: str  # without a / at its end
    store: ObjectStore = field(repr=False)
    keys: list[str] = field(default_factory=list)

    def put(self, name: str, content: bytes | Path) -> Entry:
        """Write an object; a name may be given again. Raises WarehouseError."""
        import obstore

        key = f"{uuid.uuid4().hex}-{name}"
        self.keys.append(key)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        with self._told("write", key):
            obstore.put(self.store, key, content)
        return Entry(f"{self.url}/{key}", size)

    def manifest(self, entries: Sequence[Entry]) -> str:
        """Write a manifest of these objects; its URL."""
        return self.put("manifest.json", manifest_of(entries)).url

    def sweep(self) -> None:
        """Remove what an earlier load left; nobody else may be using the place."""
        with self._told("list", ""):
            left = [item["path"] for page in self.store.list() for item in page]
        self._delete(left)

    def clear(self) -> None:
        """Remove all that was put."""
        self._delete(self.keys)
        self.keys.clear()

    def _delete(self, keys: Sequence[str]) -> None:
        import obstore

        if keys:
            with self._told("remove", keys[0]):
                obstore.delete(self.store, list(keys))

    @contextmanager
    def _told(self, what: str, key: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise WarehouseError(
                f"cannot {what} {self.url}/{key} (staging in SCX_WAREHOUSE_URL): {reason_of(error)}"
            ) from error


def open_staging_prefix(url: str | None, name: str) -> StagingPrefix:
    """The folder of this name in the staging place. Raises WarehouseError where there is none, or no bucket is named."""
    if not url:
        raise WarehouseError(NO_PLACE)
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise WarehouseError(f"staging in SCX_WAREHOUSE_URL is {url!r}: write s3://bucket/prefix")
    prefix = "/".join(item for item in (parts.path.strip("/"), name) if item)
    return StagingPrefix(f"s3://{parts.netloc}/{prefix}", open_s3(parts.netloc, prefix))


def copyable(schema: pa.Schema) -> pa.Schema:
    """The columns as COPY reads them right: moments in UTC, as COPY takes others of 64 bits for bare numbers."""
    import pyarrow as pa

    kinds = [pa.timestamp("us", "UTC") if pa.types.is_timestamp(kind) else kind for kind in schema.types]
    return pa.schema(list(zip(schema.names, kinds, strict=True)))


def copies_as_it_is(footer: FileMetaData) -> bool:
    """Whether COPY reads a Parquet file right that others wrote, as far as its end tells."""
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    packed = {group.column(number).compression for group in groups for number in range(group.num_columns)}
    columns = [footer.schema.column(number) for number in range(len(footer.schema))]
    moments = [column for column in columns if str(column.logical_type.type) == "TIMESTAMP"]
    return packed <= CODECS and all(column.converted_type == "TIMESTAMP_MICROS" for column in moments)


def arrow_table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> pa.Table:
    """Rows of plain values as Arrow, typed as the columns are."""
    import pyarrow as pa

    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [pa.array(items, arrow_type(column)) for column, items in zip(columns, values, strict=True)]
    return pa.table(arrays, names=[column.name for column in columns])


def arrow_type(column: Column) -> pa.DataType:
    """The Arrow type of a neutral one; `copyable` makes of it what COPY expects of a Parquet file."""
    import pyarrow as pa

    simple: dict[str, Callable[[], pa.DataType]] = {
        "smallint": pa.int16, "integer": pa.int32, "bigint": pa.int64, "double": pa.float64, "boolean": pa.bool_,
        "date": pa.date32,
    }  # fmt: skip
    if column.max_bytes is not None:
        return pa.string()
    if column.type == "timestamp":
        return pa.timestamp("us")
    if column.type in simple:
        return simple[column.type]()
    digits, scale = column.type.removeprefix("decimal(").removesuffix(")").split(",")
    return pa.decimal128(int(digits), int(scale))
