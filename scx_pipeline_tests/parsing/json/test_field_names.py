"""Names of JSON fields: any name is read, exactly as it is written, and fields that are not declared are listed.

What the fields' values become is not tested here.
"""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest

from scx_pipeline.parsing.json.field_map import FieldMap
from scx_pipeline.parsing.json.field_sql import HAS_OTHER_FIELDS, NUMBER
from scx_pipeline_tests.parsing.json.json_records import (
    GOOD,
    NESTED,
    ODD_NAMES,
    RECORDS,
    SOURCE,
    TABLE,
    VALUES,
    line,
    read,
    table_of,
)


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


def test_a_field_name_in_another_case_is_another_field(con: duckdb.DuckDBPyConnection) -> None:
    assert read(con, line(firstName=..., firstname="x")) == (None, *VALUES[1:])
    assert read(con, line(firstname="x")) == VALUES
    assert read(con, line(Ratio=7, RATIO="x")) == VALUES
    assert read(con, line(Home={"city": "x"})) == VALUES


def test_fields_of_the_same_name_in_two_objects_are_distinguished(con: duckdb.DuckDBPyConnection) -> None:
    table = table_of(
        {"name": "a", "field": "x"}, {"name": "b", "field": "o.x"}, {"name": "c", "field": "p.X"}
    )
    assert read(con, '{"x": "1", "o": {"x": "2"}, "p": {"X": "3"}}', table) == ("1", "2", "3")
    assert read(con, '{"o": {"X": "2"}, "p": {"x": "3"}}', table) == (None, None, None)


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
