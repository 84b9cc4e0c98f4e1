"""The headers of objects, read from their first or last bytes: columns in order, undeclared fields, row counts.

What is done with the objects does not belong here.
"""

from __future__ import annotations

import io
import json
import sys
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import SourceFileError
from scx_pipeline.loading.ingest.ingest_job import IngestJob
from scx_pipeline.model.column import Column
from scx_pipeline.parsing.csv import csv_header
from scx_pipeline.parsing.json.field_map import FieldMap
from scx_pipeline.parsing.parquet.contract import Contract, field_of
from scx_pipeline.parsing.parser import UndeclaredFields
from scx_pipeline.parsing.records import BOM
from scx_pipeline.planning.selection import SelectedObject, split_batches
from scx_pipeline.storage.compression import (
    HEAD_BYTES,
    check_decompressed_head,
    check_stored_head,
    compression_suffix,
    decompress,
)
from scx_pipeline.warehouse.duckdb.duckdb_connection import duckdb_type
from scx_pipeline.warehouse.redshift.copy_command import can_copy_unchanged

if TYPE_CHECKING:
    import pyarrow as pa

# Bytes that a header is read from: the decompressed start of a text, a compressed start, the end of a Parquet file.
TEXT_HEAD_BYTES, COMPRESSED_HEAD_BYTES, FOOTER_BYTES = 64 << 10, 256 << 10, 16 << 10
# Headers read at a time, which limits the memory for those bytes.
HEADERS_AT_ONCE = 200


@dataclass(frozen=True)
class ObjectHeader:
    """The columns of an object in order (None for an undeclared one), its undeclared fields, and its row count if it has one."""

    columns: tuple[Column | None, ...]
    undeclared_fields: UndeclaredFields | None = None
    rows: int | None = None


def read_headers(job: IngestJob, objects: Sequence[SelectedObject]) -> dict[SelectedObject, ObjectHeader]:
    """Read the headers of objects, except those whose content needs client parsing.

    Raises SourceFileError for an object whose start is invalid, unless the source rejects such files, as the parser does.
    """
    read = _HEADER_READERS[job.source.format]
    return {
        item: header
        for part in split_batches(objects, sys.maxsize, HEADERS_AT_ONCE)
        for item, header in zip(part, read(job, part), strict=True)
        if header is not None
    }


def _read_csv_headers(job: IngestJob, objects: Sequence[SelectedObject]) -> Iterable[ObjectHeader | None]:
    for item, start in zip(objects, _read_starts(job, objects), strict=True):
        header = None
        with _leaving_invalid_to_parser(job, item):
            header = csv_header.parse_header(start.removeprefix(BOM), job.uri(item.info), job.table)
        if header is None or header.newline == "\\r":
            yield None
            continue
        declared = {column.field_name: column for column in job.table.columns}
        unknown = tuple(name for name in header.columns if name not in declared)
        yield ObjectHeader(
            tuple(declared.get(name) for name in header.columns),
            UndeclaredFields(unknown) if unknown else None,
        )


def _read_json_headers(job: IngestJob, objects: Sequence[SelectedObject]) -> Iterable[ObjectHeader | None]:
    fields = FieldMap(job.source, job.table)
    for start in _read_starts(job, objects):
        # UTF-16 text has NUL bytes.
        needs_parsing = not start or start.startswith(BOM) or b"\0" in start
        yield None if needs_parsing else _json_header(job, fields, start)


def _json_header(job: IngestJob, fields: FieldMap, start: bytes) -> ObjectHeader | None:
    """Return a header from the first records; None if the start is cut off and lacks a field that later records may have."""
    lines, cut_off = start.split(b"\n"), len(start) == TEXT_HEAD_BYTES
    found = find_fields(lines[:-1] if cut_off else lines, fields.levels)
    unknown = tuple(name for name in found if name not in fields.declared_names)
    absent = tuple(name for name in fields.declared_names if name not in found)
    if absent and cut_off:
        return None
    return ObjectHeader(job.table.columns, UndeclaredFields(unknown, absent) if unknown or absent else None)


def find_fields(lines: Sequence[bytes], levels: Collection[tuple[str, ...]]) -> list[str]:
    """Return the full names of the fields of JSON records, at the given levels of nesting."""
    found: dict[str, None] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue  # The warehouse or the parser rejects an invalid record.
        for level in levels:
            inner: Any = record
            for name in level:
                inner = inner.get(name) if isinstance(inner, dict) else None
            if isinstance(inner, dict):
                found |= {".".join((*level, name)): None for name in inner}
    return sorted(found)


