"""Which fields are taken from JSON records, and which records are bad: the SQL, run on a real DuckDB.
How texts are typed is tested with `values`; files, lines and documents are in pipeline/test_bad_json.py."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.engine.jsonfile import FieldMap, element_starts
from scx_pipeline.engine.values import first_violations
from scx_pipeline.spec import FilePattern, Source, Table
from scx_pipeline.warehouse.base import names

SOURCE = Source(
    name="s",
    description="",
    format="json_lines",
    prefix="",
    files=(FilePattern(pattern="*"),),
    null_texts=("",),
)
TABLE = Table.model_validate(
    {
        "name": "t",
        "role": "staging",
        "description": "",
        "source": "s",
        "columns": [
            {"name": "first_name", "field": "firstName", "type": "varchar(8)", "description": ""},
            {"name": "count", "type": "integer", "description": ""},
            {"name": "ratio", "type": "double", "description": ""},
            {"name": "at", "type": "timestamp", "unit": "milliseconds", "description": ""},
            {"name": "is_new", "type": "boolean", "description": ""},
            {"name": "city", "field": "home.city", "type": "varchar(8)", "description": ""},
        ],
    }
)
GOOD: dict[str, Any] = {
    "firstName": "Zoë", "count": 7, "ratio": 0.5, "at": 1541105830796, "is_new": True, "home": {"city": "Ulm"},
}  # fmt: skip
VALUES = ("Zoë", 7, 0.5, datetime(2018, 11, 1, 20, 57, 10, 796000), True, "Ulm")


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        yield con


def read(con: duckdb.DuckDBPyConnection, text: str) -> tuple[Any, ...] | tuple[str | None, str]:
    """The values of a record, or the column that is wrong and why."""
    fields = FieldMap(SOURCE, TABLE)
    records = "(SELECT 1 AS number, TRY(?::JSON) AS json)"
    broken = con.execute(
        first_violations(fields.typed(records), TABLE.columns, fields.rules, "number"), [text]
    ).fetchall()
    if broken:
        _, column, reason = fields.rules[broken[0][1]]
        return column, reason
    return con.execute(
        f"SELECT {names(TABLE.column_names)} FROM ({fields.typed(records)})", [text]
    ).fetchall()[0]


def line(**changes: Any) -> str:
    return json.dumps({name: value for name, value in {**GOOD, **changes}.items() if value is not ...})


def test_fields_are_taken_by_name_and_by_the_way_to_them(con: duckdb.DuckDBPyConnection) -> None:
    assert read(con, line()) == VALUES


@pytest.mark.parametrize("field", list(GOOD))
def test_a_field_that_is_absent_or_null_has_no_value(con: duckdb.DuckDBPyConnection, field: str) -> None:
    expected = tuple(None if name == field else value for name, value in zip(GOOD, VALUES, strict=True))
    assert read(con, line(**{field: ...})) == expected
    assert read(con, line(**{field: None})) == expected


def test_fields_that_are_not_declared_are_read_over(con: duckdb.DuckDBPyConnection) -> None:
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
def test_values_are_taken_as_declared(
    con: duckdb.DuckDBPyConnection, field: str, value: object, expected: object
) -> None:
    found = read(con, line(**{field: value}))
    assert found[list(GOOD).index(field)] == expected


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("{", None, "is no JSON"), ("[]", None, "is no object"), ("7", None, "is no object"), ("null", None, "is no object"),
        (line()[:-1] + ', "count": 8}', None, "has a field twice"),
        (line(home=...)[:-1] + ', "home": {"city": "a", "city": "b"}}', None, "has a field twice in home"),
        (line(home=5), None, "has home, which is no object"), (line(home="x"), None, "has home, which is no object"),
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
def test_a_bad_record_is_told_by_its_first_mistake(
    con: duckdb.DuckDBPyConnection, text: str, column: str | None, reason: str
) -> None:
    assert read(con, text) == (column, reason)


def odd(con: duckdb.DuckDBPyConnection, text: str) -> bool:
    fields = FieldMap(SOURCE, TABLE)
    [(found,)] = con.execute(
        f"SELECT odd FROM ({fields.typed('(SELECT 1 AS number, ?::JSON AS json)')})", [text]
    ).fetchall()
    return bool(found)


def test_a_record_with_exactly_the_declared_fields_is_not_odd_whatever_their_order(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert not odd(con, line())
    assert not odd(con, json.dumps(dict(reversed(GOOD.items()))))
    assert not odd(con, line(firstName=None, ratio=None))
    assert odd(con, line(more=1))
    assert odd(con, line(home={"city": "Ulm", "street": "A"}))
    assert odd(con, line(count=..., more=1))


def test_fields_are_listed_by_their_full_names(con: duckdb.DuckDBPyConnection) -> None:
    fields = FieldMap(SOURCE, TABLE)
    text = '{"count": 1, "more": {"x": 1}, "home": {"city": "a", "zip": 1}}'
    found = con.execute(fields.fields("(SELECT 4 AS number, ?::JSON AS json)"), [text, text]).fetchall()
    assert found == [(4, name) for name in ("count", "home", "home.city", "home.zip", "more")]
    assert fields.declared == ["firstName", "count", "ratio", "at", "is_new", "home", "home.city"]


SCALARS = st.sampled_from(
    [None, ..., 0, 1, 7, -3, 2.5, True, False, "", "7", "abc", "-1", [], {}, {"city": "a"}, ["x"]]
)


@given(st.fixed_dictionaries(dict.fromkeys(GOOD, SCALARS)))
def test_a_record_is_bad_exactly_where_an_independent_judge_says_so(
    con: duckdb.DuckDBPyConnection, record: dict[str, Any]
) -> None:
    found = read(con, line(**record))
    assert (len(found) == 2) == (not _sound(record)), record


def _sound(record: dict[str, Any]) -> bool:
    def none(value: Any) -> bool:
        return value is None or value is ... or value == ""

    def number(value: Any, pattern: str) -> bool:
        import re

        text = value if isinstance(value, str) else json.dumps(value)
        return none(value) or (not isinstance(value, bool) and re.fullmatch(pattern, text) is not None)

    home = record["home"]
    city = home.get("city") if isinstance(home, dict) else None
    return (
        (none(record["firstName"]) or isinstance(record["firstName"], str))
        and number(record["count"], r"[+-]?\d+")
        and number(record["ratio"], r"-?\d+(\.\d+)?")
        and number(record["at"], r"-?\d+(\.\d*)?")
        and (none(record["is_new"]) or _boolean(record["is_new"]))
        and (home is None or home is ... or isinstance(home, dict))
        and (none(city) or isinstance(city, str))
    )


def _boolean(value: object) -> bool:
    """Whether DuckDB takes a value's text as a boolean: the one type whose rule is its own."""
    text = value if isinstance(value, str) else json.dumps(value)
    return duckdb.execute("SELECT TRY_CAST(? AS BOOLEAN) IS NOT NULL", [text]).fetchall() == [(True,)]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON_VALUES, max_size=5), st.sampled_from([None, 1]))
def test_the_elements_of_an_array_begin_where_a_parser_finds_them(
    items: list[Any], indent: int | None
) -> None:
    document = json.dumps(items, indent=indent)
    decoder = json.JSONDecoder()
    found = [decoder.raw_decode(document, start)[0] for start in element_starts(document)]
    assert found == items
