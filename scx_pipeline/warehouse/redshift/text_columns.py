"""SQL that types what COPY read as texts, and finds the rows that need client parsing.

The value of a row that does not need it is exactly what the parser returns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import internal_column
from scx_pipeline.warehouse.redshift.copy_command import redshift_literal
from scx_pipeline.warehouse.redshift.redshift_session import redshift_type
from scx_pipeline.warehouse.sql_text import names, quote

NEEDS_CLIENT_PARSING, AMBIGUOUS_EMPTY = map(internal_column, ("needs_client_parsing", "ambiguous_empty"))
MAX_VALUE_BYTES = 64  # of the text of a number, date or boolean; longer ones need client parsing
_EPOCH = "CAST('1970-01-01' AS TIMESTAMP)"
_DIGITS = {"seconds": 0, "milliseconds": 3, "microseconds": 6}  # decimal places of a unit
_IN_CALENDAR = "BETWEEN CAST('1000-01-01' AS TIMESTAMP) AND CAST('9999-12-31 23:59:59.999999' AS TIMESTAMP)"
# The parser knows more formats of dates and timestamps.
_FORMATS = {
    "date": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "timestamp": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?Z?$",
}
_INTEGERS = ("smallint", "integer", "bigint")
_JSON_NUMBER = r"^-?[0-9]+([.][0-9]*)?([eE][-+]?[0-9]+)?$"


def text_type(column: Column | None) -> str:
    """Return the type of the column that COPY fills for one of a file."""
    if column is None:
        return "VARCHAR(65535)"
    return f"VARCHAR({column.max_bytes or MAX_VALUE_BYTES})"


def has_line_break(texts: Sequence[str]) -> str:
    """Return the condition that one of the texts (quoted names) contains a line break."""
    return " OR ".join(f"STRPOS({text}, CHR({code})) > 0" for text in texts for code in (10, 13))


def count_line_breaks(texts: Sequence[str]) -> str:
    """Return the number of line breaks in the texts (quoted names): \\n, \\r, or both as one."""
    return " + ".join(
        f"COALESCE({_count(text, 'CHR(10)')} + {_count(text, 'CHR(13)')} - {_count(text, 'CHR(13) || CHR(10)')} / 2, 0)"
        for text in texts
    )


def _count(text: str, part: str) -> str:
    """Return how many characters of a text belong to occurrences of a part."""
    return f"(LEN({text}) - LEN(REPLACE({text}, {part}, '')))"


def typed_texts(columns: Sequence[Column], source: str, null_values: Sequence[str]) -> str:
    """Return the SELECT of typed columns from a table of texts, and of whether a row needs client parsing.

    COPY does not distinguish a quoted empty text from no value. If that makes a difference, the row needs client parsing.

    Args:
        columns: The columns of the table, which are texts in `source`.
        source: The table that COPY filled.
        null_values: Texts that mean NULL.
    """
    rules = [_rule(column, client_parsing_condition(column)) for column in columns]
    if "" in null_values:
        return _typed(columns, source, null_values, rules)
    is_ambiguous = " OR ".join(
        f"{quote(column.name)} IS NULL OR LEN({quote(column.name)}) = 0" for column in columns
    )
    return _typed(
        columns, source, null_values, [*rules, AMBIGUOUS_EMPTY], [f"({is_ambiguous}) AS {AMBIGUOUS_EMPTY}"]
    )


def typed_fields(
    columns: Sequence[Column], source: str, null_values: Sequence[str], outer: Sequence[str]
) -> str:
    """Return the SELECT of typed columns from a table of JSON fields' texts, and of whether a row needs client parsing.

    Args:
        columns: The columns of the table, which are texts in `source`.
        source: The table that COPY filled.
        null_values: Texts that mean NULL.
        outer: Columns that must be objects, as nested fields are in them.
    """
    rules = [_rule(column, json_client_parsing_condition(column)) for column in columns]
    # A record that is not an object has none of the fields.
    rules.append(" AND ".join(f"{quote(column.name)} IS NULL" for column in columns))
    rules += [f"({name} IS NOT NULL AND LEFT({name}, 1) <> '{{')" for name in outer]
    return _typed(columns, source, null_values, rules, outer)


def typed_values(columns: Sequence[Column], source: str) -> str:
    """Return the SELECT of columns from a table of typed values, and of whether a row needs client parsing."""
    condition = _any([_rule(column, typed_client_parsing_condition(column)) for column in columns])
    return f"SELECT {names([column.name for column in columns])}, {condition} AS {NEEDS_CLIENT_PARSING} FROM {source}"


def _typed(
    columns: Sequence[Column],
    source: str,
    null_values: Sequence[str],
    rules: Sequence[str],
    others: Sequence[str] = (),
) -> str:
    values = [f"{value_of(column)} AS {quote(column.name)}" for column in columns]
    texts = [f"{text_or_null(column, null_values)} AS {quote(column.name)}" for column in columns]
    return (
        f"SELECT {', '.join(values)}, {_any(rules)} AS {NEEDS_CLIENT_PARSING}"
        f" FROM (SELECT {', '.join([*texts, *others])} FROM {source}) AS t"
    )


def _rule(column: Column, condition: str) -> str:
    """Return the condition that a column's row needs client parsing, as NULL does in a column that is not nullable."""
    name = quote(column.name)
    if column.nullable:
        return f"({name} IS NOT NULL AND {condition})" if condition else ""
    return f"({name} IS NULL OR {condition})" if condition else f"{name} IS NULL"


def _any(rules: Sequence[str]) -> str:
    """Return the expression that is TRUE if any of the conditions is TRUE or NULL."""
    condition = " OR ".join(rule for rule in rules if rule)
    return f"CASE WHEN NOT ({condition}) THEN FALSE ELSE TRUE END" if condition else "FALSE"


