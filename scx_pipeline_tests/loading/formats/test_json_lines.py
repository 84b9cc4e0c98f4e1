"""Lines of JSON files: long and blank lines, line ends, byte order marks, and the count of records.

What the records hold is not tested here.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from scx_pipeline.errors import SourceFileError
from scx_pipeline.parsing.json.json_lines_parser import JsonLinesParser
from scx_pipeline_tests.support.small_star import ID, REQUIRED_ID, StarFactory

MIB = 1 << 20


def long_line(size: int, n: int = 2) -> bytes:
    """A line of so many bytes, whose long value is not declared."""
    start, end = b'{"id":%d,"v":"a","more":"' % n, b'"}'
    return start + b"x" * (size - len(start) - len(end)) + end


def short_lines(first: int, count: int) -> bytes:
    return b"".join(b'{"id":%d,"v":"b"}\n' % n for n in range(first, first + count))


@pytest.mark.parametrize("pack", [bytes, lambda content: gzip.compress(content, 1)], ids=["plain", "gzip"])
@pytest.mark.parametrize("after", [0, 500], ids=["at the end", "in the middle"])
@pytest.mark.parametrize("size", [16 * MIB + 1, 17 * MIB, 64 * MIB])
def test_a_line_longer_than_sixteen_mib_is_refused_with_its_number(
    create_duckdb_env: StarFactory, size: int, after: int, pack: Callable[[bytes], bytes]
) -> None:
    load_env = create_duckdb_env("json_lines", REQUIRED_ID, {"name": "v", "type": "varchar(max)"})
    key = "in/x.json" + ("" if pack is bytes else ".gz")
    load_env.put_key(
        key, pack(short_lines(10, 100) + b"\n" + long_line(size) + b"\n" + short_lines(1000, after))
    )
    with pytest.raises(SourceFileError, match=rf"{key}, line 102: a line is longer than 16 MiB"):
        load_env.load_all()
    assert not load_env.state("objects")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""], ids=["ended", "CR LF", "not ended"])
@pytest.mark.parametrize("size", [16 * MIB - 1, 16 * MIB])
def test_a_line_of_sixteen_mib_is_read_wherever_it_is(
    create_duckdb_env: StarFactory, size: int, end: bytes
) -> None:
    load_env = create_duckdb_env("json_lines", REQUIRED_ID, {"name": "v", "type": "varchar(max)"})
    line = long_line(size - len(end.rstrip(b"\n")))
    load_env.put_files(
        x_json=short_lines(10, 3) + line + (end or b"\n") + short_lines(20, 3), y_json=line + end
    )
    load_env.load_all()
    assert sorted(load_env.values("id")) == [(n,) for n in (2, 2, 10, 11, 12, 20, 21, 22)]
    assert load_env.rejects() == []


@pytest.mark.parametrize("nullable", [True, False], ids=["one by one", "uniform"])
@pytest.mark.parametrize("past", [-2, 0, 9])
def test_the_last_line_of_a_file_as_large_as_a_buffer_is_read_without_a_line_end(
    create_duckdb_env: StarFactory, past: int, nullable: bool
) -> None:
    load_env = create_duckdb_env(
        "json_lines", {**ID, "nullable": nullable}, {"name": "v", "type": "varchar(max)"}
    )
    line, last = b'{"id":1,"v":"' + b"y" * 1000 + b'"}\n', b'{"id":2,"v":"z"}'
    count, rest = divmod(16 * MIB + past - len(last), len(line))
    content = line * (count - 1) + line.replace(b"y", b"y" + b"y" * rest, 1) + last
    assert len(content) == 16 * MIB + past
    load_env.put_files(x=content)
    assert load_env.load_all().loaded == count + 1
    assert load_env.rejects() == []
    assert (2, "z") in load_env.values()


def test_blank_lines_are_not_records_and_rejected_rows_have_their_line_numbers(
    create_duckdb_env: StarFactory,
) -> None:
    load_env = create_duckdb_env("json_lines", REQUIRED_ID, {"name": "v", "type": "varchar(9)"})
    good = b'{"id":1,"v":"a"}'
    blanks = [b"", b" ", b"\t", b"\r", b"\x0b", b"\x0c", b" \t \r"]
    load_env.put_files(
        x=b"\xef\xbb\xbf\n" + b"\n".join([*blanks, b"  " + good, *blanks, b"[]", *blanks]),
        y=b"\xef\xbb\xbf",
        z=b" \n\n",
    )
    report = load_env.load_all()
    assert (report.read, report.loaded, report.rejected) == (2, 1, 1)
    assert load_env.rejects() == [("in/x", 17, None, "is not an object")]


@pytest.mark.parametrize("nullable", [True, False], ids=["one by one", "uniform"])
def test_a_file_is_refused_if_the_number_of_records_read_differs_from_the_count(
    create_duckdb_env: StarFactory, monkeypatch: pytest.MonkeyPatch, nullable: bool
) -> None:
    load_env = create_duckdb_env(
        "json_lines", {**ID, "nullable": nullable}, {"name": "v", "type": "varchar(9)"}
    )
    load_env.put_files(x=short_lines(1, 5), y=short_lines(10, 7))
    whole = JsonLinesParser._scan
    monkeypatch.setattr(
        JsonLinesParser,
        "_scan",
        lambda *args: f"(SELECT *, file_index FROM {whole(*args)} LIMIT 11)",
    )
    with pytest.raises(
        SourceFileError, match=r"in/[xy]: [57] records were counted, but [46] were read, so nothing is loaded"
    ):
        load_env.load_all()
    assert not load_env.state("objects")


def test_a_byte_order_mark_of_a_compressed_file_belongs_to_no_record(create_duckdb_env: StarFactory) -> None:
    load_env = create_duckdb_env("json_lines", REQUIRED_ID, {"name": "v", "type": "varchar(9)"})
    load_env.put_key("in/x.json.gz", gzip.compress(b"\xef\xbb\xbf" + short_lines(1, 3)))
    load_env.load_all()
    assert (load_env.values("id"), load_env.rejects()) == ([(1,), (2,), (3,)], [])
