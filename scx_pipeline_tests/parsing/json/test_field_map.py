"""Which fields are read from JSON records, and which records are rejected: the SQL, run on a real DuckDB.

Files, lines and documents are tested with the formats.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing import rejection_reasons, typed_rows, value_rules
from scx_pipeline.parsing.json.array_elements import element_starts, element_texts
from scx_pipeline.parsing.json.field_map import FieldMap
from scx_pipeline.parsing.json.field_sql import HAS_OTHER_FIELDS, NUMBER
from scx_pipeline.parsing.json.number_precision import has_long_number
from scx_pipeline.parsing.value_rules import select_first_violations
from scx_pipeline.warehouse.sql_text import names

SOURCE = Source(
    name="s",
    description="",
    format="json_lines",
    prefix="",
    files=(FilePattern(pattern="*"),),
    null_values=("",),
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


RECORDS = "(SELECT 1 AS number, TRY(?::JSON) AS json)"


def read(
    con: duckdb.DuckDBPyConnection, text: str, table: Table = TABLE, source: Source = SOURCE
) -> tuple[Any, ...] | tuple[str | None, str]:
    """The values of a record, or the column that is wrong and why."""
    fields = FieldMap(source, table)
    typed = fields.select_typed(RECORDS)
    broken = con.execute(
        select_first_violations(typed, table.columns, fields.rules, NUMBER), [text]
    ).fetchall()
    if broken:
        [(number, rule, _)] = broken
        _, column, reason = fields.rules[rule]
        assert number == 1
        return column, reason
    return con.execute(f"SELECT {names(table.column_names)} FROM ({typed})", [text]).fetchall()[0]


def table_of(*columns: dict[str, Any]) -> Table:
    """A staging table of these columns."""
    columns = tuple({"type": "varchar(9)", "description": "", **column} for column in columns)
    return Table.model_validate({**TABLE.model_dump(exclude={"columns"}), "columns": columns})


def value(con: duckdb.DuckDBPyConnection, text: str, source: Source = SOURCE, **column: Any) -> object:
    """What a column `v` takes from the JSON text of its value: the value, or the reason why it is refused."""
    found = read(con, f'{{"v": {text}}}', table_of({"name": "v", **column}), source)
    return f"it {found[1]}" if len(found) == 2 else found[0]


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


# Values of every type


MILLISECONDS = {"type": "timestamp", "unit": "milliseconds"}
MICROSECONDS = {"type": "timestamp", "unit": "microseconds"}
SECONDS = {"type": "timestamp", "unit": "seconds"}


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        ({"type": "smallint"}, "-32768", -32768),
        ({"type": "bigint"}, "9223372036854775807", 2**63 - 1),
        ({"type": "bigint"}, "-9223372036854775808", -(2**63)),
        ({"type": "bigint"}, '"9007199254740993"', 2**53 + 1),
        ({"type": "integer"}, '" 7 "', 7),
        ({"type": "integer"}, "-0", 0),
        ({"type": "double"}, "-0.0", 0.0),
        ({"type": "double"}, "5e-324", 5e-324),
        ({"type": "double"}, "1.7976931348623157e308", 1.7976931348623157e308),
        ({"type": "double"}, "9007199254740993", 9007199254740992.0),
        ({"type": "double"}, '"1e3"', 1000.0),
        ({"type": "decimal(5,2)"}, "1.25", Decimal("1.25")),
        ({"type": "decimal(5,2)"}, '"-1.25"', Decimal("-1.25")),
        ({"type": "decimal(38,2)"}, '"123456789012345678.12"', Decimal("123456789012345678.12")),
        ({"type": "decimal(38,2)"}, "123456789012345678", Decimal("123456789012345678.00")),
        ({"type": "decimal(15,2)"}, "9999999999999.99", Decimal("9999999999999.99")),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, '"false"', False),
        ({"type": "boolean"}, "1", True),
        ({"type": "date"}, '"2024-02-29"', date(2024, 2, 29)),
        ({"type": "timestamp"}, '"2018-11-01T20:57:10+01:00"', datetime(2018, 11, 1, 19, 57, 10)),
        (MILLISECONDS, "1541105830796", VALUES[3]),
        (MILLISECONDS, "1541105830796.0", VALUES[3]),
        (MILLISECONDS, "1.541105830796e12", VALUES[3]),
        (MILLISECONDS, "-1", datetime(1969, 12, 31, 23, 59, 59, 999000)),
        (MILLISECONDS, "1", datetime(1970, 1, 1, 0, 0, 0, 1000)),
        (SECONDS, "1541105830.796125", datetime(2018, 11, 1, 20, 57, 10, 796125)),
        (SECONDS, "7258118399.999999", datetime(2199, 12, 31, 23, 59, 59, 999999)),
        (MICROSECONDS, "1541105830796125", datetime(2018, 11, 1, 20, 57, 10, 796125)),
        (MICROSECONDS, "9214646399999999", datetime(2261, 12, 31, 23, 59, 59, 999999)),
        (MICROSECONDS, "253402300799999999", datetime.max),
        ({"type": "varchar(9)"}, '"\\ud83c\\udf89"', "🎉"),
        ({"type": "varchar(9)"}, '"\\\\u0000"', "\\u0000"),
        ({"type": "varchar(9)"}, '"\\"\\t"', '"\t'),
    ],
)  # fmt: skip
def test_a_value_comes_to_its_columns_type_without_a_loss(
    con: duckdb.DuckDBPyConnection, column: dict[str, Any], text: str, expected: object
) -> None:
    found = value(con, text, **column)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        *(({"type": "integer"}, text, "is not an integer") for text in ("7.0", "1e3", "2147483648", "true", "[7]", "{}", "NaN", '"7.0"', '"x"')),
        *(({"type": "bigint"}, text, "is not a bigint") for text in ("9223372036854775808", "18446744073709551616", "1e300")),
        *(({"type": "double"}, text, "is not a finite number") for text in ("1e309", "-1e309", "nan", "inf", "-Infinity", "[]", '"1e309"', '"NaN"', '"1_0"')),
        *(({"type": "boolean"}, text, "is not a boolean") for text in ("2", "1.0", "[]", "{}", '"maybe"')),
        *(({"type": "date"}, text, "is not a date") for text in ("20240229", '"2023-02-29"', "true", "{}")),
        *(({"type": "timestamp"}, text, "is not a timestamp") for text in ("1541105830", '"noon"', "[]")),
        *((MILLISECONDS, text, "is not a number of milliseconds") for text in ("true", "false", "1e300", "NaN", "inf", '"NaN"', '"2018-11-01"', "{}", "[1]", "253402300800000")),
        ({"type": "decimal(38,2)"}, "123456789012345678.12", "may be rounded; write it as a text"),
        ({"type": "decimal(5,2)"}, "1.25000000000000000001", "may be rounded; write it as a text"),
        ({"type": "decimal(5,2)"}, "1e-400", "may be rounded; write it as a text"),
        *(({"type": "varchar(9)"}, text, "is not a text") for text in ("0", "-0", "1e309", "[]", "{}", "false", "NaN", "Infinity", "-Infinity")),
        *(({"type": "varchar(9)"}, text, "is not a text") for text in ("nan", "NAN", "inf", "Inf", "INF", "infinity", "-inf")),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_rejected(
    con: duckdb.DuckDBPyConnection, column: dict[str, Any], text: str, reason: str
) -> None:
    assert value(con, text, **column) == f"it {reason}"


@pytest.mark.parametrize("column", [{"type": "double"}, {"type": "integer"}, SECONDS, MILLISECONDS])
@given(text=st.text(st.sampled_from("0123456789+-.eE_ "), min_size=1, max_size=8))
@example(text="1e9")
@example(text="1_0")
@example(text="nan")
def test_a_number_as_a_text_is_what_the_same_text_is_in_a_csv_file(
    con: duckdb.DuckDBPyConnection, column: dict[str, Any], text: str
) -> None:
    [declared] = table_of({"name": "v", **column}).columns
    bad = " OR ".join(condition for condition, _, _ in value_rules.build_rules([declared]))
    rows = typed_rows.select_typed_rows("(SELECT ?::VARCHAR AS v)", [declared])
    [(of_text, refused)] = con.execute(
        f"SELECT CASE WHEN {bad} THEN NULL ELSE v END, {bad} FROM ({rows})", [text]
    ).fetchall()
    found = value(con, json.dumps(text), **column)
    assert isinstance(found, str) if refused else found == of_text


@pytest.mark.parametrize("none", ["-", "nan", "1_000", "0x10", "1e400", "+7", "٣"])
def test_numbers_that_are_not_null_values_are_read_whatever_the_null_values_are(
    con: duckdb.DuckDBPyConnection, none: str
) -> None:
    source = SOURCE.model_copy(update={"null_values": (none,)})
    assert value(con, "2.5", source, type="double") == 2.5
    assert value(con, json.dumps(none), source, type="double") is None


@pytest.mark.parametrize("text", ['"-1"', "-1"])
def test_a_null_value_is_null_in_columns_of_all_types(con: duckdb.DuckDBPyConnection, text: str) -> None:
    source = SOURCE.model_copy(update={"null_values": ("", "-1")})
    found = {
        kind: value(con, text, source, **column)
        for kind, column in {
            "integer": {"type": "integer"},
            "double": {"type": "double"},
            "milliseconds": MILLISECONDS,
        }.items()
    }
    assert found == {"integer": None, "double": None, "milliseconds": None}


# Names


ODD_NAMES = [
    *("a b", " ", "größe", "日本", "🎉", "é", "e\u0301", "\u00a0", "a\tb", "a\nb"),
    *("$", "$a", "@type", "#", "%", "?", "~", "[0]", "a[0]", "{a}", "(a)", "a/b", "a:b", "a,b", "a;--"),
    *("'", "it's", "0", "-1", "null", "true", "select"),
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_field_of_any_name_is_read(con: duckdb.DuckDBPyConnection, name: str) -> None:
    table = table_of(
        {"name": "a", "field": name},
        {"name": "b", "field": f"outer.{name}", "type": "double"},
        {"name": "c", "field": f"far.{name}.inner", "type": "integer"},
    )
    record: dict[str, Any] = {name: "x", "outer": {name: 2.5}, "far": {name: {"inner": 7}}}
    assert read(con, json.dumps(record), table) == ("x", 2.5, 7)
    assert read(con, json.dumps({**record, "more": 1}, ensure_ascii=False), table) == ("x", 2.5, 7)
    assert read(con, json.dumps({**record, name: 5}), table) == ("a", "is not a text")
    assert read(con, json.dumps({"outer": {name: "x"}}), table) == ("b", "is not a finite number")
    assert read(con, json.dumps({"far": {name: 5}}), table) == (
        None,
        f"has far.{name}, which is not an object",
    )


@pytest.mark.parametrize(
    "name",
    [
        "number",
        "json",
        "keys",
        "has_other_fields",
        "has_nul",
        "lenient",
        "rule",
        "s",
        "t",
        "text",
        "field",
        "records",
    ],
)
@pytest.mark.parametrize(("kind", "content"), [("varchar(9)", "x"), ("integer", 77), ("boolean", True)])
def test_a_column_of_any_name_is_read(
    con: duckdb.DuckDBPyConnection, name: str, kind: str, content: object
) -> None:
    table = table_of({"name": name, "type": kind}, {"name": "other", "type": "integer"})
    sound = json.dumps({name: content, "other": 5})
    assert read(con, sound, table) == (content, 5)
    assert read(con, json.dumps({name: content, "other": "x"}), table) == ("other", "is not an integer")
    assert read(con, sound[:-1] + ', "other": 5}', table) == (None, "has a field twice")
    numbered = f"SELECT {NUMBER} FROM ({FieldMap(SOURCE, table).select_typed(RECORDS)})"
    assert con.execute(numbered, [sound]).fetchall() == [(1,)], "the record's number, not the column's"


def test_a_field_in_other_letters_is_another_field(con: duckdb.DuckDBPyConnection) -> None:
    assert read(con, line(firstName=..., firstname="x")) == (None, *VALUES[1:])
    assert read(con, line(firstname="x")) == VALUES
    assert read(con, line(Ratio=7, RATIO="x")) == VALUES
    assert read(con, line(Home={"city": "x"})) == VALUES


def test_fields_of_the_same_name_in_two_objects_are_two(con: duckdb.DuckDBPyConnection) -> None:
    table = table_of(
        {"name": "a", "field": "x"}, {"name": "b", "field": "o.x"}, {"name": "c", "field": "p.X"}
    )
    assert read(con, '{"x": "1", "o": {"x": "2"}, "p": {"X": "3"}}', table) == ("1", "2", "3")
    assert read(con, '{"o": {"X": "2"}, "p": {"x": "3"}}', table) == (None, None, None)


# Objects in objects


NESTED = table_of(
    {"name": "a"}, {"name": "b", "field": "o.b", "type": "integer"}, {"name": "c", "field": "o.p.c", "type": "double"}
)  # fmt: skip


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
def test_a_nested_field_is_taken_from_its_object_alone(
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


# Which fields there are


def has_other_fields(con: duckdb.DuckDBPyConnection, text: str) -> bool:
    [(found,)] = con.execute(
        f"SELECT {HAS_OTHER_FIELDS} FROM ({FieldMap(SOURCE, TABLE).select_typed(RECORDS)})", [text]
    ).fetchall()
    return bool(found)


def test_a_record_with_exactly_the_declared_fields_has_no_other_fields_in_any_order(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert not has_other_fields(con, line())
    assert not has_other_fields(con, json.dumps(dict(reversed(GOOD.items()))))
    assert not has_other_fields(con, line(firstName=None, ratio=None))
    assert has_other_fields(con, line(more=1))
    assert has_other_fields(con, line(home={"city": "Ulm", "street": "A"}))
    assert has_other_fields(con, line(count=..., more=1))


def test_fields_are_listed_by_their_full_names(con: duckdb.DuckDBPyConnection) -> None:
    fields = FieldMap(SOURCE, TABLE)
    text = '{"count": 1, "more": {"x": 1}, "home": {"city": "a", "zip": 1}}'
    found = con.execute(
        fields.select_field_names("(SELECT 4 AS number, ?::JSON AS json)"), [text, text]
    ).fetchall()
    assert found == [(4, name) for name in ("count", "home", "home.city", "home.zip", "more")]
    assert fields.declared_names == ["firstName", "count", "ratio", "at", "is_new", "home", "home.city"]


@pytest.mark.parametrize(
    "text",
    [
        '{"firstName": "x", "more": 1}',
        '{"firstName": "x", "count": 1, "ratio": 1, "at": 1, "is_new": 1, "HOME": {"city": "x"}}',
        '{"firstName": "x", "count": 1, "ratio": 1, "at": 1, "is_new": 1, "home": {"CITY": "x"}}',
        '{"firstName": "x", "count": 1, "ratio": 1, "at": 1, "is_new": 1, "home": null}',
        "{}", "[]", "7", "null",
    ],
)  # fmt: skip
def test_a_record_that_lacks_a_field_may_have_other_fields(con: duckdb.DuckDBPyConnection, text: str) -> None:
    assert has_other_fields(con, text)


def test_field_names_are_returned_once_per_file(con: duckdb.DuckDBPyConnection) -> None:
    fields = FieldMap(SOURCE, NESTED)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE records AS SELECT number, json::JSON AS json FROM (VALUES"
        """ (1, '{"a": 1, "o": {"p": {"c": 1}}}'), (1, '{"a": 2, "it''s": 3}'), (2, '{"o": {"ü b": 1}}'),"""
        """ (3, '{"o": 5}'), (3, '{"o": null}'), (4, '{}'), (5, '[1]'), (5, 'null')) AS records(number, json)"""
    )
    assert con.execute(fields.select_field_names("records")).fetchall() == [
        (1, "a"), (1, "it's"), (1, "o"), (1, "o.p"), (1, "o.p.c"), (2, "o"), (2, "o.ü b"), (3, "o")
    ]  # fmt: skip
    assert fields.declared_names == ["a", "o", "o.b", "o.p", "o.p.c"]


# A record is bad, or good, and nothing else


NAMES = {"firstName": "text", "count": "integer", "ratio": "double", "at": "count", "is_new": "boolean"}
CONTENTS = st.sampled_from(
    ["null", "0", "1", "7", "-3", "2.5", "7.0", "1e3", "1e400", "true", "false", "NaN", "Infinity", "[]", '["x"]', "{}",
     '{"city": "Ulm"}', '{"city": 7}', '{"city": null}', '{"city": "a", "city": "b"}', '{"CITY": "a"}', '{"city": "a", "zip": [1]}',
     '""', '"7"', '"-1"', '" 7 "', '"2.5"', '"abc"', '"NaN"', '"true"', '"1541105830796"', '"ü"', '"\\u0000"', '"\\\\u0000"', '"[1]"', '"nine bytes"']
)  # fmt: skip
MEMBERS = st.tuples(st.sampled_from([*NAMES, "home", "home", "more", "Count"]), CONTENTS)


@given(st.lists(MEMBERS, max_size=8))
def test_a_record_is_judged_as_an_independent_judge_does(
    con: duckdb.DuckDBPyConnection, members: list[tuple[str, str]]
) -> None:
    text = "{" + ", ".join(f'"{name}": {content}' for name, content in members) + "}"
    try:
        assert read(con, text) == judged(members)
    except Bad:
        assert len(read(con, text)) == 2, text


@given(
    st.one_of(
        st.lists(MEMBERS, max_size=5).map(
            lambda members: "{" + ", ".join(f'"{name}": {content}' for name, content in members) + "}"
        ),
        CONTENTS,
        st.text(st.sampled_from('{}[]",:01a\\ '), max_size=10),
    )
)
def test_a_record_is_rejected_with_the_first_rule_that_it_breaks_or_accepted(
    con: duckdb.DuckDBPyConnection, text: str
) -> None:
    fields = FieldMap(SOURCE, TABLE)
    conditions = [condition for condition, _, _ in fields.rules]
    [(bad, *each)] = con.execute(
        f"SELECT {' OR '.join(conditions)}, {', '.join(conditions)} FROM ({fields.select_typed(RECORDS)})",
        [text],
    ).fetchall()
    assert bad is not None, "the record would be accepted, whatever its values are"
    assert bad == (True in each)
    result = read(con, text)
    assert (len(result) == 2) == bad
    assert not bad or result == fields.rules[each.index(True)][1:]


class Bad(Exception):
    """The judge refuses the record."""


def judged(members: list[tuple[str, str]]) -> tuple[Any, ...]:
    """The values that a record must give, by rules written down independently: what each type takes, and no field twice."""
    if len({name for name, _ in members}) < len(members):
        raise Bad
    record = dict(members)
    city = None
    if record.get("home", "null") != "null":
        pairs = json.loads(record["home"], object_pairs_hook=lambda pairs: ["object", *pairs])
        if not isinstance(pairs, list) or pairs[:1] != ["object"] or len(dict(pairs[1:])) < len(pairs) - 1:
            raise Bad
        city = dict(pairs[1:]).get("city")
    return *(taken(kind, record.get(name, "null")) for name, kind in NAMES.items()), taken(
        "text", json.dumps(city)
    )


def taken(kind: str, content: str) -> object:
    found = json.loads(content)
    if found is None or found == "":
        return None
    text = found if isinstance(found, str) else content
    if kind == "text":
        if not isinstance(found, str) or "\0" in found or len(found.encode()) > 8:
            raise Bad
        return found
    if kind == "boolean":
        if text not in ("true", "false", "0", "1"):
            raise Bad
        return text in ("true", "1")
    if kind == "integer":
        if not re.fullmatch(r" *-?\d+ *", text) or not -(2**31) <= int(text) < 2**31:
            raise Bad
        return int(text)
    number = r" *-?\d+(\.\d+)? *" if isinstance(found, str) else r"-?\d+(\.\d+)?(e\d+)?"
    if not re.fullmatch(number, text) or math.isinf(float(text)):
        raise Bad
    duration = timedelta(milliseconds=float(text)) if abs(float(text)) < 1e15 else None
    return (
        float(text) if kind == "double" else datetime(1970, 1, 1) + duration if duration is not None else None
    )


# Numbers that are read as doubles


ROUNDED, FINER = "may be rounded; write it as a text", "is more precise than a microsecond"
DECIMAL = {"type": "decimal(12,4)"}


@pytest.mark.parametrize(
    ("column", "number", "expected"),
    [
        (DECIMAL, "1.00000000000000001", ROUNDED),
        (DECIMAL, "99999999.99994999999", ROUNDED),
        (DECIMAL, "100000000000000001e-17", ROUNDED),
        (DECIMAL, "1.5e-400", ROUNDED),
        (DECIMAL, "1.5e-3", Decimal("0.0015")),
        (DECIMAL, "1.5", Decimal("1.5000")),
        (DECIMAL, "12345678.1234", Decimal("12345678.1234")),
        ({"type": "decimal(15,2)"}, "9007199254740991e-3", ROUNDED),  # of 16 digits, which would be read as .99
        ({"type": "decimal(38,0)"}, "18446744073709551616", Decimal(1 << 64)),
        ({"type": "decimal(38,0)"}, "18446744073709551616.0", ROUNDED),
        (SECONDS, "1541121934.12345601", FINER),
        (SECONDS, "1541121934.00000001", FINER),
        (SECONDS, "1541121934.1234567", FINER),
        (SECONDS, "1.54112193412345601e9", FINER),
        (SECONDS, "154112193412345601e-8", FINER),
        (SECONDS, "1e-7", FINER),
        (SECONDS, "1e-400", FINER),
        (SECONDS, "1.00000000000000001E0", FINER),
        (SECONDS, "9223372036.854775", ROUNDED),  # which would be read as .854776
        (SECONDS, "253402300799.999999", ROUNDED),
        (SECONDS, "1541121934.123456", datetime(2018, 11, 2, 1, 25, 34, 123456)),
        (SECONDS, "1541121934.1234560", datetime(2018, 11, 2, 1, 25, 34, 123456)),
        (SECONDS, "1541121934.12345600000000000", datetime(2018, 11, 2, 1, 25, 34, 123456)),
        (SECONDS, "1541121934.00000000000000000", datetime(2018, 11, 2, 1, 25, 34)),
        (SECONDS, "1.541121934123456e9", datetime(2018, 11, 2, 1, 25, 34, 123456)),
        (SECONDS, "1541121934123456E-6", datetime(2018, 11, 2, 1, 25, 34, 123456)),
        (SECONDS, "1541121934", datetime(2018, 11, 2, 1, 25, 34)),
        (SECONDS, "-1.5", datetime(1969, 12, 31, 23, 59, 58, 500000)),
        (SECONDS, "-0.00000000000000000", datetime(1970, 1, 1)),
        (SECONDS, "1e300", "is not a number of seconds"),
        (SECONDS, "1e400", "is not a number of seconds"),
        (MILLISECONDS, "1541105830796.1234", FINER),
        (MILLISECONDS, "1541105830796.00000001", FINER),
        (MILLISECONDS, "1541105830796.125", datetime(2018, 11, 1, 20, 57, 10, 796125)),
        (MICROSECONDS, "1541121934123456.1", FINER),
        (MICROSECONDS, "1541121934123456.4", FINER),
        (MICROSECONDS, "1541121934123456.00000", datetime(2018, 11, 2, 1, 25, 34, 123456)),
        (MICROSECONDS, "1.541121934123456e15", datetime(2018, 11, 2, 1, 25, 34, 123456)),
        (MICROSECONDS, "9007199254740992.1", FINER),
        (MICROSECONDS, "253402300799999999.0", ROUNDED),
        ({"type": "double"}, "1.00000000000000001", 1.0),
        ({"type": "double"}, "0.1234567890123456789", 0.12345678901234568),
        ({"type": "integer"}, "1.00000000000000001", "is not an integer"),
        ({"type": "integer"}, "1e0", "is not an integer"),
    ],
)  # fmt: skip
def test_a_number_that_would_be_rounded_is_rejected_in_any_notation(
    con: duckdb.DuckDBPyConnection, column: dict[str, Any], number: str, expected: object
) -> None:
    """The digits of the record decide, as the reader's own number has only the precision of a double."""
    table = table_of({"name": "v", "field": "o.v", **column})
    [name] = (column.name for column in table.columns)
    for record in (
        f'{{"o":{{"v":{number}}}}}',
        f'{{"o" : {{"v"\n:\r\n\t {number} }} , "more": 1}}',
        f'{{"o":{{"\\u0076":{number},"u":1.5}}}}',
        f'{{"v":0.5,"more":{{"v":7.000000000000000001}},"o":{{"v":{number}}}}}',
    ):
        found = read(con, record, table)
        assert found == ((name, expected) if isinstance(expected, str) else (expected,)), record


