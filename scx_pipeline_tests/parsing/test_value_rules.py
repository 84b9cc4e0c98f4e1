"""What each type accepts from a text and what it rejects, on a real DuckDB.

Headers and records have tests of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scx_pipeline.model.column import Column
from scx_pipeline.parsing import number_text, rejection_reasons, typed_rows, value_rules
from scx_pipeline.warehouse import sql_text
from scx_pipeline.warehouse.sql_text import quote


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        yield con


class RejectedValue(str):
    """The reason why a text is not taken."""


def typed(con: duckdb.DuckDBPyConnection, kind: str, text: str | None, nullable: bool = True) -> object:
    """The value of a text in a column of the type, or the first reason why it is refused."""
    column = Column(name="v", type=kind, description="", nullable=nullable)
    rules = value_rules.build_rules([column])
    assert all(name == "v" for _, name, _ in rules)
    conditions = ", ".join(condition for condition, _, _ in rules)
    rows = typed_rows.select_typed_rows("(SELECT ?::VARCHAR AS v)", [column])
    found = con.execute(f"SELECT v, {conditions} FROM ({rows})", [text]).fetchall()
    [(value, *broken)] = found
    assert None not in broken, "a condition that is NULL would let the row through unnoticed"
    reasons = [reason for (_, _, reason), is_broken in zip(rules, broken, strict=True) if is_broken]
    return RejectedValue(reasons[0]) if reasons else value


# Names of zones, some of which are ambiguous, and offsets that no place has.
OTHER_ZONES = [
    *(" PST", " BST", " CST", " AST", " EDT", " CEST", " UTC", " GMT", " Z", " Europe/Berlin", "z", "PST", " America/New_York"),
    *("+25:00", "+15", "+14:01", "+1401", "-14:30", "+02:60", "+5", "+2:00", "+020", "+05:30:15", " +05:30", "+", "-", "+-2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "7", 7),
        ("integer", "007", 7),
        ("integer", "+5", 5),
        ("integer", "-5", -5),
        ("integer", "-0", 0),
        ("integer", " 6 ", 6),
        ("smallint", "-32768", -(2**15)),
        ("integer", "2147483647", 2**31 - 1),
        ("bigint", "-9223372036854775808", -(2**63)),
        ("double", "1.5", 1.5),
        ("double", "1e3", 1000.0),
        ("double", "-.5", -0.5),
        ("double", " 2 ", 2.0),
        ("decimal(5,2)", "1.5", Decimal("1.50")),
        ("decimal(5,2)", "-999.99", Decimal("-999.99")),
        ("decimal(5,2)", "1.500", Decimal("1.50")),
        ("decimal(5,2)", " 7. ", Decimal("7.00")),
        ("decimal(5,2)", "1E2", Decimal("100.00")),
        ("decimal(5,2)", "100000e-5", Decimal("1.00")),
        ("decimal(5,2)", "12300e-4", Decimal("1.23")),
        ("decimal(5,2)", "0.1230E+1", Decimal("1.23")),
        ("decimal(5,2)", "0e-99", Decimal("0.00")),
        ("decimal(5,2)", "-0.0000", Decimal("0.00")),
        ("decimal(5,0)", "100.0", Decimal("100")),
        ("boolean", "true", True),
        ("boolean", "FALSE", False),
        ("boolean", "1", True),
        ("boolean", "0", False),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("date", "2021-2-3", date(2021, 2, 3)),
        ("date", " 2021-02-03 ", date(2021, 2, 3)),
        ("timestamp", "2021-02-28 10:11:12", datetime(2021, 2, 28, 10, 11, 12)),
        ("timestamp", "2021-02-28T10:11:12", datetime(2021, 2, 28, 10, 11, 12)),
        ("timestamp", "2021-02-28 10:11:12.123456", datetime(2021, 2, 28, 10, 11, 12, 123456)),
        ("timestamp", "2021-02-28 23:59:59.999999000", datetime(2021, 2, 28, 23, 59, 59, 999999)),
        ("timestamp", "2021-02-28 10:11", datetime(2021, 2, 28, 10, 11)),
        ("timestamp", "2021-02-28", datetime(2021, 2, 28)),
        ("timestamp", "2021-02-28T10:11:12Z", datetime(2021, 2, 28, 10, 11, 12)),
        ("timestamp", "2021-02-28 10:11:12+02", datetime(2021, 2, 28, 8, 11, 12)),
        ("timestamp", "2021-02-28T22:11:12-05:30", datetime(2021, 3, 1, 3, 41, 12)),
        ("timestamp", "2021-02-28T22:11:12.5-0530", datetime(2021, 3, 1, 3, 41, 12, 500000)),
        ("timestamp", "2021-02-28 22:11-00:00", datetime(2021, 2, 28, 22, 11)),
        ("timestamp", "2021-02-28 22:11:12+14:00", datetime(2021, 2, 28, 8, 11, 12)),
        ("timestamp", "2021-02-28 22:11:12-14", datetime(2021, 3, 1, 12, 11, 12)),
        ("timestamp", "2021-02-28 22:11:12+13:59", datetime(2021, 2, 28, 8, 12, 12)),
        ("timestamp", "2020-12-31 24:00:00", datetime(2021, 1, 1)),
        ("timestamp", "0001-01-01 00:00:00", datetime(1, 1, 1)),
        ("timestamp", "9999-12-31 23:59:59.999999", datetime.max),
        ("varchar(4)", "日b", "日b"),
        ("varchar(4)", "🎉", "🎉"),
        ("varchar(4)", "    ", "    "),
        ("varchar(4)", "NULL", "NULL"),
    ],
)
def test_values_that_are_taken(con: duckdb.DuckDBPyConnection, kind: str, text: str, value: object) -> None:
    found = typed(con, kind, text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(
            ("integer", text)
            for text in [
                "",
                " ",
                "2.7",
                "1.0",
                "1e3",
                "0x10",
                "0b1",
                "1_000",
                "1,000",
                "2147483648",
                "-2147483649",
            ]
        ),
        *(
            ("integer", text)
            for text in ["true", "NaN", "+ 5", "--5", "٣", "5 6", "5\0", "\t5", "5\n", "9" * 400]
        ),
        *(("smallint", text) for text in ["32768", "-32769"]),
        *(("bigint", text) for text in ["9223372036854775808", "1e3", "1.0"]),
        *(
            ("double", text)
            for text in [
                "",
                "nan",
                "NaN",
                "inf",
                "-Infinity",
                "1e400",
                "-1e400",
                "1,5",
                "0x10",
                "1_0",
                "1f",
                "true",
            ]
        ),
        *(
            ("decimal(5,2)", text)
            for text in ["", "1000", "999.995", "nan", "1e9", "0x10", "1_0", "1,5", "1E0.", "0e0."]
        ),
        *(
            ("decimal(5,2)", text)
            for text in ["1.005", "12.349", "0.001", "1e-11", "1e-3", "12345e-4", "1.0001e1", "0.00000001"]
        ),
        *(("decimal(5,0)", text) for text in ["0.5", "1.0e-1", "1e-9999999999999999999", "12e-1"]),
        *(("boolean", text) for text in ["", "2", "on", "ja", "truee"]),
        *(
            ("date", text)
            for text in [
                "",
                "2021-02-30",
                "2023-02-29",
                "2021-13-01",
                "2021/02/03",
                "20210203",
                "03.02.2021",
                "2021-02",
            ]
        ),
        *(
            ("date", text)
            for text in ["today", "epoch", "infinity", "10000-01-01", "0000-12-31", "2021-02-03 (BC)"]
        ),
        *(("date", text) for text in ["2021-02-03 10:00:00", "2021-02-03T23:00:00-05:00"]),
        *(
            ("timestamp", text)
            for text in [
                "",
                "2021-02-30 00:00:00",
                "2021-01-01 25:00:00",
                "2021-01-01 23:60:00",
                "2021-01-01 23:59:60",
            ]
        ),
        *(("timestamp", text) for text in ["infinity", "-infinity", "epoch", "now", "today", "tomorrow"]),
        *(
            ("timestamp", text)
            for text in [
                "02/03/2021 01:02",
                "2021/02/03 01:02:03",
                "1612137600",
                "20210203",
                "21-02-03 00:00:00",
            ]
        ),
        *(
            ("timestamp", text)
            for text in [
                "10000-01-01 00:00:00",
                "0000-12-31 23:59:59",
                "2021-02-03 (BC)",
                "2021-02-03 01:02:03 (BC)",
            ]
        ),
        *(
            ("timestamp", text)
            for text in ["9999-12-31 23:59:59-01", "0001-01-01 00:00:00+01", "2021-02-03 01:02:03 Nowhere"]
        ),
        *(
            ("timestamp", text)
            for text in ["2021-02-03 10:00:00 PM", "2021-02-03 10:00:00 x", "2021-02-03 10"]
        ),
        *(("timestamp", f"2021-02-03 10:00:00{zone}") for zone in OTHER_ZONES),
        *(("timestamp", f"2021-02-03T10:00{zone}") for zone in OTHER_ZONES),
        *(("timestamp", f"2021-02-03 10:00:00.{digits}") for digits in ["0000001", "9999999", "123456789Z"]),
        *(
            ("timestamp", text)
            for text in ["2021-02-03 10:1 :00", "2021-02-03 10: 1:00", "2021-02-03 10:00: 5"]
        ),
        *(("varchar(4)", text) for text in ["abcde", "日本", "🎉a", "äöü", "a\0b"]),
    ],
)
def test_invalid_values_are_rejected(con: duckdb.DuckDBPyConnection, kind: str, text: str) -> None:
    assert isinstance(typed(con, kind, text), RejectedValue)


@pytest.mark.parametrize(
    ("reason", "text", "precise"),
    [
        ("is not a decimal(5,2)", "1.005", "has more than 2 decimal places"),
        ("is not a decimal(5, 2)", "1e-3", "has more than 2 decimal places"),
        ("is not a decimal(5,2)", "1000.00", "is not a decimal(5,2)"),
        ("is not a decimal(5,2)", "1,5", "is not a decimal(5,2)"),
        ("is not a decimal(5,2)", "nan", "is not a decimal(5,2)"),
        *(
            ("is not a timestamp", f"2021-02-03 10:00:00{zone}", "has a zone that is not Z or an offset of up to 14 hours, such as +02:00")
            for zone in OTHER_ZONES
        ),
        ("is not a timestamp", "2021-02-30 10:00:00Z", "is not a timestamp"),
        ("is not a timestamp", "2021-02-03 10:00:00.1234567Z", "is more precise than a microsecond"),
        ("is not a timestamp", "noon", "is not a timestamp"),
        ("is not a number of seconds", "1541105830.1234567", "is more precise than a microsecond"),
        ("is not a number of seconds", "1,5", "is not a number of seconds"),
        ("is not a decimal(5,2)", "1e1000000", "is not a decimal(5,2)"),
        ("is not a number of seconds", "-1e9999999", "is not a number of seconds"),
        ("is not a number of microseconds", "5.5", "is more precise than a microsecond"),
        ("is not an integer", "", "is not an integer"),
    ],
)  # fmt: skip
def test_the_reason_is_as_precise_as_the_text_allows(reason: str, text: str, precise: str) -> None:
    assert rejection_reasons.describe_violation(reason, text) == f"{text!r} {precise}"


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("integer", "x", "is not an integer"),
        ("bigint", "x", "is not a bigint"),
        ("double", "x", "is not a finite number"),
        ("decimal(5,2)", "x", "is not a decimal(5,2)"),
        ("boolean", "x", "is not a boolean"),
        ("date", "x", "is not a date"),
        ("timestamp", "x", "is not a timestamp"),
        ("varchar(3)", "日本", "is longer than 3 bytes"),
        ("varchar(max)", "\0", "holds a NUL character"),
    ],
)
def test_the_reason_says_what_the_value_is_not(
    con: duckdb.DuckDBPyConnection, kind: str, text: str, reason: str
) -> None:
    assert typed(con, kind, text) == reason


KINDS = [
    "smallint",
    "integer",
    "bigint",
    "double",
    "decimal(5,2)",
    "boolean",
    "date",
    "timestamp",
    "varchar(4)",
]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_null_unless_it_must_not_be(con: duckdb.DuckDBPyConnection, kind: str) -> None:
    assert typed(con, kind, None) is None
    assert typed(con, kind, None, nullable=False) == RejectedValue("is empty, and must not be")


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(st.sampled_from("0123456789+-.:eE_ TZxaé日\0"), max_size=24))
def test_any_text_is_accepted_or_rejected_and_never_lost(
    con: duckdb.DuckDBPyConnection, kind: str, text: str
) -> None:
    assert typed(con, kind, text) is not None


@given(value=st.integers(-(2**64), 2**64), form=st.sampled_from(["{}", "{:+}", " {} ", "{:09d}"]))
def test_an_integer_is_accepted_if_its_type_can_hold_it(
    con: duckdb.DuckDBPyConnection, value: int, form: str
) -> None:
    for kind, bits in (("smallint", 15), ("integer", 31), ("bigint", 63)):
        found = typed(con, kind, form.format(value))
        assert found == (
            value
            if -(2**bits) <= value < 2**bits
            else RejectedValue(f"is not {'an' if kind == 'integer' else 'a'} {kind}")
        )


@given(text=st.text(st.sampled_from("0123456789+-.eE_ x"), max_size=12))
def test_an_accepted_integer_is_the_same_number_in_python(con: duckdb.DuckDBPyConnection, text: str) -> None:
    value = typed(con, "integer", text)
    assert isinstance(value, RejectedValue) or (value == int(text) and "_" not in text)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_is_taken_to_the_last_bit(con: duckdb.DuckDBPyConnection, value: float) -> None:
    assert typed(con, "double", repr(value)) == value


@given(
    digits=st.integers(-(10**7), 10**7),
    exponent=st.integers(-9, 9) | st.integers(-45, 45),
    form=st.sampled_from(["{:f}", "{:E}", " {} ", "{:e}"]),
)
@pytest.mark.parametrize("kind", ["decimal(5,2)", "decimal(9,0)", "decimal(15,4)", "decimal(38,6)"])
def test_a_decimal_is_read_exactly_or_rejected(
    con: duckdb.DuckDBPyConnection, kind: str, digits: int, exponent: int, form: str
) -> None:
    exact = Decimal(digits).scaleb(exponent)
    found = typed(con, kind, form.format(exact))
    size, scale = map(int, kind.removeprefix("decimal(").removesuffix(")").split(","))
    units = Fraction(exact) * 10**scale
    fits = units.denominator == 1 and abs(units) < 10**size
    assert found == (exact if fits else RejectedValue(f"is not a {kind}"))


@given(text=st.text(st.sampled_from("0123456789+-.eE "), max_size=12))
def test_what_is_taken_as_a_decimal_is_that_number_to_python_too(
    con: duckdb.DuckDBPyConnection, text: str
) -> None:
    value = typed(con, "decimal(9,3)", text)
    assert isinstance(value, RejectedValue) or value == Decimal(text.strip())


@given(
    value=st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),
    offset=st.integers(-12 * 60, 14 * 60),
    separator=st.sampled_from(" T"),
)
def test_a_timestamp_with_an_offset_is_converted_to_utc(
    con: duckdb.DuckDBPyConnection, value: datetime, offset: int, separator: str
) -> None:
    assert typed(con, "timestamp", value.isoformat(separator)) == value, "without one it is UTC"
    there = value.replace(tzinfo=timezone(timedelta(minutes=offset)))
    assert typed(con, "timestamp", there.isoformat(separator)) == there.astimezone(UTC).replace(tzinfo=None)


@given(
    text=st.from_regex(r"[ 0-9+-]{4}-[ 0-9]{2}-[ 0-9]{2} [ 0-9]{2}:[ 0-9]{2}:[ 0-9Z+-]{2}", fullmatch=True)
)
def test_the_usual_shape_of_a_timestamp_is_read_like_any_other(
    con: duckdb.DuckDBPyConnection, text: str
) -> None:
    assert typed(con, "timestamp", text) == typed(con, "timestamp", text + " ")


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=12), size=st.integers(1, 20))
def test_a_text_is_accepted_unchanged_if_its_bytes_fit(
    con: duckdb.DuckDBPyConnection, text: str, size: int
) -> None:
    found = typed(con, f"varchar({size})", text)
    if len(text.encode()) > size:
        assert found == RejectedValue(f"is longer than {size} bytes")
    else:
        assert found == (RejectedValue("holds a NUL character") if "\0" in text else text)


def test_rules_are_in_the_order_of_the_columns_and_quote_their_names(
    con: duckdb.DuckDBPyConnection,
) -> None:
    columns = [
        Column.model_construct(name=name, type=kind, description="", nullable=False)
        for name, kind in (('a"b', "integer"), ('c"d', "varchar(1)"))
    ]
    conditions = [condition for condition, _, _ in value_rules.build_rules(columns)]
    rows = typed_rows.select_typed_rows("""(SELECT 'xy' AS "a""b", 'xy' AS "c""d")""", columns)
    assert con.execute(f"SELECT {', '.join(conditions)} FROM ({rows})").fetchall() == [
        (False, True, False, True, False)
    ]


def test_names_and_texts_are_quoted(con: duckdb.DuckDBPyConnection) -> None:
    text = """it's "text"; DROP TABLE x --"""
    relation = con.sql(f"SELECT {sql_text.string_literal(text)} AS {quote(text)}")
    assert (relation.columns, relation.fetchall()) == ([text], [(text,)])


