"""SQL expressions and conditions over the texts of numbers: their precision, and their microseconds.

Rules and their reasons belong to the modules that use them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite

from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import RESERVED_PREFIX

MICROSECONDS = {"seconds": 6, "milliseconds": 3, "microseconds": 0}  # powers of ten per unit
_NUMBER = "^ *[+-]?([0-9]*)[.]?([0-9]*)(?:[eE]([+-]?[0-9]+))? *$"


def is_finer_than_microsecond(number: str, unit: str) -> str:
    """Return the condition that a number's text, counting a unit, is more precise than a microsecond."""
    return exceeds_scale(number, MICROSECONDS[unit])


def exceeds_scale(text: str, scale: int) -> str:
    """Return the condition that a decimal number's text has more places than the scale, trailing zeros aside."""
    point = f"strpos({text}, '.')"
    usual = f"({point} = 0 OR strlen({text}) - {point} <= {scale}) AND NOT {has_exponent(text)}"
    parts = f"regexp_extract({text}, '{_NUMBER}', ['whole', 'fraction', 'exponent'])"
    part = f"{RESERVED_PREFIX}part"
    digits = f"rtrim({part}.whole || {part}.fraction, '0')"
    exponent = f"CASE WHEN {part}.exponent = '' THEN 0 ELSE TRY_CAST({part}.exponent AS BIGINT) END"
    places = f"strlen({digits}) - strlen({part}.whole) - {exponent}"
    # A text that does not match has no digits here, though a cast may accept it, as it does '1E0.'.
    exact = f"{part}.whole || {part}.fraction <> '' AND (ltrim({digits}, '0') = '' OR {places} <= {scale})"
    slow = f"list_transform([{parts}], lambda {part}: COALESCE({exact}, FALSE))[1]"
    return f"CASE WHEN {usual} THEN FALSE ELSE NOT {slow} END"


def differs_in_microseconds(number: str, other: str, unit: str) -> str:
    """Return the condition that two numbers' texts, counting a unit, are of different microseconds."""
    kind = f"DECIMAL(38, {MICROSECONDS[unit]})"
    return f"TRY_CAST({number} AS {kind}) IS DISTINCT FROM TRY_CAST({other} AS {kind})"


def is_exact_double(number: str, null_values: Sequence[str] = ()) -> str:
    """Return the condition that a JSON number, read as a DOUBLE, equals the value of its text.

    It does not hold for 0 and 1, which booleans are read as too, nor for numbers that may be null values.
    """
    doubtful = "".join(f", {float(text)!r}" for text in null_values if is_number(text))
    return f"isfinite({number}) AND {number} NOT IN (0, 1{doubtful})"


def is_number(text: str) -> bool:
    """Return whether a text is a finite number."""
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def decimal_scale(column: Column) -> int:
    """Return the scale of a decimal column."""
    return int(re.findall(r"\d+", column.type)[1])


def has_exponent(text: str) -> str:
    """Return the condition that a number's text has an exponent."""
    return f"(contains({text}, 'e') OR contains({text}, 'E'))"


def to_microseconds(name: str, power: int) -> str:
    """Return a number's text as microseconds; fractions are exact, as they would not be as floating point numbers."""
    factor = 10**power
    fraction = f"(TRY_CAST({name} AS DECIMAL(38, {power})) * {factor})::BIGINT"
    return (
        f"CASE WHEN contains({name}, '.') AND NOT suffix({name}, '.0') THEN {fraction}"
        f" ELSE TRY_CAST({name} AS BIGINT) * {factor} END"
    )
