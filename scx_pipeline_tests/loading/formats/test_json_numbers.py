"""Numbers of JSON files that a column cannot hold exactly: rejected in every form of a file, and never rounded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import pytest

from scx_pipeline_tests.support.small_star import ID, REQUIRED_ID, StarFactory


def numbers_of(texts: list[str]) -> bytes:
    return "".join(f'{{"id": {n}, "v": {text}}}\n' for n, text in enumerate(texts, 1)).encode()


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


def test_a_json_number_with_more_places_than_declared_is_rejected_and_never_rounded(
    create_duckdb_env: StarFactory,
) -> None:
    load_env = create_duckdb_env("json_lines", ID, {"name": "v", "type": "decimal(10,2)"})
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


@pytest.mark.parametrize("form", NUMBERS)
def test_a_json_number_that_its_type_cannot_hold_is_rejected_in_every_form_of_a_file(
    create_duckdb_env: StarFactory, form: str
) -> None:
    kind, content = NUMBERS[form]
    load_env = create_duckdb_env(kind, REQUIRED_ID, {"name": "v", "type": "decimal(12,4)"})
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
    create_duckdb_env: StarFactory, form: str
) -> None:
    kind, content = NUMBERS[form]
    load_env = create_duckdb_env(kind, REQUIRED_ID, {"name": "v", "type": "timestamp", "unit": "seconds"})
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


def test_numbers_of_a_document_with_one_record_are_compared_with_their_text(
    create_duckdb_env: StarFactory,
) -> None:
    load_env = create_duckdb_env("json", ID, {"name": "v", "type": "decimal(12,4)"})
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


def test_files_of_timestamps_with_and_without_fractions_are_distinguished(
    create_duckdb_env: StarFactory,
) -> None:
    load_env = create_duckdb_env(
        "json_lines", REQUIRED_ID, {"name": "v", "type": "timestamp", "unit": "seconds"}
    )
    whole = [str(1541121934 + number) for number in range(10)]
    load_env.put_files(
        a=numbers_of(whole), b=numbers_of([*whole, "7.00000001"]), c=numbers_of(["7.5", *whole]), d=numbers_of(whole)
    )  # fmt: skip
    report = load_env.load_all()
    assert report.loaded == 41
    assert [row[3] for row in load_env.rejects()] == ["'7.00000001' is more precise than a microsecond"]
