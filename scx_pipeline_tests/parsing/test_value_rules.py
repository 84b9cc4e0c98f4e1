"""What each type accepts from a text and what it rejects, by example, on a real DuckDB.

The wording of the reasons is not tested here.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import duckdb
import pytest

from scx_pipeline.model.column import Column
from scx_pipeline.parsing import typed_rows, value_rules
from scx_pipeline.warehouse import sql_text
from scx_pipeline.warehouse.sql_text import quote
from scx_pipeline_tests.parsing.typed_texts import KINDS, OTHER_ZONES, RejectedValue, typed


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
def test_valid_values_are_accepted(
    con: duckdb.DuckDBPyConnection, kind: str, text: str, value: object
) -> None:
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


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_value_is_null_and_is_rejected_in_a_required_column(
    con: duckdb.DuckDBPyConnection, kind: str
) -> None:
    assert typed(con, kind, None) is None
    assert typed(con, kind, None, nullable=False) == RejectedValue("is empty, and must not be")


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
