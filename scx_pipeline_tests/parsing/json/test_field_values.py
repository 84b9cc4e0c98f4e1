"""What the JSON values of fields become in a column of each type, and which are rejected.

Numbers that a double cannot hold are tested separately.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scx_pipeline.parsing import typed_rows, value_rules
from scx_pipeline_tests.parsing.json.json_records import (
    MICROSECONDS,
    MILLISECONDS,
    SECONDS,
    SOURCE,
    VALUES,
    table_of,
    value,
)


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
def test_a_value_is_converted_to_the_type_of_its_column_without_loss(
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
def test_a_number_in_a_text_is_read_like_the_same_text_in_a_csv_file(
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
