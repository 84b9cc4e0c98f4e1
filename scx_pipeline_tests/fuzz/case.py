"""A random case: a source, its table and files with what each must give, reproducible from its seed.

The files are made by the modules of the formats.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

import pyarrow as pa

from scx_pipeline.model.calendar import LoadScope, Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.model.table import Table
from scx_pipeline_tests.fuzz.outcome import Expected, Months
from scx_pipeline_tests.fuzz.rules import instant

STAR = MonthRange(Month(2020, 1), Month(2023, 12))
MONTHS = MonthRange(Month(2021, 1), Month(2021, 6))
TYPES = (
    "smallint", "integer", "integer", "bigint", "double", "boolean", "date", "timestamp", "timestamp",
    "decimal(5,2)", "decimal(18,4)", "decimal(38,2)", "decimal(9,0)", "varchar(8)", "varchar(max)", "varchar(max)", "varchar(200)",
)  # fmt: skip
# Names of DuckDB's own columns and of what exists next to a table's columns on the way; a declaration may refuse them.
NAMES = (
    "id", "v", "x", "note", "number", "file_row_number", "filename", "text", "json", "line", "value", "keys", "odd", "n", "s", "t",
    "csv_line", "file_id", "column_name", "loose", "count", "rule", "t1", "e",
)  # fmt: skip


@dataclass(frozen=True)
class File:
    """An object's name, bytes as stored, and what it must give."""

    name: str
    content: bytes
    expected: Expected


@dataclass(frozen=True)
class Case:
    """What is read, how, and what must come of it."""

    source: Source
    table: Table
    scope: LoadScope
    files: Sequence[File]
    threads: int
    notes: Sequence[str] = ()


def make_columns(rng: Random, most: int, names: Sequence[str] = NAMES) -> list[Column]:
    """Declared columns of random types, at least one."""
    chosen = rng.sample(names, rng.randint(1, most))
    columns = []
    for name in chosen:
        kind = rng.choice(TYPES)
        unit = (
            rng.choice(["seconds", "milliseconds", "microseconds"])
            if kind == "timestamp" and rng.random() < 0.3
            else None
        )
        columns.append(
            Column.model_validate(
                {
                    "name": name,
                    "type": kind,
                    "unit": unit,
                    "nullable": rng.random() < 0.7,
                    "description": "of a random case",
                }
            )
        )
    return columns


def with_event(rng: Random, columns: list[Column]) -> tuple[list[Column], str | None]:
    """In some cases, an event time among the columns."""
    if rng.random() > 0.25:
        return columns, None
    unit = rng.choice([None, None, "milliseconds"])
    event = Column.model_validate(
        {
            "name": "happened_at",
            "type": "timestamp",
            "unit": unit,
            "nullable": False,
            "description": "event time",
        }
    )
    place = rng.randint(0, len(columns))
    return [*columns[:place], event, *columns[place:]], event.name


def make_source(kind: str, null_values: Sequence[str], event: str | None, **more: Any) -> Source:
    """A source that may reject all of its rows."""
    return Source.model_validate(
        {
            "name": "fuzz",
            "description": "",
            "format": kind,
            "prefix": "in/",
            "files": (FilePattern(pattern="**"),),
            "event_time": event,
            "null_values": tuple(null_values),
            "reject_limit": 1.0,
            **more,
        }
    )


def make_table(columns: Sequence[Column], event: str | None) -> Table:
    """A staging table."""
    return Table.model_validate(
        {
            "name": "fuzzed",
            "role": "staging",
            "description": "",
            "source": "fuzz",
            "event_time": event,
            "columns": tuple(columns),
        }
    )


def months_of(table: Table) -> Months | None:
    """Where the table's rows belong."""
    if table.event_time is None:
        return None
    place = table.column_names.index(table.event_time)
    return Months(
        place, (instant(STAR.start), instant(STAR.end)), (instant(MONTHS.start), instant(MONTHS.end))
    )


def pack(content: bytes, suffix: str) -> bytes:
    """The bytes, compressed as the suffix says."""
    if suffix == ".gz":
        return gzip.compress(content, 1, mtime=0)
    if suffix == ".zst":
        return (
            bytes(pa.compress(content, codec="zstd", asbytes=True))
            if content
            else b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00"
        )
    return content


# ------------------------------------------------------------------ random texts of a type

