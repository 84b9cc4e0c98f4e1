"""The same value in every format and engine, by the rules of docs/reading.md: what is read exactly, and what is rejected.

The rules of single texts are tested with the parsers.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from scx_pipeline.errors import DeclarationError, SourceFileError
from scx_pipeline.parsing.json.json_lines_parser import JsonLinesParser
from scx_pipeline_tests.support.small_star import SmallStarEnv, StarFactory, parquet, small_star

LoadUrls = tuple[str, str]
ID = {"name": "id", "type": "integer"}
REQUIRED = {**ID, "nullable": False}


@pytest.fixture
def made(load_urls: LoadUrls, tmp_path: Path) -> StarFactory:
    """What makes a world of a star of these columns, on every engine."""
    return lambda kind, *columns, **source: SmallStarEnv(
        *load_urls, small_star(tmp_path, kind, columns, **source)
    )


@pytest.fixture
def made_here(tmp_path: Path) -> StarFactory:
    """The same, on DuckDB alone: for what is decided before any engine has a part in it."""
    (tmp_path / "bucket").mkdir()
    load_urls = ((tmp_path / "bucket").as_uri(), f"duckdb://{tmp_path}/dev.duckdb")
    return lambda kind, *columns, **source: SmallStarEnv(
        *load_urls, small_star(tmp_path, kind, columns, **source)
    )


# ------------------------------------------------------------------ the same values in all text formats


def csv_of(texts: list[str]) -> bytes:
    return "".join(["id,v\n", *(f"{n},{text}\n" for n, text in enumerate(texts, 1))]).encode()


def lines_of(texts: list[str]) -> bytes:
    return "".join(f'{{"id": {n}, "v": {json.dumps(text)}}}\n' for n, text in enumerate(texts, 1)).encode()


def numbers_of(texts: list[str]) -> bytes:
    return "".join(f'{{"id": {n}, "v": {text}}}\n' for n, text in enumerate(texts, 1)).encode()


def document_of(texts: list[str]) -> bytes:
    return json.dumps([{"id": n, "v": text} for n, text in enumerate(texts, 1)]).encode()


def records_of(rows: list[tuple[str, ...]]) -> list[dict[str, object]]:
    return [{"id": n, "d": d, "at": at, "v": v, "ms": ms} for n, (d, at, v, ms) in enumerate(rows, 1)]


TEXTS = {"csv": csv_of, "json_lines": lines_of, "json": document_of}
ROWS: dict[str, Callable[[list[tuple[str, ...]]], bytes]] = {
    "csv": lambda rows: "".join(
        ["id,d,at,v,ms\n", *(f"{n},{','.join(row)}\n" for n, row in enumerate(rows, 1))]
    ).encode(),
    "json_lines": lambda rows: "".join(f"{json.dumps(record)}\n" for record in records_of(rows)).encode(),
    "json": lambda rows: json.dumps(records_of(rows)).encode(),
}
ZONE = "has a zone that is not Z or an offset of up to 14 hours, such as +02:00"


@pytest.mark.parametrize("kind", TEXTS)
def test_a_decimal_with_more_places_than_declared_is_rejected_and_never_rounded(
    made_here: StarFactory, kind: str
) -> None:
    load_env = made_here(kind, ID, {"name": "v", "type": "decimal(10,2)"})
    load_env.put_files(x=TEXTS[kind](["1.005", "12.349", "0.001", "1e-11", "1.50", "1.500", "1E2", "7"]))
    load_env.load_all()
    assert load_env.values() == [
        (5, Decimal("1.50")),
        (6, Decimal("1.50")),
        (7, Decimal("100.00")),
        (8, Decimal("7.00")),
    ]
    too_precise = ["1.005", "12.349", "0.001", "1e-11"]
    assert sorted(row[3] for row in load_env.rejects()) == sorted(
        f"'{text}' has more than 2 decimal places" for text in too_precise
    )


def test_a_json_number_with_more_places_than_declared_is_rejected_and_never_rounded(
    made_here: StarFactory,
) -> None:
    load_env = made_here("json_lines", ID, {"name": "v", "type": "decimal(10,2)"})
    load_env.put_files(x=numbers_of(["1.005", "12.349", "1e-3", "1.50", "1.500", "1E2", "7"]))
    load_env.load_all()
    assert load_env.values() == [
        (4, Decimal("1.50")),
        (5, Decimal("1.50")),
        (6, Decimal("100.00")),
        (7, Decimal("7.00")),
    ]
    assert [row[3] for row in load_env.rejects()] == [
        "'1.005' has more than 2 decimal places",
        "'12.349' has more than 2 decimal places",
        "'0.001' has more than 2 decimal places",
    ]


def array_of(texts: list[str], *, indent: str = "", end: str = "]") -> bytes:
    """Return a JSON document of these numbers, each with another field of many digits, as coordinates have."""
    records = (
        f'{{"id": {n}, "lat": 48.137432100000001, "v":{indent}{text}}}' for n, text in enumerate(texts, 1)
    )
    return f"[{indent}{f',{indent}'.join(records)}{end}".encode()


NUMBERS: dict[str, tuple[str, Callable[[list[str]], bytes]]] = {
    "lines": ("json_lines", numbers_of),
    "lines with another field": ("json_lines", lambda texts: numbers_of(texts).replace(b"}", b', "x": 1}')),
    "lines with an escaped name": ("json_lines", lambda texts: numbers_of(texts).replace(b'"v"', b'"\\u0076"')),
    "an array": ("json", array_of),
    "an array of many lines": ("json", lambda texts: array_of(texts, indent="\n  ")),
    "an array that only some readers take": ("json", lambda texts: array_of([*texts, '"x", "y": nan'], end=",]")),
    "an escaped name in an array": ("json", lambda texts: array_of(texts).replace(b'"v"', b'"\\u0076"')),
}  # fmt: skip


@pytest.mark.parametrize("form", NUMBERS)
def test_a_json_number_that_cannot_be_held_is_rejected_in_every_form_of_a_file(
    made_here: StarFactory, form: str
) -> None:
    kind, content = NUMBERS[form]
    load_env = made_here(kind, REQUIRED, {"name": "v", "type": "decimal(12,4)"})
    load_env.put_files(x=content(["1.00000000000000001", "2.5", "3.00000000000000001", "12345678.1234"]))
    load_env.load_all()
    assert load_env.values() == [(2, Decimal("2.5")), (4, Decimal("12345678.1234"))]
    reasons = {
        f"'{text}' may be rounded; write it as a text"
        for text in ("1.00000000000000001", "3.00000000000000001")
    }
    assert reasons <= {row[3] for row in load_env.rejects()}


@pytest.mark.parametrize("form", NUMBERS)
def test_a_json_number_that_is_more_precise_than_a_microsecond_is_rejected(
    made_here: StarFactory, form: str
) -> None:
    kind, content = NUMBERS[form]
    load_env = made_here(kind, REQUIRED, {"name": "v", "type": "timestamp", "unit": "seconds"})
    bad = ["1541121934.12345601", "1541121934.00000001", "1541121934.1234567", "1.54112193412345601e9"]
    good = ["1541121934", "1541121934.123456", "1541121934.1234560", "1.541121934123456e9", "-1.5"]
    load_env.put_files(x=content([*good, *bad]))
    load_env.load_all()
    at = datetime(2018, 11, 2, 1, 25, 34, 123_456)
    assert load_env.values() == [
        (1, at.replace(microsecond=0)),
        (2, at),
        (3, at),
        (4, at),
        (5, datetime(1969, 12, 31, 23, 59, 58, 500_000)),
    ]
    reasons = {f"'{text}' is more precise than a microsecond" for text in bad}
    assert reasons <= {row[3] for row in load_env.rejects()}


def test_numbers_of_a_document_with_one_record_are_compared_with_their_text(made_here: StarFactory) -> None:
    load_env = made_here("json", ID, {"name": "v", "type": "decimal(12,4)"})
    load_env.put_files(
        a=b'{"id": 1, "v":\n1.00000000000000001}',
        b=b'{"id": 2, "v":\n2.5}',
        c=b"[]",
        d=b"[1.00000000000000001",
    )
    load_env.load_all()
    assert load_env.values() == [(2, Decimal("2.5"))]
    assert [row[3] for row in load_env.rejects()] == [
        "'1.00000000000000001' may be rounded; write it as a text",
        "is not JSON: Expecting ',' delimiter at character 21",
    ]


def test_files_of_timestamps_with_and_without_fractions_are_distinguished(made_here: StarFactory) -> None:
    load_env = made_here("json_lines", REQUIRED, {"name": "v", "type": "timestamp", "unit": "seconds"})
    whole = [str(1541121934 + number) for number in range(10)]
    load_env.put_files(
        a=numbers_of(whole), b=numbers_of([*whole, "7.00000001"]), c=numbers_of(["7.5", *whole]), d=numbers_of(whole)
    )  # fmt: skip
    report = load_env.load_all()
    assert report.loaded == 41
    assert [row[3] for row in load_env.rejects()] == ["'7.00000001' is more precise than a microsecond"]


@pytest.mark.parametrize("kind", TEXTS)
def test_only_z_and_offsets_up_to_fourteen_hours_are_zones(made_here: StarFactory, kind: str) -> None:
    good = {"Z": 10, "+02": 8, "+0200": 8, "+02:00": 8, "-05:30": 15.5, "+14:00": -4, "-14": 24, "": 10}
    bad = [
        " PST",
        " BST",
        " CST",
        " AST",
        " EDT",
        " UTC",
        " GMT",
        " Europe/Berlin",
        "+25:00",
        "+14:01",
        "+02:60",
        "z",
    ]
    load_env = made_here(kind, ID, {"name": "v", "type": "timestamp"})
    load_env.put_files(x=TEXTS[kind]([f"2024-07-05 10:00:00{zone}" for zone in [*good, *bad]]))
    load_env.load_all()
    day, hour = datetime(2024, 7, 5), datetime(2024, 7, 5, 1) - datetime(2024, 7, 5)
    assert sorted(load_env.values()) == [(n, day + hours * hour) for n, hours in enumerate(good.values(), 1)]
    assert sorted(row[3] for row in load_env.rejects()) == sorted(
        f"'2024-07-05 10:00:00{zone}' {ZONE}" for zone in bad
    )


@pytest.mark.parametrize("kind", TEXTS)
def test_digits_behind_the_microseconds_are_zeros_or_the_row_is_rejected(
    made_here: StarFactory, kind: str
) -> None:
    load_env = made_here(kind, ID, {"name": "v", "type": "timestamp"})
    load_env.put_files(
        x=TEXTS[kind](
            [f"2024-07-05 10:00:00.{digits}" for digits in ("1", "123456", "123456000", "1234567", "0000001")]
        )
    )
    load_env.load_all()
    timestamps = [datetime(2024, 7, 5, 10, 0, 0, micro) for micro in (100_000, 123_456, 123_456)]
    assert sorted(load_env.values()) == list(enumerate(timestamps, 1))
    assert sorted(row[3] for row in load_env.rejects()) == [
        f"'2024-07-05 10:00:00.{digits}' is more precise than a microsecond"
        for digits in ("0000001", "1234567")
    ]


@pytest.mark.parametrize("null_values", [(), ("",), ("", "n/a")])
@pytest.mark.parametrize("kind", TEXTS)
def test_a_timestamp_may_be_a_number_of_a_unit(
    made_here: StarFactory, kind: str, null_values: tuple[str, ...]
) -> None:
    load_env = made_here(
        kind, ID, {"name": "v", "type": "timestamp", "unit": "milliseconds"}, null_values=list(null_values)
    )
    load_env.put_files(x=TEXTS[kind](["1700000000000", "1700000000123.4567"]))
    load_env.load_all()
    assert load_env.values() == [(1, datetime(2023, 11, 14, 22, 13, 20))]
    assert [row[3] for row in load_env.rejects()] == [
        "'1700000000123.4567' is more precise than a microsecond"
    ]


@pytest.mark.parametrize("kind", [*TEXTS, "parquet"])
def test_every_engine_has_the_same_values(made: StarFactory, kind: str) -> None:
    columns = [
        {"name": name, "type": kind}
        for name, kind in (("d", "decimal(9,2)"), ("at", "timestamp"), ("v", "varchar(9)"))
    ]
    load_env = made(kind, ID, *columns, {"name": "ms", "type": "timestamp", "unit": "milliseconds"})
    texts = [
        ("1.50", "2024-07-05 10:00:00+02:00", "a", "1700000000000"),
        ("1.500", "2024-07-05T10:00:00.123456000Z", "b", "1700000000000.5"),
        ("1E2", "2024-07-05 10:00:00.5", "c", "-1"),
        ("1.005", "2024-07-05 10:00:00", "d", "0"),
        ("7", "2024-07-05 10:00:00 EDT", "e", "0"),
        ("7", "2024-07-05 10:00:00.1234567", "f", "0"),
        ("7", "2024-07-05 10:00:00", "g", "0.0001"),
    ]
    at, ms = datetime(2024, 7, 5, 10), datetime(2023, 11, 14, 22, 13, 20)
    expected = [
        (1, Decimal("1.50"), at.replace(hour=8), "a", ms),
        (2, Decimal("1.50"), at.replace(microsecond=123_456), "b", ms.replace(microsecond=500)),
        (
            3,
            Decimal("100.00"),
            at.replace(microsecond=500_000),
            "c",
            datetime(1969, 12, 31, 23, 59, 59, 999_000),
        ),
    ]
    load_env.put_files(x=ROWS[kind](texts) if kind != "parquet" else parquet_rows(expected))
    load_env.load_all()
    assert load_env.values() == (expected if kind != "parquet" else [(*row[:4], ms) for row in expected])
    assert len(load_env.rejects()) == (0 if kind == "parquet" else 4)


def parquet_rows(rows: list[tuple[object, ...]]) -> bytes:
    """The rows as typed columns; what is counted is the same in all."""
    numbers, decimals, timestamps, texts, _ = zip(*rows, strict=True)
    return parquet(
        ("id", pa.array(numbers)),
        ("d", pa.array(decimals, pa.decimal128(5, 2))),
        ("at", pa.array(timestamps, pa.timestamp("us"))),
        ("v", pa.array(texts)),
        ("ms", pa.array([1_700_000_000_000] * len(rows))),
    )


# ------------------------------------------------------------------ nothing, and the empty text


def test_an_unquoted_empty_value_of_a_csv_file_is_null_and_a_quoted_one_is_the_empty_text(
    made: StarFactory,
) -> None:
    load_env = made("csv", ID, {"name": "v", "type": "varchar(9)"}, {"name": "n", "type": "integer"})
    load_env.put_files(x=b'id,v,n\n1,"",5\n2,,\n3,a,""\n')
    load_env.load_all()
    assert load_env.values() == [(1, "", 5), (2, None, None)]
    assert load_env.rejects() == [("in/x", 4, "n", "'' is not an integer")]


def test_a_quoted_empty_value_is_null_if_the_empty_text_is_a_null_value(made: StarFactory) -> None:
    load_env = made(
        "csv", ID, {"name": "v", "type": "varchar(9)"}, {"name": "n", "type": "integer"}, null_values=[""]
    )
    load_env.put_files(x=b'id,v,n\n1,"",""\n2,,\n')
    load_env.load_all()
    assert load_env.values() == [(1, None, None), (2, None, None)]
    assert load_env.rejects() == []


def test_an_empty_text_of_json_is_kept_and_null_and_an_absent_field_are_null(made: StarFactory) -> None:
    load_env = made("json_lines", ID, {"name": "v", "type": "varchar(9)"}, {"name": "n", "type": "integer"})
    load_env.put_files(
        x=b'{"id":1,"v":"","n":5}\n{"id":2,"v":null,"n":null}\n{"id":3}\n{"id":4,"v":"","n":""}\n'
    )
    load_env.load_all()
    assert load_env.values() == [(1, "", 5), (2, None, None), (3, None, None)]
    assert load_env.rejects() == [("in/x", 4, "n", "'' is not an integer")]


# ------------------------------------------------------------------ names

NAMES = ["number", "json", "keys", "filename", "file_row_number", "n", "r", "s", "t", "line", "c0"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nullable", [True, False], ids=["one by one", "uniform"])
def test_a_declared_json_field_of_any_name_is_read(made_here: StarFactory, name: str, nullable: bool) -> None:
    load_env = made_here("json_lines", {**ID, "nullable": nullable}, {"name": name, "type": "integer"})
    load_env.put_files(
        x=b'{"id":1,"%s":5}\n{"id":2,"%s":6}\n' % (name.encode(), name.encode()),
        y=b'{"id":3,"%s":"x"}\n' % name.encode(),
    )
    load_env.load_all()
    assert load_env.values() == [(1, 5), (2, 6)]
    assert load_env.rejects() == [("in/y", 1, name, "'x' is not an integer")]


@pytest.mark.parametrize(
    "field", ["file_index", "filename", "File_Index", "_scx_number", "_object", "the number", "X"]
)
@pytest.mark.parametrize("nullable", [True, False], ids=["one by one", "uniform"])
def test_a_json_field_of_any_name_is_read_into_a_column_of_another(
    made_here: StarFactory, field: str, nullable: bool
) -> None:
    load_env = made_here(
        "json_lines", {**ID, "nullable": nullable}, {"name": "v", "field": field, "type": "integer"}
    )
    line = '{{"id":{},"{}":{}}}\n'
    load_env.put_files(
        x=(line.format(1, field, 5) + line.format(2, field, 6)).encode(),
        y=line.format(3, field, '"x"').encode(),
    )
    load_env.load_all()
    assert load_env.values() == [(1, 5), (2, 6)]
    assert load_env.rejects() == [("in/y", 1, "v", "'x' is not an integer")]


@pytest.mark.parametrize("field", [*NAMES, "file_index", "_scx_number", "_object", "ID", "Id", "V"])
@pytest.mark.parametrize("kind", ["csv", "json_lines", "parquet"])
def test_a_column_that_is_not_declared_never_takes_the_place_of_another(
    made_here: StarFactory, kind: str, field: str
) -> None:
    load_env = made_here(kind, REQUIRED, {"name": "v", "type": "varchar(9)", "nullable": False})
    other, first = pa.array(["o", "p"]), pa.array([1, 2])
    files = {
        "csv": f"{field},id,v\no,1,a\np,2,b\n".encode(),
        "json_lines": f'{{"{field}":"o","id":1,"v":"a"}}\n{{"{field}":"p","id":2,"v":"b"}}\n'.encode(),
        "parquet": parquet((field, other), ("id", first), ("v", pa.array(["a", "b"]))),
    }
    bad = {
        "csv": f"{field},id,v\no,3,c\np,4,{'x' * 10}\n".encode(),
        "json_lines": f'{{"{field}":"o","id":3,"v":"c"}}\n{{"{field}":"p","id":4,"v":"{"x" * 10}"}}\n'.encode(),
        "parquet": parquet((field, other), ("id", pa.array([3, 4])), ("v", pa.array(["c", "x" * 10]))),
    }
    load_env.put_files(x=files[kind], y=bad[kind])
    report = load_env.load_all()
    assert load_env.values() == [(1, "a"), (2, "b"), (3, "c")]
    line = 3 if kind == "csv" else 2
    assert load_env.rejects() == [("in/y", line, "v", f"'{'x' * 10}' is longer than 9 bytes")]
    [(raw,)] = load_env.state("rejected_rows", '"raw"')
    assert "x" * 10 in raw
    messages = [check.message for check in report.warnings if check.name == "declared_fields"]
    assert messages == [f"'{field}' is not declared, and was not loaded, in 2 files, such as in/x"]


@pytest.mark.parametrize("name", ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid"])
def test_a_system_column_s_name_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        DeclarationError,
        match=r"defs.yaml, line \d+: .*is not a valid name on every engine: .* system column",
    ):
        small_star(tmp_path, "csv", [{"name": name, "type": "integer"}])


@pytest.mark.parametrize("name", ["_scx_number", "_scx_", "_scx_anything"])
def test_a_name_with_the_pipeline_s_own_prefix_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeclarationError, match=rf"defs.yaml, line \d+: .*'{name}' starts with _scx_"):
        small_star(tmp_path, "csv", [{"name": name, "type": "integer"}])


# ------------------------------------------------------------------ lines and records of JSON files

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
def test_a_line_longer_than_sixteen_mib_is_refused_by_its_number(
    made_here: StarFactory, size: int, after: int, pack: Callable[[bytes], bytes]
) -> None:
    load_env = made_here("json_lines", REQUIRED, {"name": "v", "type": "varchar(max)"})
    key = "in/x.json" + ("" if pack is bytes else ".gz")
    load_env.put_key(
        key, pack(short_lines(10, 100) + b"\n" + long_line(size) + b"\n" + short_lines(1000, after))
    )
    with pytest.raises(SourceFileError, match=rf"{key}, line 102: a line is longer than 16 MiB"):
        load_env.load_all()
    assert not load_env.state("objects")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""], ids=["ended", "CR LF", "not ended"])
@pytest.mark.parametrize("size", [16 * MIB - 1, 16 * MIB])
def test_a_line_of_sixteen_mib_is_read_wherever_it_is(made_here: StarFactory, size: int, end: bytes) -> None:
    load_env = made_here("json_lines", REQUIRED, {"name": "v", "type": "varchar(max)"})
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
    made_here: StarFactory, past: int, nullable: bool
) -> None:
    load_env = made_here("json_lines", {**ID, "nullable": nullable}, {"name": "v", "type": "varchar(max)"})
    line, last = b'{"id":1,"v":"' + b"y" * 1000 + b'"}\n', b'{"id":2,"v":"z"}'
    count, rest = divmod(16 * MIB + past - len(last), len(line))
    content = line * (count - 1) + line.replace(b"y", b"y" + b"y" * rest, 1) + last
    assert len(content) == 16 * MIB + past
    load_env.put_files(x=content)
    assert load_env.load_all().loaded == count + 1
    assert load_env.rejects() == []
    assert (2, "z") in load_env.values()


def test_blank_lines_are_not_records_and_rejected_rows_have_their_line_numbers(
    made_here: StarFactory,
) -> None:
    load_env = made_here("json_lines", REQUIRED, {"name": "v", "type": "varchar(9)"})
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
def test_a_file_is_refused_if_another_number_of_records_is_read_than_counted(
    made_here: StarFactory, monkeypatch: pytest.MonkeyPatch, nullable: bool
) -> None:
    load_env = made_here("json_lines", {**ID, "nullable": nullable}, {"name": "v", "type": "varchar(9)"})
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


def test_a_byte_order_mark_of_a_compressed_file_belongs_to_no_record(made_here: StarFactory) -> None:
    load_env = made_here("json_lines", REQUIRED, {"name": "v", "type": "varchar(9)"})
    load_env.put_key("in/x.json.gz", gzip.compress(b"\xef\xbb\xbf" + short_lines(1, 3)))
    load_env.load_all()
    assert (load_env.values("id"), load_env.rejects()) == ([(1,), (2,), (3,)], [])


# ------------------------------------------------------------------ Parquet


def test_a_column_without_any_value_is_null(made: StarFactory) -> None:
    load_env = made("parquet", ID, {"name": "v", "type": "varchar(max)"}, {"name": "d", "type": "date"})
    load_env.put_files(x=parquet(("id", pa.array([1, 2])), ("v", pa.nulls(2)), ("d", pa.nulls(2))))
    report = load_env.load_all()
    assert load_env.values() == [(1, None, None), (2, None, None)]
    assert report.warnings == []


def test_rows_of_a_column_without_any_value_are_rejected_where_it_must_not_be_empty(
    made_here: StarFactory,
) -> None:
    load_env = made_here("parquet", ID, {"name": "v", "type": "varchar(max)", "nullable": False})
    load_env.put_files(x=parquet(("id", pa.array([1, 2])), ("v", pa.nulls(2))))
    load_env.load_all()
    assert load_env.rejects() == [("in/x", n, "v", "is empty, and must not be") for n in (1, 2)]


def test_columns_whose_names_differ_in_case_are_distinguished_in_any_order(made_here: StarFactory) -> None:
    load_env = made_here("parquet", ID, {"name": "x", "type": "varchar(9)"})
    large, small = ("X", pa.array(["large"])), ("x", pa.array(["small"]))
    load_env.put_files(
        a=parquet(("id", pa.array([1])), large, small),
        b=parquet(("id", pa.array([2])), small, large),
        c=parquet(("x_1", pa.array(["other"])), large, ("id", pa.array([3])), small),
        d=parquet(("id", pa.array([4])), large),
    )
    report = load_env.load_all()
    assert load_env.values() == [(1, "small"), (2, "small"), (3, "small"), (4, None)]
    [message] = [check.message for check in report.warnings]
    assert "'x' in in/d" in message
    assert "such as in/a" in message


def test_a_parquet_file_with_a_duplicate_column_is_refused(made_here: StarFactory) -> None:
    load_env = made_here("parquet", ID, {"name": "x", "type": "varchar(9)"})
    load_env.put_files(a=parquet(("id", pa.array([1])), ("x", pa.array(["a"])), ("x", pa.array(["b"]))))
    with pytest.raises(SourceFileError, match=r"in/a has the column x twice; upload it again"):
        load_env.load_all()


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Seoul", "+05:30"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_any_unit_and_zone_become_utc(
    made_here: StarFactory, unit: str, zone: str | None
) -> None:
    load_env = made_here("parquet", ID, {"name": "v", "type": "timestamp"})
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    counts = pa.array([1_675_152_000 * per_second, -per_second, None], pa.int64())
    load_env.put_files(a=parquet(("id", pa.array([1, 2, 3])), ("v", counts.cast(pa.timestamp(unit, zone)))))
    load_env.load_all()
    assert load_env.values() == [
        (1, datetime(2023, 1, 31, 8)),
        (2, datetime(1969, 12, 31, 23, 59, 59)),
        (3, None),
    ]


@pytest.mark.parametrize("zone", [None, "Asia/Seoul"])
def test_nanoseconds_of_a_parquet_file_are_rounded_to_microseconds(
    made_here: StarFactory, zone: str | None
) -> None:
    load_env = made_here("parquet", ID, {"name": "v", "type": "timestamp"})
    counts = pa.array([1_675_152_000_123_456_789, 1_675_152_000_123_456_499], pa.int64())
    load_env.put_files(a=parquet(("id", pa.array([1, 2])), ("v", counts.cast(pa.timestamp("ns", zone)))))
    load_env.load_all()
    assert [row[1].microsecond for row in load_env.values()] == [123_457, 123_456]
