"""Texts typed by Redshift's SQL: a value that needs no client parsing equals the parser's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

import duckdb
import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scx_pipeline.model.column import Column
from scx_pipeline.parsing.typed_rows import select_typed_rows
from scx_pipeline.parsing.value_rules import build_rules
from scx_pipeline.warehouse.redshift.text_columns import (
    MAX_VALUE_BYTES,
    NEEDS_CLIENT_PARSING,
    client_parsing_condition,
    typed_texts,
    value_of,
)
from scx_pipeline_tests.support.redshift.server import StandIn

TYPES = (
    "smallint", "integer", "bigint", "double", "boolean", "date", "timestamp", "decimal(9,2)", "decimal(4,4)", "decimal(38,0)",
    "seconds", "milliseconds", "microseconds",
)  # fmt: skip
# Parts of almost valid texts, to be combined.
PIECES = (
    "0", "1", "7", "12", "99", "2021", "2021-04-05", "2021-02-30", "9999-12-31", "0999-01-01", "10000-01-01", "2024-02-29",
    " ", "  ", "T", "Z", "+", "-", ".", ":", "/", "10:00:00", "23:59:60", "24:00:00", "00:00:00", ".5", ".123456", ".1234567",
    "+09:00", "+00", "e5", "E-3", "1e400", "true", "false", "t", "yes", "True", "nan", "Infinity", "-infinity", "epoch", "now",
    "32767", "32768", "2147483648", "9223372036854775807", "1540793870796", "253402300800", "000", "_", "0x1F", "\u0663", "a", "\t",
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join),
    st.datetimes(min_value=datetime(1, 1, 1)).map(lambda time: time.isoformat(" ")),
    st.dates().map(str),
    st.integers(-(10**20), 10**20).map(str),
    st.integers(-400, 400).map(str),
    st.floats().map(repr),
    st.decimals(-(10**6), 10**6, places=2).map(str),
).filter(lambda text: len(text.encode()) <= MAX_VALUE_BYTES)

TypeTexts = Callable[[Column, Sequence[str]], list[tuple[Any, bool]]]


def column(kind: str) -> Column:
    unit = kind if kind.endswith("seconds") else None
    return Column(name="x", type="timestamp" if unit else kind, unit=unit, description="")


@pytest.fixture
def typed_by_cluster(redshift: StandIn) -> Iterator[TypeTexts]:
    """Provide the stand-in's value of each text, and whether it needs client parsing."""
    with (
        closing(psycopg2.connect(redshift.url().replace("redshift://", "postgresql://"))) as con,
        con.cursor() as cursor,
    ):
        cursor.execute(f"CREATE TEMPORARY TABLE texts (n INTEGER, x VARCHAR({MAX_VALUE_BYTES}))")

        def judge(column: Column, texts: Sequence[str]) -> list[tuple[Any, bool]]:
            cursor.execute("DELETE FROM texts")
            for number, text in enumerate(texts):
                cursor.execute("INSERT INTO texts VALUES (%s, %s)", [number, text])
            value, doubt = value_of(column), client_parsing_condition(column)
            cursor.execute(
                f"SELECT CASE WHEN NOT {doubt} THEN {value} END, COALESCE({doubt}, TRUE) FROM texts ORDER BY n"
            )
            return list(cursor.fetchall())

        yield judge


def parsed(column: Column, texts: Sequence[str]) -> list[tuple[Any, bool]]:
    """Return the parser's value of each text, and whether it rejects it."""
    bad = " OR ".join(condition for condition, _, _ in build_rules([column]))
    rows = select_typed_rows("(SELECT unnest(?) AS x, unnest(?) AS n)", [column], "n")
    return duckdb.execute(
        f"SELECT x, COALESCE({bad}, FALSE) FROM ({rows}) ORDER BY n", [list(texts), list(range(len(texts)))]
    ).fetchall()


@pytest.mark.parametrize("kind", TYPES)
@given(texts=st.lists(TEXTS, min_size=1, max_size=40))
@settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
def test_a_value_that_needs_no_client_parsing_equals_that_of_the_parser(
    typed_by_cluster: TypeTexts, kind: str, texts: list[str]
) -> None:
    of_kind = column(kind)
    for text, (value, needs_client_parsing), (expected, refused) in zip(
        texts, typed_by_cluster(of_kind, texts), parsed(of_kind, texts), strict=True
    ):
        if not needs_client_parsing:
            assert (value, False) == (expected, refused), repr(text)


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("smallint", ["0", "-32768", "32767"]),
        ("integer", ["5", "-2147483648"]),
        ("bigint", ["9223372036854775807"]),
        ("double", ["269.58322", "-0.5", "3"]),
        ("boolean", ["true", "false", "1", "0"]),
        ("date", ["2021-04-05", "2024-02-29"]),
        (
            "timestamp",
            [
                "2021-04-05 10:00:00",
                "2021-04-05 10:00:00.123",
                "2021-04-05T10:00:00Z",
                "2021-04-05 10:00:00.123456",
            ],
        ),
        ("decimal(9,2)", ["12.50", "-3", "0.5"]),
        ("seconds", ["1540793870"]),
        ("milliseconds", ["1540793870796", "1541048010796.0"]),
        ("microseconds", ["1540793870796123"]),
    ],
)
def test_common_texts_need_no_client_parsing(
    typed_by_cluster: TypeTexts, kind: str, texts: list[str]
) -> None:
    of_kind = column(kind)
    assert typed_by_cluster(of_kind, texts) == parsed(of_kind, texts)
    assert {refused for _, refused in parsed(of_kind, texts)} == {False}


@pytest.mark.parametrize("kind", ["varchar(9)", "integer", "timestamp"])
@pytest.mark.parametrize("null_values", [(), ("n/a",), ("",), ("n/a", "")])
def test_an_empty_text_needs_client_parsing_unless_it_is_a_null_value(
    redshift: StandIn, kind: str, null_values: tuple[str, ...]
) -> None:
    select = typed_texts([column(kind)], "texts", null_values)
    with (
        closing(psycopg2.connect(redshift.url().replace("redshift://", "postgresql://"))) as con,
        con.cursor() as cursor,
    ):
        cursor.execute(f"CREATE TEMPORARY TABLE texts (x VARCHAR({MAX_VALUE_BYTES}))")
        for text in (None, ""):  # as COPY may read an empty value, and a quoted one
            cursor.execute("DELETE FROM texts")
            cursor.execute("INSERT INTO texts VALUES (%s)", [text])
            cursor.execute(f"SELECT x, {NEEDS_CLIENT_PARSING} FROM ({select}) AS q")
            [(value, needs_client_parsing)] = cursor.fetchall()
            assert needs_client_parsing is ("" not in null_values)
            assert needs_client_parsing or value is None