# Timestamps as counts of a unit, and null values


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
def test_what_is_taken_as_a_count_is_that_count_to_python_too(
    con: duckdb.DuckDBPyConnection, unit: str, text: str
) -> None:
    found = counted(con, unit, text)
    if not isinstance(found, RejectedValue):
        assert isinstance(found, datetime)
        exact = Decimal(text.strip()).scaleb(number_text.MICROSECONDS[unit])
        assert (found - datetime(1970, 1, 1)) // timedelta(microseconds=1) == exact


def test_null_values_are_null(con: duckdb.DuckDBPyConnection) -> None:
    columns = [
        Column(name=name, type=kind, description="") for name, kind in (("a", "varchar(9)"), ("b", "integer"))
    ]
    source = "(SELECT unnest(['', 'n/a', 'x']) AS a, unnest(['n/a', '', '7']) AS b)"
    one = typed_rows.select_typed_rows(source, columns, null_values=[""])
    assert con.execute(f"SELECT a, b FROM ({one})").fetchall() == [(None, None), ("n/a", None), ("x", 7)]
    two = typed_rows.select_typed_rows(source, columns, null_values=["", "n/a"])
    assert con.execute(f"SELECT a, b FROM ({two})").fetchall() == [(None, None), (None, None), ("x", 7)]


