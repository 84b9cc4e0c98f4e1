"""Reasons of rejected rows: the first rule that a row breaks, and the words that explain it.

Which texts are rejected is not tested here.
"""

from __future__ import annotations

import duckdb
import pytest

from scx_pipeline.model.column import Column
from scx_pipeline.parsing import rejection_reasons, typed_rows, value_rules
from scx_pipeline_tests.parsing.typed_texts import OTHER_ZONES, typed


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
def test_the_reason_describes_how_the_value_is_invalid(
    con: duckdb.DuckDBPyConnection, kind: str, text: str, reason: str
) -> None:
    assert typed(con, kind, text) == reason


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
