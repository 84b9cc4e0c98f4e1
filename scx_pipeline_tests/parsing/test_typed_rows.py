"""Columns of one kind side by side: what is computed on the way to a value of one is never taken for another's.
What single texts become is in test_values.py."""

from __future__ import annotations

from datetime import datetime

import duckdb

from scx_pipeline.model.column import Column
from scx_pipeline.parsing.values import number_of, typed_rows


def column(name: str, kind: str, unit: str | None = None) -> Column:
    return Column.model_validate({"name": name, "type": kind, "unit": unit, "description": ""})


def values_of(select: str, names: str) -> tuple[object, ...]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        [row] = con.execute(f"SELECT {names} FROM ({select})").fetchall()
    return tuple(row)


def test_moments_that_are_counted_in_several_columns_are_each_their_own() -> None:
    columns = [
        column(name, "timestamp", unit)
        for name, unit in (("a", "seconds"), ("b", "milliseconds"), ("c", "seconds"))
    ]
    rows = typed_rows("(SELECT '1' AS a, '2' AS b, '3' AS c)", columns)
    assert values_of(rows, "a, b, c") == (
        datetime(1970, 1, 1, 0, 0, 1),
        datetime(1970, 1, 1, 0, 0, 0, 2000),
        datetime(1970, 1, 1, 0, 0, 3),
    )


def test_numbers_of_several_columns_are_each_their_own_and_stand_in_for_a_text_that_is_none() -> None:
    columns = [column("a", "double"), column("b", "double")]
    numbers = f"1.5::DOUBLE AS {number_of('a')}, 2.5::DOUBLE AS {number_of('b')}"
    source = f"(SELECT NULL::VARCHAR AS a, NULL::VARCHAR AS b, {numbers})"
    assert values_of(typed_rows(source, columns, numbers=("a", "b")), "a, b") == (1.5, 2.5)
    kept = typed_rows(source, columns, null_values=("-",), numbers=("a", "b"))
    assert values_of(kept, "a, b") == (1.5, 2.5), "also where texts stand for no value"


def test_other_columns_are_passed_on() -> None:
    rows = typed_rows("(SELECT '1' AS a, 7 AS n)", [column("a", "integer")], "n", ("-",))
    assert values_of(rows, "a, n") == (1, 7)
