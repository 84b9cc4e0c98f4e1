"""Objects that the warehouse reads itself, past the parser: which can be read together, and what becomes of a group in doubt.
How a warehouse reads is its own; whatever is in doubt is left to the parser, as nobody else says what a row is."""

from __future__ import annotations

import io
import json
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import BucketError
from scx_pipeline.history.ingest_result import IngestResult, ObjectCount, bounds_of
from scx_pipeline.loading.progress import ProgressReporter
from scx_pipeline.model.column import Column
from scx_pipeline.parsing.csv import csv_header
from scx_pipeline.parsing.json.field_map import FieldMap
from scx_pipeline.parsing.parquet.contract import Contract, field_of
from scx_pipeline.parsing.parser import UndeclaredFields
from scx_pipeline.parsing.records import BOM
from scx_pipeline.planning.selection import SelectedObject, split_batches
from scx_pipeline.storage.compression import HEAD_BYTES, check_head, check_unpacked, decompressed, suffix_of
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import duckdb_type
from scx_pipeline.warehouse.object_reader import CopyRequest, CopyResult, ObjectReader, ServerCopyError
from scx_pipeline.warehouse.redshift.copy_command import copies_as_it_is

if TYPE_CHECKING:
    import pyarrow as pa

    from scx_pipeline.loading.ingest import IngestJob

# Bytes from which on an object is read by a statement of its own, so that its rows are known.
ALONE = 64 << 20
# Read by one statement at most: what is in doubt of a group is in doubt of all of it.
GROUP_BYTES, GROUP_OBJECTS = 1 << 30, 2_000
HEAD, PACKED_HEAD, FOOTER = 64 << 10, 256 << 10, 16 << 10  # bytes that tell what an object looks like
LOOKED_AT = 200  # objects at a time, which bounds the memory for those bytes


@dataclass(frozen=True)
class ObjectHeader:
    """What a look at an object tells: its columns in order (None: not declared), and its rows where it says how many."""

    columns: tuple[Column | None, ...]
    undeclared_fields: UndeclaredFields | None = None
    rows: int | None = None


@dataclass(frozen=True)
class CopyBatch:
    """Objects of one make, and how many rows each has where that is known."""

    objects: tuple[SelectedObject, ...]
    looks: tuple[ObjectHeader, ...]


