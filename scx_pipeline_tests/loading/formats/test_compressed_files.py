"""Loads of compressed files: gzip, zstd, bzip2 and zip give the same rows, and nothing of a damaged file is ignored."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pytest

from scx_pipeline.errors import SourceFileError
from scx_pipeline_tests.support.small_star import TEXTS, StarFactory


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["csv", "json_lines", "json"])
def test_every_compression_gives_the_same_rows(kind: str, create_duckdb_env: StarFactory) -> None:
    made = create_duckdb_env(kind, {"name": "id", "type": "integer"})
    text = {"csv": b"id\n1\n2\n", "json_lines": b'{"id": 1}\n{"id": 2}\n', "json": b'[{"id": 1}, {"id": 2}]'}[
        kind
    ]
    report = made.load(
        a=text,
        b_gz=gzip.compress(text),
        c_zst=bytes(pa.compress(text, codec="zstd", asbytes=True)),
        d_bz2=bz2.compress(text),
        e_zip=zipped(x_csv=text),
        f_ZIP=zipped(x_csv=text),
    )
    assert report.loaded == 12
    assert made.values() == [(1,)] * 6 + [(2,)] * 6


@pytest.mark.parametrize("kind", ["csv", "json_lines", "json"])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x_zip", zipped(a=b"id\n1\n", b=b"id\n2\n"), "the archive has 2 files, and only one can be read"),
        ("x_zip", zipped(), "the archive has 0 files, and only one can be read"),
        ("x_zip", zipped(a=b"id\n1\n" * 99)[:60], "the compressed file is damaged or truncated"),
        ("x_csv", zipped(a=b"id\n1\n"), "the file is a zip archive or a workbook: rename an archive of one file"),
        ("x_bz2", bz2.compress(b"id\n1\n" * 99)[:40], "the compressed file is damaged or truncated"),
        ("x_csv", bz2.compress(b"id\n1\n"), "the file is compressed (bzip2), but its name does not end in .bz2"),
        ("x_zip", zipped(a=bz2.compress(b"id\n1\n")), "the file is compressed twice, with zip and bzip2"),
    ],
    ids=["two files", "no file", "damaged zip", "zip without its name", "damaged bzip2", "bzip2 without its name", "twice"],
)  # fmt: skip
def test_an_archive_that_cannot_be_read_fails_the_load_and_is_named(
    kind: str, name: str, content: bytes, message: str, create_duckdb_env: StarFactory
) -> None:
    made = create_duckdb_env(kind, {"name": "id", "type": "integer"})
    with pytest.raises(SourceFileError) as caught:
        made.load(**{name: content})
    assert f"in/{name.replace('_', '.')}" in str(caught.value)
    assert message in str(caught.value)


DAMAGED = {
    "another stream whose magic is wrong": lambda one, two: (
        bz2.compress(one) + b"BZx" + bz2.compress(two)[3:]
    ),
    "bytes between two streams": lambda one, two: bz2.compress(one) + b"\0\0" + bz2.compress(two),
    "text after the stream": lambda one, two: bz2.compress(one) + two,
    "half a second stream": lambda one, two: bz2.compress(one) + bz2.compress(two)[:-5],
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
def test_nothing_after_the_first_stream_of_a_bzip2_file_is_ignored(
    damage: Callable[[bytes, bytes], bytes], csv_table: StarFactory
) -> None:
    rows = [b"".join(b"%d,x\n" % number for number in part) for part in (range(1000), range(1000, 2000))]
    with pytest.raises(SourceFileError, match=r"in/x\.csv\.bz2: the compressed file is damaged or truncated"):
        csv_table(TEXTS).load(x_csv_bz2=damage(b"id,v\n" + rows[0], rows[1]))


def test_all_streams_of_a_bzip2_file_are_read(csv_table: StarFactory) -> None:
    assert csv_table(TEXTS).load(x_bz2=bz2.compress(b"id,v\n1,a\n") + bz2.compress(b"2,b\n")).loaded == 2


def test_an_archive_after_other_data_fails_and_what_macos_adds_is_ignored(csv_table: StarFactory) -> None:
    content = zipped(x_csv=b"id,v\n1,a\n")
    made = csv_table(TEXTS)
    with pytest.raises(SourceFileError, match="has other data before its first file"):
        made.load(x_zip=content + content)
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("__MACOSX/._x.csv", b"\0\5\26\7")
    assert made.load(x_zip=buffer.getvalue()).loaded == 1
