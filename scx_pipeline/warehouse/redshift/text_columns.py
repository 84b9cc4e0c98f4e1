"""What COPY read as texts, typed by Redshift's SQL; and which rows are in doubt, as the parser may read them otherwise.
A value that is not in doubt is what the parser makes of it. How objects are read is in `rsreader`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import internal
from scx_pipeline.warehouse.redshift.copy_command import quoted
from scx_pipeline.warehouse.sql_text import names, quote

DOUBTFUL, UNTOLD = map(internal, ("doubtful", "untold"))
SHORT = 64  # bytes of a text that is no text in the end; of what is longer, the parser judges
_EPOCH = "CAST('1970-01-01' AS TIMESTAMP)"
_DIGITS = {"seconds": 0, "milliseconds": 3, "microseconds": 6}  # behind the second, of a count
_IN_CALENDAR = "BETWEEN CAST('1000-01-01' AS TIMESTAMP) AND CAST('9999-12-31 23:59:59.999999' AS TIMESTAMP)"
# Moments of other shapes are left to the parser, which knows more of them.
_SHAPES = {
    "date": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "timestamp": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?Z?$",
}
_WHOLE = ("smallint", "integer", "bigint")
_NUMBER = r"^-?[0-9]+([.][0-9]*)?([eE][-+]?[0-9]+)?$"  # what a JSON number looks like


def text_type(column: Column | None) -> str:
    """The type of the column that COPY fills for one of a file."""
    if column is None:
        return "VARCHAR(65535)"
    return f"VARCHAR({column.max_bytes or SHORT})"


def has_break(texts: Sequence[str]) -> str:
    """The condition that one of the texts (quoted names) has a line break in it."""
    return " OR ".join(f"STRPOS({text}, CHR({code})) > 0" for text in texts for code in (10, 13))


def breaks_in(texts: Sequence[str]) -> str:
    """How many line breaks the texts (quoted names) have together: \\n, \\r, or both as one."""
    return " + ".join(
        f"COALESCE({_count(text, 'CHR(10)')} + {_count(text, 'CHR(13)')} - {_count(text, 'CHR(13) || CHR(10)')} / 2, 0)"
        for text in texts
    )


def _count(text: str, part: str) -> str:
    """How many characters of a text are in a part of it, wherever it is."""
    return f"(LEN({text}) - LEN(REPLACE({text}, {part}, '')))"


def typed_texts(columns: Sequence[Column], source: str, null_values: Sequence[str]) -> str:
    """A SELECT of each column's value out of a table of texts, and of whether its row is in doubt.

    COPY does not tell a quoted empty text from nothing. Where that makes a difference, such a row is in doubt.
    """
    rules = [_rule(column, doubt_of(column)) for column in columns]
    if "" in null_values:
        return _typed(columns, source, null_values, rules)
    untold = " OR ".join(
        f"{quote(column.name)} IS NULL OR LEN({quote(column.name)}) = 0" for column in columns
    )
    return _typed(columns, source, null_values, [*rules, UNTOLD], [f"({untold}) AS {UNTOLD}"])


def typed_fields(
    columns: Sequence[Column], source: str, null_values: Sequence[str], outer: Sequence[str]
) -> str:
    """The same of JSON fields; `outer` are columns with what must be objects, as nested fields are in them."""
    rules = [_rule(column, json_doubt_of(column)) for column in columns]
    # A record that is no object has none of the fields.
    rules.append(" AND ".join(f"{quote(column.name)} IS NULL" for column in columns))
    rules += [f"({name} IS NOT NULL AND LEFT({name}, 1) <> '{{')" for name in outer]
    return _typed(columns, source, null_values, rules, outer)


def typed_values(columns: Sequence[Column], source: str) -> str:
    """The same out of a table of values that came typed."""
    doubt = _any([_rule(column, typed_doubt_of(column)) for column in columns])
    return f"SELECT {names([column.name for column in columns])}, {doubt} AS {DOUBTFUL} FROM {source}"


def _typed(
    columns: Sequence[Column],
    source: str,
    null_values: Sequence[str],
    rules: Sequence[str],
    others: Sequence[str] = (),
) -> str:
    values = [f"{value_of(column)} AS {quote(column.name)}" for column in columns]
    texts = [f"{without(column, null_values)} AS {quote(column.name)}" for column in columns]
    return (
        f"SELECT {', '.join(values)}, {_any(rules)} AS {DOUBTFUL}"
        f" FROM (SELECT {', '.join([*texts, *others])} FROM {source}) AS t"
    )


def _rule(column: Column, doubt: str) -> str:
    """The condition that a column of a row is in doubt, which what must not be NULL is as well."""
    name = quote(column.name)
    if column.nullable:
        return f"({name} IS NOT NULL AND {doubt})" if doubt else ""
    return f"({name} IS NULL OR {doubt})" if doubt else f"{name} IS NULL"


def _any(rules: Sequence[str]) -> str:
    """Whether any of the conditions holds, or is NULL."""
    said = " OR ".join(rule for rule in rules if rule)
    return f"CASE WHEN NOT ({said}) THEN FALSE ELSE TRUE END" if said else "FALSE"


def without(column: Column, null_values: Sequence[str]) -> str:
    """The text of a column, NULL where it stands for no value."""
    name = quote(column.name)
    # Blanks at the end count for nothing when texts are compared.
    empty = " OR ".join(f"({name} = {quoted(text)} AND LEN({name}) = {len(text)})" for text in null_values)
    return f"CASE WHEN {empty} THEN NULL ELSE {name} END" if empty else name


def value_of(column: Column) -> str:
    """The value of a column's text; NULL where it cannot be told."""
    text = quote(column.name)
    if column.max_bytes is not None:
        return text
    if column.unit is not None:
        return _moment_of(text, _DIGITS[column.unit])
    if column.type in _SHAPES:
        return _cast(text, _SHAPES[column.type], column.type.upper(), _plain_moment(text))
    if column.type == "boolean":
        return f"CASE WHEN {text} IN ('true', '1') THEN TRUE WHEN {text} IN ('false', '0') THEN FALSE END"
    kind = "DOUBLE PRECISION" if column.type == "double" else column.type.upper()
    return _cast(text, _number_shape(column), kind, text)