WORDS = (
    "Zürich",
    "日本",
    "🎉",
    "a",
    "Ulm",
    "x y",
    "NULL",
    "null",
    "true",
    "-",
    "0",
    "é",
    "S",
    "plan",
    "o'clock",
    "\\N",
    "\\",
    "#",
    ";",
    "\t",
    " ",
)
ODD_NUMBERS = (
    "2.7", "1.0", "1e3", "1e2", "1E2", "0x10", "1_000", "1,000", "٣", "", " ", "--5", "+ 5", "NaN", "inf", "true", "9" * 30, "9" * 400,
    "+5", "007", " 6 ", "-0", "2147483648", "-2147483649", "32768", "9223372036854775808", "9223372036854775807", "-9223372036854775808",
    "1e400", "1e-400", ".5", "5.", ".", "1.005", "12.345", "0.004", "-0.005", "1.500", "999.995", "999.99", "1000", "-999.99", "1e-3", "0e0",
    "123456789012345678.12", "99999999999999.9999", "0.1", "1.25", "100", "5e-1", "1,5", "1.", "00.10", "1.000000000000000000001",
)  # fmt: skip
ODD_TIMES = (
    "2021-02-30", "2021-13-01", "2021/02/03", "20210203", "03.02.2021", "2021-02", "today", "epoch", "infinity", "-infinity", "now",
    "10000-01-01", "0000-12-31", "2021-2-3", " 2021-02-03 ", "2021-02-03 (BC)", "2021-02-03 24:00:00", "2021-02-03 25:00:00",
    "2021-02-03 23:59:60", "2021-02-03 10:11", "2021-02-03 10", "2021-02-03 10:11:12.1234567", "2021-02-03 23:59:59.9999999",
    "2021-02-03T10:11:12.5", "2021-02-03 10:1 :00", "2021-02-03 10: 1:00", "2021-02-03 10:00:00 PM", "0001-01-01 00:00:00+01",
    "9999-12-31 23:59:59-01", "1612137600", "02/03/2021 01:02", "2021-02-03 (BC) 10:00:00", "infinity+01", "2021-02-03 10:00:00.",
    "1-1-1", "99-01-01 00:00:00", "0099-01-01 00:00:00", "2021-02-03  10:00:00", "2021-02-29 00:00:00", "1969-12-31 23:59:59.999999",
)  # fmt: skip
ZONES = (
    "Z", "+02", "-05:30", "+14:00", "+14:01", "-14:00", "+15", "+25:00", "-25", "+0530", " UTC", " EST", " EDT", "EST", " CET", " CST", " IST", " +01",
    " PST8PDT", " Europe/Berlin", " BST", "z", "+2", "+02:60", "+02:99", "+00", "-00:00", " GMT", " GMT+2", " UTC+2", "+01:00:30", " Z", " A", " America/New_York",
)  # fmt: skip


def make_text(rng: Random, column: Column, odd: float) -> str:
    """A text for a column: mostly one that it takes, at times one that is odd."""
    if rng.random() < odd:
        return rng.choice(
            [*ODD_NUMBERS, *ODD_TIMES, *WORDS, words(rng), timestamp_text(rng) + rng.choice(ZONES)]
        )
    return good_text(rng, column)


def good_text(rng: Random, column: Column) -> str:
    """A text that the column takes."""
    kind = column.type
    if column.unit:
        micro = instant(any_timestamp(rng))
        return str(micro // {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}[column.unit])
    if column.max_bytes is not None:
        return words(rng, 1) if column.max_bytes < 50 else words(rng)
    if kind in ("smallint", "integer", "bigint"):
        bits = {"smallint": 15, "integer": 31, "bigint": 63}[kind]
        return str(rng.choice([rng.randint(-(1 << bits), (1 << bits) - 1), rng.randint(0, 99)]))
    if kind.startswith("decimal"):
        precision, scale = (int(part) for part in kind[8:-1].split(","))
        whole = rng.randint(0, 10 ** rng.randint(0, precision - scale) - 1)
        return f"{rng.choice(['', '-'])}{whole}" + (
            f".{rng.randint(0, 10**scale - 1):0{scale}d}" if scale else ""
        )
    if kind == "double":
        return rng.choice(
            [
                repr(rng.uniform(-1e6, 1e6)),
                repr(rng.random() * 10 ** rng.randint(-300, 300)),
                str(rng.randint(-9, 10**17)),
            ]
        )
    if kind == "boolean":
        return rng.choice(["true", "false", "TRUE", "False", "1", "0"])
    if kind == "date":
        return f"{any_timestamp(rng):%Y-%m-%d}"
    return timestamp_text(rng)


def any_timestamp(rng: Random) -> datetime:
    """A timestamp, mostly of the months that are loaded."""
    year = rng.choice([2021, 2021, 2021, 2021, 2020, 2022, 2019, 2024, 1970, 2999])
    return datetime(
        year,
        rng.randint(1, 12),
        rng.randint(1, 28),
        rng.randint(0, 23),
        rng.randint(0, 59),
        rng.randint(0, 59),
    )


def timestamp_text(rng: Random) -> str:
    """A timestamp as it is usually written."""
    text = any_timestamp(rng).isoformat(rng.choice(" T"))
    fraction = rng.choice(["", "", "", ".5", ".123", ".123456", ".000001"])
    return text + fraction + rng.choice(["", "", "", "Z", "+02", "-05:30", "+14:00"])


def words(rng: Random, most: int = 6) -> str:
    """Some words."""
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, most)))
