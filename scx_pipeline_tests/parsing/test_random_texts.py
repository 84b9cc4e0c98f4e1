"""Random texts in a column of each type: the value that Python reads, or a rejection, and never a loss."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scx_pipeline_tests.parsing.typed_texts import KINDS, RejectedValue, typed


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(st.sampled_from("0123456789+-.:eE_ TZxaé日\0"), max_size=24))
def test_any_text_is_accepted_or_rejected_and_never_lost(
    con: duckdb.DuckDBPyConnection, kind: str, text: str
) -> None:
    assert typed(con, kind, text) is not None


@given(value=st.integers(-(2**64), 2**64), form=st.sampled_from(["{}", "{:+}", " {} ", "{:09d}"]))
def test_an_integer_is_accepted_if_its_type_can_hold_it(
    con: duckdb.DuckDBPyConnection, value: int, form: str
) -> None:
    for kind, bits in (("smallint", 15), ("integer", 31), ("bigint", 63)):
        found = typed(con, kind, form.format(value))
        assert found == (
            value
            if -(2**bits) <= value < 2**bits
            else RejectedValue(f"is not {'an' if kind == 'integer' else 'a'} {kind}")
        )


@given(text=st.text(st.sampled_from("0123456789+-.eE_ x"), max_size=12))
def test_an_accepted_integer_is_the_same_number_in_python(con: duckdb.DuckDBPyConnection, text: str) -> None:
    value = typed(con, "integer", text)
    assert isinstance(value, RejectedValue) or (value == int(text) and "_" not in text)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_is_read_exactly_to_the_last_bit(con: duckdb.DuckDBPyConnection, value: float) -> None:
    assert typed(con, "double", repr(value)) == value


@given(
    digits=st.integers(-(10**7), 10**7),
    exponent=st.integers(-9, 9) | st.integers(-45, 45),
    form=st.sampled_from(["{:f}", "{:E}", " {} ", "{:e}"]),
)
@pytest.mark.parametrize("kind", ["decimal(5,2)", "decimal(9,0)", "decimal(15,4)", "decimal(38,6)"])
def test_a_decimal_is_read_exactly_or_rejected(
    con: duckdb.DuckDBPyConnection, kind: str, digits: int, exponent: int, form: str
) -> None:
    exact = Decimal(digits).scaleb(exponent)
    found = typed(con, kind, form.format(exact))
    size, scale = map(int, kind.removeprefix("decimal(").removesuffix(")").split(","))
    units = Fraction(exact) * 10**scale
    fits = units.denominator == 1 and abs(units) < 10**size
    assert found == (exact if fits else RejectedValue(f"is not a {kind}"))


@given(text=st.text(st.sampled_from("0123456789+-.eE "), max_size=12))
def test_an_accepted_decimal_is_the_same_number_in_python(con: duckdb.DuckDBPyConnection, text: str) -> None:
    value = typed(con, "decimal(9,3)", text)
    assert isinstance(value, RejectedValue) or value == Decimal(text.strip())


@given(
    value=st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),
    offset=st.integers(-12 * 60, 14 * 60),
    separator=st.sampled_from(" T"),
)
def test_a_timestamp_with_an_offset_is_converted_to_utc(
    con: duckdb.DuckDBPyConnection, value: datetime, offset: int, separator: str
) -> None:
    assert typed(con, "timestamp", value.isoformat(separator)) == value, "without one it is UTC"
    there = value.replace(tzinfo=timezone(timedelta(minutes=offset)))
    assert typed(con, "timestamp", there.isoformat(separator)) == there.astimezone(UTC).replace(tzinfo=None)


@given(
    text=st.from_regex(r"[ 0-9+-]{4}-[ 0-9]{2}-[ 0-9]{2} [ 0-9]{2}:[ 0-9]{2}:[ 0-9Z+-]{2}", fullmatch=True)
)
def test_the_usual_shape_of_a_timestamp_is_read_like_any_other(
    con: duckdb.DuckDBPyConnection, text: str
) -> None:
    assert typed(con, "timestamp", text) == typed(con, "timestamp", text + " ")


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=12), size=st.integers(1, 20))
def test_a_text_is_accepted_unchanged_if_its_bytes_fit(
    con: duckdb.DuckDBPyConnection, text: str, size: int
) -> None:
    found = typed(con, f"varchar({size})", text)
    if len(text.encode()) > size:
        assert found == RejectedValue(f"is longer than {size} bytes")
    else:
        assert found == (RejectedValue("holds a NUL character") if "\0" in text else text)
