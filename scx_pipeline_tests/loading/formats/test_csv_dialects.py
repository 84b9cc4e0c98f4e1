"""Loads of CSV files as spreadsheets, banks and database exports write them, each described by the dialect of its source."""

from __future__ import annotations

import gzip
from datetime import date, datetime

import pytest

from scx_pipeline.errors import SourceFileError
from scx_pipeline_tests.support.small_star import TEXTS, StarFactory

# A statement of a German bank: a title, semicolons, umlauts in Windows-1252, decimal commas, a total at the end.
STATEMENT = """\
Kontoauszug Nr. 12
Übersicht für "Müller

Buchungstag;Betrag in EUR;Empfänger;Gebucht
01.02.2021;-1.234,56;Bäckerei "Zur Linde";ja
28.02.2021 ; 12;"Straße; Ort";nein
29.02.2021;1,5;x;ja
01.03.2021;12.34;x;ja
01.03.2021;1,5;;vielleicht

Saldo;99,00
"""
COLUMNS = (
    {"name": "booked_on", "field": "Buchungstag", "type": "date"},
    {"name": "amount", "field": "Betrag in EUR", "type": "decimal(12,2)"},
    {"name": "payee", "field": "Empfänger", "type": "varchar(100)"},
    {"name": "is_booked", "field": "Gebucht", "type": "boolean"},
)
DIALECT = {
    "delimiter": ";",
    "encoding": "windows-1252",
    "skip_lines": 2,
    "skip_footer": 1,
    "decimal": ",",
    "thousands": ".",
    "date_format": "%d.%m.%Y",
    "true_values": ["ja"],
    "false_values": ["nein"],
    "trim": True,
}


def test_a_bank_statement_is_read_as_its_dialect_says_and_its_mistakes_are_located(
    create_env: StarFactory,
) -> None:
    made = create_env("csv", *COLUMNS, dialect=DIALECT)
    report = made.load(x_csv=STATEMENT.replace("\n", "\r\n").encode("windows-1252"))
    assert (report.read, report.loaded, report.rejected) == (5, 2, 3)
    amounts = [(day, float(amount), *rest) for day, amount, *rest in made.values()]
    assert amounts == [
        (date(2021, 2, 1), -1234.56, 'Bäckerei "Zur Linde"', True),
        (date(2021, 2, 28), 12.0, "Straße; Ort", False),
    ]
    assert made.rejected() == [
        (
            "in/x.csv",
            7,
            "booked_on",
            "'29.02.2021' is not a date of the form %d.%m.%Y",
            "29.02.2021;1,5;x;ja",
        ),
        ("in/x.csv", 8, "amount", "'12.34' is not a decimal(12,2) such as 1.234,5", "01.03.2021;12.34;x;ja"),
        (
            "in/x.csv",
            9,
            "is_booked",
            "'vielleicht' is not a boolean such as ja or nein",
            "01.03.2021;1,5;;vielleicht",
        ),
    ]


@pytest.mark.parametrize(
    ("dialect", "content"),
    [
        ({"delimiter": "\t", "quote": ""}, b'id\tv\n1\t"a, b\n2\t\n'),
        ({"delimiter": "|", "quote": "'", "escape": "\\"}, b"id|v\n'1'|'\"a, b'\n2|\n"),
        ({"header": False}, b'1,"""a, b"\n2,\n'),
        ({"header": ["other", "id", "v"]}, b'x,1,"""a, b"\nx,2,\n'),
        ({"comment": "#"}, b'# made by "x\n\nid,v\n1,"""a, b"\n# 3,y\n2,\n'),
        ({"encoding": "utf-16"}, 'id,v\n1,"""a, b"\n2,\n'.encode("utf-16")),
        ({"encoding": "utf-16-be"}, 'id,v\n1,"""a, b"\n2,\n'.encode("utf-16-be")),
        ({"encoding": "cp037"}, 'id,v\n1,"""a, b"\n2,\n'.encode("cp037")),
    ],
    ids=["tabs", "single quotes", "no header", "named values", "comments", "UTF-16", "UTF-16-BE", "EBCDIC"],
)  # fmt: skip
def test_the_same_rows_are_read_from_every_dialect(
    dialect: dict[str, object], content: bytes, csv_table: StarFactory
) -> None:
    made = csv_table(TEXTS, dialect=dialect)
    assert made.load(x_csv=content, y_csv_gz=gzip.compress(content)).loaded == 4
    assert made.values() == [(1, '"a, b'), (1, '"a, b'), (2, None), (2, None)]