@pytest.mark.parametrize("kind", [*KINDS, "seconds"])
@pytest.mark.parametrize("none", ["", "n/a", "it's", "0", "-1"])
def test_a_null_value_is_null_in_a_column_of_any_type(
    con: duckdb.DuckDBPyConnection, kind: str, none: str
) -> None:
    unit = {"type": "timestamp", "unit": kind} if kind == "seconds" else {"type": kind}
    column = Column.model_validate({"name": "v", "description": "", "nullable": False, **unit})
    rows = typed_rows.select_typed_rows(
        "(SELECT ?::VARCHAR AS v, 5 AS n)", [column], "n", null_values=["?", none]
    )
    assert con.execute(f"SELECT v, n FROM ({rows})", [none]).fetchall() == [(None, 5)]
    rules = value_rules.build_rules([column])
    [(_, rule, text)] = con.execute(
        value_rules.select_first_violations(rows, [column], rules, "n"), [none]
    ).fetchall()
    assert (rules[rule][2], text) == ("is empty, and must not be", None)


def test_a_text_that_only_resembles_a_null_value_is_kept(con: duckdb.DuckDBPyConnection) -> None:
    column = Column(name="v", type="varchar(9)", description="")
    rows = typed_rows.select_typed_rows(
        "(SELECT unnest(['N/A', 'n/a ', ' ', 'n/a']) AS v)", [column], null_values=["", "n/a"]
    )
    assert con.execute(f"SELECT v FROM ({rows})").fetchall() == [("N/A",), ("n/a ",), (" ",), (None,)]


