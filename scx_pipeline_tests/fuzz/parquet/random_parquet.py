"""Random Parquet files, written by pyarrow: types, nulls, row groups, unusual names, units and zones of times.

What a file must give is not decided here.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.column import Column
from scx_pipeline_tests.fuzz import rules
from scx_pipeline_tests.fuzz.case import (
    MONTHS,
    Case,
    File,
    make_columns,
    make_source,
    make_table,
    months_of,
    with_event,
    words,
)
from scx_pipeline_tests.fuzz.parquet.expected_parquet import NANOS, expect

UNDECLARED = (
    "file_index",
    "file_row_number",
    "filename",
    "number",
    "X",
    "größe",
    "a b",
    "the row",
    "the number",
    "rowid",
    "id raw",
    "id text",
    "_object",
)
ZONES = (None, None, "UTC", "Europe/Berlin", "+05:30", "America/New_York")


def create_case(rng: Random) -> Case:
    """A random case of Parquet files."""
    columns, event = with_event(rng, make_columns(rng, rng.choice([1, 2, 3, 5, 8])))
    source = make_source("parquet", rng.choice([(), (), ("",), ("NULL", "")]), event)
    table, schema, files = make_table(columns, event), _schema(rng, columns), []
    months = months_of(table)
    for number in range(rng.choice([1, 1, 2, 5])):
        content = _file(rng, schema if rng.random() < 0.6 else _schema(rng, columns))
        files.append(File(f"in/{number}.parquet", content, expect(content, table, source, months)))
    return Case(source, table, MONTHS if event else UNPARTITIONED, files, rng.choice([1, 2, 4]))


def _schema(rng: Random, columns: Sequence[Column]) -> list[tuple[str, pa.DataType]]:
    fields = [
        (column.name, _kind(rng, column)) for column in columns if not column.nullable or rng.random() < 0.95
    ]
    for name in rng.sample(UNDECLARED, rng.choice([0, 0, 1, 3])):
        if name not in dict(fields):
            fields.append(
                (
                    name,
                    rng.choice(
                        [
                            pa.int32(),
                            pa.string(),
                            pa.null(),
                            pa.list_(pa.int32()),
                            pa.struct([("a", pa.int8())]),
                        ]
                    ),
                )
            )
    rng.shuffle(fields)
    if fields and rng.random() < 0.03:
        fields.append((rng.choice(fields)[0], pa.string()))
    if fields and rng.random() < 0.05:
        fields.append((rng.choice(fields)[0].upper(), rng.choice([pa.string(), pa.int32()])))
    return fields or [("other", pa.int32())]


def _kind(rng: Random, column: Column) -> pa.DataType:
    """A type that the column takes, or now and then one that it must refuse."""
    whole = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
    if rng.random() < 0.03:
        return pa.null()
    if rng.random() < 0.01:
        return rng.choice(
            [
                pa.string(),
                pa.int64(),
                pa.float64(),
                pa.binary(),
                pa.time64("us"),
                pa.bool_(),
                pa.date32(),
                pa.decimal128(20, 12),
            ]
        )
    if column.max_bytes is not None:
        return rng.choice(
            [pa.string(), pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
        )
    if column.unit or column.type in rules.BITS:
        return rng.choice([*whole, pa.int64(), pa.int32(), pa.dictionary(pa.int8(), pa.int64())])
    if column.type.startswith("decimal"):
        precision, scale = map(int, re.findall(r"\d+", column.type))
        own = rng.randint(0, scale)
        return rng.choice(
            [
                pa.decimal128(precision, scale),
                pa.decimal128(rng.randint(max(1, own), 38), own),
                rng.choice(whole),
            ]
        )
    if column.type == "timestamp":
        return pa.timestamp(rng.choice(["s", "ms", "us", "ns", "ns"]), rng.choice(ZONES))
    return {
        "double": rng.choice([pa.float64(), pa.float64(), pa.float32(), pa.int32(), pa.uint8()]),
        "boolean": pa.bool_(),
        "date": rng.choice([pa.date32(), pa.date64()]),
    }[column.type]


def _file(rng: Random, schema: Sequence[tuple[str, pa.DataType]]) -> bytes:
    rows = rng.choice([0, 1, 7, 7, 100, 3000])
    nulls = rng.choice([0, 0.1, 0.9])
    arrays = [_array(rng, kind, rows, nulls) for _, kind in schema]
    table = pa.Table.from_arrays(arrays, schema=pa.schema(schema))
    sink = io.BytesIO()
    nanos = any("[ns" in str(kind) for _, kind in schema)  # which only new files can have
    int96 = rng.random() < 0.1 and not any(str(kind).startswith("timestamp[s") for _, kind in schema)
    pq.write_table(
        table,
        sink,
        row_group_size=rng.choice([1, 3, 1000, 100_000]) if rows < 200 else rng.choice([500, 2048, 100_000]),
        compression=rng.choice(["snappy", "zstd", "none", "gzip"]),
        use_dictionary=rng.random() < 0.6,
        data_page_version=rng.choice(["1.0", "2.0"]),
        version=rng.choice(["2.6", "2.6" if nanos else "2.4"]),
        use_deprecated_int96_timestamps=int96,
        write_statistics=rng.random() < 0.8,
        store_schema=rng.random() < 0.8,
    )
    content = sink.getvalue()
    if rng.random() < 0.02:
        content = content[: rng.randint(1, len(content) - 1)]
    return content


def _array(rng: Random, kind: pa.DataType, rows: int, nulls: float) -> pa.Array:
    odd = rng.choice([0, 0.1])
    made = [None if rng.random() < nulls else _value(rng, kind, odd) for _ in range(min(rows, 300))]
    made = list(islice((made * (rows // max(1, len(made)) + 1)), rows))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pa.array(made, pa.int32() if pa.types.is_date32(kind) else pa.int64()).cast(kind)
    if pa.types.is_dictionary(kind):
        return pa.array(made, kind.value_type).dictionary_encode().cast(kind) if made else pa.array([], kind)
    return pa.array(made, kind)


def _value(rng: Random, kind: pa.DataType, odd: float) -> Any:
    types = pa.types
    if types.is_dictionary(kind):
        return (
            rng.choice([1, 2, 99])
            if types.is_integer(kind.value_type)
            else rng.choice(["a", "", "NULL", "日本"])
        )
    if types.is_integer(kind):
        low, high = (
            (-(1 << (kind.bit_width - 1)), (1 << (kind.bit_width - 1)) - 1)
            if types.is_signed_integer(kind)
            else (0, (1 << kind.bit_width) - 1)
        )
        edge = rng.choice([low, high, 32767, 32768, 2**31, 10**9, 99_999])
        return min(max(edge, low), high) if rng.random() < odd else rng.randint(0, 99)
    if types.is_decimal(kind):
        digits = rng.randint(1, kind.precision)
        return Decimal(rng.randint(-(10**digits) + 1, 10**digits - 1)).scaleb(-kind.scale)
    if types.is_floating(kind):
        return (
            rng.choice([float("nan"), float("inf"), 1e30, -0.0])
            if rng.random() < odd
            else rng.choice([rng.uniform(-9, 9), float(rng.randint(0, 99))])
        )
    if types.is_string(kind) or types.is_large_string(kind):
        return (
            rng.choice(["a\0b", "x" * 300, "y" * 66_000])
            if rng.random() < odd / 3
            else rng.choice([words(rng), "", "NULL", words(rng, 1)])
        )
    if types.is_timestamp(kind) or types.is_date64(kind):
        return _time(rng, kind, odd)
    if types.is_date32(kind):
        return (
            rng.choice([-719_163, 2_932_897, -719_162, 2_932_896, 10**8])
            if rng.random() < odd
            else (date(2021, 1, 1) - date(1970, 1, 1)).days + rng.randint(-99, 99)
        )
    return _other(rng, kind)


def _time(rng: Random, kind: pa.DataType, odd: float) -> int:
    seconds = 1_609_459_200 + rng.randint(-40_000_000, 40_000_000)
    if pa.types.is_date64(kind):
        return seconds // 86_400 * 86_400_000
    per_second = 10**9 // NANOS[kind.unit]
    if rng.random() < odd:
        wide = (
            [-62_135_596_801, 253_402_300_800, -62_135_596_800, 0, -1]
            if kind.unit != "ns"
            else [-9_000_000_000, 0, -1, 9_000_000_000]
        )
        return rng.choice(wide) * per_second + (rng.randint(0, per_second - 1) if per_second > 1 else 0)
    return seconds * per_second + rng.choice([0, 0, rng.randint(0, per_second - 1)])


def _other(rng: Random, kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return rng.random() < 0.5
    if pa.types.is_list(kind):
        return [1, 2]
    if pa.types.is_struct(kind):
        return {"a": 1}
    if pa.types.is_time(kind):
        return 1
    return b"b" if pa.types.is_binary(kind) else None