def test_a_rejected_number_is_reported_as_it_is_written(con: duckdb.DuckDBPyConnection) -> None:
    table = table_of({"name": "d", **DECIMAL}, {"name": "s", **SECONDS})
    fields = FieldMap(SOURCE, table)

    def reason(record: str) -> str:
        select = select_first_violations(
            fields.select_typed(RECORDS), table.columns, fields.rules, NUMBER, fields.written_texts
        )
        [(_, rule, text)] = con.execute(select, [record]).fetchall()
        return rejection_reasons.describe_violation(fields.rules[rule][2], text)

    assert reason('{"d": 1.00000000000000001}') == f"'1.00000000000000001' {ROUNDED}"
    assert reason('{"s": 1541121934.12345601}') == f"'1541121934.12345601' {FINER}"
    assert reason('{"s": "1541121934.12345601"}') == f"'1541121934.12345601' {FINER}"
    assert reason('{"s": 1e-7}') == f"'1e-7' {FINER}"
    assert reason('{"s": true}') == "'true' is not a number of seconds"
    assert reason('{"d": 1.50000001}') == "'1.50000001' has more than 4 decimal places"


OTHER_NUMBERS = ['"lat": 48.137432100000001', '"gr\\u00f6\\u00dfe": 48.137432100000001', '"x": "v\\": 1.00000000000000001"', '"more": {"v": 7.000000000000000001}']  # fmt: skip


