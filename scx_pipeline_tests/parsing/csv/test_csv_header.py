"""What a CSV header must be, and the texts that are selected by it, on a real DuckDB."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from scx_pipeline.errors import BucketError, SourceFileError
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.csv import csv_header
from scx_pipeline.parsing.csv.csv_header import HEADER_BYTES, Header, read_header
from scx_pipeline.storage.local_file import LocalFile
from scx_pipeline.storage.object_info import ObjectInfo

URI = "s3://bucket/jobs.csv"
COLUMNS = {"job_id": "integer", "summary": "varchar(max)", "created_at": "timestamp"}
TABLE = Table(
    name="jobs",
    role="fact",
    description="",
    event_time="created_at",
    columns=tuple(Column(name=name, type=kind, description="") for name, kind in COLUMNS.items()),
)
SOUND = b"job_id,summary,created_at\n1,x,2021-01-01\n"

Write = Callable[..., LocalFile]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a local file as a bucket fetches it: with a safe name, whose suffix is that of the compression."""

    def write(data: bytes, suffix: str = "", name: str = "000000") -> LocalFile:
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(data)
        return LocalFile(
            ObjectInfo("jobs.csv", len(data), "", datetime(2021, 1, 1, tzinfo=UTC)),
            path,
            path.suffix if path.suffix in (".gz", ".zst") else "",
            Path(f"{path}.plain"),
        )

    return write


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    return con


# Headers


def refusal(file: LocalFile) -> str:
    with pytest.raises(SourceFileError) as caught:
        read_header(file, URI, TABLE)
    message = str(caught.value)
    assert message.startswith(URI)
    return message.removeprefix(URI)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
def test_a_header_gives_the_columns_and_the_line_end(write: Write, newline: str, bom: bytes) -> None:
    file = write(bom + SOUND.replace(b"\n", newline.encode()))
    shown = newline.replace("\r", "\\r").replace("\n", "\\n")
    assert read_header(file, URI, TABLE) == Header(("job_id", "summary", "created_at"), shown)


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ("created_at,job_id,summary", ("created_at", "job_id", "summary")),
        ('"job_id","summary","created_at"', ("job_id", "summary", "created_at")),
        ("job_id , summary,created_at ", ("job_id", "summary", "created_at")),
        ("job_id,summary,created_at,plan,größe", ("job_id", "summary", "created_at", "plan", "größe")),
    ],
    ids=["reordered", "quoted", "with spaces", "with more columns"],
)
def test_columns_are_found_by_their_names(write: Write, line: str, columns: tuple[str, ...]) -> None:
    assert read_header(write(line.encode()), URI, TABLE) == Header(columns, "\\n")


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"  \r\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"\n" * 2 * HEADER_BYTES]
)
def test_a_file_without_any_content_has_no_header(write: Write, data: bytes) -> None:
    assert read_header(write(data), URI, TABLE) is None
    assert read_header(write(gzip.compress(data), ".gz"), URI, TABLE) is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            b"job_id,sumary,created_at",
            ", line 1: the column 'summary' of jobs is missing; the header has 'sumary', is it that one?",
        ),
        (
            b"Job_ID,summary,created_at",
            ", line 1: the column 'job_id' of jobs is missing; the header has 'Job_ID', is it that one?",
        ),
        (
            b"job_id,created_at",
            ", line 1: the column 'summary' of jobs is missing; the header has: job_id, created_at",
        ),
        (
            b"job_id;summary;created_at",
            ", line 1: the column 'job_id' of jobs is missing; the header seems to be separated by ';': declare delimiter: \";\" in the source's dialect",
        ),
        (
            b"1,x,2021-01-01\n",
            ", line 1: the column 'job_id' of jobs is missing; the header has: 1, x, 2021-01-01",
        ),
        (
            b"job_id,summary,created_at,summary",
            ", line 1: the header has the column 'summary' twice; rename one of them",
        ),
        (
            b"job_id,summary,created_at,",
            ", line 1: the header's column 4 has no name; name it, or remove the extra delimiter",
        ),
        (
            b"job_id,,summary,,created_at",
            ", line 1: the header's column 2 has no name; name it, or remove the extra delimiter",
        ),
        *(
            (
                blank + SOUND,
                ", line 1 is empty; remove the blank lines before the header and upload the file again",
            )
            for count in (1, HEADER_BYTES - 1, HEADER_BYTES, 3 * HEADER_BYTES)
            for blank in (b"\n" * count, b"\xef\xbb\xbf" + b"\r\n" * count, b" " * count + b"\n")
        ),
    ],
)
def test_a_header_that_does_not_match_the_declaration_is_refused(write: Write, data: bytes, why: str) -> None:
    assert refusal(write(data)) == why


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_refused(write: Write, encoding: str) -> None:
    assert "not UTF-8" in refusal(write(SOUND.decode().encode(encoding)))


