"""Records counted and located by a file's bytes, compared with Python's csv, with blocks that split files anywhere."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scx_pipeline.model.dialect import DEFAULT_DIALECT
from scx_pipeline.parsing.csv import record_scanner
from scx_pipeline.parsing.csv.byte_scan import (
    MAX_RECORD_BYTES,
    RecordCount,
    count_line_ends,
    count_records,
    count_records_by_pattern,
    locate_records,
)
from scx_pipeline.parsing.csv.record_scanner import RecordScanner
from scx_pipeline.parsing.records import BOM, Record

HEADER = "id,one,two"

newlines = st.sampled_from(["\n", "\r\n", "\r"])
pieces = st.sampled_from(["a", "é", ",", ",", '"', '""', '"x"', '"a\n"', '"\r\n,"', "END", "END"])
texts = st.lists(pieces, max_size=60).map("".join)


@pytest.fixture(params=[64, 128, 1 << 20], ids=lambda size: f"blocks of {size}")
def blocks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Blocks are whole words of 64 bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_scanner, "BLOCK_BYTES", request.param)
        yield


def written(text: str, newline: str, bom: bool) -> bytes:
    """Return the bytes of a file of three columns, with END replaced by the line end."""
    content = f"{HEADER}END{text}".replace("END", newline)
    return (BOM if bom else b"") + content.encode()


def rows_of(data: bytes) -> list[list[str]]:
    """The records as Python's csv reads them."""
    text = data.decode("utf-8-sig")
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row]


def is_closed(data: bytes) -> bool:
    """Whether no quote is open at the end."""
    try:
        list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except csv.Error as error:
        return "unexpected end" not in str(error)
    return True


def count(data: bytes, newline: str = "\n") -> RecordCount:
    return count_records(RecordScanner(newline.encode()), io.BytesIO(data), 3)


@pytest.mark.usefixtures("blocks")
@given(texts, newlines, st.booleans())
@example('1,"a', "\n", False)
@example('END1,a"b,cEND1,d"e,fEND', "\n", False)
@example(",,END" * 50, "\r\n", True)
@example("END" * 70 + "1,2,3", "\r\n", False)
def test_the_records_of_a_plain_file_are_those_of_pythons_csv(text: str, newline: str, bom: bool) -> None:
    data = written(text, newline, bom)
    found, rows = count(data, newline), rows_of(data)
    if found.is_plain:
        assert found.records == len(rows)
        assert found.short_records == sum(len(row) < 3 for row in rows)
        assert found.long_records == sum(len(row) > 3 for row in rows)
        assert found.max_records == len(rows)
    assert found.max_records >= len(rows)
    assert (found.unclosed is None) == is_closed(data) or found.has_stray_quotes


@pytest.mark.usefixtures("blocks")
@given(texts, newlines, st.booleans())
@example('x"END1,"aEND"b,"cEND', "\n", False)
def test_the_pattern_counts_the_records_of_any_closed_file(text: str, newline: str, bom: bool) -> None:
    data = written(text, newline, bom)
    if is_closed(data) and not re.search(r'"[^"]*$', text):
        assert count_records_by_pattern(io.BytesIO(data), DEFAULT_DIALECT) == len(rows_of(data))


@pytest.mark.usefixtures("blocks")
@given(texts, newlines, st.booleans(), st.sets(st.integers(0, 12)), st.integers(0, 4))
def test_records_are_located_by_their_number_with_line_and_text(
    text: str, newline: str, bom: bool, wanted: set[int], misfits: int
) -> None:
    data = written(text, newline, bom)
    if not count(data, newline).is_plain:
        return
    rows = rows_of(data)[1:]
    fitting = [row for row in rows if len(row) == 3]
    others = [row for row in rows if len(row) != 3]
    wanted = {number for number in wanted if number < len(fitting)}
    scanner, places = RecordScanner(newline.encode()), [number + 1 for number in sorted(wanted)]
    found = list(locate_records(scanner, io.BytesIO(data), 3, places, misfits))
    assert [values(item) for item in found if len(values(item)) == 3] == [
        fitting[number] for number in sorted(wanted)
    ]
    assert [values(item) for item in found if len(values(item)) != 3] == others[:misfits]
    plain, position = data.decode("utf-8-sig"), 0
    for item in found:
        position = plain.index(item.raw, position)
        assert (
            item.raw in re.split(r"\r\n|\r|\n", plain)[item.line - 1] or "\n" in item.raw or "\r" in item.raw
        )


def values(record: Record) -> list[str]:
    return next(csv.reader(io.StringIO(record.raw, newline="")))


def test_physical_lines_are_counted_even_within_quotes() -> None:
    data = b'id,one,two\n1,a,b\n2,"on\nthree\nlines",b\n\n3,a,b\nshort\n'
    found = list(locate_records(RecordScanner(b"\n"), io.BytesIO(data), 3, [1, 2, 3], 1))
    assert found == [
        Record(2, "1,a,b"),
        Record(3, '2,"on\nthree\nlines",b'),
        Record(7, "3,a,b"),
        Record(8, "short"),
    ]


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize(
    "line",
    ['1,5" of rain,x', '1, "a",b', '1,"a"b,c', '1,"a" ,b', '1,a,"b"c', 'a"b"c,1,2'],
)
def test_a_quote_that_encloses_no_value_is_stray(line: str) -> None:
    for padding in range(50, 70):  # at the seam of two blocks, too
        assert count(f"id,one,two\n{'y' * padding},,\n{line}\n".encode()).has_stray_quotes


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("line", ['1,"a ""b"" c","d"', '"",,""', '1,"a\r\nb,""",x', '"1","2","3"'])
def test_quotes_that_enclose_values_are_not_stray(line: str) -> None:
    for padding in range(50, 70):
        assert not count(f"id,one,two\n{'y' * padding},,\n{line}\n".encode()).has_stray_quotes


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("other", ["\n", "\r\n", "\r"])
def test_other_line_ends_are_detected_only_outside_quotes(newline: str, other: str) -> None:
    for padding in range(50, 70):
        start = f"id,one,two{newline}{'y' * padding},,"
        assert count((start + other + "1,2,3" + newline).encode(), newline).has_mixed_line_ends == (
            newline != other
        )
        assert not count(f'{start}{newline}1,"a{other}b",3{newline}'.encode(), newline).has_mixed_line_ends


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize(
    "tail", [b"", b"\n", b"\n1,2,3\n"], ids=["at the end", "with a line end", "before another"]
)
def test_a_record_may_have_the_maximum_size_and_no_more(more: int, tail: bytes) -> None:
    record = b"1,2," + b"x" * (MAX_RECORD_BYTES - 4 + more)
    found = count(b"id,one,two\n5,6,7\n" + record + tail)
    assert found.too_long == (len(b"id,one,two\n5,6,7\n") if more > 0 else None)
    assert found.records == 3 + (tail.count(b",") > 0)


def test_the_record_of_an_unclosed_quote_is_returned() -> None:
    data = b'id,one,two\n1,2,3\n4,"open,5\n6,7,8\n' + b"9,9,9\n" * 40
    assert count(data).unclosed == data.index(b"4,")


@given(st.text(alphabet="ab\r\n", max_size=30), st.integers(0, 30))
def test_the_lines_before_an_offset_are_counted_with_any_line_ends(text: str, size: int) -> None:
    if not text[:size].endswith("\r"):  # a record begins at no such place in \r\n
        assert count_line_ends(text.encode(), size) == len(re.findall(r"\r\n|\r|\n", text[:size]))
