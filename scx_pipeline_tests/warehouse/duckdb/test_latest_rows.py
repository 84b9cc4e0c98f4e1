"""The latest row of each key: DuckDB's own query returns what that of all engines does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scx_pipeline.warehouse.duckdb.duckdb_session import DuckDBSession
from scx_pipeline.warehouse.sql_text import latest_per_key, names, quote

VALUES: Mapping[str, Sequence[str]] = {
    "DOUBLE": ("-0.0", "0.0", "NaN", "1.5"),
    "VARCHAR": ("", "b", "B", "서울 ☂"),
    "TIMESTAMP": ("2023-01-31 23:59:59.999999", "2023-02-01", "0001-01-01", "9999-12-31"),
    "INTEGER": ("-1", "0", "1", "2"),
}
COLUMNS = ("k", "other", "one", "two", "three", "extra")
KEYS = (("k",), ("k", "other"))
ORDERINGS = (
    ("one",), ("other",), ("one", "two"), ("one", "other"), ("other", "one"), ("one", "two", "three"),
    ("other", "two", "one"), ("one", "other", "two", "three"),
)  # fmt: skip
Kinds = tuple[str, ...]  # of the columns
Numbers = tuple[int | None, ...]  # of the values in a row, by column

kinds = st.tuples(*[st.sampled_from(list(VALUES))] * len(COLUMNS))
number = st.integers(0, 3)
rows_of_few_keys = st.lists(
    st.tuples(st.integers(0, 1), number, *[number | st.none()] * (len(COLUMNS) - 2)), min_size=1, max_size=12
)
DOUBLES: Kinds = ("DOUBLE",) * len(COLUMNS)


@pytest.fixture(scope="module")
def session() -> Iterator[DuckDBSession]:
    with duckdb.connect() as con:
        yield DuckDBSession(con)


def fill(session: DuckDBSession, types: Kinds, rows: Sequence[Numbers]) -> None:
    """Replace the table `t` by one with these rows."""
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(COLUMNS, types, strict=True))
    session.execute(f"CREATE OR REPLACE TABLE t ({columns})")
    values = [
        None if number is None else VALUES[kind][number]
        for row in rows
        for kind, number in zip(types, row, strict=True)
    ]
    row = f"({', '.join('?' * len(COLUMNS))})"
    session.execute(f"INSERT INTO t VALUES {', '.join([row] * len(rows))}", values)


def texts(session: DuckDBSession, select: str, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Return rows as texts, in which zeros of different sign, and NaN and NULL, differ."""
    listed = ", ".join(f"{quote(name)}::VARCHAR" for name in columns)
    return session.rows(f"SELECT {listed} FROM ({select}) AS q")


def with_one_zero(rows: Sequence[tuple[str, ...]]) -> set[tuple[str, ...]]:
    return {tuple("0.0" if text == "-0.0" else text for text in row) for row in rows}


@given(types=kinds, rows=rows_of_few_keys, keys=st.sampled_from(KEYS), ordering=st.sampled_from(ORDERINGS))
@example(DOUBLES, [(0, 0, 2, 1, 0, 0), (0, 0, 3, 0, 0, 0)], ("k",), ("one", "two"))
@example(DOUBLES, [(0, 0, 2, 1, 0, 0), (1, 0, 3, 0, 0, 0)], ("k",), ("one",))
@example(DOUBLES, [(0, 0, 3, 1, 0, 0), (1, 0, 2, 0, 0, 0)], ("k",), ("one",))
def test_the_latest_rows_are_rows_of_the_table_and_those_that_other_engines_choose(
    session: DuckDBSession,
    types: Kinds,
    rows: Sequence[Numbers],
    keys: Sequence[str],
    ordering: Sequence[str],
) -> None:
    fill(session, types, rows)
    select, terms = f"SELECT {names(COLUMNS)} FROM t", [quote(name) for name in ordering]
    compared = [*dict.fromkeys([*keys, *ordering])]
    found = texts(session, session.select_latest(select, keys, terms), compared)
    expected = texts(session, latest_per_key(select, keys, terms), compared)
    assert len(found) == len(expected)
    # Of rows that differ only in the sign of zeros, any one may be chosen: these are equal.
    assert with_one_zero(found) == with_one_zero(expected)
    assert {*found} <= {*texts(session, select, compared)}
