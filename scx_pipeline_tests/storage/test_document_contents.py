"""Documents that are compressed, damaged, of another encoding, empty, or too large for memory.

The order in which documents are read is not tested here.
"""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from scx_pipeline.errors import SourceFileError
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline_tests.storage.buckets import folder_bucket, put, read_all


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


def damaged(content: bytes, place: int) -> bytes:
    """The content with a byte turned over."""
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


TEXT = b'{"song_id": "SO1", "title": "Undo"}' * 20


@pytest.mark.parametrize(
    ("key", "content", "reason"),
    [
        ("a.json.gz", b"\x1f\x8b\x08\x00 none", "the compressed file is damaged or truncated"),
        ("a.json", b"x" * ((16 << 20) + 1), "larger than 16 MiB; write its objects one a line"),
        (
            "a.json.gz",
            gzip.compress(b"x" * ((16 << 20) + 1), mtime=0),
            "larger than 16 MiB; write its objects one a line",
        ),
    ],
    ids=["damaged", "large", "large when unpacked"],
)
def test_a_document_that_cannot_be_read_into_memory_is_named(
    bucket: Bucket, key: str, content: bytes, reason: str
) -> None:
    put(bucket, key, content)
    with pytest.raises(SourceFileError, match=f"{key}: .*{reason}"):
        read_all(bucket, key)


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("a.json.gz", b""), ("a.json.gz", gzip.compress(b"", mtime=0)), ("a.json.zst", b""), ("a.json.zst", zstd(b"")), ("a.json", b""),
    ],
    ids=["gzip of no bytes", "gzip of nothing", "zstd of no bytes", "zstd of nothing", "nothing"],
)  # fmt: skip
def test_an_empty_file_is_one_document(bucket: Bucket, key: str, content: bytes) -> None:
    put(bucket, key, content)
    assert read_all(bucket, key) == [(key, b"")]


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("A.JSON.GZ", gzip.compress(TEXT, mtime=0)),
        ("a.gzip", gzip.compress(TEXT, mtime=0)),
        ("a.zstd", zstd(TEXT)),
        ("two.gz", gzip.compress(TEXT[:99], mtime=0) + gzip.compress(TEXT[99:], mtime=0)),
        ("two.zst", zstd(TEXT[:99]) + zstd(TEXT[99:])),
        ("a.gz.json", TEXT),
    ],
    ids=["gz in capitals", "gzip", "zstd", "two gz", "two zst", "none"],
)
def test_the_suffix_of_a_documents_key_gives_its_compression(
    bucket: Bucket, key: str, content: bytes
) -> None:
    put(bucket, key, content)
    assert read_all(bucket, key) == [(key, TEXT)]


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("a.json.gz", gzip.compress(TEXT, mtime=0)[:-1]),
        ("a.json.gz", gzip.compress(TEXT, mtime=0)[:20]),
        ("a.json.gz", damaged(gzip.compress(TEXT, mtime=0), -6)),
        ("a.json.gz", damaged(gzip.compress(TEXT, mtime=0), 14)),
        ("a.json.gz", gzip.compress(TEXT, mtime=0) + b"more"),
        ("a.json.zst", zstd(TEXT)[:-1]),
        ("a.json.zst", zstd(TEXT)[:3]),
        ("a.json.zst", zstd(TEXT) + b"more"),
    ],
    ids=[
        *(
            "gzip cut off",
            "gzip cut off early",
            "gzip of another checksum",
            "gzip damaged",
            "gzip and more",
        ),
        *("zstd cut off", "zstd cut off early", "zstd and more"),
    ],
)
def test_a_damaged_compressed_document_is_named(bucket: Bucket, key: str, content: bytes) -> None:
    put(bucket, key, content)
    with pytest.raises(SourceFileError) as caught:
        read_all(bucket, key)
    message = str(caught.value)
    assert message.startswith(f"{bucket.uri(key)}: the compressed file is damaged or truncated (")
    assert message.endswith("); upload it again")
    assert "\n" not in message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_document_of_another_encoding_is_refused(
    bucket: Bucket, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    key = "a.json" if pack is bytes else "a.json.gz"
    put(bucket, key, pack('[{"a": 1}]'.encode(encoding)))
    with pytest.raises(SourceFileError, match=r"a\.json.*, line 1: not UTF-8 \(it looks like UTF-\d\d\)"):
        read_all(bucket, key)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_a_document_may_have_16_mib_and_not_a_byte_more(
    bucket: Bucket, pack: Callable[[bytes], bytes]
) -> None:
    key = {gzip.compress: "a.json.gz", zstd: "a.json.zst"}.get(pack, "a.json")
    put(bucket, key, pack(bytes(16 << 20)))
    assert [len(content) for _, content in read_all(bucket, key)] == [16 << 20]
    put(bucket, key, pack(bytes((16 << 20) + 1)))
    with pytest.raises(SourceFileError) as caught:
        read_all(bucket, key)
    assert str(caught.value) == (
        f"{bucket.uri(key)}: the document is larger than 16 MiB; "
        "write its objects one a line, and declare the format json_lines"
    )


@pytest.mark.parametrize("key", ["huge.json", "huge.json.gz"])
def test_a_file_far_too_large_for_a_document_is_not_read_into_memory(tmp_path: Path, key: str) -> None:
    bucket = folder_bucket(tmp_path, {})
    if key.endswith(".gz"):
        (tmp_path / key).write_bytes(gzip.compress(bytes(1 << 20), 1) * 128)
    else:
        with (tmp_path / key).open("wb") as file:
            file.truncate(128 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(SourceFileError, match=f"{key}: the document is larger than 16 MiB"):
            read_all(bucket, key)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 64 << 20