def test_latin1_is_refused(write: Write) -> None:
    file = write("job_id,summary,created_at,größe".encode("latin-1"))
    assert (
        refusal(file)
        == ", line 1: not UTF-8; declare the encoding in the source's dialect, or convert the file and upload it again"
    )


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".gz", gzip.compress), (".zst", lambda data: pa.compress(data, "zstd", asbytes=True))],
    ids=["gzip", "zstd"],
)
def test_a_compressed_header_is_read_and_a_damaged_one_refused(
    write: Write, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(SOUND + bytes(range(256)) * 40)
    assert read_header(write(packed, suffix), URI, TABLE) == Header(
        ("job_id", "summary", "created_at"), "\\n"
    )
    for damaged in (packed[:30], b"no compression at all"):
        assert "the compressed file is damaged or truncated" in refusal(write(damaged, suffix))


def test_an_invalid_deflate_stream_is_refused(write: Write) -> None:
    packed = bytearray(gzip.compress(SOUND))
    packed[10] = 0xFF  # a block type that is none
    with pytest.raises(zlib.error):
        gzip.decompress(bytes(packed))
    assert "the compressed file is damaged or truncated" in refusal(write(bytes(packed), ".gz"))


def test_a_removed_file_is_an_error_of_the_bucket(write: Write) -> None:
    file = write(SOUND)
    file.path.unlink()
    with pytest.raises(BucketError, match=f"cannot read {URI}: No such file"):
        read_header(file, URI, TABLE)


# Scanning


def scan(con: duckdb.DuckDBPyConnection, *files: LocalFile) -> list[tuple[object, ...]]:
    """The texts of the files as the declared columns, and the number of their file."""
    header = read_header(files[0], URI, TABLE)
    assert header is not None
    return con.execute(f"SELECT * FROM {csv_header.select_texts(files, header, TABLE.columns)}").fetchall()


def test_columns_are_read_by_name_and_undeclared_ones_ignored(
    write: Write, con: duckdb.DuckDBPyConnection
) -> None:
    file = write(b"plan,created_at,job_id,summary\n9,2021-01-01,1,x\n")
    assert scan(con, file) == [("1", "x", "2021-01-01", 0)]


def test_an_empty_value_is_null_and_all_else_is_text_even_empty_quotes(
    write: Write, con: duckdb.DuckDBPyConnection
) -> None:
    file = write(b'job_id,summary,created_at\n1,,\n2,"",""\n3, ,NULL\n4,\\N,nan\n')
    assert [row[1:3] for row in scan(con, file)] == [
        (None, None),
        ("", ""),
        (" ", "NULL"),
        ("\\N", "nan"),
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("end", [True, False], ids=["with a final line end", "without"])
def test_all_line_endings_give_the_same_rows(
    write: Write, con: duckdb.DuckDBPyConnection, newline: str, end: bool
) -> None:
    text = newline.join(["job_id,summary,created_at", '1,"a, ""b"""', "", "2,日本,2021-01-01"]) + (
        newline if end else ""
    )
    rows = scan(con, write(text.replace('"""', '""",').encode()))
    assert rows == [("1", 'a, "b"', None, 0), ("2", "日本", "2021-01-01", 0)]


def test_several_files_are_read_in_one_scan(write: Write, con: duckdb.DuckDBPyConnection) -> None:
    files = [
        write(b"job_id,summary,created_at\n%d,it's,\n" % number, name=f"it's {number}") for number in range(3)
    ]
    assert sorted(scan(con, *files)) == [(str(number), "it's", None, number) for number in range(3)]


def test_a_header_alone_has_no_rows(write: Write, con: duckdb.DuckDBPyConnection) -> None:
    assert scan(con, write(b"job_id,summary,created_at")) == []