@pytest.mark.parametrize("other", OTHER_NUMBERS)
@pytest.mark.parametrize("first", [False, True])
def test_digits_of_other_fields_reject_no_number(
    con: duckdb.DuckDBPyConnection, other: str, first: bool
) -> None:
    parts = ['"v": 2.5', other]
    record = "{" + ", ".join(parts[:: -1 if first else 1]) + "}"
    assert read(con, record, table_of({"name": "v", **DECIMAL})) == (Decimal("2.5"),)
    assert read(con, record, table_of({"name": "v", **SECONDS})) == (datetime(1970, 1, 1, 0, 0, 2, 500000),)


@pytest.mark.parametrize(("column", "reason"), [(DECIMAL, ROUNDED), (SECONDS, FINER)])
def test_a_number_that_would_be_rounded_to_a_null_value_is_rejected(
    con: duckdb.DuckDBPyConnection, column: dict[str, Any], reason: str
) -> None:
    source = SOURCE.model_copy(update={"null_values": ("-1.0",)})
    assert value(con, "-1.00000000000000001", source, **column) == f"it {reason}"
    assert value(con, "-1.0", source, **column) is None


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_number_that_would_be_rounded_is_rejected_in_a_field_of_any_name(
    con: duckdb.DuckDBPyConnection, name: str
) -> None:
    table = table_of({"name": "v", "field": name, **SECONDS})
    for ascii in (True, False):
        record = json.dumps({name: "@", "more": 2.5}, ensure_ascii=ascii)
        assert read(con, record.replace('"@"', "1541121934.00000001"), table) == ("v", FINER)
        assert read(con, record.replace('"@"', "1541121934.123456"), table) == (datetime(2018, 11, 2, 1, 25, 34, 123456),)  # fmt: skip