# Numbers that a source has as such


def of_number(con: duckdb.DuckDBPyConnection, column: Column, text: str) -> object:
    """The value where a number's text is read as a number if that is plain, and else as a text."""
    number = typed_rows.number_of(column.name)
    read = f"(SELECT ?::VARCHAR AS text, TRY_CAST(?::VARCHAR AS DOUBLE) AS number, {number_text.is_exact_double('number')} AS plain)"
    source = f"(SELECT CASE WHEN NOT plain THEN text END AS v, CASE WHEN plain THEN number END AS {number} FROM {read})"
    rows = typed_rows.select_typed_rows(source, [column], numbers=["v"])
    bad = " OR ".join(condition for condition, _, _ in value_rules.build_rules([column]))
    [(value, refused)] = con.execute(
        f"SELECT CASE WHEN {bad} THEN NULL ELSE v END, {bad} FROM ({rows})", [text, text]
    ).fetchall()
    return RejectedValue() if refused else value


DOUBLE = Column(name="v", type="double", description="", nullable=False)


@given(number=st.floats(allow_nan=False))
@example(number=0.0)
@example(number=-0.0)
@example(number=1.0)
@example(number=math.inf)
def test_a_plain_number_is_what_its_text_would_give(con: duckdb.DuckDBPyConnection, number: float) -> None:
    assert of_number(con, DOUBLE, repr(number)) == (number if math.isfinite(number) else RejectedValue())


