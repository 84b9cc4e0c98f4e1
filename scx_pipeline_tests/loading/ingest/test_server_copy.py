"""The headers of objects, and the row counts of objects that a warehouse copied."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from scx_pipeline.loading.ingest.object_headers import (
    TEXT_HEAD_BYTES,
    ObjectHeader,
    decompress_head,
    find_fields,
    read_schema,
)
from scx_pipeline.loading.ingest.server_copy import CopyBatch, count_rows_per_object
from scx_pipeline.planning.selection import SelectedObject
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline.warehouse.object_reader import CopyResult
from scx_pipeline.warehouse.redshift.copy_command import to_copy_schema
from scx_pipeline_tests.support.load_env import compress
from scx_pipeline_tests.support.sensor_env import readings, to_parquet

NOW = datetime(2021, 4, 5, tzinfo=UTC)


def batch(*rows: int | None) -> CopyBatch:
    objects = [SelectedObject("s", ObjectInfo(f"{n}", 1, "e", NOW), None) for n in range(len(rows))]
    return CopyBatch(tuple(objects), tuple(ObjectHeader((), rows=count) for count in rows))


def read(rows: int, line_breaks: int = 0, header: int = 0, **lines: int) -> CopyResult:
    return CopyResult(rows, rows, None, None, line_breaks=line_breaks, lines=lines, header_lines=header)


@pytest.mark.parametrize(
    ("kind", "of", "what", "rows"),
    [
        ("csv", batch(None), read(7, a=7), [7]),
        ("csv", batch(None), read(7, header=1, a=8), [7]),
        ("csv", batch(None), read(7), None),  # the number of lines is unknown
        ("csv", batch(None), read(400, header=1, a=404), None),  # three records are missing
        ("csv", batch(None), read(7, header=1, a=7), None),
        ("csv", batch(None), read(7, a=8), None),  # the header counts as no line, and a record is missing
        ("csv", batch(None), read(7, line_breaks=1, header=1, a=9), [7]),
        ("csv", batch(None), read(7, line_breaks=2, header=1, a=10), [7]),
        ("csv", batch(None), read(7, line_breaks=2, header=1, a=8), [7]),  # records were counted, not lines
        ("csv", batch(None), read(7, line_breaks=2, header=1, a=9), None),
        ("csv", batch(None, None), read(5, a=2, b=3), [2, 3]),
        ("csv", batch(None, None), read(5, header=1, a=3, b=4), [2, 3]),
        ("csv", batch(None, None), read(5, a=3, b=4), None),  # a record of each is missing
        ("csv", batch(None, None), read(5, line_breaks=2, a=4, b=3), None),
        ("csv", batch(None, None), read(5, a=4, b=5), None),
        ("csv", batch(None, None), read(5, a=5), None),
        ("csv", batch(None, None), read(5), None),
        ("json_lines", batch(None, None), read(5, a=2, b=3), [2, 3]),
        ("json_lines", batch(None, None), read(5, a=3, b=4), None),  # blank lines in an unknown object
        ("json_lines", batch(None), read(5, a=5), [5]),
        ("json_lines", batch(None), read(5), None),
        ("json_lines", batch(None), read(1, a=5), None),  # a record of several lines
        ("json_lines", batch(None), read(5, a=1), None),  # several records on a line
        ("parquet", batch(2, 3), read(5), [2, 3]),  # as in the footers of the files
        ("parquet", batch(2, 3), read(6), None),
        ("parquet", batch(6), read(6), [6]),
        ("parquet", batch(7), read(6), None),
        ("parquet", batch(None), read(6), None),
    ],
)
def test_row_counts_of_objects_are_known_only_if_their_sum_is_the_copied_rows(
    kind: str, of: CopyBatch, what: CopyResult, rows: list[int] | None
) -> None:
    assert count_rows_per_object(kind, of, ["a", "b"][: len(of.objects)], what) == rows


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_the_start_of_a_compressed_object_is_read_from_its_first_bytes(suffix: str) -> None:
    content = b"\n".join(os.urandom(8).hex().encode() for _ in range(60_000))
    assert decompress_head(compress(content, suffix)[: 256 << 10], suffix) == content[:TEXT_HEAD_BYTES]


@pytest.mark.parametrize("head", [b"", b"no gzip", gzip.compress(b"a,b\n", mtime=0)[:12]])
def test_the_start_of_an_object_that_cannot_be_decompressed_is_empty(head: bytes) -> None:
    assert decompress_head(head, ".gz") == b""
    assert decompress_head(head, ".zst") == b""


def test_fields_of_records_are_found_with_their_full_names() -> None:
    lines = [
        b'{"a": 1, "user": {"id": 2}}',
        b"[1]",
        b"no JSON",
        b'{"user": 5, "b": 1}',
        b'{"cut off',
        b"[" * 100_000,
    ]
    assert find_fields(lines, [(), ("user",)]) == ["a", "b", "user", "user.id"]


def test_schema_and_row_count_are_read_from_the_footer_of_a_parquet_file() -> None:
    usual = readings("2023-01-05 10:00", [f"s{n}" for n in range(5_000)])
    table = usual.cast(to_copy_schema(usual.schema))
    content = to_parquet(table)
    assert read_schema(content[-4_000:]) == (table.schema, 5_000)
    assert read_schema(to_parquet(usual)[-4_000:]) is None, "COPY would read its timestamps as plain numbers"
    assert read_schema(to_parquet(table, compression="zstd")[-4_000:]) is None, "COPY cannot read such pages"
    assert read_schema(content[-4_000:-1]) is None
    assert read_schema(b"") is None
    assert isinstance(table.schema, pa.Schema)
