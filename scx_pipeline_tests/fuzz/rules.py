"""What a text, a JSON value or a Parquet value becomes in a column, by the written rules, in plain Python.
A cell is a tuple of what it may become: one value, or REJECT, or several where the rule is open. Nothing of ours is asked.

Timestamps are microseconds since 1970 and dates are days since 1970, so that every year can be compared."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation, localcontext
from functools import lru_cache
from typing import Any

from scx_pipeline_tests.fuzz.outcome import REJECT

Cell = tuple[Any, ...]
NO: Cell = (REJECT,)
BITS = {"smallint": 15, "integer": 31, "bigint": 63}
UNITS = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}
EPOCH = datetime(1970, 1, 1)
FIRST_MICROSECOND, LAST_MICROSECOND = -62_135_596_800_000_000, 253_402_300_799_999_999
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
_NUMBER = re.compile(r" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[ T]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{0,12}))?)?)?"
    r"( ?)(Z|[+-][0-9]{2}(?::[0-9]{2})?)?"
)
_OFFSET = re.compile(r"[+-]([0-9]{2})(?::([0-9]{2}))?")
MAX_OFFSET = 14 * 60


@lru_cache(200_000)
def of_text(kind: str, unit: str | None, text: str) -> Cell:
    """Return what a text that is not a null value becomes."""
    if kind.startswith("varchar"):
        return _text(kind, text)
    if unit:
        return _count(UNITS[unit], text)
    if kind in BITS:
        return _whole(BITS[kind], text)
    if kind.startswith("decimal"):
        return _decimal(kind, text)
    return {"double": _double, "boolean": _boolean, "date": _date, "timestamp": timestamp_of}[kind](text)


def _text(kind: str, text: str) -> Cell:
    limit = kind[len("varchar(") : -1]
    size = 65_535 if limit == "max" else int(limit)
    return NO if "\0" in text or len(text.encode("utf-8", "surrogateescape")) > size else (text,)


def _whole(bits: int, text: str) -> Cell:
    if not re.fullmatch(" *[+-]?[0-9]+ *", text):
        return NO
    value = int(text) if len(text) < 4000 else 1 << 70
    return (value,) if -(1 << bits) <= value < 1 << bits else NO


def _double(text: str) -> Cell:
    if not _NUMBER.fullmatch(text):
        return NO
    value = float(text)
    if value == 0 and re.search("[1-9]", text.lower().split("e")[0]):
        return (value, REJECT)  # too small for a double
    return (value,) if math.isfinite(value) else NO


def _decimal(kind: str, text: str) -> Cell:
    precision, scale = map(int, re.findall(r"\d+", kind))
    if not _NUMBER.fullmatch(text):
        return NO
    exact = decimal_of(precision, scale, text)
    places = len(text.strip().partition(".")[2])
    if exact != NO and (re.search("[eE]", text) or places > scale):
        return (*exact, REJECT)  # an exponent, or zeros beyond the places: exact, or refused
    return exact


def decimal_of(precision: int, scale: int, number: Any) -> Cell:
    """The number in a decimal of so many digits and places, exactly, or none."""
    with localcontext() as context:
        context.prec = 400
        try:
            value = Decimal(number if not isinstance(number, str) else number.strip())
            kept = value.quantize(Decimal(1).scaleb(-scale))
        except InvalidOperation:
            return NO
        fits = kept == value and abs(kept) < Decimal(10) ** (precision - scale)
        return (kept,) if fits else NO


def _boolean(text: str) -> Cell:
    bare = text.lower()
    value = {"true": True, "1": True, "false": False, "0": False}.get(bare)
    if value is not None:
        return (value,)
    other = {"t": True, "yes": True, "y": True, "f": False, "no": False, "n": False}
    found = other.get(bare, other.get(bare.strip(" ")))
    if bare.strip(" ") in ("true", "1", "false", "0"):
        found = bare.strip(" ") in ("true", "1")
    return NO if found is None else (found, REJECT)


def _date(text: str) -> Cell:
    bare = text.strip(" ")
    match = re.fullmatch("([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})", bare)
    try:
        value = (date(*map(int, match.groups())) - EPOCH.date()).days if match else None
    except ValueError:
        value = None
    if value is None:
        return NO
    return (value,) if len(text) == 10 else (value, REJECT)


def timestamp_of(text: str) -> Cell:
    """Return the value of a timestamp: UTC if it has no zone; the only zones are Z and ±hh[:mm] up to 14:00."""
    bare = text.strip(" ")
    match = _TIME.fullmatch(bare)
    if not match:
        return (REJECT, *_unusual_timestamp(bare))
    year, month, day, hour, minute, second, fraction, space, zone = match.groups()
    if space and not zone:
        return NO
    midnight = (
        hour == "24" and minute == "00" and (second or "00") == "00" and not (fraction or "").strip("0")
    )
    try:
        value = datetime(
            int(year),
            int(month),
            int(day),
            0 if midnight else int(hour or 0),
            int(minute or 0),
            int(second or 0),
        )
    except ValueError:
        return NO
    offset = _offset(zone)
    if offset is None:
        return NO
    micro = (
        (value - EPOCH) // timedelta(microseconds=1)
        + int((fraction or "0").ljust(6, "0")[:6])
        - offset * 60_000_000
    )
    micro += 86_400_000_000 if midnight else 0
    if not FIRST_MICROSECOND <= micro <= LAST_MICROSECOND:
        return NO
    few = fraction != "" and len(fraction or "") <= 6
    usual = bare == text and not space and few and not midnight and (hour or not zone)
    return (micro,) if usual else (micro, REJECT)


def _offset(zone: str | None) -> int | None:
    """The minutes of a zone that is accepted; None for one that is not."""
    if zone in (None, "Z"):
        return 0
    match = _OFFSET.fullmatch(zone or "")
    assert match
    minutes = int(match[1]) * 60 + int(match[2] or 0)
    if minutes > MAX_OFFSET or int(match[2] or 0) > 59:
        return None
    return -minutes if (zone or "")[0] == "-" else minutes


def _unusual_timestamp(text: str) -> Cell:
    """Return the value of a timestamp in an unusual notation (one-digit parts, lowercase letters), which may also be rejected."""
    match = re.fullmatch(
        r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[ Tt]+([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2})(?:\.([0-9]+))?)?)?( *[zZ])?",
        text,
    )
    if not match:
        return ()
    parts = [int(part or 0) for part in match.groups()[:6]]
    try:
        value = datetime(*parts)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return ()
    return ((value - EPOCH) // timedelta(microseconds=1) + int((match[7] or "0").ljust(6, "0")[:6]),)


def _count(unit: int, text: str) -> Cell:
    """A count of a unit since 1970; digits beyond microseconds are refused."""
    if not re.fullmatch(r" *-?[0-9]+([.][0-9]*)? *", text) or len(text) > 60:
        return NO
    exact = Decimal(text.strip()) * unit
    whole = int(exact.to_integral_value(rounding="ROUND_FLOOR"))
    return (whole,) if whole == exact and FIRST_MICROSECOND <= whole <= LAST_MICROSECOND else NO


def instant(value: datetime) -> int:
    """Return a timestamp as microseconds since 1970."""
    naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return (naive - EPOCH) // timedelta(microseconds=1)
