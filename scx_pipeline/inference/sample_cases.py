"""Cases of a proposed star: masked rows of its samples, and the rows that its SQL must return for them.

Running cases does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from scx_pipeline.inference.samples import Samples
from scx_pipeline.inference.star_design import StarDesign
from scx_pipeline.model.column import Column
from scx_pipeline.model.dialect import Dialect
from scx_pipeline.parsing.csv.dialect_texts import DialectTexts
from scx_pipeline.warehouse.sql_text import names, quote

Row = Mapping[str, Any]
ROWS = 2


def read_masked_rows(
    samples: Samples, columns: Sequence[Column], dialect: Dialect, null_values: Sequence[str]
) -> list[Row]:
    """Return the typed values of some sample rows, with other texts in place of theirs."""
    texts = ", ".join(
        f"{field.texts} AS {quote(column.name)}"
        for field, column in zip(samples.fields, columns, strict=True)
    )
    source = f"(SELECT {texts}, 0 AS n FROM {samples.table})"
    rows = DialectTexts(columns, dialect).select_typed(source, "n", null_values)
    listed = names([column.name for column in columns])
    found = samples.con.execute(f"SELECT {listed} FROM ({rows}) LIMIT {ROWS}").fetchall()
    masks: dict[tuple[str, str], str] = {}
    for row in found:
        for column, value in zip(columns, row, strict=True):
            if isinstance(value, str):
                number = sum(name == column.name for name, _ in masks) + 1
                masks.setdefault((column.name, value), f"x{number}")
    return [
        {column.name: _shown(column, value, masks) for column, value in zip(columns, row, strict=True)}
        for row in found
    ]


def _shown(column: Column, value: Any, masks: Mapping[tuple[str, str], str]) -> Any:
    if isinstance(value, str):
        return masks[column.name, value]
    return float(value) if isinstance(value, Decimal) else value


def create_cases(design: StarDesign, rows: Sequence[Row], staging: str, fact: str) -> dict[str, Any]:
    """Return a case of each derived table, by table and name, from rows that differ in every key."""
    keys: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
        (dimension.name, (dimension.key,), (dimension.key, *dimension.attributes))
        for dimension in design.dimensions
    ]
    keys.append(
        (fact, (*design.key, str(design.event_time)), tuple(column.name for column in design.fact_columns))
    )
    cases = {}
    for table, key, columns in keys:
        distinct = {tuple(row[name] for name in key): row for row in rows if row[key[0]] is not None}
        expected = [{name: row[name] for name in columns} for row in distinct.values()]
        cases[table] = {
            "the rows of a sample": {
                "given": {staging: _without_nulls(distinct.values())},
                "expect": expected,
            }
        }
    times = {row[str(design.event_time)]: row for row in rows}
    cases["time"] = {
        "the times of a sample": {
            "given": {staging: _without_nulls(times.values())},
            "expect": [_calendar(str(design.event_time), at) for at in times],
        }
    }
    return cases


def _without_nulls(rows: Any) -> list[Row]:
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _calendar(name: str, at: datetime) -> Row:
    week = at.isocalendar().week
    parts = {"hour": at.hour, "day": at.day, "week": week, "month": at.month, "year": at.year}
    return {**parts, "weekday": at.isoweekday() % 7, name: at}