class ServerCopy:
    """Lets a warehouse read what it can of a load's objects. A warehouse without a reader can read none."""

    def __init__(self, job: IngestJob, reader: ObjectReader | None, ingest_result: IngestResult) -> None:
        self.job, self.reader, self.ingest_result = job, reader, ingest_result
        self.kept: dict[int, CopyBatch] = {}  # by the number of the first object
        self.dropped: set[int] = set()  # numbers of objects that were left to the parser after all

    def run(self, objects: Sequence[SelectedObject]) -> list[SelectedObject]:
        """Have objects read. Those that are left to the parser.

        Raises BucketError for an object that went away or was overwritten after the listing, and SourceFileError for one
        that the parser would raise it for.
        """
        reader, job = self.reader, self.job
        size = sum(item.info.size for item in objects)
        if (
            reader is None
            or not objects
            or job.bucket.folder is not None
            or size < reader.least_bytes
            or not reader.reads(job.source.format)
        ):
            return list(objects)
        job.progress(
            f"{job.table.name}: looking at {len(objects):,} objects, which the warehouse may read itself"
        )
        groups, left = self._grouped(objects)
        pace = ProgressReporter(len(objects), size, job.progress)
        done = rows = read = 0
        for group in groups:
            why = self._copy(reader, group)
            if why:
                job.progress(f"{job.table.name}: {why}; {len(group.objects):,} objects are read here")
                left += group.objects
                continue
            done += len(group.objects)
            read += sum(item.info.size for item in group.objects)
            rows += sum(count.read for count in self.ingest_result.counts[-len(group.objects) :])
            pace.at(done, rows, read)
        job.progress(
            f"{job.table.name}: {done:,} of {len(objects):,} objects were read by the warehouse itself"
        )
        return left

    def discard(self, lost: Mapping[int, int]) -> list[SelectedObject]:
        """Objects of which, together with others, rows were lost to newer ones: which lost how many, the parser tells."""
        found: list[SelectedObject] = []
        for number in sorted(lost.keys() & self.kept.keys()):
            group = self.kept[number]
            if len(group.objects) > 1 and self.reader is not None:
                self.reader.discard(number)
                self.dropped |= set(range(number, number + len(group.objects)))
                del self.kept[number]
                found += group.objects
        return found

    def _grouped(self, objects: Sequence[SelectedObject]) -> tuple[list[CopyBatch], list[SelectedObject]]:
        """The groups of objects that one statement each can read, and the other objects."""
        looks = self._looks(objects)
        alike: dict[object, list[SelectedObject]] = defaultdict(list)
        left = [item for item in objects if looks.get(item) is None]
        for item, look in looks.items():
            if look is not None:
                alone = item.info.key if item.info.size >= ALONE else ""
                alike[look.columns, suffix_of(item.info.key), item.months, alone].append(item)
        groups = []
        for same in alike.values():
            for part in split_batches(same, GROUP_BYTES, GROUP_OBJECTS):
                groups.append(CopyBatch(tuple(part), tuple(look for item in part if (look := looks[item]))))
        return groups, left

    def _looks(self, objects: Sequence[SelectedObject]) -> dict[SelectedObject, ObjectHeader | None]:
        """What a look at each object tells; of those that are empty, or had bad rows the last time, nothing."""
        rejecting = self.job.rejecting()
        wanted = [
            item for item in objects if item.info.size and (item.info.key, item.info.etag) not in rejecting
        ]
        look_at = _LOOKS[self.job.source.format]
        looks: dict[SelectedObject, ObjectHeader | None] = {}
        for part in split_batches(wanted, sys.maxsize, LOOKED_AT):
            looks |= zip(part, look_at(self.job, part), strict=True)
        return looks

    def _copy(self, reader: ObjectReader, group: CopyBatch) -> str:
        """Have a group read, and take it into account; why not, if it must be left to the parser."""
        uri = self.job.bucket.uri
        listed = tuple((uri(item.info.key), item.info.size) for item in group.objects)
        first = group.objects[0]
        asked = CopyRequest(
            self.job.source.format,
            suffix_of(first.info.key),
            group.looks[0].columns,
            listed,
            self.job.source.null_values,
        )
        try:
            read = reader.read(asked)
        except ServerCopyError as error:
            self._check_standing(group.objects, error)
            raise
        self._check_etags(group.objects, read.etags)
        counts = rows_of(asked.format, group, [url for url, _ in listed], read)
        why = read.doubt or self._misplaced(group, read)
        if why or counts is None:
            return why or "it is not told how many rows each object has"
        number = len(self.ingest_result.counts)
        reader.keep(number)
        self.kept[number] = group
        for item, look, rows in zip(group.objects, group.looks, counts, strict=True):
            in_scope = read.in_scope if len(group.objects) == 1 else rows
            self.ingest_result.counts.append(ObjectCount(item, rows, in_scope, filtered=rows - in_scope))
            if look.undeclared_fields:
                self.ingest_result.undeclared_fields.append((item.info.key, look.undeclared_fields))
        return ""

    def _misplaced(self, group: CopyBatch, read: CopyResult) -> str:
        """Whether rows are of other months than they may be, or than are loaded and it is not known whose they are."""
        if read.first is None or read.last is None:
            return ""
        bounds = bounds_of(group.objects[0], self.job.months)
        if read.first < bounds.start or read.last >= bounds.end:
            return "there are rows of other months than the keys name"
        if len(group.objects) > 1 and read.in_scope != read.rows:
            return "there are rows of months that are not loaded"
        return ""

    def _check_standing(self, objects: Sequence[SelectedObject], error: Exception | None = None) -> None:
        changed = self.job.bucket.changed([item.info for item in objects])
        if changed is not None:
            uri = self.job.bucket.uri(changed.key)
            raise BucketError(f"{uri} went away or was overwritten after the listing; run again") from error

    def _check_etags(self, objects: Sequence[SelectedObject], etags: Mapping[str, str]) -> None:
        others = [
            item
            for item in objects
            if etags.get(self.job.bucket.uri(item.info.key), "") not in ("", item.info.etag.strip('"'))
        ]
        self._check_standing(others)


def rows_of(kind: str, group: CopyBatch, urls: Sequence[str], read: CopyResult) -> list[int] | None:
    """How many rows each object of a format has; None where that is not known for sure, beside what was loaded of it."""
    if kind == "parquet":
        footers = [look.rows for look in group.looks if look.rows is not None]
        return footers if len(footers) == len(urls) and sum(footers) == read.rows else None
    rows = [read.lines[url] - read.header for url in urls if url in read.lines]
    if len(rows) < len(urls):
        return None
    # Whether a line break in a text makes another line is not said.
    if len(rows) == 1 and rows[0] in (read.rows, read.rows + read.broken):
        return [read.rows]
    return rows if sum(rows) == read.rows and min(rows) >= 0 and not read.broken else None


def _look_at_csv(job: IngestJob, objects: Sequence[SelectedObject]) -> Iterable[ObjectHeader | None]:
    for item, start in zip(objects, _starts(job, objects), strict=True):
        header = (
            csv_header.header_in(start.removeprefix(BOM), job.uri(item.info), job.table) if start else None
        )
        if header is None or header.newline == "\\r":
            yield None
            continue
        declared = {column.name: column for column in job.table.columns}
        unknown = tuple(name for name in header.columns if name not in declared)
        yield ObjectHeader(
            tuple(declared.get(name) for name in header.columns),
            UndeclaredFields(unknown) if unknown else None,
        )


def _look_at_lines(job: IngestJob, objects: Sequence[SelectedObject]) -> Iterable[ObjectHeader | None]:
    fields = FieldMap(job.source, job.table)
    for start in _starts(job, objects):
        if not start or start.startswith(BOM) or b"\0" in start:  # as any UTF-16 has
            yield None
            continue
        yield _look_at_fields(job, fields, start)


