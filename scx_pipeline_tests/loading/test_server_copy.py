"""What a look at objects tells, and how many rows each has of a group that a warehouse read.
That objects are read so, and what is left to the parser, is tested in redshift/."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from scx_pipeline.loading.server_copy import (
    HEAD,
    CopyBatch,
    ObjectHeader,
    fields_in,
    rows_of,
    schema_in,
    unpacked,
)
from scx_pipeline.planning.selection import SelectedObject
from scx_pipeline.storage.bucket import ObjectInfo
from scx_pipeline.warehouse.object_reader import CopyResult
from scx_pipeline.warehouse.redshift.copy_command import copyable
from scx_pipeline_tests.support.load_env import compress
from scx_pipeline_tests.support.sensor_env import packed, readings

NOW = datetime(2021, 4, 5, tzinfo=UTC)


def group(*rows: int | None) -> CopyBatch:
    objects = [SelectedObject("s", ObjectInfo(f"{n}", 1, "e", NOW), None) for n in range(len(rows))]
    return CopyBatch(tuple(objects), tuple(ObjectHeader((), rows=count) for count in rows))


def read(rows: int, broken: int = 0, header: int = 0, **lines: int) -> CopyResult:
    return CopyResult(rows, rows, None, None, broken=broken, lines=lines, header=header)


@pytest.mark.parametrize(
    ("kind", "of", "what", "rows"),
    [
        ("csv", group(None), read(7, a=7), [7]),
        ("csv", group(None), read(7, header=1, a=8), [7]),
        ("csv", group(None), read(7), None),  # it is not told how many lines there are
        ("csv", group(None), read(400, header=1, a=404), None),  # three records are missing
        ("csv", group(None), read(7, header=1, a=7), None),
        ("csv", group(None), read(7, a=8), None),  # the header counts as no line, and a record is missing
        ("csv", group(None), read(7, broken=1, header=1, a=9), [7]),
        ("csv", group(None), read(7, broken=2, header=1, a=10), [7]),
        ("csv", group(None), read(7, broken=2, header=1, a=8), [7]),  # records were counted, not lines
        ("csv", group(None), read(7, broken=2, header=1, a=9), None),
        ("csv", group(None, None), read(5, a=2, b=3), [2, 3]),
        ("csv", group(None, None), read(5, header=1, a=3, b=4), [2, 3]),
        ("csv", group(None, None), read(5, a=3, b=4), None),  # a record is missing of each
        ("csv", group(None, None), read(5, broken=2, a=4, b=3), None),
        ("csv", group(None, None), read(5, a=4, b=5), None),
        ("csv", group(None, None), read(5, a=5), None),
        ("csv", group(None, None), read(5), None),
        ("json_lines", group(None, None), read(5, a=2, b=3), [2, 3]),
        ("json_lines", group(None, None), read(5, a=3, b=4), None),  # blank lines, whose ever they are
        ("json_lines", group(None), read(5, a=5), [5]),
        ("json_lines", group(None), read(5), None),
        ("json_lines", group(None), read(1, a=5), None),  # a record of several lines
        ("json_lines", group(None), read(5, a=1), None),  # several records on a line
        ("parquet", group(2, 3), read(5), [2, 3]),  # as the files' footers say
        ("parquet", group(2, 3), read(6), None),
        ("parquet", group(6), read(6), [6]),
        ("parquet", group(7), read(6), None),
        ("parquet", group(None), read(6), None),
    ],
)
def test_rows_of_an_object_are_told_where_the_lines_add_up(
    kind: str, of: CopyBatch, what: CopyResult, rows: list[int] | None
) -> None:
    assert rows_of(kind, of, ["a", "b"][: len(of.objects)], what) == rows


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_the_start_of_a_compressed_object_is_read_from_its_first_bytes(suffix: str) -> None:
    content = b"\n".join(os.urandom(8).hex().encode() for _ in range(60_000))
    assert unpacked(compress(content, suffix)[: 256 << 10], suffix) == content[:HEAD]


@pytest.mark.parametrize("head", [b"", b"no gzip", gzip.compress(b"a,b\n", mtime=0)[:12]])
def test_what_cannot_be_decompressed_has_no_start(head: bytes) -> None:
    assert unpacked(head, ".gz") == b""
    assert unpacked(head, ".zst") == b""


def test_fields_of_records_are_told_by_their_full_names() -> None:
    lines = [
        b'{"a": 1, "user": {"id": 2}}',
        b"[1]",
        b"no JSON",
        b'{"user": 5, "b": 1}',
        b'{"cut off',
        b"[" * 100_000,
    ]
    assert fields_in(lines, [(), ("user",)]) == ["a", "b", "user", "user.id"]


def test_a_parquet_file_tells_its_schema_and_rows_at_its_end() -> None:
    usual = readings("2023-01-05 10:00", [f"s{n}" for n in range(5_000)])
    table = usual.cast(copyable(usual.schema))
    content = packed(table)
    assert schema_in(content[-4_000:]) == (table.schema, 5_000)
    assert schema_in(packed(usual)[-4_000:]) is None, "COPY would take its moments for bare numbers"
    assert schema_in(packed(table, compression="zstd")[-4_000:]) is None, "COPY reads no such pages"
    assert schema_in(content[-4_000:-1]) is None
    assert schema_in(b"") is None
    assert isinstance(table.schema, pa.Schema)
