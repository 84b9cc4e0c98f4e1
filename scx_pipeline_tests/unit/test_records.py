"""Where a record is in a file, its line and its raw text: against Python's csv and against DuckDB's own parser.
Which records are bad, and why, is not decided here."""

from __future__ import annotations

import csv
import gzip
import io
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scx_pipeline.engine import csvfile, records
from scx_pipeline.engine.objects import LocalFile, ObjectInfo
from scx_pipeline.engine.records import RAW_LIMIT, Found, find_records, line_of

HEADER = ["id", "one", "two"]
BOM = b"\xef\xbb\xbf"
STRAY = ['b"', '"b"c"', 'x "quoted" y', '5" of rain', '¿"', '""']  # as unquoted values: their quotes are text

newlines = st.sampled_from(["\n", "\r\n", "\r"])
texts = st.lists(
    st.sampled_from(["a", "B ", ",", '"', '""', "\n", "\r", "\r\n", "é", "日", "\ufeff"]), max_size=5
).map("".join)


@dataclass(frozen=True)
class Line:
    """A record as it is written into a file, and its values as a reader must see them."""

    raw: str
    values: list[str]


@dataclass(frozen=True)
class CsvFile:
    """A CSV file, its records known beforehand."""

    lines: list[Line]
    newline: str = "\n"
    blanks: list[int] = field(default_factory=list)  # before which records a blank line stands
    ends: bool = True  # with a line end
    bom: bool = False
    suffix: str = ""

    @property
    def plain(self) -> bytes:
        parts = [",".join(HEADER)]
        for number, line in enumerate(self.lines):
            parts += [""] * self.blanks.count(number) + [line.raw]
        data = self.newline.join(parts) + (self.newline if self.ends else "")
        return (BOM if self.bom else b"") + data.encode()

    def write(self, folder: Path) -> Path:
        path, data = folder / f"file{self.suffix}", self.plain
        if self.suffix == ".gz":
            data = gzip.compress(data)
        elif self.suffix == ".zst":
            data = pa.compress(data, "zstd", asbytes=True)
        path.write_bytes(data)
        return path

    def line_numbers(self) -> list[int]:
        """The line that each record begins on, found by looking for its text from the end of the one before."""
        text, position, found = self.plain.decode(), 0, []
        position = len(",".join(HEADER)) + self.bom
        for number, line in enumerate(self.lines):
            position += len(self.newline) * (1 + self.blanks.count(number))
            assert text.startswith(line.raw, position)
            found.append(1 + len(re.findall(r"\r\n|\r|\n", text[:position])))
            position += len(line.raw)
        return found


@st.composite
def written(draw: st.DrawFn, widths: st.SearchStrategy[int]) -> Line:
    """A record as csv.writer writes it."""
    values = [str(draw(st.integers(0, 99))), *(draw(texts) for _ in range(draw(widths) - 1))]
    out = io.StringIO()
    csv.writer(
        out, quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])), lineterminator="\r\n"
    ).writerow(values)
    return Line(out.getvalue().removesuffix("\r\n"), values)


stray = st.builds(
    lambda number, text: Line(f"{number},x{text},z", [str(number), f"x{text}", "z"]),
    st.integers(0, 99),
    st.sampled_from(STRAY),
)


def files(lines: st.SearchStrategy[Line]) -> st.SearchStrategy[CsvFile]:
    return st.builds(
        CsvFile,
        lines=st.lists(lines, max_size=8),
        newline=newlines,
        blanks=st.lists(st.integers(0, 8), max_size=3),
        ends=st.booleans(),
        bom=st.booleans(),
        suffix=st.sampled_from(["", "", ".gz", ".zst"]),
    )


three = st.just(len(HEADER))
clean = files(written(three))
with_stray_quotes = files(st.one_of(written(three), stray))
ragged = files(st.one_of(written(st.integers(1, 5)), stray))


@pytest.fixture(params=[records.CHUNK, 5, 4], ids=["one chunk", "chunks of 5", "chunks of 4"])
def chunked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Files in one piece, and in pieces that cut everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "CHUNK", request.param)
        yield


def check(file: CsvFile, path: Path, found: Found) -> None:
    """All records of the file are found, by whichever way they were asked for."""
    seen = sorted([*found.parsed.values(), *found.refused.values()], key=lambda record: record.number)
    assert found.header == HEADER
    assert [record.number for record in seen] == list(range(1, len(file.lines) + 1))
    # decoding "utf-8" keeps a byte order mark that is text; only line ends at the end of a record are no part of it
    assert [record.raw for record in seen] == [line.raw.rstrip("\r\n") for line in file.lines]
    assert [record.line for record in seen] == file.line_numbers()


@pytest.mark.usefixtures("chunked")
@given(st.one_of(clean, with_stray_quotes))
def test_every_record_is_found_with_its_line_and_raw_text(file: CsvFile) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = file.write(Path(folder))
        found = find_records(path, range(len(file.lines)), [], len(file.lines))
    check(file, path, found)
    assert [found.parsed[number].fields() for number in range(len(file.lines))] == [
        line.values for line in file.lines
    ]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        yield con


