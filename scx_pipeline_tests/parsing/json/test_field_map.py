"""Which values are taken from JSON records, and which records are rejected: the SQL, run on a real DuckDB."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import duckdb
import pytest

from scx_pipeline_tests.parsing.json.json_records import GOOD, NESTED, VALUES, line, read


def test_fields_are_read_by_name_and_by_path(con: duckdb.DuckDBPyConnection) -> None:
    assert read(con, line()) == VALUES


@pytest.mark.parametrize("field", list(GOOD))
def test_a_field_that_is_absent_or_null_has_no_value(con: duckdb.DuckDBPyConnection, field: str) -> None:
    expected = tuple(None if name == field else value for name, value in zip(GOOD, VALUES, strict=True))
    assert read(con, line(**{field: ...})) == expected
    assert read(con, line(**{field: None})) == expected


def test_undeclared_fields_are_ignored(con: duckdb.DuckDBPyConnection) -> None:
    assert read(con, line(more={"a": [1]})) == VALUES
    assert read(con, line(home={"city": "Ulm", "street": "A"})) == VALUES


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("count", "7", 7), ("count", "", None), ("count", 0, 0), ("count", 1, 1),
        ("ratio", "0.5", 0.5), ("ratio", "", None), ("ratio", 0, 0.0), ("ratio", 1, 1.0), ("ratio", 1e300, 1e300), ("ratio", 3, 3.0),
        ("at", "1541105830796", VALUES[3]), ("at", 1541105830796.0, VALUES[3]), ("at", "", None), ("at", 0, datetime(1970, 1, 1)),
        ("at", 1541105830796.25, datetime(2018, 11, 1, 20, 57, 10, 796250)),
        ("is_new", False, False), ("firstName", "", None), ("firstName", "99", "99"), ("firstName", "true", "true"),
        ("firstName", "NaN", "NaN"), ("firstName", "[a]", "[a]"), ("firstName", "{a}", "{a}"), ("firstName", "-", "-"),
    ],
)  # fmt: skip
def test_values_are_read_as_declared(
    con: duckdb.DuckDBPyConnection, field: str, value: object, expected: object
) -> None:
    found = read(con, line(**{field: value}))
    assert found[list(GOOD).index(field)] == expected


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("{", None, "is not JSON"), ("[]", None, "is not an object"), ("7", None, "is not an object"), ("null", None, "is not an object"),
        (line()[:-1] + ', "count": 8}', None, "has a field twice"),
        (line(home=...)[:-1] + ', "home": {"city": "a", "city": "b"}}', None, "has a field twice in home"),
        (line(home=5), None, "has home, which is not an object"), (line(home="x"), None, "has home, which is not an object"),
        (line(firstName=7), "first_name", "is not a text"), (line(firstName=-7), "first_name", "is not a text"),
        (line(firstName=True), "first_name", "is not a text"), (line(firstName=["a"]), "first_name", "is not a text"),
        (line(firstName={"a": 1}), "first_name", "is not a text"), (line(home={"city": 1}), "city", "is not a text"),
        (line().replace('"Zo\\u00eb"', "NaN"), "first_name", "is not a text"),
        (line(firstName="a\0b"), "first_name", "holds a NUL character"), (line(firstName="ü" * 5), "first_name", "is longer than 8 bytes"),
        (line(count=2.5), "count", "is not an integer"), (line(count=True), "count", "is not an integer"),
        (line(count="x"), "count", "is not an integer"), (line(count=[1]), "count", "is not an integer"), (line(count=2**31), "count", "is not an integer"),
        (line(ratio=True), "ratio", "is not a finite number"), (line(ratio=False), "ratio", "is not a finite number"),
        (line(ratio="x"), "ratio", "is not a finite number"), (line(ratio=math.nan), "ratio", "is not a finite number"),
        (line(ratio={}), "ratio", "is not a finite number"),
        (line(at=True), "at", "is not a number of milliseconds"), (line(at="noon"), "at", "is not a number of milliseconds"),
        (line(at=1e300), "at", "is not a number of milliseconds"), (line(is_new="maybe"), "is_new", "is not a boolean"),
    ],
)  # fmt: skip
def test_a_rejected_record_has_the_reason_of_its_first_broken_rule(
    con: duckdb.DuckDBPyConnection, text: str, column: str | None, reason: str
) -> None:
    assert read(con, text) == (column, reason)


# Objects in objects


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": "x", "o": {"b": 1, "p": {"c": 2.5}}}', ("x", 1, 2.5)),
        ('{"o": {"p": {"c": "2.5"}, "b": "1"}, "a": "x"}', ("x", 1, 2.5)),
        ('{"a": "x", "o": {"p": {"c": 2.5}}}', ("x", None, 2.5)),
        ('{"a": "x", "o": {"b": 1, "p": null}}', ("x", 1, None)),
        ('{"a": "x", "o": {}}', ("x", None, None)),
        ('{"a": "x", "o": null}', ("x", None, None)),
        ('{"o.b": 7, "o.p.c": 7, "b": 7, "c": 7}', (None, None, None)),
        ('{"more": {"x": 1, "x": 2}, "a": "x"}', ("x", None, None)),
        ("{}", (None, None, None)),
        ('  {"a": "x"}\t', ("x", None, None)),
        ('{"a": "x",}', ("x", None, None)),
        ('{"o": 5}', (None, "has o, which is not an object")),
        ('{"o": []}', (None, "has o, which is not an object")),
        ('{"o": ""}', (None, "has o, which is not an object")),
        ('{"o": [{"b": 1}]}', (None, "has o, which is not an object")),
        ('{"o": {"p": "x"}}', (None, "has o.p, which is not an object")),
        ('{"o": {"p": false}}', (None, "has o.p, which is not an object")),
        ('{"a": "x", "a": "x"}', (None, "has a field twice")),
        ('{"a": null, "a": "x"}', (None, "has a field twice")),
        ('{"a": "x", "\\u0061": "y"}', (None, "has a field twice")),
        ('{"a": "x", "o": {"b": 1}, "o": {"b": 1}}', (None, "has a field twice")),
        ('{"a": "x", "more": 1, "more": 1}', (None, "has a field twice")),
        ('{"o": {"b": 1, "b": 1}}', (None, "has a field twice in o")),
        ('{"o": {"p": {"c": 1, "c": null}}}', (None, "has a field twice in o.p")),
        ('{"o": {"p": {"c": [1]}}}', ("c", "is not a finite number")),
    ],
)
def test_a_nested_field_is_read_from_its_own_object_only(
    con: duckdb.DuckDBPyConnection, text: str, expected: tuple[Any, ...]
) -> None:
    assert read(con, text, NESTED) == expected


@pytest.mark.parametrize(
    "text",
    ["", "  ", "{", '{"a": "x"}}', '{"a": "x"} {"a": "x"}', "{a: 1}", "{'a': 'x'}", '{"a": 01}', '{"a": +1}', '{"a": .5}',
     '{"a": 0x10}', '{"a": "\t"}', '{"a": "\\x"}', '{"a": "\\ud800"}', '{"a": 1 /* x */}', '\ufeff{"a": "x"}', "undefined"],
)  # fmt: skip
def test_a_text_that_is_not_json_is_rejected(con: duckdb.DuckDBPyConnection, text: str) -> None:
    assert read(con, text, NESTED) == (None, "is not JSON")
