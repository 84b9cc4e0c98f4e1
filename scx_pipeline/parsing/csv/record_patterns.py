"""Regular expressions of the records of CSV files, and the options of Python's csv module, for a dialect.

What is done with a record does not belong here.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from scx_pipeline.model.dialect import Dialect


@dataclass(frozen=True)
class RecordPatterns:
    """The patterns of one delimiter and quote; `bytes` patterns for files, and text patterns for single records."""

    first_record: re.Pattern[bytes]  # its values (1) and its line end (2), which may be missing
    record: re.Pattern[bytes]  # with its line end (1)
    values: re.Pattern[str]  # each value (1) of a record
    whole_record: re.Pattern[str]  # a record whose quotes enclose values
    good_values: re.Pattern[str]  # the values before the first one with text after its closing quote
    open_quote: re.Pattern[str]  # a quoted value, perhaps without its closing quote


def record_patterns(dialect: Dialect) -> RecordPatterns:
    """Return the patterns of the dialect's delimiter and quote."""
    return _compile(dialect.delimiter, dialect.quote)


@cache
def _compile(delimiter: str, quote: str) -> RecordPatterns:
    d = re.escape(delimiter)
    if quote:
        q = re.escape(quote)
        quoted = f"{q}[^{q}]*+(?:{q}{q}[^{q}]*+)*+"
        field = rf"(?:{quoted}{q}[^{d}\r\n]*+|[^{q}{d}\r\n][^{d}\r\n]*+|)"
        value = f"(?:{quoted}{q}|[^{q}{d}][^{d}]*+|)"
    else:
        quoted, field, value = "(?!)", rf"[^{d}\r\n]*+", f"[^{d}]*+"
    record = f"{field}(?:{d}{field})*+"
    return RecordPatterns(
        re.compile(rf"({record})(\r\n|\n|\r|\Z)".encode()),
        re.compile(rf"{record}(\r\n|\n|\r)".encode()),
        re.compile(rf"({value})(?:{d}|\Z)"),
        re.compile(f"{value}(?:{d}{value})*+"),
        re.compile(f"(?:{value}{d})*+"),
        re.compile(quoted),
    )


def csv_options(dialect: Dialect) -> dict[str, Any]:
    """Return the options of the csv module's reader. Escapes were replaced by doubled quotes before it reads."""
    if not dialect.quote:
        return {"delimiter": dialect.delimiter, "quoting": csv.QUOTE_NONE}
    return {"delimiter": dialect.delimiter, "quotechar": dialect.quote}
