"""The same values in every format and engine, by the rules of docs/reading.md: what is read exactly, and what is rejected."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from scx_pipeline_tests.support.small_star import ID, StarFactory, parquet


def csv_of(texts: list[str]) -> bytes:
    return "".join(["id,v\n", *(f"{n},{text}\n" for n, text in enumerate(texts, 1))]).encode()


def lines_of(texts: list[str]) -> bytes:
    return "".join(f'{{"id": {n}, "v": {json.dumps(text)}}}\n' for n, text in enumerate(texts, 1)).encode()


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
    create_duckdb_env: StarFactory, kind: str
) -> None:
    load_env = create_duckdb_env(kind, ID, {"name": "v", "type": "decimal(10,2)"})
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


@pytest.mark.parametrize("kind", TEXTS)
def test_only_z_and_offsets_up_to_fourteen_hours_are_zones(create_duckdb_env: StarFactory, kind: str) -> None:
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
    load_env = create_duckdb_env(kind, ID, {"name": "v", "type": "timestamp"})
    load_env.put_files(x=TEXTS[kind]([f"2024-07-05 10:00:00{zone}" for zone in [*good, *bad]]))
    load_env.load_all()
    day, hour = datetime(2024, 7, 5), datetime(2024, 7, 5, 1) - datetime(2024, 7, 5)
    assert sorted(load_env.values()) == [(n, day + hours * hour) for n, hours in enumerate(good.values(), 1)]
    assert sorted(row[3] for row in load_env.rejects()) == sorted(
        f"'2024-07-05 10:00:00{zone}' {ZONE}" for zone in bad
    )


@pytest.mark.parametrize("kind", TEXTS)
def test_a_row_is_rejected_unless_digits_after_the_microseconds_are_zeros(
    create_duckdb_env: StarFactory, kind: str
) -> None:
    load_env = create_duckdb_env(kind, ID, {"name": "v", "type": "timestamp"})
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
def test_a_timestamp_may_be_a_count_of_a_unit(
    create_duckdb_env: StarFactory, kind: str, null_values: tuple[str, ...]
) -> None:
    load_env = create_duckdb_env(
        kind, ID, {"name": "v", "type": "timestamp", "unit": "milliseconds"}, null_values=list(null_values)
    )
    load_env.put_files(x=TEXTS[kind](["1700000000000", "1700000000123.4567"]))
    load_env.load_all()
    assert load_env.values() == [(1, datetime(2023, 11, 14, 22, 13, 20))]
    assert [row[3] for row in load_env.rejects()] == [
        "'1700000000123.4567' is more precise than a microsecond"
    ]


@pytest.mark.parametrize("kind", [*TEXTS, "parquet"])
def test_every_engine_has_the_same_values(create_env: StarFactory, kind: str) -> None:
    columns = [
        {"name": name, "type": kind}
        for name, kind in (("d", "decimal(9,2)"), ("at", "timestamp"), ("v", "varchar(9)"))
    ]
    load_env = create_env(kind, ID, *columns, {"name": "ms", "type": "timestamp", "unit": "milliseconds"})
    texts: list[tuple[str, ...]] = [
        ("1.50", "2024-07-05 10:00:00+02:00", "a", "1700000000000"),
        ("1.500", "2024-07-05T10:00:00.123456000Z", "b", "1700000000000.5"),
        ("1E2", "2024-07-05 10:00:00.5", "c", "-1"),
        ("1.005", "2024-07-05 10:00:00", "d", "0"),
        ("7", "2024-07-05 10:00:00 EDT", "e", "0"),
        ("7", "2024-07-05 10:00:00.1234567", "f", "0"),
        ("7", "2024-07-05 10:00:00", "g", "0.0001"),
    ]
    at, ms = datetime(2024, 7, 5, 10), datetime(2023, 11, 14, 22, 13, 20)
    expected: list[tuple[object, ...]] = [
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
    create_env: StarFactory,
) -> None:
    load_env = create_env("csv", ID, {"name": "v", "type": "varchar(9)"}, {"name": "n", "type": "integer"})
    load_env.put_files(x=b'id,v,n\n1,"",5\n2,,\n3,a,""\n')
    load_env.load_all()
    assert load_env.values() == [(1, "", 5), (2, None, None)]
    assert load_env.rejects() == [("in/x", 4, "n", "'' is not an integer")]


def test_a_quoted_empty_value_is_null_if_the_empty_text_is_a_null_value(create_env: StarFactory) -> None:
    load_env = create_env(
        "csv", ID, {"name": "v", "type": "varchar(9)"}, {"name": "n", "type": "integer"}, null_values=[""]
    )
    load_env.put_files(x=b'id,v,n\n1,"",""\n2,,\n')
    load_env.load_all()
    assert load_env.values() == [(1, None, None), (2, None, None)]
    assert load_env.rejects() == []


def test_an_empty_text_of_json_is_kept_and_null_and_an_absent_field_are_null(create_env: StarFactory) -> None:
    load_env = create_env(
        "json_lines", ID, {"name": "v", "type": "varchar(9)"}, {"name": "n", "type": "integer"}
    )
    load_env.put_files(
        x=b'{"id":1,"v":"","n":5}\n{"id":2,"v":null,"n":null}\n{"id":3}\n{"id":4,"v":"","n":""}\n'
    )
    load_env.load_all()
    assert load_env.values() == [(1, "", 5), (2, None, None), (3, None, None)]
    assert load_env.rejects() == [("in/x", 4, "n", "'' is not an integer")]