# Which rule a row breaks first


def broken(
    con: duckdb.DuckDBPyConnection, columns: list[Column], source: str, others: str = "n"
) -> list[tuple[object, str, str, str | None]]:
    """Of each row that breaks a rule: `others`, and the column, the reason and the text of the first one."""
    rules = value_rules.build_rules(columns)
    rows = typed_rows.select_typed_rows(source, columns, "n")
    found = con.execute(value_rules.select_first_violations(rows, columns, rules, others)).fetchall()
    return [(other, rules[rule][1], rules[rule][2], text) for other, rule, text in found]


ID = Column(name="id", type="integer", description="", nullable=False)
NAME = Column(name="name", type="varchar(3)", description="")
TS = Column(name="ts", type="timestamp", unit="milliseconds", description="")


def test_a_row_has_the_reason_of_the_first_rule_that_it_breaks_in_the_order_of_the_columns(
    con: duckdb.DuckDBPyConnection,
) -> None:
    source = """(FROM (VALUES (1, '7', 'abc', '0'), (2, 'x', 'abcd', 'noon'), (3, NULL, 'abcd', '0'),
                              (4, '7', 'abcd', 'noon'), (5, '7', NULL, 'noon')) AS t(n, id, name, ts))"""
    assert sorted(broken(con, [ID, NAME, TS], source)) == [
        (2, "id", "is not an integer", "x"),
        (3, "id", "is empty, and must not be", None),
        (4, "name", "is longer than 3 bytes", "abcd"),
        (5, "ts", "is not a number of milliseconds", "noon"),
    ]
    assert [row[1] for row in sorted(broken(con, [TS, NAME, ID], source))] == ["ts", "name", "ts", "ts"]


