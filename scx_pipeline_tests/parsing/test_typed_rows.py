"""Typed rows: columns of one kind never share intermediate values, and numbers are read as their texts would be."""

from __future__ import annotations

import math
from datetime import datetime

import duckdb
from hypothesis import example, given
from hypothesis import strategies as st

from scx_pipeline.model.column import Column
from scx_pipeline.parsing import number_text, value_rules
from scx_pipeline.parsing.typed_rows import number_of, select_typed_rows
from scx_pipeline_tests.parsing.typed_texts import RejectedValue


def column(name: str, kind: str, unit: str | None = None) -> Column:
    return Column.model_validate({"name": name, "type": kind, "unit": unit, "description": ""})


def values_of(select: str, names: str) -> tuple[object, ...]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        [row] = con.execute(f"SELECT {names} FROM ({select})").fetchall()
    return tuple(row)


def test_timestamps_from_counts_in_several_columns_keep_their_own_values() -> None:
    columns = [
        column(name, "timestamp", unit)
        for name, unit in (("a", "seconds"), ("b", "milliseconds"), ("c", "seconds"))
    ]
    rows = select_typed_rows("(SELECT '1' AS a, '2' AS b, '3' AS c)", columns)
    assert values_of(rows, "a, b, c") == (
        datetime(1970, 1, 1, 0, 0, 1),
        datetime(1970, 1, 1, 0, 0, 0, 2000),
        datetime(1970, 1, 1, 0, 0, 3),
    )


def test_numbers_of_several_columns_keep_their_own_values_and_replace_texts_that_are_null() -> None:
    columns = [column("a", "double"), column("b", "double")]
    numbers = f"1.5::DOUBLE AS {number_of('a')}, 2.5::DOUBLE AS {number_of('b')}"
    source = f"(SELECT NULL::VARCHAR AS a, NULL::VARCHAR AS b, {numbers})"
    assert values_of(select_typed_rows(source, columns, numbers=("a", "b")), "a, b") == (1.5, 2.5)
    kept = select_typed_rows(source, columns, null_values=("-",), numbers=("a", "b"))
    assert values_of(kept, "a, b") == (1.5, 2.5), "also if the source has null values"


def test_other_columns_are_passed_through() -> None:
    rows = select_typed_rows("(SELECT '1' AS a, 7 AS n)", [column("a", "integer")], "n", ("-",))
    assert values_of(rows, "a, n") == (1, 7)


# Numbers that a source has as such


def of_number(con: duckdb.DuckDBPyConnection, column: Column, text: str) -> object:
    """The value where a number's text is read as a number if that is plain, and else as a text."""
    number = number_of(column.name)
    read = f"(SELECT ?::VARCHAR AS text, TRY_CAST(?::VARCHAR AS DOUBLE) AS number, {number_text.is_exact_double('number')} AS plain)"
    source = f"(SELECT CASE WHEN NOT plain THEN text END AS v, CASE WHEN plain THEN number END AS {number} FROM {read})"
    rows = select_typed_rows(source, [column], numbers=["v"])
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
def test_a_plain_number_equals_the_value_of_its_text(con: duckdb.DuckDBPyConnection, number: float) -> None:
    assert of_number(con, DOUBLE, repr(number)) == (number if math.isfinite(number) else RejectedValue())