def _read_starts(job: IngestJob, objects: Sequence[SelectedObject]) -> list[bytes]:
    """Return the decompressed first bytes of objects; empty where they are invalid or cannot be decompressed."""
    compressed = [item for item in objects if compression_suffix(item.info.key)]
    plain = [item for item in objects if not compression_suffix(item.info.key)]
    heads = dict.fromkeys(objects, b"")
    starts = job.bucket.read_heads([item.info for item in plain], TEXT_HEAD_BYTES)
    for item, head in zip(plain, starts, strict=True):
        with _leaving_invalid_to_parser(job, item):
            check_stored_head(head[:HEAD_BYTES], "", job.uri(item.info))
            heads[item] = head
    stored = job.bucket.read_heads([item.info for item in compressed], COMPRESSED_HEAD_BYTES)
    for item, head in zip(compressed, stored, strict=True):
        suffix, uri = compression_suffix(item.info.key), job.uri(item.info)
        with _leaving_invalid_to_parser(job, item):
            check_stored_head(head[:HEAD_BYTES], suffix, uri)
            start = decompress_head(head, suffix)
            check_decompressed_head(start[:HEAD_BYTES], suffix, uri)
            heads[item] = start
    return list(heads.values())


@contextmanager
def _leaving_invalid_to_parser(job: IngestJob, item: SelectedObject) -> Iterator[None]:
    """Leave an object that the block finds invalid to the parser if the source rejects such files."""
    try:
        yield
    except SourceFileError as error:
        error.key = item.info.key
        if job.source.on_invalid_file == "fail":
            raise


def decompress_head(head: bytes, suffix: str) -> bytes:
    """Return the decompressed first bytes of an object from its stored first bytes; empty if they are not enough."""
    try:
        if suffix == ".gz":
            decompressor = zlib.decompressobj(31)
            start = decompressor.decompress(head, TEXT_HEAD_BYTES)
            return start if decompressor.eof or len(start) == TEXT_HEAD_BYTES else b""
        with decompress(io.BytesIO(head), suffix) as stream:
            return stream.read(TEXT_HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""


def _read_parquet_headers(job: IngestJob, objects: Sequence[SelectedObject]) -> Iterable[ObjectHeader | None]:
    footers = job.bucket.read_tails([item.info for item in objects], FOOTER_BYTES)
    columns_by_schema: dict[Any, tuple[Column, ...] | None] = {}
    for footer, item in zip(footers, objects, strict=True):
        found = None if compression_suffix(item.info.key) else read_schema(footer)
        if found is None:
            yield None
            continue
        schema, rows = found
        if schema not in columns_by_schema:
            columns_by_schema[schema] = _columns_of(job, schema)
        columns = columns_by_schema[schema]
        yield None if columns is None else ObjectHeader(columns, rows=rows)


def read_schema(footer: bytes) -> tuple[pa.Schema, int] | None:
    """Return the schema and the row count in the footer of a Parquet file; None if COPY would misread the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(io.BytesIO(footer))
        if not can_copy_unchanged(metadata):
            return None
        return metadata.schema.to_arrow_schema().remove_metadata(), metadata.num_rows
    except (OSError, ValueError, pa.ArrowException):
        return None


def _columns_of(job: IngestJob, schema: pa.Schema) -> tuple[Column, ...] | None:
    """Return the declared columns of files with this schema; None if the parser must reject or convert anything."""
    types = {field.name: _duckdb_type_name(field.type) for field in schema}
    contract = Contract(job.source, job.table, types)
    if contract.problems or contract.undeclared_fields or len(types) < len(schema) or job.source.null_values:
        return None
    by_field = {field_of(column): column for column in job.table.columns}
    columns = tuple(by_field[name] for name in types)
    same = all(types[name] == duckdb_type(by_field[name]) for name in types)
    return columns if same else None


def _duckdb_type_name(kind: pa.DataType) -> str:
    """Return DuckDB's name of an Arrow type that needs no conversion; of others, a name that no column has."""
    import pyarrow as pa

    names = {
        pa.string(): "VARCHAR", pa.int16(): "SMALLINT", pa.int32(): "INTEGER", pa.int64(): "BIGINT", pa.float64(): "DOUBLE",
        pa.bool_(): "BOOLEAN", pa.date32(): "DATE", pa.timestamp("us", "UTC"): "TIMESTAMP",
    }  # fmt: skip
    if pa.types.is_decimal128(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    return names.get(kind, f"another ({kind})")


_HEADER_READERS: Mapping[
    str, Callable[[IngestJob, Sequence[SelectedObject]], Iterable[ObjectHeader | None]]
] = {"csv": _read_csv_headers, "json_lines": _read_json_headers, "parquet": _read_parquet_headers}
