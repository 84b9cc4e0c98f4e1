"""Texts into typed values: the SELECT that types every column strictly, and the rules that a value must keep.
One set of rules for every format; where the texts come from, and where rows go, is decided elsewhere."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal, DecimalException
from math import isfinite
from types import MappingProxyType

from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import PREFIX, internal
from scx_pipeline.warehouse.sql_text import quote

_MOMENT, _DAY = (
    "____-__-__ __:__:__",
    "____-__-__",
)  # the shapes that nearly all have: a look is cheaper than a pattern


_RULE = internal("rule")
# What is taken as a moment: a zone is Z or an offset, as names of zones mean different ones to different people; and
# digits behind the microseconds are taken where they are zeros, as no engine could keep others.
_DATE, _TIME = " *[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}", "(?: +|T)[0-9]{1,2}:[0-9]{1,2}"
_ZONE = "(?:Z|[+-](?:0[0-9]|1[0-3])(?::?[0-5][0-9])?|[+-]14(?::?00)?)"
_TAKEN = f"{_DATE}(?:{_TIME}(?::[0-9]{{1,2}}(?:[.][0-9]{{0,6}}0*)?)?{_ZONE}?)? *"
_OTHER_ZONE = re.compile(rf"{_DATE}{_TIME}(?::[0-9]{{1,2}}(?:[.][0-9]*)?)?(?!{_ZONE} *$) *[A-Za-z+-].*")
_FINER = re.compile(rf"{_DATE}{_TIME}:[0-9]{{1,2}}[.][0-9]{{7,}}{_ZONE}? *")
_NUMBER = "^ *[+-]?([0-9]*)[.]?([0-9]*)(?:[eE]([+-]?[0-9]+))? *$"
FIRST_MICROSECOND, LAST_MICROSECOND = (
    -62_135_596_800_000_000,
    253_402_300_799_999_999,
)  # of the years 1 to 9999
# Other years are in no calendar that every engine has; infinity is none.
IN_CALENDAR = "BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
HOLDS_NUL = "holds a NUL character"
MICROSECONDS = {"seconds": 6, "milliseconds": 3, "microseconds": 0}  # powers of ten in one of the unit


def typed_rows(
    source: str,
    columns: Sequence[Column],
    others: str = "",
    null_values: Sequence[str] = (),
    numbers: Collection[str] = (),
) -> str:
    """A SELECT of each column's value under its name, NULL where the text is none, and of its text under `text_of` it.

    Both stand side by side, so that a value is computed once for the row and for the rules that it must keep.
    `others` are more columns of `source` to pass on. `null_values` are texts that stand for no value. Of the columns
    `numbers`, the source has a DOUBLE under `number_of` it, which stands in the place of a text that is NULL.
    """
    if null_values:
        kept = ", ".join([*([others] if others else []), *map(number_of, numbers)])
        source = _without(source, columns, kept, null_values)
    counts = [
        f"TRY({_microseconds(quote(column.name), MICROSECONDS[column.unit])}) AS {_count_of(column)}"
        for column in columns
        if column.unit is not None
    ]
    if counts:  # once for all that is made of it
        # Not all of them by a *, which leaves out those that a reader adds to the files' own.
        kept = ", ".join([*([others] if others else []), *map(number_of, numbers), *counts])
        source = f"(SELECT {', '.join(quote(column.name) for column in columns)}, {kept} FROM {source})"
    items = []
    for column in columns:
        name = quote(column.name)
        if column.max_bytes is None:
            items.append(f"{name} AS {text_of(column)}")
        value = _value(column)
        if column.name in numbers:
            value = f"COALESCE({number_of(column.name)}, {value})"
        items.append(f"{value} AS {name}")
    return f"SELECT {', '.join(items)}{f', {others}' if others else ''} FROM {source}"


def _without(source: str, columns: Sequence[Column], others: str, null_values: Sequence[str]) -> str:
    """The source with NULL for every text that stands for no value."""
    listed = ", ".join(map(literal, null_values))
    items = []
    for column in columns:
        name = quote(column.name)
        empty = f"{name} = {listed}" if len(null_values) == 1 else f"{name} IN ({listed})"
        items.append(f"CASE WHEN {empty} THEN NULL ELSE {name} END AS {name}")
    return f"(SELECT {', '.join(items)}{f', {others}' if others else ''} FROM {source})"


def text_of(column: Column) -> str:
    """The name of a column's text in `typed_rows`."""
    return quote(column.name) if column.max_bytes is not None else internal("text", column.name)


def number_of(name: str) -> str:
    """The name of a column's number in the source of `typed_rows`."""
    return internal("number of", name)


def _count_of(column: Column) -> str:
    """The name of a moment's count of microseconds, or NULL, on the way to its value."""
    return internal("count", column.name)


