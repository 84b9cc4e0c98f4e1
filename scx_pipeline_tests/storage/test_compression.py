"""What a file is by its bytes, the errors if its name says otherwise, and the limits of decompression."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import orc

from scx_pipeline.errors import SourceFileError
from scx_pipeline.storage import compression
from scx_pipeline.storage.compression import (
    HEAD_BYTES,
    CompressionLimitError,
    UnpackedLimits,
    detect_format,
    open_decompressed,
)
from scx_pipeline.storage.local_file import LocalFile, check_content, open_local_file
from scx_pipeline.storage.object_info import ObjectInfo

TEXT = b"id,name\n" + b"1,undo\n2,redo\n" * 100
URI = "s3://raw/logs/x.csv"


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


def zipped(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("x.csv", content)
    return made.getvalue()


def tarred(content: bytes, kind: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=kind) as archive:
        info = tarfile.TarInfo("x.csv")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def table() -> pa.Table:
    return pa.table({"id": [1, 2], "name": ["undo", "redo"]})


def parquet(_: bytes) -> bytes:
    made = io.BytesIO()
    pq.write_table(table(), made)
    return made.getvalue()


def orc_file(_: bytes) -> bytes:
    made = io.BytesIO()
    orc.write_table(table(), made)
    return made.getvalue()


MAKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda content: gzip.compress(content, mtime=0),
    "zstd": zstd,
    "zstd, after a frame that readers skip": lambda content: (
        b"\x50\x2a\x4d\x18\x00\x00\x00\x00" + zstd(content)
    ),
    "bzip2": bz2.compress,
    "bzip2 of nothing": lambda _: bz2.compress(b""),
    "lz4": lambda content: bytes(pa.compress(content, "lz4", asbytes=True)),
    "snappy": lambda content: b"\xff\x06\x00\x00sNaPpY" + content,
    "xz": lzma.compress,
    "zip": zipped,
    "zip of nothing": lambda _: b"PK\x05\x06" + bytes(18),
    "tar": tarred,
    "tar as GNU writes it": lambda content: tarred(content, tarfile.GNU_FORMAT),
    "Parquet": parquet,
    "ORC": orc_file,
    "Avro": lambda _: b"Obj\x01\x04\x16avro.schema",
    "UTF-16": lambda content: content.decode().encode("utf-16"),
    "UTF-16 without a mark": lambda content: content.decode().encode("utf-16-le"),
    "UTF-16, the other way round": lambda content: content.decode().encode("utf-16-be"),
    "UTF-32": lambda content: content.decode().encode("utf-32"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_format_is_known_by_its_first_bytes(name: str) -> None:
    head = MAKERS[name](TEXT)[:HEAD_BYTES]
    assert name.startswith(detect_format(head))
    assert detect_format(head)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"i", TEXT, b"\xef\xbb\xbf" + TEXT, b"PAR1,ORC\n1,2\n", b"ORC,PAR1\n1,2\n", b"PK,id\n1,2\n", b"BZh9,id\n1,2\n",
        b"Obj,id\n", b"Rar!,id\n", b"7z,id\n", b'{"id": 1}\n', "größe,日本\n".encode(), b"x" * 257 + b"ustard\n", b"\x00", b"a\tb\x0bc\x0c\n",
    ],
    ids=repr,
)  # fmt: skip
def test_text_is_text_whatever_it_begins_with(text: bytes) -> None:
    assert detect_format(text[:HEAD_BYTES]) == ""


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t\r")))
def test_no_text_is_taken_for_another_format(text: str) -> None:
    assert detect_format(text.encode()) == ""


def written(path: Path, key: str, content: bytes, unpacked: UnpackedLimits | None = None) -> LocalFile:
    suffix = compression.compression_suffix(key)
    (path / f"0{suffix}").write_bytes(content)
    info = ObjectInfo(key, len(content), "", datetime(2024, 1, 1, tzinfo=UTC))
    return LocalFile(info, path / f"0{suffix}", suffix, path / "aside", unpacked or UnpackedLimits())


def message(file: LocalFile) -> str:
    with pytest.raises(SourceFileError) as caught:
        compression.check_encoding(check_content(file, URI), URI)
    assert "\n" not in str(caught.value)
    return str(caught.value)


ARCHIVE = "archive, which is not supported: extract its files, and upload those"
ZIP = "is a zip archive or a workbook: rename an archive of one file so that its name ends in .zip; save a workbook as CSV and upload that"
NOT_READ = "which is not supported: decompress it, or compress it with gzip (.gz), zstd (.zst) or bzip2 (.bz2), and upload it again"
PLAIN = {
    "gzip": "is compressed (gzip), but its name does not end in .gz: rename it, and upload it again",
    "zstd": "is compressed (zstd), but its name does not end in .zst: rename it, and upload it again",
    "bzip2": "is compressed (bzip2), but its name does not end in .bz2: rename it, and upload it again",
    "lz4": f"is compressed with lz4, {NOT_READ}",
    "snappy": f"is compressed with snappy, {NOT_READ}",
    "xz": f"is compressed with xz, {NOT_READ}",
    "zip": ZIP,
    "tar": f"is a tar {ARCHIVE}",
    "Parquet": "is Parquet, not text: correct the source's format or patterns, or remove the file",
    "ORC": "is ORC, not text: correct the source's format or patterns, or remove the file",
    "Avro": "is Avro, not text: correct the source's format or patterns, or remove the file",
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_file_that_is_not_text_is_named_with_its_format_and_advice(name: str, tmp_path: Path) -> None:
    assert message(written(tmp_path, "x.csv", MAKERS[name](TEXT))) == f"{URI}: the file {PLAIN[name]}"


@pytest.mark.parametrize("name", ["UTF-16", "UTF-16 without a mark", "UTF-32"])
@pytest.mark.parametrize("key", ["x.csv", "x.csv.gz"])
def test_another_encoding_is_named(name: str, key: str, tmp_path: Path) -> None:
    content = MAKERS[name](TEXT)
    error = message(written(tmp_path, key, gzip.compress(content) if key.endswith("z") else content))
    assert (
        error
        == f"{URI}, line 1: not UTF-8 (it looks like {name.split(' ')[0]}); convert the file and upload it again"
    )


@pytest.mark.parametrize(
    ("key", "content", "reason"),
    [
        ("x.csv.gz", TEXT, "is not compressed, but its name ends in .gz: rename it, or compress it, and upload it again"),
        ("x.csv.zst", TEXT, "is not compressed, but its name ends in .zst: rename it, or compress it, and upload it again"),
        ("x.csv.gz", zstd(TEXT), PLAIN["zstd"]),
        ("x.csv.zst", zipped(TEXT), ZIP),
        ("x.csv.gz", gzip.compress(gzip.compress(TEXT)), "is compressed twice, with gzip and gzip: decompress it once, and upload it again"),
        ("x.csv.zst", zstd(gzip.compress(TEXT)), "is compressed twice, with zstd and gzip: decompress it once, and upload it again"),
    ],
    ids=["plain .gz", "plain .zst", "zstd as .gz", "zip as .zst", "gzip twice", "gzip in zstd"],
)  # fmt: skip
def test_a_file_that_is_not_compressed_as_its_name_says_is_named(
    key: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    assert message(written(tmp_path, key, content)) == f"{URI}: the file {reason}"


@pytest.mark.parametrize(
    ("key", "content", "reason"),
    [
        ("x.tar.gz", gzip.compress(tarred(TEXT)), f"inside gzip: the file {PLAIN['tar']}"),
        ("x.csv.zst", zstd(parquet(TEXT)), f"inside zstd: the file {PLAIN['Parquet']}"),
    ],
)
def test_content_that_is_not_text_within_a_compressed_file_is_named(
    key: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    assert message(written(tmp_path, key, content)) == f"{URI}, {reason}"


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("x.csv", TEXT), ("x.csv", b""), ("x.csv.gz", gzip.compress(TEXT)), ("x.csv.gz", b""), ("x.csv.gz", gzip.compress(b"")),
        ("x.csv.zst", zstd(TEXT)), ("x.csv.zst", b""), ("x.csv.zst", MAKERS["zstd, after a frame that readers skip"](TEXT)),
    ],
    ids=["plain", "empty", "gzip", "empty .gz", "gzip of nothing", "zstd", "empty .zst", "zstd after a skipped frame"],
)  # fmt: skip
def test_a_file_whose_content_matches_its_name_is_accepted(key: str, content: bytes, tmp_path: Path) -> None:
    check_content(written(tmp_path, key, content), URI)


@pytest.mark.parametrize("key", ["x.gz", "x.zst"])
def test_a_file_of_the_first_bytes_only_is_damaged(key: str, tmp_path: Path) -> None:
    content = (gzip.compress if key == "x.gz" else zstd)(TEXT)
    for size in (1, 2, 3):
        error = message(written(tmp_path, key, content[:size]))
        assert error.startswith(f"{URI}: the compressed file is damaged or truncated (")


# Limits


def packed(path: Path, suffix: str, size: int) -> Path:
    pack = gzip.compress if suffix == ".gz" else zstd
    target = path / f"x{suffix}"
    target.write_bytes(pack(bytes(size)))
    return target


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_is_read_up_to_the_limit_and_not_a_byte_beyond(suffix: str, tmp_path: Path) -> None:
    file = packed(tmp_path, suffix, 3_000_000)
    with open_decompressed(file, UnpackedLimits(size=3_000_000)) as stream:
        assert len(stream.read()) == 3_000_000
    with (
        pytest.raises(
            CompressionLimitError, match="unpacks to more than 2,999,999 bytes: raise SCX_MAX_UNPACKED_SIZE"
        ),
        open_decompressed(file, UnpackedLimits(size=2_999_999)) as stream,
    ):
        stream.read()


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_the_ratio_is_limited_only_above_a_size(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "RATIO_FROM_BYTES", 2_000_000)
    limits = UnpackedLimits(ratio=100)
    with open_decompressed(packed(tmp_path, suffix, 2_000_000), limits) as stream:
        assert len(stream.read()) == 2_000_000
    with (
        pytest.raises(
            CompressionLimitError, match=r"more than 100 times its [\d,]+ bytes: raise SCX_MAX_UNPACKED_RATIO"
        ),
        open_decompressed(packed(tmp_path, suffix, 2_000_001), limits) as stream,
    ):
        while stream.read(1 << 20):
            pass


def test_a_file_over_a_limit_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, "x.csv.gz", gzip.compress(TEXT), UnpackedLimits(size=100))
    with (
        pytest.raises(SourceFileError, match=f"^{URI}: the compressed file unpacks to more than 100 bytes"),
        open_local_file(file, URI) as stream,
    ):
        stream.read()


def test_a_plain_file_has_no_limit(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(TEXT)
    with open_decompressed(tmp_path / "x", UnpackedLimits(size=1)) as stream:
        assert stream.read() == TEXT


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_lines_of_a_compressed_file_are_read_like_those_of_a_plain_one(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes((gzip.compress if suffix == ".gz" else zstd)(TEXT))
    with open_decompressed(path) as stream:
        assert b"".join(stream) == TEXT
    with open_decompressed(path) as stream, io.TextIOWrapper(stream, "latin-1", newline="") as text:
        assert "".join(text) == TEXT.decode()
    with open_decompressed(path) as stream:
        assert stream.read(8) + stream.readline() + stream.read() == TEXT