def _cast(text: str, shape: str, kind: str, value: str) -> str:
    """A value out of a text of a shape, and NULL of any other: TRY_CAST takes no blank texts."""
    return f"TRY_CAST(CASE WHEN {text} ~ '{shape}' THEN {value} END AS {kind})"


def _number_shape(column: Column) -> str:
    """The numbers of a column's type that are in no doubt."""
    if column.type in _WHOLE:
        return "^(0|-?[1-9][0-9]*)$"
    return "^-?[0-9]{1,15}([.][0-9]{1,15})?$" if column.type == "double" else _decimal_shape(column)


def doubt_of(column: Column) -> str:
    """The condition, NULL or TRUE, that a text, which is not NULL, may not be what `value_of` makes of it; none: it is."""
    text, value = quote(column.name), value_of(column)
    if column.max_bytes is not None:
        return ""
    if column.type in _WHOLE:
        return f"({value} IS NULL OR CAST({value} AS VARCHAR) <> {text})"
    if column.unit is not None:
        return f"NOT {text} ~ {_count_shape(_DIGITS[column.unit])}"
    if column.type in _SHAPES:
        # A day or an hour that there is not may have become another.
        shown = f"TO_CHAR({value}, 'YYYY-MM-DD HH24:MI:SS')"
        same = (
            f"LEFT({_plain_moment(text)}, 19) = {shown}"
            if column.type == "timestamp"
            else f"{text} = LEFT({shown}, 10)"
        )
        return f"NOT ({same} AND {value} {_IN_CALENDAR})"
    if column.type == "boolean":
        return f"({value} IS NULL OR LEN({text}) NOT IN (1, 4, 5))"
    return f"{value} IS NULL"


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
    return ""


def _plain_moment(text: str) -> str:
    """A moment's text as Redshift writes it, where it has a T in its middle, or a Z at its end."""
    return f"RTRIM(REPLACE({text}, 'T', ' '), 'Z')"


def _count_shape(digits: int) -> str:
    """The pattern of a count whose moment is within some thousand years."""
    return f"'^[0-9]{{1,{11 + digits}}}([.]0)?$'"


def _moment_of(text: str, digits: int) -> str:
    """The moment that a text counts since 1970, in steps whose numbers are integers, as DATEADD takes them."""
    shape = _count_shape(digits)
    count = f"CAST(CASE WHEN {text} ~ {shape} THEN SPLIT_PART({text}, '.', 1) END AS BIGINT)"
    second = 10**digits
    days = f"DATEADD(day, CAST({count} / {86_400 * second} AS INTEGER), {_EPOCH})"
    moment = f"DATEADD(second, CAST({count} / {second} % 86400 AS INTEGER), {days})"
    if digits:
        unit = "ms" if digits == 3 else "us"
        moment = f"DATEADD({unit}, CAST({count} % {second} AS INTEGER), {moment})"
    return f"CASE WHEN {text} ~ {shape} THEN {moment} END"


def _decimal_shape(column: Column) -> str:
    """Numbers that a decimal holds exactly."""
    found = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", column.type)
    assert found is not None, column.type
    digits, scale = int(found[1]), int(found[2])
    whole = f"^-?[0-9]{{1,{max(1, digits - scale)}}}"
    return f"{whole}([.][0-9]{{1,{scale}}})?$" if scale else f"{whole}$"