@given(file=ragged)
def test_what_duckdb_parsed_and_refused_is_found_by_its_own_numbers_and_positions(
    con: duckdb.DuckDBPyConnection, file: CsvFile
) -> None:
    con.execute(
        "DROP TABLE IF EXISTS parsed; DROP TABLE IF EXISTS rejects; DROP TABLE IF EXISTS rejects_scan"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = file.write(Path(folder))
        header = csvfile.Header(tuple(HEADER), file.newline.replace("\r", "\\r").replace("\n", "\\n"))
        local = LocalFile(
            ObjectInfo("key", path.stat().st_size, "", datetime(2021, 1, 1, tzinfo=UTC)),
            path,
            path.suffix if path.suffix in (".gz", ".zst") else "",
            Path(f"{path}.plain"),
        )
        con.execute(f"CREATE TABLE parsed AS SELECT * FROM {csvfile.scan([local], header, 'rejects')}")
        parsed = con.execute("SELECT * FROM parsed ORDER BY rowid").fetchall()
        refused = {
            position for (position,) in con.execute("SELECT line_byte_position - 1 FROM rejects").fetchall()
        }
        found = find_records(path, range(len(parsed)), refused, len(parsed) + len(refused))
    check(file, path, found)
    for number, row in enumerate(parsed):
        values = found.parsed[number].fields()
        # empty values behind the last column are no mistake to DuckDB
        assert [value or None for value in values[:3]] == list(row)
        assert not any(values[3:])
    for record in found.refused.values():
        assert len(record.fields()) != len(HEADER)


def find(data: bytes, *parsed: int, refused: list[int] | None = None, total: int, suffix: str = "") -> Found:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{suffix}"
        path.write_bytes(data)
        return find_records(path, parsed, refused or [], total)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_are_physical_ones_also_within_quotes(newline: str) -> None:
    data = newline.join(
        ["id,note", "1,plain", '2,"on', "three", 'lines"', "", "3,after a blank one"]
    ).encode()
    found = find(data, 0, 1, 2, total=3)
    assert [found.parsed[number].line for number in range(3)] == [2, 3, 7]
    assert found.parsed[1].raw == newline.join(['2,"on', "three", 'lines"'])


def test_the_records_that_the_parser_refused_do_not_count_among_the_parsed() -> None:
    data = b"a,b\n1,x\nshort\n2,y\n3,too,long\n4,z\n"
    found = find(data, 0, 1, 2, refused=[data.index(b"short"), data.index(b"3,too")], total=5)
    assert [found.parsed[number].raw for number in range(3)] == ["1,x", "2,y", "4,z"]
    assert {position: record.raw for position, record in found.refused.items()} == {
        8: "short",
        18: "3,too,long",
    }


def test_a_refused_records_position_may_be_at_the_line_ends_before_it() -> None:
    data = b"a,b\r\n1,x\r\n\r\n\r\nshort\r\n"
    for position in range(data.index(b"\r\n\r\n") + 2, data.index(b"short") + 1):
        assert find(data, refused=[position], total=2).refused[position].raw == "short"


def test_quotes_that_are_text_do_not_mislead_even_where_the_count_of_records_agrees() -> None:
    # cut at even quotes, the two stray ones merge two records, and the quoted line ends make two of one
    data = b'a,b\n1,5" of rain\n2,"x\ny\nz"\n3,6" of rain\n'
    found = find(data, 0, 1, 2, total=3)
    assert [found.parsed[number].raw for number in range(3)] == [
        '1,5" of rain',
        '2,"x\ny\nz"',
        '3,6" of rain',
    ]
    assert [found.parsed[number].line for number in range(3)] == [2, 3, 6]


def test_spaces_before_a_quote_do_not_make_it_text_where_the_parser_says_so() -> None:
    data = b'a,b\n1, "two\nlines"\n2,x\n'
    assert find(data, 0, total=2).parsed[0].raw == '1, "two\nlines"'


def test_nothing_is_found_rather_than_something_wrong() -> None:
    assert find(b"a,b\n1,x\n2,y\n", 0, total=7) == Found([], {}, {})
    assert find(b"a,b\n1,x\n2,y\n", refused=[4, 5, 6], total=2) == Found([], {}, {}), (
        "three positions, but two records"
    )
    assert find(b"a,b\n1,x\n2,y\n", refused=[100], total=2) == Found([], {}, {}), "a position beyond the file"
    assert find(b"", 0, total=1) == Found([], {}, {})


def test_an_endless_quote_is_no_crash() -> None:
    limit = csv.field_size_limit(1000)
    try:
        assert find(b'a,b\n1,x"y"\n2,"' + b"x" * 1001, 0, total=9) == Found([], {}, {})
    finally:
        csv.field_size_limit(limit)


def test_the_header_is_told_without_its_byte_order_mark() -> None:
    assert find(BOM + b'"id", name\n1,x\n', 0, total=1).header == ["id", "name"]


def test_only_so_much_of_a_records_text_is_kept() -> None:
    record = find(b"a,b\n1," + "é".encode() * 50_000 + b"\n2,x\n", 0, 1, total=2).parsed
    assert record[0].raw == "1," + "é" * (RAW_LIMIT - 2)
    assert record[1].raw == "2,x"


def test_what_is_not_utf8_is_kept_as_well_as_it_can_be() -> None:
    assert find(b"a,b\n1,caf\xe9\n", 0, total=1).parsed[0].raw == "1,caf\ufffd"


@pytest.mark.usefixtures("chunked")
@given(st.lists(st.sampled_from(["a", "bc", "\n", "\r", "\r\n"]), max_size=30).map("".join), st.booleans())
@example("abc\r\r\na", True)
@example("abcd\r\r\na", True)
def test_the_line_of_any_offset(text: str, only_the_last: bool) -> None:
    # an offset between \r and \n is none that a record can begin at
    offsets = [
        at for at in range(len(text) + 1) if not text.startswith("\n", at) or not text.endswith("\r", 0, at)
    ]
    asked = offsets[-1:] if only_the_last else offsets
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(text.encode())
        lines = line_of(path, asked)
    assert lines == {at: 1 + len(re.findall(r"\r\n|\r|\n", text[:at])) for at in asked}
