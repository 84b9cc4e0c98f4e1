"""Loads of CSV files: every record is loaded or rejected, whatever it contains and wherever a buffer ends."""

from __future__ import annotations

import csv
import gzip
import io

import pytest

from scx_pipeline.errors import SourceFileError
from scx_pipeline.parsing.csv import csv_header, csv_parser
from scx_pipeline.parsing.csv.byte_scan import MAX_RECORD_BYTES, RecordCount
from scx_pipeline.parsing.csv.csv_header import BUFFER_BYTES
from scx_pipeline_tests.support.small_star import NUMBERS, TEXTS, StarFactory


@pytest.mark.parametrize("boundary", [BUFFER_BYTES, 2 * BUFFER_BYTES], ids=lambda size: f"{size >> 20} MiB")
@pytest.mark.parametrize("offset", [-20, 0, 20])
def test_short_records_across_the_end_of_a_buffer_lose_no_valid_record(
    boundary: int, offset: int, csv_table: StarFactory
) -> None:
    good = b"1," + b"2" * 997 + b"\n"
    before, rest = divmod(boundary + offset - len(b"id,v\n") - 3 * len(b"short\n"), len(good))
    first = b"1," + b"2" * (rest + 997) + b"\n"
    content = b"id,v\n" + first + good * (before - 1) + b"short\n" * 6 + good * 2000
    report = csv_table(TEXTS).load(x_csv_gz=gzip.compress(content, 1))
    assert (report.read, report.loaded, report.rejected) == (before + 2006, before + 2000, 6)


@pytest.mark.parametrize("repeats", [400, 14_000], ids=["short texts", "long texts"])
def test_lines_inside_a_quoted_text_never_become_rows(repeats: int, csv_table: StarFactory) -> None:
    inner = "7,x\n" * repeats
    count = (34 << 20) // len(inner)
    content = io.StringIO(newline="")
    csv.writer(content, lineterminator="\n").writerows([["id", "v"], *([n, inner] for n in range(count))])
    made = csv_table(TEXTS)
    report = made.load(x_csv_gz=gzip.compress(content.getvalue().encode(), 1))
    assert (report.read, report.loaded, report.rejected) == (count, count, 0)
    assert made.rows(
        "SELECT DISTINCT v = repeat('7,x' || chr(10), ?) FROM public.t".replace("?", str(repeats))
    ) == [(True,)]


