"""Recognise JSON numbers whose text may differ from the double that they are read as.

The patterns are applied to the text of a record, and in uniform files to that of a line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import internal_column
from scx_pipeline.parsing.json.field_sql import JSON, json_text, json_type
from scx_pipeline.parsing.number_text import (
    MICROSECONDS,
    differs_in_microseconds,
    is_finer_than_microsecond,
)
from scx_pipeline.parsing.typed_rows import may_have_fraction, text_of
from scx_pipeline.warehouse.sql_text import string_literal

ROUNDED = "may be rounded; write it as a text"
EXACT_DIGITS = 15  # that a double represents exactly
# A number that may have more digits than a double, or is far below one. `_LONG` has the same once every digit and point
# is replaced with 0: finding that takes a tenth of the time.
LONG_NUMBER = f"(?:[0-9.]{{{EXACT_DIGITS + 2},}}|[0-9]{{{EXACT_DIGITS + 1},}}[eE]|[0-9.]+[eE]-[0-9]{{3,}})"
_DIGITS = bytes.maketrans(b"123456789.E", b"0000000000e")
_LONG = (b"0" * (EXACT_DIGITS + 2), b"0" * (EXACT_DIGITS + 1) + b"e", b"0e-000")
_SIGN = "-?"
_ITEM = internal_column("item")


def has_long_number(text: str) -> bool:
    """Return whether a JSON text may contain a number that a double does not represent exactly."""
    digits = text.encode("utf-8", "surrogatepass").translate(_DIGITS)
    return any(long in digits for long in _LONG)


def must_be_exact(column: Column) -> bool:
    """Return whether a column's numbers must not be rounded, though DuckDB reads fractions as doubles."""
    return column.unit is not None or column.type.startswith("decimal")


def inexact_line_pattern(column: Column) -> str:
    """Return the pattern of lines in which the column's number may be inexact."""
    return f'"{_name_pattern(column)}": *{_SIGN}{_inexact_pattern(column)}'


def is_finer(column: Column, null_values: Sequence[str]) -> str:
    """Return the condition that a number of a unit is more precise than a microsecond."""
    finer = is_finer_than_microsecond(_ITEM, column.unit or "")
    found = f"len(list_filter({_candidate_numbers(column)}, lambda {_ITEM}: {finer})) > 0"
    return _if_inexact(column, null_values, found)


def is_rounded(column: Column, null_values: Sequence[str]) -> str:
    """Return the condition that a JSON number may differ from the double that it is read as."""
    digits = re.match(r"decimal\((\d+)", column.type)
    if digits is not None and int(digits[1]) > EXACT_DIGITS:
        return _if_double(column, null_values, "TRUE")
    numbers, wrong = (
        _candidate_numbers(column),
        f"regexp_matches({_ITEM}, {string_literal(LONG_NUMBER)})",
    )
    if column.unit is not None:
        wrong = differs_in_microseconds(_ITEM, json_text(column.field_path), column.unit)
    found = f"len({numbers}) = 0 OR len(list_filter({numbers}, lambda {_ITEM}: {wrong})) > 0"
    return _if_inexact(column, null_values, found)


def written_text(column: Column, null_values: Sequence[str]) -> str:
    """Return the SQL of a column's text as the record has it, where the reader may have changed it."""
    number = _if_inexact(column, null_values, f"{_candidate_numbers(column)}[1]", "NULL")
    return f"COALESCE({number}, {text_of(column)})"


def _if_inexact(column: Column, null_values: Sequence[str], then: str, otherwise: str = "FALSE") -> str:
    """Return `then` for a number that is read as a double, in a record with an inexact number of the field's name."""
    pattern = string_literal(_key_pattern(column) + _SIGN + _inexact_pattern(column))
    is_inexact = f"regexp_matches({JSON}::VARCHAR, {pattern})"
    found = f"CASE WHEN {is_inexact} THEN {then} ELSE {otherwise} END"
    return _if_double(column, null_values, found, otherwise)


def _if_double(column: Column, null_values: Sequence[str], then: str, otherwise: str = "FALSE") -> str:
    """Return `then` for a number that is read as a double; testing its text first is cheaper."""
    double = f"COALESCE({json_type(column.field_path)} = 'DOUBLE', FALSE)"
    fraction = may_have_fraction(column, null_values)
    return (
        f"CASE WHEN {fraction} THEN CASE WHEN {double} THEN {then} ELSE {otherwise} END ELSE {otherwise} END"
    )


def _candidate_numbers(column: Column) -> str:
    """Return the list of the numbers in the record's text that are read as the column's double.

    Every field of the column's name is searched, wherever it is in the record.
    """
    pattern = string_literal(f"{_key_pattern(column)}({_SIGN}[0-9.]+(?:[eE][-+]?[0-9]+)?)")
    read = f"TRY_CAST({json_text(column.field_path)} AS DOUBLE)"
    same = f"TRY_CAST({_ITEM} AS DOUBLE) IS NOT DISTINCT FROM {read}"
    return f"list_filter(regexp_extract_all({JSON}::VARCHAR, {pattern}, 1), lambda {_ITEM}: {same})"


def _name_pattern(column: Column) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", lambda found: f"\\x{{{ord(found[0]):x}}}", column.field_path[-1])


def _key_pattern(column: Column) -> str:
    """Return the pattern of a field's name and the text up to its value. A name with escapes may be any name."""
    return f'"(?:{_name_pattern(column)}|[^"]*\\\\[^"]*)"[ \\t\\r\\n]*:[ \\t\\r\\n]*'


def _inexact_pattern(column: Column) -> str:
    """Return the pattern that unsigned numbers begin with unless they equal the double that they are read as."""
    if column.unit is None:
        return LONG_NUMBER
    # Up to 8 * 10**15 microseconds, the distance of two doubles is less than a microsecond.
    places = MICROSECONDS[column.unit]
    finer = f"[0-9]+[.][0-9]{{{places}}}[0-9]*[1-9]"
    large = f"[0-9]{{{17 - places},}}[.]|[89][0-9]{{{15 - places}}}[.]"
    return f"(?:{finer}|{large}|[0-9.]+[eE])"
