"""The SELECT that casts texts to the declared types, strictly and for every text format.

Where the texts come from, and which values are rejected, is decided in other modules.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import internal_column
from scx_pipeline.parsing.number_text import (
    MICROSECONDS,
    decimal_scale,
    has_exponent,
    is_number,
    to_microseconds,
)
from scx_pipeline.parsing.timestamp_text import FIRST_MICROSECOND, LAST_MICROSECOND, TIMESTAMP_SHAPE
from scx_pipeline.warehouse.sql_text import quote, string_literal


def select_typed_rows(
    source: str,
    columns: Sequence[Column],
    others: str = "",
    null_values: Sequence[str] = (),
    numbers: Collection[str] = (),
) -> str:
    """Return a SELECT of each column's value under its name, and of its text under `text_of` the column.

    The value is NULL where the text cannot be cast. Both are selected, so that a value is computed once for the row and
    for the rules.

    Args:
        source: A relation with a text for each column.
        columns: The columns.
        others: More columns of the source to select.
        null_values: Texts that mean NULL.
        numbers: The columns for which the source has a DOUBLE as well, under `number_of` it; it is the value where the
            text is NULL.
    """
    number_columns = [*([others] if others else []), *map(number_of, numbers)]
    if null_values:
        source = _replace_null_values(source, columns, ", ".join(number_columns), null_values)
    counts = [
        f"TRY({to_microseconds(quote(column.name), MICROSECONDS[column.unit])}) AS {_count_name(column)}"
        for column in columns
        if column.unit is not None
    ]
    if counts:  # computed once for all uses
        # Not SELECT *, which would omit the virtual columns of DuckDB's readers.
        selected = ", ".join([*(quote(column.name) for column in columns), *number_columns, *counts])
        source = f"(SELECT {selected} FROM {source})"
    items = []
    for column in columns:
        name = quote(column.name)
        if column.max_bytes is None:
            items.append(f"{name} AS {text_of(column)}")
        value = _value(column)
        if column.name in numbers:
            value = f"COALESCE({number_of(column.name)}, {value})"
        items.append(f"{value} AS {name}")
    return f"SELECT {', '.join(items)}{f', {others}' if others else ''} FROM {source}"


def _replace_null_values(
    source: str, columns: Sequence[Column], others: str, null_values: Sequence[str]
) -> str:
    """Return the source with NULL for every text that means NULL."""
    listed = ", ".join(map(string_literal, null_values))
    items = []
    for column in columns:
        name = quote(column.name)
        is_null = f"{name} = {listed}" if len(null_values) == 1 else f"{name} IN ({listed})"
        items.append(f"CASE WHEN {is_null} THEN NULL ELSE {name} END AS {name}")
    return f"(SELECT {', '.join(items)}{f', {others}' if others else ''} FROM {source})"


def text_of(column: Column) -> str:
    """Return the name of a column's text in `select_typed_rows`."""
    return quote(column.name) if column.max_bytes is not None else internal_column("text", column.name)


def number_of(name: str) -> str:
    """Return the name of a column's DOUBLE in the source of `select_typed_rows`."""
    return internal_column("number of", name)


def _count_name(column: Column) -> str:
    """Return the name of a timestamp's microseconds, from which its value is computed."""
    return internal_column("count", column.name)


def may_have_fraction(column: Column, null_values: Sequence[str] = ()) -> str:
    """Return the condition that a column's text in `select_typed_rows` has, or may have had, a point or an exponent."""
    text = text_of(column)
    found = f"COALESCE(contains({text}, '.') OR {has_exponent(text)}, FALSE)"
    hidden = any(is_number(null) and re.search("[.eE]", null) for null in null_values)
    return f"({text} IS NULL OR {found})" if hidden else found


def _value(column: Column) -> str:
    name = quote(column.name)
    if column.max_bytes is not None:
        return name
    if column.unit is not None:
        count = _count_name(column)
        return f"CASE WHEN {count} BETWEEN {FIRST_MICROSECOND} AND {LAST_MICROSECOND} THEN make_timestamp({count}) END"
    if column.type == "timestamp":
        # A value without an offset is UTC; one with an offset is converted, as a plain cast would drop the offset.
        zoned = f"(TRY_CAST({name} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
        return (
            f"CASE WHEN {name} LIKE '{TIMESTAMP_SHAPE}' THEN TRY_CAST({name} AS TIMESTAMP) ELSE {zoned} END"
        )
    kind = column.type.upper()
    if column.type.startswith("decimal"):
        # With an exponent, a cast accepts some numbers that the type cannot hold, and rejects some that it can.
        wide = f"TRY_CAST(TRY_CAST({name} AS DECIMAL(38, {decimal_scale(column)})) AS {kind})"
        return f"CASE WHEN {has_exponent(name)} THEN {wide} ELSE TRY_CAST({name} AS {kind}) END"
    return f"TRY_CAST({name} AS {kind})"