def may_have_a_fraction(column: Column, null_values: Sequence[str] = ()) -> str:
    """The condition that a column's text in `typed_rows` is of a number with a point or an exponent, or may have been."""
    text = text_of(column)
    found = f"COALESCE(contains({text}, '.') OR {_has_exponent(text)}, FALSE)"
    hidden = any(_is_number(none) and re.search("[.eE]", none) for none in null_values)
    return f"({text} IS NULL OR {found})" if hidden else found


def is_finer(number: str, unit: str) -> str:
    """The condition that a number's text, counting a unit, is more precise than a microsecond."""
    return _is_finer(number, MICROSECONDS[unit])


def is_other(number: str, other: str, unit: str) -> str:
    """The condition that two numbers' texts, counting a unit, are of different microseconds."""
    kind = f"DECIMAL(38, {MICROSECONDS[unit]})"
    return f"TRY_CAST({number} AS {kind}) IS DISTINCT FROM TRY_CAST({other} AS {kind})"


def is_plain(number: str, null_values: Sequence[str] = ()) -> str:
    """The condition that a JSON number, read as a DOUBLE, is exactly what its text would give.

    0 and 1 are not plain, as which booleans are read too, nor is what may stand for no value.
    """
    doubtful = "".join(f", {float(text)!r}" for text in null_values if _is_number(text))
    return f"isfinite({number}) AND {number} NOT IN (0, 1{doubtful})"


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def _value(column: Column) -> str:
    name = quote(column.name)
    if column.max_bytes is not None:
        return name
    if column.unit is not None:
        count = _count_of(column)
        return f"CASE WHEN {count} BETWEEN {FIRST_MICROSECOND} AND {LAST_MICROSECOND} THEN make_timestamp({count}) END"
    if column.type == "timestamp":
        # A value without an offset is UTC; one with an offset is converted, since a plain cast would drop the offset.
        zoned = f"(TRY_CAST({name} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
        return f"CASE WHEN {name} LIKE '{_MOMENT}' THEN TRY_CAST({name} AS TIMESTAMP) ELSE {zoned} END"
    kind = column.type.upper()
    if column.type.startswith("decimal"):
        # Of numbers with an exponent, a cast takes some that the type cannot hold, and refuses some that it can.
        wide = f"TRY_CAST(TRY_CAST({name} AS DECIMAL(38, {_scale_of(column)})) AS {kind})"
        return f"CASE WHEN {_has_exponent(name)} THEN {wide} ELSE TRY_CAST({name} AS {kind}) END"
    return f"TRY_CAST({name} AS {kind})"


def _scale_of(column: Column) -> int:
    return int(re.findall(r"\d+", column.type)[1])


def _has_exponent(text: str) -> str:
    return f"(contains({text}, 'e') OR contains({text}, 'E'))"


def _is_finer(text: str, scale: int) -> str:
    """The condition that a decimal number's text has more places than the scale, zeros at its end aside."""
    point = f"strpos({text}, '.')"
    usual = f"({point} = 0 OR strlen({text}) - {point} <= {scale}) AND NOT {_has_exponent(text)}"
    parts = f"regexp_extract({text}, '{_NUMBER}', ['whole', 'fraction', 'exponent'])"
    part = f"{PREFIX}part"
    digits = f"rtrim({part}.whole || {part}.fraction, '0')"
    exponent = f"CASE WHEN {part}.exponent = '' THEN 0 ELSE TRY_CAST({part}.exponent AS BIGINT) END"
    places = f"strlen({digits}) - strlen({part}.whole) - {exponent}"
    # A text that is no such number has no digits here, though a cast may take it, as it does '1E0.'.
    exact = f"{part}.whole || {part}.fraction <> '' AND (ltrim({digits}, '0') = '' OR {places} <= {scale})"
    slow = f"list_transform([{parts}], lambda {part}: COALESCE({exact}, FALSE))[1]"
    return f"CASE WHEN {usual} THEN FALSE ELSE NOT {slow} END"


def _microseconds(name: str, power: int) -> str:
    """A number's text in microseconds; a fraction is exact, as it would not be by way of a floating point number."""
    factor = 10**power
    fraction = f"(TRY_CAST({name} AS DECIMAL(38, {power})) * {factor})::BIGINT"
    return (
        f"CASE WHEN contains({name}, '.') AND NOT suffix({name}, '.0') THEN {fraction}"
        f" ELSE TRY_CAST({name} AS BIGINT) * {factor} END"
    )


def violations(columns: Sequence[Column]) -> list[tuple[str, str, str]]:
    """What must not be: (condition over `typed_rows`, column, reason), in the order in which reasons are told."""
    found = []
    for column in columns:
        text = text_of(column)
        if not column.nullable:
            # A value whose text is NULL was read as a number.
            empty = f"({text} IS NULL AND {quote(column.name)} IS NULL)"
            found.append((empty, column.name, "is empty, and must not be"))
        found += [
            (f"({text} IS NOT NULL AND {bad})", column.name, reason) for bad, reason in _value_rules(column)
        ]
    return found