@given(
    st.sampled_from([*range(0, 20)]), st.integers(0, 10**18), st.sampled_from(["", "e0", "e-3", "E+2", "e9"])
)
@example(6, 1541121934123456, "")
@example(15, 9223372036854775, "")
def test_a_timestamp_is_exactly_the_number_that_is_written_or_rejected(
    con: duckdb.DuckDBPyConnection, places: int, digits: int, exponent: str
) -> None:
    text = f"{digits:020d}"
    number = f"{int(text[: 20 - places] or 0)}.{text[20 - places :] or 0}{exponent}"
    exact = Decimal(number) * 10**6
    found = value(con, number, SOURCE, **SECONDS)
    if isinstance(found, datetime):
        assert (found - datetime(1970, 1, 1)) // timedelta(microseconds=1) == exact
    elif exact == exact.to_integral_value() and 100 <= exact < 253402300800 * 10**6:
        assert len(str(digits)) > 15, "of few digits all are held"


# Where the elements of an array begin


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


@pytest.mark.parametrize(
    ("document", "starts"),
    [
        ("[]", []), ("[ ]", []), ("", []), ("7", []), ('"[a, b]"', []), ("null", []),
        ("[1]", [1]), ("[1,]", [1]), ("[ 1 , 2 ]", [2, 6]), ("[\n1\n,\n2\n]", [2, 6]), ("\t[1]", [2]),
        ("[[],[]]", [1, 4]), ("[[[1,2],[3]],{}]", [1, 13]), ('[{"a":[1,2]},3]', [1, 13]), ("[NaN,-Infinity,1e5]", [1, 5, 15]),
        ('["a,b","]"]', [1, 7]), ('["\\"],[",1]', [1, 9]), ('["\\\\",1]', [1, 6]), ('["{","["]', [1, 5]), ('["a\u2028b","🎉"]', [1, 7]),
        ('[{"a":"}"},{"b":"]"}]', [1, 11]), ("[true,false,null]", [1, 6, 12]),
    ],
)  # fmt: skip
def test_elements_begin_after_a_bracket_or_comma_that_is_the_arrays_own(
    document: str, starts: list[int]
) -> None:
    assert list(element_starts(document)) == starts


