"""A declared CSV dialect: how the values of a source are separated, quoted, encoded and written.

Reading files does not belong here.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from scx_pipeline.model.declaration import Declaration

# The regular expression of each directive: strptime alone would accept the year 21 for %Y.
TIME_DIRECTIVES: Mapping[str, str] = MappingProxyType(
    {
        "%Y": "[0-9]{4}", "%y": "[0-9]{2}", "%m": "[0-9]{1,2}", "%d": "[0-9]{1,2}", "%b": "[A-Za-z]{3}",
        "%B": "[A-Za-z]{3,9}", "%a": "[A-Za-z]{3}", "%A": "[A-Za-z]{6,9}", "%H": "[0-9]{1,2}", "%I": "[0-9]{1,2}",
        "%M": "[0-9]{1,2}", "%S": "[0-9]{1,2}", "%f": "[0-9]{1,6}", "%p": "[APap][Mm]", "%z": "[+-](?:(?:0[0-9]|1[0-3]):?[0-5][0-9]|14:?00)",
        "%%": "%",
    }
)  # fmt: skip
NUMERIC_DIRECTIVES = frozenset({"%Y", "%y", "%m", "%d", "%H", "%I", "%M", "%S", "%f"})
# Directives of the same part of a time, of which a form has at most one.
_PARTS = (
    ("%Y", "%y"),
    ("%m", "%b", "%B"),
    ("%d",),
    ("%a", "%A"),
    ("%H", "%I"),
    ("%M",),
    ("%S",),
    ("%f",),
    ("%p",),
    ("%z",),
)
_TIME_OF_DAY = frozenset({"%H", "%I", "%M", "%S", "%f", "%p", "%z"})
_DAY = (("%Y", "%y"), ("%m", "%b", "%B"), ("%d",))


def _check_character(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text in "\r\n\0":
        raise ValueError(f"{text!r} is not one ASCII character other than a line end")
    return text


def _check_encoding(name: str) -> str:
    try:
        is_text = codecs.lookup(name)._is_text_encoding and "a\n".encode(name).decode(name) == "a\n"
    except (LookupError, UnicodeError):
        is_text = False
    if not is_text or codecs.lookup(name).name in (
        "idna",
        "punycode",
        "unicode_escape",
        "raw_unicode_escape",
        "utf-7",
    ):
        raise ValueError(
            f"unknown encoding {name!r}: use utf-8, utf-16, windows-1252, latin-1 or another one of Python's"
        )
    return name


def _check_time_format(text: str) -> str:
    found = re.findall(r"%.?", text)
    for directive in found:
        if directive not in TIME_DIRECTIVES:
            raise ValueError(f"{text!r}: unknown directive {directive}; known: {' '.join(TIME_DIRECTIVES)}")
    for part in _PARTS:
        if sum(found.count(directive) for directive in part) > 1:
            raise ValueError(f"{text!r} has more than one of {', '.join(part)}: leave one")
    if not all(any(directive in found for directive in part) for part in _DAY):
        raise ValueError(f"{text!r} lacks a year (%Y or %y), a month (%m, %b or %B) or a day (%d)")
    if ("%I" in found) != ("%p" in found):
        raise ValueError(f"{text!r}: %I (12-hour clock) and %p (AM or PM) must be used together")
    return text


def _check_date_format(text: str) -> str:
    extra = sorted(_TIME_OF_DAY & set(re.findall(r"%.", text)))
    if extra:
        raise ValueError(
            f"{text!r} has {extra[0]}, but a date has no time of day: declare the column as a timestamp"
        )
    return _check_time_format(text)


Character = Annotated[str, AfterValidator(_check_character)]
TimeFormat = Annotated[str, AfterValidator(_check_time_format)]
DateFormat = Annotated[str, AfterValidator(_check_date_format)]


class Dialect(Declaration):
    """How a CSV source is written: its separators, quotes and encoding, and the forms of numbers, times and booleans."""

    delimiter: Character = Field(",", description="the character between two values")
    quote: Character | Literal[""] = Field(
        '"', description='the character around quoted values; "" if none are quoted'
    )
    escape: Character | None = Field(
        None,
        description="the character before a quote within a quoted value; default: the quote, which is written twice",
    )
    encoding: Annotated[str, AfterValidator(_check_encoding)] = Field(
        "utf-8", description="the encoding, such as utf-16, windows-1252 or latin-1"
    )
    header: bool | tuple[str, ...] = Field(
        True,
        description="true: the first record names the columns; false: there is no header, and the values are those of the"
        " staging table's columns, in their order; a list: there is no header, and these are the names",
    )
    skip_lines: int = Field(0, ge=0, le=1000, description="the number of lines before the header to skip")
    skip_footer: int = Field(
        0, ge=0, le=1000, description="the number of lines at the end to skip, not counting blank ones"
    )
    comment: str | None = Field(
        None,
        min_length=1,
        pattern=r"^[!-~]+$",
        description="lines that begin with this text are skipped",
    )
    decimal: Literal[".", ","] = Field(".", description="the character before the decimal places of a number")
    thousands: str | None = Field(
        None,
        pattern="^[ .,'_\u00a0\u202f\u2019]$",
        description="the character between groups of three digits of a number",
    )
    date_format: DateFormat | None = Field(
        None, description="the form of dates, by the directives of strptime; default: ISO 8601"
    )
    timestamp_format: TimeFormat | None = Field(
        None,
        description="the form of timestamps, by the directives of strptime, in UTC unless it has %z; default: ISO 8601",
    )
    true_values: tuple[str, ...] = Field(
        (), description="the texts of a boolean that are true; default: true, t, yes, y, 1"
    )
    false_values: tuple[str, ...] = Field(
        (), description="the texts of a boolean that are false; default: false, f, no, n, 0"
    )
    trim: bool = Field(False, description="remove blanks around values; a value of blanks alone is NULL")

    @model_validator(mode="after")
    def _check(self) -> Dialect:
        used = [self.delimiter, *self.quote, *([self.escape] if self.escape else [])]
        if len(set(used)) < len(used):
            raise ValueError(
                "delimiter, quote and escape must be different characters; leave escape out if a quote is written twice"
            )
        if self.escape and not self.quote:
            raise ValueError("escape needs a quote")
        if self.comment and self.comment[0] in used:
            raise ValueError("comment must not begin with the delimiter, the quote or the escape")
        if self.thousands == self.decimal:
            raise ValueError("thousands and decimal must be different characters")
        if bool(self.true_values) != bool(self.false_values):
            raise ValueError("true_values and false_values must be declared together")
        if both := set(self.true_values) & set(self.false_values):
            raise ValueError(f"{sorted(both)[0]!r} is both a true and a false value")
        return self

    @property
    def is_utf8(self) -> bool:
        """Whether the encoding is UTF-8."""
        return codecs.lookup(self.encoding).name == "utf-8"


DEFAULT_DIALECT = Dialect()
