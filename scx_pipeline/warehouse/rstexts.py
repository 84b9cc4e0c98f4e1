"""What COPY read as texts, typed by Redshift's SQL; and which rows are in doubt, as the parser may read them otherwise.
A value that is not in doubt is what the parser makes of it. How objects are read is in `rsreader`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scx_pipeline.spec import Column
from scx_pipeline.warehouse.base import quote
from scx_pipeline.warehouse.rscopy import quoted

SHORT = (
    64  # bytes of a text that is no text in the end; COPY refuses what is longer, and the parser judges it
)
_EPOCH = "CAST('1970-01-01' AS TIMESTAMP)"
_DIGITS = {"seconds": 0, "milliseconds": 3, "microseconds": 6}  # behind the second, of a count
_IN_CALENDAR = "BETWEEN CAST('1000-01-01' AS TIMESTAMP) AND CAST('9999-12-31 23:59:59.999999' AS TIMESTAMP)"
_NUMBER = r"^-?[0-9]+([.][0-9]*)?([eE][-+]?[0-9]+)?$"  # what a JSON number looks like


def text_type(column: Column | None) -> str:
    """The type of the column that COPY fills for one of a file."""
    if column is None:
        return "VARCHAR(65535)"
    return f"VARCHAR({column.max_bytes or SHORT})"


def without(column: Column, null_texts: Sequence[str]) -> str:
    """The text of a column, NULL where it stands for no value; an empty one is NULL already where it does."""
    name = quote(column.name)
    # Blanks at the end count for nothing when texts are compared.
    empty = " OR ".join(
        f"({name} = {quoted(text)} AND LEN({name}) = {len(text)})" for text in null_texts if text
    )
    return f"CASE WHEN {empty} THEN NULL ELSE {name} END" if empty else name


def value_of(column: Column) -> str:
    """The value of a column's text; NULL where it cannot be told."""
    text = quote(column.name)
    if column.max_bytes is not None:
        return text
    if column.unit is not None:
        return _moment_of(f"TRY_CAST({_whole(text)} AS BIGINT)", _DIGITS[column.unit])
    if column.type == "timestamp":
        return f"TRY_CAST({_plain_moment(text)} AS TIMESTAMP)"
    if column.type == "boolean":
        return f"CASE WHEN {text} IN ('true', '1') THEN TRUE WHEN {text} IN ('false', '0') THEN FALSE END"
    kind = "DOUBLE PRECISION" if column.type == "double" else column.type.upper()
    return f"TRY_CAST({text} AS {kind})"


def doubt_of(column: Column) -> str:
    """The condition that a text, which is not NULL, may not be what `value_of` makes of it."""
    text, value = quote(column.name), value_of(column)
    if column.max_bytes is not None:
        return "FALSE"
    if column.type in ("smallint", "integer", "bigint"):
        return f"({value} IS NULL OR CAST({value} AS VARCHAR) <> {text})"
    if column.unit is not None:
        return f"NOT {text} ~ '^[0-9]{{1,{9 + _DIGITS[column.unit]}}}([.]0)?$'"
    if column.type == "timestamp":
        plain = _plain_moment(text)
        full = f"RPAD(CASE WHEN LEN({plain}) = 19 THEN {plain} || '.' ELSE {plain} END, 26, '0')"
        shown = f"TO_CHAR({value}, 'YYYY-MM-DD HH24:MI:SS.US')"
        return (
            f"({value} IS NULL OR NOT {value} {_IN_CALENDAR} OR LEN({plain}) = 20 OR LEN({plain}) > 26 OR LEN({text}) > LEN({plain}) + 1"
            f" OR {full} <> {shown})"
        )
    if column.type == "date":
        return f"({value} IS NULL OR TO_CHAR({value}, 'YYYY-MM-DD') <> {text} OR LEN({text}) <> 10)"
    if column.type == "boolean":
        return f"({value} IS NULL OR LEN({text}) NOT IN (1, 4, 5))"
    if column.type == "double":
        return f"({value} IS NULL OR NOT {text} ~ '^-?[0-9]{{1,15}}([.][0-9]{{1,15}})?$')"
    return f"({value} IS NULL OR NOT {text} ~ '{_decimal_shape(column)}')"


def json_doubt_of(column: Column) -> str:
    """The same of what a JSON field gave: a text may have been a number, a boolean, an array or an object."""
    text = quote(column.name)
    if column.max_bytes is None:
        return doubt_of(column)
    return (
        f"({text} ~ {quoted(_NUMBER)} OR {text} IN ('true', 'false', 'NaN', 'Infinity', '-Infinity')"
        f" OR LEFT({text}, 1) IN ('[', '{{'))"
    )


def typed_doubt_of(column: Column) -> str:
    """The same of a value that came typed, from a Parquet file."""
    name = quote(column.name)
    if column.max_bytes is not None:
        return f"OCTET_LENGTH({name}) > {column.max_bytes}"
    if column.type == "double":
        return f"CAST({name} AS VARCHAR) IN ('NaN', 'Infinity', '-Infinity', 'nan', 'inf', '-inf')"
    if column.type in ("timestamp", "date"):
        return f"NOT {name} {_IN_CALENDAR}"
    return "FALSE"


def _plain_moment(text: str) -> str:
    """A moment's text as Redshift writes it, where it has a T in its middle, or a Z at its end."""
    return f"RTRIM(REPLACE({text}, 'T', ' '), 'Z')"


def _whole(text: str) -> str:
    return f"SPLIT_PART({text}, '.', 1)"


def _moment_of(count: str, digits: int) -> str:
    """The moment of a count since 1970, in steps whose numbers are integers, as DATEADD takes them."""
    second = 10**digits
    days = f"DATEADD(day, CAST({count} / {86_400 * second} AS INTEGER), {_EPOCH})"
    moment = f"DATEADD(second, CAST({count} / {second} % 86400 AS INTEGER), {days})"
    if not digits:
        return moment
    unit = "ms" if digits == 3 else "us"
    return f"DATEADD({unit}, CAST({count} % {second} AS INTEGER), {moment})"


def _decimal_shape(column: Column) -> str:
    """Numbers that a decimal holds exactly."""
    found = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", column.type)
    assert found is not None, column.type
    digits, scale = int(found[1]), int(found[2])
    whole = f"^-?[0-9]{{1,{max(1, digits - scale)}}}"
    return f"{whole}([.][0-9]{{1,{scale}}})?$" if scale else f"{whole}$"
