"""Null values of a source: the listed texts are NULL in columns of all types, and no other text is."""

from __future__ import annotations

import duckdb
import pytest

from scx_pipeline.model.column import Column
from scx_pipeline.parsing import typed_rows, value_rules
from scx_pipeline_tests.parsing.typed_texts import KINDS


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
