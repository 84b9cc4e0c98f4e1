"""Timestamps as counts of seconds, milliseconds or microseconds since 1970, read from texts.

Counts that are JSON numbers are not tested here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline.model.column import Column
from scx_pipeline.parsing import number_text, typed_rows, value_rules
from scx_pipeline_tests.parsing.typed_texts import RejectedValue


def counted(con: duckdb.DuckDBPyConnection, unit: str, text: str | None) -> object:
    """The timestamp of a text in a column of the unit, or the first reason why it is refused."""
    column = Column.model_validate({"name": "v", "type": "timestamp", "unit": unit, "description": ""})
    conditions = [condition for condition, _, _ in value_rules.build_rules([column])]
    rows = typed_rows.select_typed_rows("(SELECT ?::VARCHAR AS v)", [column])
    # Python has no timestamp for some of those that are refused.
    value_if_sound = f"CASE WHEN {' OR '.join(conditions)} THEN NULL ELSE v END"
    [(value, *broken)] = con.execute(
        f"SELECT {value_if_sound}, {', '.join(conditions)} FROM ({rows})", [text]
    ).fetchall()
    assert None not in broken
    return RejectedValue(value_rules.build_rules([column])[broken.index(True)][2]) if any(broken) else value


@pytest.mark.parametrize(
    ("unit", "text", "timestamp"),
    [
        ("milliseconds", "1541105830796", datetime(2018, 11, 1, 20, 57, 10, 796000)),
        ("milliseconds", "1541105830796.0", datetime(2018, 11, 1, 20, 57, 10, 796000)),
        ("milliseconds", "1541105830796.125", datetime(2018, 11, 1, 20, 57, 10, 796125)),
        ("milliseconds", " 1541105830796 ", datetime(2018, 11, 1, 20, 57, 10, 796000)),
        ("milliseconds", "-1", datetime(1969, 12, 31, 23, 59, 59, 999000)),
        ("seconds", "1541105830", datetime(2018, 11, 1, 20, 57, 10)),
        ("seconds", "1541105830.796125", datetime(2018, 11, 1, 20, 57, 10, 796125)),
        ("microseconds", "1541105830796125", datetime(2018, 11, 1, 20, 57, 10, 796125)),
        ("seconds", "0", datetime(1970, 1, 1)),
        ("seconds", "-0", datetime(1970, 1, 1)),
        ("seconds", "007", datetime(1970, 1, 1, 0, 0, 7)),
        ("seconds", "1541105830.", datetime(2018, 11, 1, 20, 57, 10)),
        ("seconds", "-1.5", datetime(1969, 12, 31, 23, 59, 58, 500000)),
        ("seconds", " -0.000001 ", datetime(1969, 12, 31, 23, 59, 59, 999999)),
        ("seconds", "7258118399.999999", datetime(2199, 12, 31, 23, 59, 59, 999999)),
        ("milliseconds", "253402300799999", datetime(9999, 12, 31, 23, 59, 59, 999000)),
        ("microseconds", "-62135596800000000", datetime(1, 1, 1)),
        ("microseconds", "253402300799999999", datetime.max),
        ("microseconds", "9007199254740993", datetime(2255, 6, 5, 23, 47, 34, 740993)),
        ("microseconds", "9007199254740993.0", datetime(2255, 6, 5, 23, 47, 34, 740993)),
        ("seconds", None, None),
    ],
)
def test_a_count_of_a_unit_is_its_timestamp(
    con: duckdb.DuckDBPyConnection, unit: str, text: str | None, timestamp: datetime | None
) -> None:
    assert counted(con, unit, text) == timestamp


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "-", ".0", "-.5", "+5", "- 5", "5 6", "\t5", "5\n", "5\0", "٣"),
        *(
            "1e3",
            "1e12",
            "1E12",
            "1e3.0",
            "0x10",
            "0x10.0",
            "1_000",
            "1,5",
            "1.5.5",
            "1.-5",
            "1.0000001",
            "-1.12345678",
        ),
        *("noon", "true", "NaN", "infinity", "epoch", "2018-11-01 00:00:00", "2018-11-01"),
        *("9" * 18, "-" + "9" * 18, "9" * 18 + ".5", "9" * 20, "9" * 20 + ".0", "9" * 400),
    ],
)
@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "microseconds"])
def test_a_text_that_is_not_a_count_of_a_unit_is_rejected(
    con: duckdb.DuckDBPyConnection, unit: str, text: str
) -> None:
    assert counted(con, unit, text) == RejectedValue(f"is not a number of {unit}")


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("seconds", "253402300800"),
        ("milliseconds", "253402300800000"),
        ("microseconds", "253402300800000000"),
        ("microseconds", "9223372036854775807"),
        ("microseconds", "-9223372036854775807"),
        ("microseconds", "-9223372036854775808"),
        ("milliseconds", "-9223372036854775"),
    ],
)
def test_a_count_outside_the_calendar_is_rejected(
    con: duckdb.DuckDBPyConnection, unit: str, text: str
) -> None:
    assert counted(con, unit, text) == RejectedValue(f"is not a number of {unit}")


@given(
    timestamp=st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),
    unit=st.sampled_from([("seconds", 6), ("milliseconds", 3), ("microseconds", 0)]),
)
def test_any_timestamp_survives_a_round_trip_as_a_count(
    con: duckdb.DuckDBPyConnection, timestamp: datetime, unit: tuple[str, int]
) -> None:
    name, digits = unit
    text = str(Decimal((timestamp - datetime(1970, 1, 1)) // timedelta(microseconds=1)).scaleb(-digits))
    assert counted(con, name, text) == timestamp


@given(text=st.text(st.sampled_from("0123456789+-.eE_ x"), max_size=12))
@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "microseconds"])
def test_an_accepted_count_is_the_same_number_in_python(
    con: duckdb.DuckDBPyConnection, unit: str, text: str
) -> None:
    found = counted(con, unit, text)
    if not isinstance(found, RejectedValue):
        assert isinstance(found, datetime)
        exact = Decimal(text.strip()).scaleb(number_text.MICROSECONDS[unit])
        assert (found - datetime(1970, 1, 1)) // timedelta(microseconds=1) == exact