def test_bytes_of_another_encoding_fail_the_load_and_their_line_is_named(csv_table: StarFactory) -> None:
    made = csv_table(TEXTS, dialect={"encoding": "windows-1252"})
    with pytest.raises(SourceFileError, match=r"in/x\.csv, line 4: not windows-1252; correct the encoding"):
        made.load(x_csv=b"id,v\r\n1,\xe4\r\n2,x\r\n3,\x81\r\n")


def test_a_file_of_another_delimiter_fails_with_the_delimiter_that_it_seems_to_have(
    csv_table: StarFactory,
) -> None:
    with pytest.raises(
        SourceFileError, match="seems to be separated by ';': declare delimiter: \";\" in the source"
    ):
        csv_table(TEXTS).load(x_csv=b"id;v\n1;x\n")


NUMBERS_AND_TIMES = {
    "thousands without groups of three": ("decimal(9,2)", "1.5"),
    "groups of three after the decimal": ("decimal(9,2)", "1,234.567"),
    "a group of two": ("integer", "1.23"),
    "a year of two digits": ("date", "01.02.21"),
    "a time of a date": ("date", "01.02.2021 10:00"),
    "an ISO date": ("date", "2021-02-01"),
    "more than a microsecond": ("timestamp", "01.02.2021 10:00:00.1234567"),
    "a day that does not exist": ("timestamp", "30.02.2021 10:00:00.0"),
    "an English true": ("boolean", "true"),
    "another case": ("boolean", "JA"),
}


@pytest.mark.parametrize(("kind", "text"), NUMBERS_AND_TIMES.values(), ids=NUMBERS_AND_TIMES.keys())
def test_a_text_that_is_not_of_the_declared_form_is_rejected(
    kind: str, text: str, csv_table: StarFactory
) -> None:
    dialect = {**DIALECT, "encoding": "utf-8", "skip_lines": 0, "skip_footer": 0}
    made = csv_table(
        {"id": "integer", "v": kind}, dialect={**dialect, "timestamp_format": "%d.%m.%Y %H:%M:%S.%f"}
    )
    made.load(x_csv=f'id;v\n1;"{text}"\n'.encode())
    [(_, line, column, reason)] = made.rejects()
    assert (line, column) == (2, "v")
    assert reason.startswith(f"'{text}' is not a")


GOOD_TEXTS = {
    "integer": [("1.234", 1234), ("-12", -12), ("1234", 1234), ("1.234.567", 1234567)],
    "double": [("1.234,5", 1234.5), (",5", 0.5), ("1,5e3", 1500.0), ("-0,0", 0.0)],
    "timestamp": [("1.2.2021 3:04:05.6", datetime(2021, 2, 1, 3, 4, 5, 600_000))],
    "date": [("1.2.2021", date(2021, 2, 1)), ("29.02.2020", date(2020, 2, 29))],
    "boolean": [("ja", True), ("nein", False), ("-", None), ("n/a", None)],
    "varchar(9)": [("1.234,5", "1.234,5"), ("  x ", "x"), ("   ", None), ("-", None), ("ja", "ja")],
}


@pytest.mark.parametrize("kind", GOOD_TEXTS)
def test_texts_of_the_declared_form_are_read_as_their_values(kind: str, csv_table: StarFactory) -> None:
    dialect = {**DIALECT, "encoding": "utf-8", "skip_lines": 0, "skip_footer": 0}
    made = csv_table(
        {"id": "integer", "v": kind},
        dialect={**dialect, "timestamp_format": "%d.%m.%Y %H:%M:%S.%f"},
        null_values=["-", "n/a"],
    )
    lines = "".join(f"{number};{text}\n" for number, (text, _) in enumerate(GOOD_TEXTS[kind]))
    made.load(x_csv=f"id;v\n{lines}".encode())
    assert made.rejects() == []
    assert made.values() == [(number, value) for number, (_, value) in enumerate(GOOD_TEXTS[kind])]