def _value_rules(column: Column) -> list[tuple[str, str]]:
    value, text = quote(column.name), text_of(column)
    if column.max_bytes is not None:
        return [
            (f"strlen({value}) > {column.max_bytes}", f"is longer than {column.max_bytes} bytes"),
            (f"contains({value}, chr(0))", HOLDS_NUL),
        ]
    if column.unit is not None:
        count = f"(epoch_us({value}) // {10 ** MICROSECONDS[column.unit]})::VARCHAR"
        usual = f"CASE WHEN suffix({text}, '.0') THEN {count} || '.0' ELSE {count} END = {text}"
        places = MICROSECONDS[column.unit]
        form = f" *-?[0-9]+([.][0-9]{{0,{places}}}0*)? *"
        wrong = f"CASE WHEN {usual} THEN FALSE ELSE NOT regexp_full_match({text}, '{form}') END"
        return [(f"({value} IS NULL OR ({wrong}))", f"is not a number of {column.unit}")]
    if column.type in ("smallint", "integer", "bigint"):
        # A cast alone would take '2.7' as 3 and '1e3' as 1000; writing the number again is quicker than a pattern, and
        # what is a number and one byte long is a digit.
        wrong = (
            f"strlen({text}) > 1 AND {value}::VARCHAR <> {text}"
            f" AND NOT regexp_full_match({text}, ' *[+-]?[0-9]+ *')"
        )
    elif column.type in ("timestamp", "date"):
        # A cast alone would take 'infinity', 'epoch' and years before Christ, and drop the time of a date.
        shape = _MOMENT if column.type == "timestamp" else _DAY
        form = _TAKEN if column.type == "timestamp" else " *[0-9]{4}-[0-9]+-[0-9]+ *"
        usual = f"{text} LIKE '{shape}' AND {value} >= TIMESTAMP '1000-01-01'"
        wrong = (
            f"NOT {value} {IN_CALENDAR}"
            f" OR contains({text}, ' :') OR contains({text}, ': ')"  # which a cast reads over
            f" OR CASE WHEN {usual} THEN FALSE ELSE NOT regexp_full_match({text}, '{form}') END"
        )
    elif column.type == "double":
        return [
            (f"({value} IS NULL OR NOT isfinite({value}) OR contains({text}, '_'))", "is not a finite number")
        ]
    elif column.type.startswith("decimal"):
        finer = _is_finer(text, _scale_of(column))
        wrong = f"CASE WHEN {value}::VARCHAR = {text} THEN FALSE ELSE contains({text}, '_') OR {finer} END"
    else:
        wrong = "FALSE"
    return [(f"({value} IS NULL OR ({wrong}))", f"is not {_a(column.type)}")]


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def literal(text: str) -> str:
    """The text as a SQL string."""
    return "'" + text.replace("'", "''") + "'"


def first_violations(
    rows: str,
    columns: Sequence[Column],
    rules: Sequence[tuple[str, str | None, str]],
    others: str,
    written: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """A SELECT of `others`, the number of the first rule that a row breaks, and the text that is wrong.

    `rows` is made by `typed_rows`; rows that break none are left out. `written` are expressions of columns' texts as
    the file has them, where the reader may have made others of them.
    """
    texts = {column.name: written.get(column.name, text_of(column)) for column in columns}
    whens = " ".join(f"WHEN {condition} THEN {index}" for index, (condition, _, _) in enumerate(rules))
    shown = " ".join(
        f"WHEN {index} THEN left({texts[column]}, 80)" for index, (_, column, _) in enumerate(rules) if column
    )
    return (
        f"SELECT {others}, {_RULE}, CASE {_RULE} {shown} END"
        f" FROM (SELECT *, CASE {whens} END AS {_RULE} FROM ({rows})) WHERE {_RULE} IS NOT NULL"
    )


def told(reason: str, value: str | None) -> str:
    """What is said of a value that breaks a rule, as exactly as its text tells."""
    return reason if value is None else f"{value!r} {_exactly(reason, value)}"


def _exactly(reason: str, text: str) -> str:
    decimal = re.fullmatch(r"is not a decimal\(\d+, *(\d+)\)", reason)
    if decimal and _places(text) > int(decimal[1]):
        return f"has more than {decimal[1]} decimal places"
    if reason == "is not a timestamp" and _OTHER_ZONE.fullmatch(text):
        return "has a zone that is not Z or an offset of up to 14 hours, such as +02:00"
    unit = MICROSECONDS.get(reason.removeprefix("is not a number of "))
    if (
        _places(text) > unit
        if unit is not None
        else reason == "is not a timestamp" and _FINER.fullmatch(text)
    ):
        return "is more precise than a microsecond"
    return reason


def _places(text: str) -> int:
    """How many decimal places a number's text needs; none where it is no number."""
    try:
        exponent = Decimal("".join(text.split())).normalize().as_tuple().exponent
    except DecimalException:  # no number, or one beyond what Python has
        return 0
    return -exponent if isinstance(exponent, int) else 0
