"""What a Parquet file must give: pyarrow reads it, and the rules of the documentation say what its values become.

Which files are tried is not decided here.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scx_pipeline.model.column import Column
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline_tests.fuzz import rules
from scx_pipeline_tests.fuzz.outcome import REJECT, Expected, Months, Outcome, outcomes_of
from scx_pipeline_tests.fuzz.rules import FIRST_DAY, FIRST_MICROSECOND, LAST_DAY, LAST_MICROSECOND, NO, Cell

NANOS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def expect(content: bytes, table: Table, source: Source, months: Months | None) -> Expected:
    """What a Parquet file must give."""
    expected = Expected()
    try:
        found = pq.ParquetFile(io.BytesIO(content))
        schema, rows = found.schema_arrow, found.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        expected.refuse("must", f"damaged: {error}")
        return expected
    names = schema.names
    if len(set(names)) < len(names):
        expected.refuse("must", "one name twice")
        return expected
    if len({name.lower() for name in names}) < len(names):
        expected.refuse("may", "names that differ in case only")
    columns = []
    for column in table.columns:
        kind = (
            schema.field(column.field or column.name).type if (column.field or column.name) in names else None
        )
        _check_kind(column, kind, rows, expected)
        columns.append(_Cells(column, kind, source))
    if expected.refusal == "must":
        return expected
    _add_rows(found, columns, months, expected)
    return expected


def _add_rows(found: Any, columns: Sequence[_Cells], months: Months | None, expected: Expected) -> None:
    held: list[list[Any]] = []
    for cells in columns:
        if cells.kind is None:
            held.append([cells.null] * found.metadata.num_rows)
        else:
            name = cells.column.field or cells.column.name
            held.append([cells.cell(value) for value in _plain(found.read(columns=[name]).column(0))])
    for number, row in enumerate(zip(*held, strict=True), start=1):
        expected.add(_outcomes(row, months), number)


@lru_cache(50_000)
def _outcomes(row: tuple[Cell, ...], months: Months | None) -> list[Outcome]:
    return outcomes_of(row, months)


def _plain(values: pa.ChunkedArray) -> list[Any]:
    """The values in Python; timestamps and dates as counts, which Python has for every year."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = kind.value_type
    if pa.types.is_timestamp(kind) or pa.types.is_date64(kind):
        return list(values.cast(pa.int64()).to_pylist())
    if pa.types.is_date32(kind):
        return list(values.cast(pa.int32()).to_pylist())
    return list(values.to_pylist())


def _check_kind(column: Column, kind: pa.DataType | None, rows: int, expected: Expected) -> None:
    if kind is None:
        if not column.nullable:
            expected.refuse("must", f"{column.name} is missing")
    elif pa.types.is_null(kind):
        if not column.nullable:
            expected.refuse("may", f"{column.name} has nulls only")
    elif not _fits(column, kind):
        expected.refuse("must", f"{column.name} of type {kind} as {column.type}")
    elif _is_open(column, kind):
        expected.refuse("may", f"{column.name} of type {kind} as {column.type}")


def _fits(column: Column, kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    types = pa.types
    if column.max_bytes is not None:
        return bool(types.is_string(kind) or types.is_large_string(kind))
    if column.unit or column.type in rules.BITS:
        return bool(types.is_integer(kind))
    if column.type.startswith("decimal"):
        scale = int(re.findall(r"\d+", column.type)[1])
        return bool(types.is_integer(kind) or (types.is_decimal(kind) and kind.scale <= scale))
    if column.type == "double":
        small = types.is_integer(kind) and kind.bit_width <= 32
        return bool(types.is_floating(kind) or small)
    fitting = {"boolean": types.is_boolean, "date": types.is_date, "timestamp": types.is_timestamp}
    return bool(fitting[column.type](kind))


def _is_open(column: Column, kind: pa.DataType) -> bool:
    """Whether a file of this type may be refused: half floats, which DuckDB may not have."""
    return bool(pa.types.is_float16(kind))


@dataclass(frozen=True)
class _Cells:
    """What the values of a file's column become."""

    column: Column
    kind: pa.DataType | None
    source: Source

    @property
    def null(self) -> Cell:
        return (None,) if self.column.nullable else NO

    def cell(self, value: Any) -> Cell:
        if value is None:
            return self.null
        column = self.column
        if column.max_bytes is not None:
            return self.null if value in self.source.null_values else rules.of_text(column.type, None, value)
        if column.unit:
            micro = value * rules.UNITS[column.unit]
            return (micro,) if FIRST_MICROSECOND <= micro <= LAST_MICROSECOND else NO
        if column.type in rules.BITS:
            return (value,) if -(1 << rules.BITS[column.type]) <= value < 1 << rules.BITS[column.type] else NO
        if column.type.startswith("decimal"):
            precision, scale = map(int, re.findall(r"\d+", column.type))
            return rules.decimal_of(precision, scale, Decimal(value))
        if column.type == "double":
            return (float(value),) if abs(float(value)) != float("inf") and value == value else NO
        if column.type == "timestamp":
            return _timestamp(value * NANOS[self._unit])
        if column.type == "date":
            days = value // 86_400_000 if pa.types.is_date64(self.kind) else value
            return (days,) if FIRST_DAY <= days <= LAST_DAY else NO
        return (value,)

    @property
    def _unit(self) -> str:
        kind = self.kind.value_type if pa.types.is_dictionary(self.kind) else self.kind
        return str(kind.unit)


def _timestamp(nanos: int) -> Cell:
    """A timestamp; nanoseconds are rounded to one of the two nearest microseconds."""
    floor = nanos // 1000
    near = {floor} if nanos % 1000 == 0 else {floor, floor + 1}
    inside = [micro for micro in near if FIRST_MICROSECOND <= micro <= LAST_MICROSECOND]
    return (*inside, *([] if len(inside) == len(near) else [REJECT]))
