"""COPY's rules for one field: its text becomes a value of the column's type, or a load error.

Codes and messages are those of the guide's load error reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation
from functools import cached_property

RANGES = {"smallint": 1 << 15, "integer": 1 << 31, "bigint": 1 << 63}
# What TIMEFORMAT 'auto' reads, of the formats that logs have.
TIMESTAMP_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y/%m/%d %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y%m%d %H%M%S", "%Y%m%d")  # fmt: skip
_ZONE = re.compile(r"\s?(Z|[+-]\d{2}(?::?\d{2})?)$")
_FRACTION = re.compile(r"\.(\d{1,6})\d*$")
_DIGITS = re.compile(r"[+-]?[0-9]+").fullmatch
_USUAL = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII).fullmatch
BOOLEANS = {
    "t": "t",
    "true": "t",
    "1": "t",
    "y": "t",
    "yes": "t",
    "f": "f",
    "false": "f",
    "0": "f",
    "n": "f",
    "no": "f",
}


class LoadError(Exception):
    """Why a record is rejected: code, message, and the invalid column."""

    def __init__(self, code: int, message: str, column: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.column = code, message, column


class Typed(str):
    """A typed value in PostgreSQL's format, which needs no parsing."""


@dataclass(frozen=True)
class Target:
    """A column that COPY fills: its name, and its type as PostgreSQL formats it."""

    name: str
    type: str
    nullable: bool

    # cached, as it is used for every field
    @cached_property
    def kind(self) -> str:
        return self.type.partition("(")[0].strip()

    @cached_property
    def is_text(self) -> bool:
        return self.kind in ("character varying", "character", "text", "bpchar")

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        return tuple(map(int, re.findall(r"\d+", self.type)))


def value_of(
    text: str | None, column: Target, options: Mapping[str, str], timeformat: str = "auto"
) -> str | None:
    """Return the value as a text for PostgreSQL; None is NULL. Raises LoadError."""
    if isinstance(text, Typed):
        return str(text)
    text = _without(text, column, options)
    if text is None:
        if not column.nullable:
            raise LoadError(1213, "Missing data for not-null field", column.name)
        return None
    try:
        if column.is_text:
            return _text(text, column, options)
        if column.kind.startswith("timestamp"):
            return _parse_timestamp(text, column, timeformat)
        if column.kind == "numeric":
            return _decimal(text, column, options)
        return _TYPED[column.kind](text.strip(), column)
    except LoadError as error:
        raise LoadError(error.code, error.message, column.name) from None


def _without(text: str | None, column: Target, options: Mapping[str, str]) -> str | None:
    """Return the text, or None if it means NULL."""
    if text is None or text == options.get("null", r"\N"):
        return None
    if not column.is_text:
        return text if text.strip() else None
    if ("emptyasnull" in options and not text) or ("blanksasnull" in options and text and not text.strip()):
        return None
    return text


def _text(text: str, column: Target, options: Mapping[str, str]) -> str:
    limit = column.sizes[0] if column.sizes else 65_535
    if len(text) <= limit and text.isascii() and "\0" not in text:  # nothing else can be wrong with it
        return text
    data = text.encode("utf-8", "surrogatepass")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = data[error.start : error.end].hex()
        raise LoadError(1220, f"String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence: {bad} (error 3)") from None  # fmt: skip
    if "\0" in text:
        raise LoadError(1216, "Missing newline: Unexpected character 0x0 found")
    if len(data) > limit:
        if "truncatecolumns" not in options:
            raise LoadError(1204, "String length exceeds DDL length")
        return data[:limit].decode("utf-8", "ignore")
    return text


def _integer(text: str, column: Target) -> str:
    if not (text.isascii() and text.isdigit()) and not _DIGITS(text):
        wrong = re.search(r"[^0-9]", text.lstrip("+-") or "?")
        position = wrong.start() if wrong else 0
        shown = {"smallint": "Smallint", "integer": "Integer", "bigint": "Long"}[column.kind]
        raise LoadError(
            1207, f"Invalid digit, Value '{text[position : position + 1]}', Pos {position}, Type: {shown}"
        )
    if not -RANGES[column.kind] <= int(text) < RANGES[column.kind]:
        raise LoadError(1204, f"Overflow, Column type: {column.kind.capitalize()}")
    return str(int(text))


def _double(text: str, column: Target) -> str:
    try:
        if "_" in text:
            raise ValueError
        return repr(float(text))
    except ValueError:
        raise LoadError(1208, f"Invalid digit, Value '{text[:1]}', Pos 0, Type: Double") from None


def _decimal(text: str, column: Target, options: Mapping[str, str]) -> str:
    """Truncate digits beyond the scale, unless ROUNDEC is given."""
    digits, scale = column.sizes
    try:
        if "_" in text:
            raise InvalidOperation
        number = Decimal(text.strip())
        rounding = ROUND_HALF_UP if "roundec" in options else ROUND_DOWN
        number = number.quantize(Decimal(1).scaleb(-scale), rounding)
    except InvalidOperation:
        raise LoadError(1209, f"Invalid digit, Value '{text[:1]}', Pos 0, Type: Decimal") from None
    if not number.is_finite() or abs(number) >= Decimal(10) ** (digits - scale):
        raise LoadError(1209, "Overflow for NUMERIC")
    return str(number)


def _boolean(text: str, column: Target) -> str:
    if text.lower() not in BOOLEANS:
        raise LoadError(1210, "Unknown boolean format")
    return BOOLEANS[text.lower()]


def _date(text: str, column: Target) -> str:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date().isoformat()
    except ValueError:
        raise LoadError(1205, "Invalid Date Format - length must be 10 or more") from None


def _parse_timestamp(text: str, column: Target, timeformat: str) -> str:
    if timeformat in ("epochsecs", "epochmillisecs"):
        if not re.fullmatch(r"-?\d+(\.\d+)?", text.strip()):
            raise LoadError(1206, f"Invalid timestamp format or value [{timeformat}]")
        unit = timedelta(seconds=1) if timeformat == "epochsecs" else timedelta(milliseconds=1)
        return (datetime(1970, 1, 1) + int(Decimal(text.strip())) * unit).isoformat(" ")
    plain = text.strip().replace("T", " ", 1)
    zone = _ZONE.search(plain)
    plain = _ZONE.sub("", plain)
    fraction = _FRACTION.search(plain)
    plain = _FRACTION.sub("", plain)
    for shape in TIMESTAMP_FORMATS:
        try:
            timestamp = _parsed(plain, shape)
        except ValueError:
            continue
        timestamp += timedelta(microseconds=int(fraction[1].ljust(6, "0")) if fraction else 0)
        if zone and column.kind.endswith("with time zone") and zone[1] != "Z":
            sign = 1 if zone[1][0] == "+" else -1
            hours, minutes = int(zone[1][1:3]), int(zone[1][3:].strip(":") or 0)
            timestamp -= sign * timedelta(hours=hours, minutes=minutes)
        shown = timestamp.replace(tzinfo=UTC) if column.kind.endswith("with time zone") else timestamp
        return shown.isoformat(" ")
    raise LoadError(1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]")


def _parsed(text: str, shape: str) -> datetime:
    """Parse as strptime does, which takes ten times as long for the usual format."""
    return (
        datetime.fromisoformat(text)
        if shape == TIMESTAMP_FORMATS[0] and _USUAL(text)
        else datetime.strptime(text, shape)
    )


_TYPED: dict[str, Callable[[str, Target], str]] = {
    "smallint": _integer,
    "integer": _integer,
    "bigint": _integer,
    "double precision": _double,
    "real": _double,
    "boolean": _boolean,
    "date": _date,
}