def test_a_long_text_is_reported_by_its_beginning(con: duckdb.DuckDBPyConnection) -> None:
    [(_, _, reason, text)] = broken(con, [NAME], f"(SELECT 1 AS n, '{'ü' * 500}' AS name)")
    assert text == "ü" * 80
    assert rejection_reasons.describe_violation(reason, text) == f"'{'ü' * 80}' is longer than 3 bytes"
    assert (
        rejection_reasons.describe_violation("is empty, and must not be", None) == "is empty, and must not be"
    )


@pytest.mark.parametrize("name", ["n", "rule", "rules", "text", "value"])
def test_a_violation_in_a_column_of_any_name_is_reported(con: duckdb.DuckDBPyConnection, name: str) -> None:
    column = Column(name=name, type="integer", description="")
    rules = value_rules.build_rules([column])
    rows = typed_rows.select_typed_rows(f"""(SELECT 'x' AS "{name}", 5 AS place)""", [column], "place")
    assert con.execute(value_rules.select_first_violations(rows, [column], rules, "place")).fetchall() == [
        (5, 0, "x")
    ]


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("milliseconds", "-9223372036854775"),
        ("seconds", "-9223372036854"),
        ("microseconds", "-9223372036854775808"),
    ],
)
def test_a_timestamp_outside_the_calendar_is_reported_like_any_other(unit: str, text: str) -> None:
    # The timestamp is selected along with the rule, as it also decides which rows belong to other months.
    column = Column.model_validate({"name": "ts", "type": "timestamp", "unit": unit, "description": ""})
    with duckdb.connect() as con:
        found = broken(con, [column], f"(SELECT 1 AS n, '{text}' AS ts)", "ts")
    assert [rest for _, *rest in found] == [["ts", f"is not a number of {unit}", text]]