def test_a_column_may_have_a_form_of_its_own_and_offsets_are_converted_to_utc(
    create_duckdb_env: StarFactory,
) -> None:
    made = create_duckdb_env(
        "csv",
        {"name": "at", "type": "timestamp", "timestamp_format": "%d/%b/%Y:%H:%M:%S %z"},
        {"name": "day", "type": "date"},
        dialect={"date_format": "%m/%d/%y", "timestamp_format": "%Y%m%d"},
    )
    made.load(x_csv=b"at,day\n31/Dec/2020:23:30:00 -0130,12/31/20\n")
    assert made.values() == [(datetime(2021, 1, 1, 1), date(2020, 12, 31))]


@pytest.mark.parametrize("comment", [None, "#"])
def test_an_escaped_quote_never_closes_a_value(comment: str | None, csv_table: StarFactory) -> None:
    made = csv_table(TEXTS, dialect={"escape": "\\", "comment": comment})
    with pytest.raises(SourceFileError, match=r"in/x\.csv, line 2: a quote is opened and never closed"):
        made.load(x_csv=b'id,v\n1,"a\\"\n2,b\n# 7,x\n3,c\n')


@pytest.mark.parametrize("size", [5 << 20, 9 << 20])
def test_a_comment_or_a_title_may_be_longer_than_any_record(size: int, csv_table: StarFactory) -> None:
    made = csv_table({"v": "varchar(max)", "w": "varchar(max)"}, dialect={"comment": "#", "skip_lines": 1})
    made.load(x_csv=b"t" * size + b"\nv,w\n1,a\n#" + b"z" * size + b"7,x\n2,b\n")
    assert made.values() == [("1", "a"), ("2", "b")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-8-sig"])
def test_a_byte_order_mark_is_never_part_of_a_value(encoding: str, csv_table: StarFactory) -> None:
    text = "\ufeff#1,x\n1,a\n" if encoding != "utf-8-sig" else "#1,x\n1,a\n"
    made = csv_table(TEXTS, dialect={"encoding": encoding, "comment": "#", "header": False})
    assert made.load(x_csv=text.encode(encoding)).loaded == 1


@pytest.mark.parametrize(
    ("dialect", "content"),
    [
        ({"skip_lines": 5}, b"id,v\n1,a\n"),
        ({"skip_footer": 2}, b"id,v\n1,a\n"),
        ({"skip_footer": 9}, b"id,v\n1,a\n"),
    ],
)
def test_a_file_without_the_lines_that_its_dialect_skips_fails(
    dialect: dict[str, int], content: bytes, csv_table: StarFactory
) -> None:
    with pytest.raises(SourceFileError, match=r"in/x\.csv: has (fewer lines than|no lines before) the skip_"):
        csv_table(TEXTS, dialect=dialect).load(x_csv=content)


AMBIGUOUS = {
    "a day and a month of one digit that touch": ("date", {"date_format": "%d%m%Y"}, "1112021"),
    "a compact date with a month of one digit": ("date", {"date_format": "%Y%m%d"}, "2021111"),
    "a compact time with a day of one digit": (
        "timestamp",
        {"timestamp_format": "%Y%m%d%H%M%S"},
        "2021111000000",
    ),
    "a fraction between groups": ("decimal(9,3)", {"decimal": ",", "thousands": "."}, "0.123"),
    "zeros before groups": ("integer", {"thousands": "."}, "001.234"),
    "an offset that does not exist": ("timestamp", {"timestamp_format": "%Y-%m-%d %z"}, "2021-01-01 +9999"),
}


@pytest.mark.parametrize(("kind", "dialect", "text"), AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_a_text_of_several_meanings_is_rejected(
    kind: str, dialect: dict[str, str], text: str, csv_table: StarFactory
) -> None:
    made = csv_table({"id": "integer", "v": kind}, dialect={"decimal": ",", "delimiter": ";", **dialect})
    assert made.load(x_csv=f"id;v\n1;{text}\n".encode()).rejected == 1
