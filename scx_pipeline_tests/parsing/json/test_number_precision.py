"""JSON numbers that a double cannot hold: rejected in any notation, and never rounded in silence.

The digits of the record decide, because DuckDB reads such numbers as doubles.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scx_pipeline.parsing import rejection_reasons
from scx_pipeline.parsing.json.field_map import FieldMap
from scx_pipeline.parsing.json.field_sql import NUMBER
from scx_pipeline.parsing.json.number_precision import has_long_number
from scx_pipeline.parsing.value_rules import select_first_violations
from scx_pipeline_tests.parsing.json.json_records import (
    MICROSECONDS,
    MILLISECONDS,
    ODD_NAMES,
    RECORDS,
    SECONDS,
    SOURCE,
    read,
    table_of,
    value,
)

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
def test_digits_of_other_fields_do_not_cause_rejections(
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