@given(
    st.lists(st.tuples(JSON_VALUES, st.sampled_from(["", " ", "\n", " \t\r\n"]), st.sampled_from(["", " "]))),
    st.sampled_from(["", "\n ", " "]),
    st.booleans(),
)
def test_elements_begin_where_they_were_written(
    items: list[tuple[Any, str, str]], before: str, comma_at_the_end: bool
) -> None:
    document, starts = f"{before}[", []
    for number, (item, left, right) in enumerate(items):
        document += ("," if number else "") + left
        starts.append(len(document))
        document += json.dumps(item, ensure_ascii=False) + right
    document += (",]" if comma_at_the_end and items else "]") + before
    assert list(element_starts(document)) == starts


@given(
    st.lists(JSON_VALUES, max_size=5), st.sampled_from(["", " \n"]), st.sampled_from([",", ", ", "\n,\n"]), st.booleans()
)  # fmt: skip
def test_an_array_is_split_into_the_texts_of_its_elements(
    items: list[Any], around: str, comma: str, comma_at_the_end: bool
) -> None:
    texts = [json.dumps(item, ensure_ascii=False) for item in items]
    end = comma if comma_at_the_end and items else ""
    assert element_texts(f"{around}[{around}{comma.join(texts)}{end}{around}]{around}") == texts


@pytest.mark.parametrize(
    ("text", "long"),
    [
        *((text, False) for text in ("1.5", "123456789012345", "1541121934123456", "1541121934.12345", "1e-99", "1.5e10")),
        *((text, True) for text in ("1541121934.123456", "1.00000000000000001", "123456789012345.67", "1234567890123456e-3")),
        *((text, True) for text in ("1234567890123456E2", "1e-400", "1.5E-300", "-0.12345678901234567")),
    ],
)  # fmt: skip
def test_a_text_with_a_number_of_many_digits_has_a_long_number(text: str, long: bool) -> None:
    assert has_long_number(f'[{{"a":{text}}}]') is long


def test_elements_are_found_however_deep_they_are() -> None:
    assert list(element_starts("[1," + "[" * 100_000 + "]" * 100_000 + ",2]")) == [1, 3, 200_004]