def _look_at_fields(job: IngestJob, fields: FieldMap, start: bytes) -> ObjectHeader | None:
    """What the records at the start of a file tell of its fields; the parser tells what no record has, if these have it not."""
    lines, cut_off = start.split(b"\n"), len(start) == HEAD
    found = fields_in(lines[:-1] if cut_off else lines, fields.levels)
    unknown = tuple(name for name in found if name not in fields.declared)
    absent = tuple(name for name in fields.declared if name not in found)
    if absent and cut_off:
        return None
    return ObjectHeader(job.table.columns, UndeclaredFields(unknown, absent) if unknown or absent else None)


def fields_in(lines: Sequence[bytes], levels: Collection[tuple[str, ...]]) -> list[str]:
    """The full names of the fields that records have."""
    found: dict[str, None] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue  # what a record must be, the warehouse or the parser tells
        for level in levels:
            inner: Any = record
            for name in level:
                inner = inner.get(name) if isinstance(inner, dict) else None
            if isinstance(inner, dict):
                found |= {".".join((*level, name)): None for name in inner}
    return sorted(found)


def _starts(job: IngestJob, objects: Sequence[SelectedObject]) -> list[bytes]:
    """The first bytes of objects, decompressed; none of one that cannot be read so far."""
    packed = [item for item in objects if suffix_of(item.info.key)]
    plain = [item for item in objects if not suffix_of(item.info.key)]
    heads = dict(zip(plain, job.bucket.heads([item.info for item in plain], HEAD), strict=True))
    for item, head in heads.items():
        check_head(head[:HEAD_BYTES], "", job.uri(item.info))
    for item, head in zip(packed, job.bucket.heads([item.info for item in packed], PACKED_HEAD), strict=True):
        suffix, uri = suffix_of(item.info.key), job.uri(item.info)
        check_head(head[:HEAD_BYTES], suffix, uri)
        heads[item] = unpacked(head, suffix)
        check_unpacked(heads[item][:HEAD_BYTES], suffix, uri)
    return [heads[item] for item in objects]


def unpacked(head: bytes, suffix: str) -> bytes:
    """The first bytes of what a compressed object holds, out of its own first bytes; none where they cannot be told."""
    try:
        if suffix == ".gz":
            packed = zlib.decompressobj(31)
            start = packed.decompress(head, HEAD)
            return start if packed.eof or len(start) == HEAD else b""
        with decompressed(io.BytesIO(head), suffix) as stream:
            return stream.read(HEAD)
    except (OSError, EOFError, zlib.error):
        return b""


def _look_at_parquet(job: IngestJob, objects: Sequence[SelectedObject]) -> Iterable[ObjectHeader | None]:
    footers = job.bucket.tails([item.info for item in objects], FOOTER)
    known: dict[Any, tuple[Column, ...] | None] = {}
    for footer, item in zip(footers, objects, strict=True):
        found = None if suffix_of(item.info.key) else schema_in(footer)
        if found is None:
            yield None
            continue
        schema, rows = found
        if schema not in known:
            known[schema] = _columns_of(job, schema)
        columns = known[schema]
        yield None if columns is None else ObjectHeader(columns, rows=rows)


def schema_in(footer: bytes) -> tuple[pa.Schema, int] | None:
    """The schema and the row count in the footer of a Parquet file, if COPY reads such a file right."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(io.BytesIO(footer))
        if not copies_as_it_is(metadata):
            return None
        return metadata.schema.to_arrow_schema().remove_metadata(), metadata.num_rows
    except (OSError, ValueError, pa.ArrowException):
        return None


def _columns_of(job: IngestJob, schema: pa.Schema) -> tuple[Column, ...] | None:
    """The declared columns of files with a schema; None where the parser has something to say, or to convert."""
    types = {field.name: _kind(field.type) for field in schema}
    contract = Contract(job.source, job.table, types)
    if contract.mistakes or contract.undeclared_fields or len(types) < len(schema) or job.source.null_values:
        return None
    by_field = {field_of(column): column for column in job.table.columns}
    columns = tuple(by_field[name] for name in types)
    same = all(types[name] == duckdb_type(by_field[name]) for name in types)
    return columns if same else None


def _kind(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type that is read as it is; of others, one that no column has."""
    import pyarrow as pa

    names = {
        pa.string(): "VARCHAR", pa.int16(): "SMALLINT", pa.int32(): "INTEGER", pa.int64(): "BIGINT", pa.float64(): "DOUBLE",
        pa.bool_(): "BOOLEAN", pa.date32(): "DATE", pa.timestamp("us", "UTC"): "TIMESTAMP",
    }  # fmt: skip
    if pa.types.is_decimal128(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    return names.get(kind, f"another ({kind})")


_LOOKS: Mapping[str, Callable[[Any, Sequence[SelectedObject]], Iterable[ObjectHeader | None]]] = {
    "csv": _look_at_csv,
    "json_lines": _look_at_lines,
    "parquet": _look_at_parquet,
}