@pytest.mark.parametrize(
    "size", [1 << 20, BUFFER_BYTES, 5 * BUFFER_BYTES], ids=lambda size: f"{size >> 20} MiB"
)
def test_an_unclosed_quote_fails_a_file_of_any_size_and_its_line_is_named(
    size: int, csv_table: StarFactory
) -> None:
    content = b"id,v\n" + b"1,x\n" * 10 + b'2,"open\n' + b"3,y\n" * (size // 4)
    with pytest.raises(SourceFileError, match=r"in/x\.csv\.gz, line 12: .*never closed"):
        csv_table(TEXTS).load(x_csv_gz=gzip.compress(content, 1))


@pytest.mark.parametrize("size", [MAX_RECORD_BYTES + 1, BUFFER_BYTES, 5 * BUFFER_BYTES])
def test_a_record_that_is_too_long_fails_a_file_of_any_size_and_its_line_is_named(
    size: int, csv_table: StarFactory
) -> None:
    content = b"id,v\n1,x\n2," + b"y" * (size - 2) + b"\n3,z\n"
    with pytest.raises(
        SourceFileError, match=r"in/x\.csv\.gz, line 3: the record is longer than 4,194,304 bytes"
    ):
        csv_table(TEXTS).load(x_csv_gz=gzip.compress(content, 1))


@pytest.mark.parametrize("last", ["3,,x", '3,,a"b'], ids=["scanned", "read exactly"])
def test_a_record_of_the_maximum_size_is_read(last: str, csv_table: StarFactory) -> None:
    made = csv_table({"id": "integer", "a": "varchar(65535)", **{f"v{n}": "varchar(max)" for n in range(70)}})
    values = ["2", "", *["y" * 59_900] * 69, ""]
    rest = MAX_RECORD_BYTES - len(",".join(values))
    record = ",".join([*values[:-1], "z" * rest]).encode()
    assert len(record) == MAX_RECORD_BYTES
    header = ",".join(made.compiled.star.table("t").column_names).encode()
    other = last.encode() + b"," * 69
    assert made.load(x_csv=b"\n".join([header, record, other, b""])).loaded == 2
    assert made.rows("SELECT length(v69) FROM public.t WHERE id = 2") == [(rest,)]


@pytest.mark.parametrize("line", ['3,5" of rain', '3,x"y"', "3,it's"])
def test_quotes_inside_an_unquoted_value_are_text(line: str, csv_table: StarFactory) -> None:
    made = csv_table(TEXTS)
    made.load(x_csv=f'id,v\n1,"a\nb"\n{line}\n4,"c, ""d"""\n'.encode())
    assert made.values() == [(1, "a\nb"), (3, line[2:]), (4, 'c, "d"')]


def test_a_record_with_text_after_a_quoted_value_is_the_only_one_rejected(csv_table: StarFactory) -> None:
    made = csv_table(TEXTS)
    made.load(x_csv=b'id,v\n1,"a\nb"\n2,"c"d\n3,"e"\n')
    assert made.values() == [(1, "a\nb"), (3, "e")]
    assert made.rejected() == [
        ("in/x.csv", 4, "v", "has text between a closing quote and the next delimiter", '2,"c"d')
    ]


def test_text_after_a_quoted_value_of_several_lines_fails_the_file_and_its_line_is_named(
    csv_table: StarFactory,
) -> None:
    with pytest.raises(SourceFileError, match=r"in/x\.csv, line 3: .*, or is closed on a later line"):
        csv_table(TEXTS).load(x_csv=b'id,v\n1,a\n2,"b\nc"d\n3,e\n')


def test_extra_separators_are_values_and_not_ignored(csv_table: StarFactory) -> None:
    made = csv_table({"id": "integer", "a": "varchar(9)", "b": "varchar(9)"})
    made.load(x_csv=b"id,a,b\n1,x,y\n2,x,y,\n3,,x,y,,\n4,x,\n")
    assert made.values() == [(1, "x", "y"), (4, "x", None)]
    assert [row[1:4] for row in made.rejected()] == [
        (3, None, "has 4 values, the header 3"),
        (4, None, "has 6 values, the header 3"),
    ]


def test_files_with_the_same_header_are_each_read_in_the_way_that_suits_them(csv_table: StarFactory) -> None:
    """One without any content, one that is scanned, and two that are not: for a stray quote, and for surplus values."""
    made = csv_table(TEXTS)
    report = made.load(a_csv=b"", b_csv=b"id,v\n1,x\n", c_csv=b'id,v\n2,a"b\n', d_csv=b"id,v\n3,x,\n4,y\n")
    assert made.values() == [(1, "x"), (2, 'a"b'), (4, "y")]
    assert [row[:4] for row in made.rejected()] == [("in/d.csv", 2, None, "has 3 values, the header 2")]
    assert (report.objects, report.read) == (4, 4)


def test_files_that_cannot_be_scanned_are_read_record_by_record(
    csv_table: StarFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_header, "select_texts", lambda *_: "(SELECT * FROM nowhere)")
    made = csv_table(TEXTS)
    report = made.load(a_csv=b"id,v\n1,x\nshort\n", b_csv=b"id,v\n2,y\n")
    assert (report.read, report.rejected, made.values()) == (3, 1, [(1, "x"), (2, "y")])


def test_blank_lines_are_not_records_of_a_single_column(csv_table: StarFactory) -> None:
    made = csv_table({"id": "integer"})
    report = made.load(x_csv=b'id\n1\n\nx\n\n\n""\n3\n\n')
    assert made.values() == [(1,), (3,)]
    assert [row[1:] for row in made.rejected()] == [
        (4, "id", "'x' is not an integer", "x"),
        (7, "id", "'' is not an integer", '""'),
    ]
    assert report.read == 4


def test_blank_lines_are_not_records_of_a_file_that_is_read_exactly(csv_table: StarFactory) -> None:
    made = csv_table(TEXTS)
    report = made.load(x_csv=b'id,v\n\n1,a"b\n\n\n2,c\n\n')
    assert (report.read, report.rejected, made.values()) == (2, 0, [(1, 'a"b'), (2, "c")])


def test_a_file_is_refused_if_its_number_of_rows_differs_from_the_count(
    csv_table: StarFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, made = b"id,n\n1,2\n3,4\n5,6\n", csv_table(NUMBERS)
    with monkeypatch.context() as patch:  # a scan that loses a row is noticed, and the file is read again
        scan = csv_header.select_texts
        patch.setattr(
            csv_header, "select_texts", lambda *parts: f"(SELECT * FROM {scan(*parts)} WHERE id <> '3')"
        )
        assert made.load(x_csv=content).loaded == 3
    with monkeypatch.context() as patch:
        patch.setattr(
            csv_parser,
            "count_records",
            lambda *parts: RecordCount(9, 0, 0, False, False, None, None, 9),
        )
        with pytest.raises(SourceFileError, match=r"in/x\.csv: 3 records were read, but 8 were counted"):
            made.load(x_csv=content)


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    "names",
    [
        "file_index",
        "filename",
        "file_row_number",
        "rowid",
        "_object",
        "Note,note",
        "ID",
        "number",
        "place",
        "n",
        "c0",
    ],
)
def test_column_names_of_a_file_never_clash_with_those_of_the_engine(
    names: str, csv_table: StarFactory
) -> None:
    made = csv_table(TEXTS)
    more = names.count(",") + 1
    made.load(
        a_csv=f"id,v,{names}\n1,a{',9' * more}\n".encode(),
        b_csv=f"id,{names},v\nz{',9' * more},c\n4{',9' * more},d\n".encode(),
    )
    assert made.values() == [(1, "a"), (4, "d")]
    assert [row[:4] for row in made.rejected()] == [("in/b.csv", 2, "id", "'z' is not an integer")]


def test_a_declared_column_may_have_a_name_that_readers_use_themselves(csv_table: StarFactory) -> None:
    made = csv_table({"filename": "integer", "place": "integer", "n": "integer"})
    made.load(a_csv=b"n,filename,place\n1,2,3\n4,5,x\n", b_csv=b"filename,place,n\n6,7,8\n")
    assert made.values() == [(2, 3, 1), (6, 7, 8)]
    assert [row[:4] for row in made.rejected()] == [("in/a.csv", 3, "place", "'x' is not an integer")]


def test_a_header_may_have_more_than_64_kib(csv_table: StarFactory) -> None:
    names = ",".join(f"column_{number}" for number in range(7000))
    made = csv_table(TEXTS)
    made.load(x_csv=f"id,{names},v\n1{',9' * 7000},a\n".encode())
    assert made.values() == [(1, "a")]


def test_a_header_may_contain_quoted_line_ends(csv_table: StarFactory) -> None:
    made = csv_table(TEXTS)
    made.load(x_csv=b'id,"a\nb",v\n1,2,x\nz,2,x\n')
    assert made.values() == [(1, "x")]
    assert [row[1] for row in made.rejected()] == [4]


# ------------------------------------------------------------------ values


def test_an_empty_value_is_null_and_empty_quotes_are_the_empty_text(csv_table: StarFactory) -> None:
    made = csv_table(TEXTS)
    made.load(x_csv=b'id,v\n1,\n2,""\n3,"x"\n', y_csv=b'id,v\n4,""\n5,\n6,a"b\n')
    assert made.values() == [(1, None), (2, ""), (3, "x"), (4, ""), (5, None), (6, 'a"b')]


@pytest.mark.parametrize("last", ["3,x,y", '3,a"b,y'], ids=["scanned", "read exactly"])
def test_an_empty_value_next_to_a_quoted_one_is_null(last: str, csv_table: StarFactory) -> None:
    made = csv_table({"id": "integer", "v": "varchar(9)", "w": "varchar(9)"})
    made.load(x_csv=f'id,v,w\n1,,"x"\n2,"",\n{last}\n'.encode())
    assert made.values()[:2] == [(1, None, "x"), (2, "", None)]


def test_a_quoted_null_value_is_null_too(csv_table: StarFactory) -> None:
    made = csv_table(TEXTS, null_values=["", "NULL"])
    made.load(x_csv=b'id,v\n1,\n2,""\n3,"NULL"\n4,NULL\n5,a"b\n')
    assert made.values() == [(1, None), (2, None), (3, None), (4, None), (5, 'a"b')]
