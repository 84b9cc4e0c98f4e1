"""The rules that typed values must meet, and the SELECT that finds the first rule that a row breaks.

One set of rules applies to every text format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import internal_column
from scx_pipeline.parsing.number_text import MICROSECONDS, decimal_scale, exceeds_scale
from scx_pipeline.parsing.row_markers import Rule
from scx_pipeline.parsing.timestamp_text import (
    DATE_SHAPE,
    IN_CALENDAR,
    TIMESTAMP_PATTERN,
    TIMESTAMP_SHAPE,
)
from scx_pipeline.parsing.typed_rows import text_of
from scx_pipeline.warehouse.sql_text import quote

HOLDS_NUL = "holds a NUL character"
_RULE = internal_column("rule")


def build_rules(columns: Sequence[Column]) -> list[tuple[str, str, str]]:
    """Return what rows of `typed_rows` must not meet, in the order in which reasons are reported."""
    found = []
    for column in columns:
        text = text_of(column)
        if not column.nullable:
            # A value whose text is NULL was read as a number.
            empty = f"({text} IS NULL AND {quote(column.name)} IS NULL)"
            found.append((empty, column.name, "is empty, and must not be"))
        found += [
            (f"({text} IS NOT NULL AND {broken})", column.name, reason)
            for broken, reason in _value_rules(column)
        ]
    return found


def build_text_rules(column: Column) -> list[tuple[str, str]]:
    """Return the conditions and reasons for a text that is too long, or that databases cannot store."""
    name = quote(column.name)
    return [
        (f"strlen({name}) > {column.max_bytes}", f"is longer than {column.max_bytes} bytes"),
        (f"contains({name}, chr(0))", HOLDS_NUL),
    ]


def _value_rules(column: Column) -> list[tuple[str, str]]:
    value, text = quote(column.name), text_of(column)
    if column.max_bytes is not None:
        return build_text_rules(column)
    if column.unit is not None:
        return [(f"({value} IS NULL OR ({_is_not_count(column)}))", f"is not a number of {column.unit}")]
    if column.type == "double":
        return [
            (f"({value} IS NULL OR NOT isfinite({value}) OR contains({text}, '_'))", "is not a finite number")
        ]
    if column.type in ("smallint", "integer", "bigint"):
        # A cast alone would accept '2.7' as 3 and '1e3' as 1000. Writing the number again is faster than a pattern, and
        # a number of one byte is a digit.
        wrong = (
            f"strlen({text}) > 1 AND {value}::VARCHAR <> {text}"
            f" AND NOT regexp_full_match({text}, ' *[+-]?[0-9]+ *')"
        )
    elif column.type in ("timestamp", "date"):
        wrong = _is_not_time(column)
    elif column.type.startswith("decimal"):
        finer = exceeds_scale(text, decimal_scale(column))
        wrong = f"CASE WHEN {value}::VARCHAR = {text} THEN FALSE ELSE contains({text}, '_') OR {finer} END"
    else:
        wrong = "FALSE"
    return [(f"({value} IS NULL OR ({wrong}))", f"is not {_with_article(column.type)}")]


def _is_not_count(column: Column) -> str:
    value, text, places = quote(column.name), text_of(column), MICROSECONDS[column.unit or ""]
    count = f"(epoch_us({value}) // {10**places})::VARCHAR"
    usual = f"CASE WHEN suffix({text}, '.0') THEN {count} || '.0' ELSE {count} END = {text}"
    pattern = f" *-?[0-9]+([.][0-9]{{0,{places}}}0*)? *"
    return f"CASE WHEN {usual} THEN FALSE ELSE NOT regexp_full_match({text}, '{pattern}') END"


def _is_not_time(column: Column) -> str:
    # A cast alone would accept 'infinity', 'epoch' and years before Christ, drop the time of a date, and ignore a space
    # next to a colon.
    value, text, is_timestamp = quote(column.name), text_of(column), column.type == "timestamp"
    shape = TIMESTAMP_SHAPE if is_timestamp else DATE_SHAPE
    pattern = TIMESTAMP_PATTERN if is_timestamp else " *[0-9]{4}-[0-9]+-[0-9]+ *"
    usual = f"{text} LIKE '{shape}' AND {value} >= TIMESTAMP '1000-01-01'"
    return (
        f"NOT {value} {IN_CALENDAR}"
        f" OR contains({text}, ' :') OR contains({text}, ': ')"
        f" OR CASE WHEN {usual} THEN FALSE ELSE NOT regexp_full_match({text}, '{pattern}') END"
    )


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def select_first_violations(
    rows: str,
    columns: Sequence[Column],
    rules: Sequence[Rule],
    others: str,
    written: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return a SELECT of `others`, the index of the first rule that a row breaks, and the text at fault.

    Rows that break no rule are omitted.

    Args:
        rows: A SELECT as by `typed_rows`.
        columns: Its columns.
        rules: The rules.
        others: More columns of the rows to select.
        written: Expressions of columns' texts as the file has them, where the reader may have changed them.
    """
    texts = {column.name: written.get(column.name, text_of(column)) for column in columns}
    whens = " ".join(f"WHEN {condition} THEN {index}" for index, (condition, _, _) in enumerate(rules))
    values = " ".join(
        f"WHEN {index} THEN left({texts[column]}, 80)" for index, (_, column, _) in enumerate(rules) if column
    )
    return (
        f"SELECT {others}, {_RULE}, CASE {_RULE} {values} END"
        f" FROM (SELECT *, CASE {whens} END AS {_RULE} FROM ({rows})) WHERE {_RULE} IS NOT NULL"
    )