def text_or_null(column: Column, null_values: Sequence[str]) -> str:
    """Return the text of a column, NULL if it is one of the null values."""
    name = quote(column.name)
    # Comparisons of texts ignore trailing blanks.
    is_null = " OR ".join(
        f"({name} = {redshift_literal(text)} AND LEN({name}) = {len(text)})" for text in null_values
    )
    return f"CASE WHEN {is_null} THEN NULL ELSE {name} END" if is_null else name


def value_of(column: Column) -> str:
    """Return the typed value of a column's text; NULL if the text is not in a known format."""
    text = quote(column.name)
    if column.max_bytes is not None:
        return text
    if column.unit is not None:
        return _timestamp_of(text, _DIGITS[column.unit])
    if column.type in _FORMATS:
        return _cast(text, _FORMATS[column.type], column.type.upper(), _timestamp_text(text))
    if column.type == "boolean":
        return f"CASE WHEN {text} IN ('true', '1') THEN TRUE WHEN {text} IN ('false', '0') THEN FALSE END"
    return _cast(text, _number_pattern(column), redshift_type(column), text)


def _cast(text: str, pattern: str, kind: str, value: str) -> str:
    """Return the cast of a text in a format, NULL for any other: TRY_CAST fails on blank texts."""
    return f"TRY_CAST(CASE WHEN {text} ~ '{pattern}' THEN {value} END AS {kind})"


def _number_pattern(column: Column) -> str:
    """Return the pattern of the numbers of a column's type that need no client parsing."""
    if column.type in _INTEGERS:
        return "^(0|-?[1-9][0-9]*)$"
    return "^-?[0-9]{1,15}([.][0-9]{1,15})?$" if column.type == "double" else _decimal_pattern(column)


def client_parsing_condition(column: Column) -> str:
    """Return the condition that a text, which is not NULL, needs client parsing: TRUE or NULL; empty if it never does."""
    text, value = quote(column.name), value_of(column)
    if column.max_bytes is not None:
        return ""
    if column.type in _INTEGERS:
        return f"({value} IS NULL OR CAST({value} AS VARCHAR) <> {text})"
    if column.unit is not None:
        return f"NOT {text} ~ {_count_pattern(_DIGITS[column.unit])}"
    if column.type in _FORMATS:
        # A day or an hour that does not exist may have become another one.
        shown = f"TO_CHAR({value}, 'YYYY-MM-DD HH24:MI:SS')"
        same = (
            f"LEFT({_timestamp_text(text)}, 19) = {shown}"
            if column.type == "timestamp"
            else f"{text} = LEFT({shown}, 10)"
        )
        return f"NOT ({same} AND {value} {_IN_CALENDAR})"
    if column.type == "boolean":
        return f"({value} IS NULL OR LEN({text}) NOT IN (1, 4, 5))"
    return f"{value} IS NULL"


def json_client_parsing_condition(column: Column) -> str:
    """Return the condition that the text of a JSON field, which may be of any JSON type, needs client parsing."""
    text = quote(column.name)
    if column.max_bytes is None:
        return client_parsing_condition(column)
    return (
        f"({text} ~ {redshift_literal(_JSON_NUMBER)} OR {text} IN ('true', 'false', 'NaN', 'Infinity', '-Infinity')"
        f" OR LEFT({text}, 1) IN ('[', '{{'))"
    )


def typed_client_parsing_condition(column: Column) -> str:
    """Return the condition that a typed value of a Parquet file needs client parsing; empty if it never does."""
    name = quote(column.name)
    if column.max_bytes is not None:
        return f"OCTET_LENGTH({name}) > {column.max_bytes}"
    if column.type == "double":
        return f"CAST({name} AS VARCHAR) IN ('NaN', 'Infinity', '-Infinity', 'nan', 'inf', '-inf')"
    if column.type in ("timestamp", "date"):
        return f"NOT {name} {_IN_CALENDAR}"
    return ""


def _timestamp_text(text: str) -> str:
    """Return the text of a timestamp as Redshift writes it, without T and Z."""
    return f"RTRIM(REPLACE({text}, 'T', ' '), 'Z')"


def _count_pattern(digits: int) -> str:
    """Return the pattern of a count of units since 1970 that is within some thousand years."""
    return f"'^[0-9]{{1,{11 + digits}}}([.]0)?$'"


def _timestamp_of(text: str, digits: int) -> str:
    """Return the timestamp of a count of units since 1970, in steps, as DATEADD takes 32-bit integers."""
    pattern = _count_pattern(digits)
    count = f"CAST(CASE WHEN {text} ~ {pattern} THEN SPLIT_PART({text}, '.', 1) END AS BIGINT)"
    second = 10**digits
    days = f"DATEADD(day, CAST({count} / {86_400 * second} AS INTEGER), {_EPOCH})"
    timestamp = f"DATEADD(second, CAST({count} / {second} % 86400 AS INTEGER), {days})"
    if digits:
        unit = "ms" if digits == 3 else "us"
        timestamp = f"DATEADD({unit}, CAST({count} % {second} AS INTEGER), {timestamp})"
    return f"CASE WHEN {text} ~ {pattern} THEN {timestamp} END"


def _decimal_pattern(column: Column) -> str:
    """Return the pattern of the numbers that a decimal column holds exactly."""
    found = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", column.type)
    assert found is not None, column.type
    digits, scale = int(found[1]), int(found[2])
    integer = f"^-?[0-9]{{1,{max(1, digits - scale)}}}"
    return f"{integer}([.][0-9]{{1,{scale}}})?$" if scale else f"{integer}$"
