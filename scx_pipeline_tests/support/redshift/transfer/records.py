"""The records of a file as COPY splits it: CSV, JSON or Parquet, plain or compressed; each with its line and raw text.

Fields are not parsed here.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from scx_pipeline_tests.support.redshift.transfer.fields import LoadError, Typed
from scx_pipeline_tests.support.redshift.wire import Failure

MAX_ROW_BYTES = 4 << 20
COLUMNAR_CODECS = ("UNCOMPRESSED", "GZIP", "SNAPPY", "BZ2")
_BLANK = re.compile(r"\s*")
_STEP = re.compile(r"\['((?:[^'\\]|\\.)*)'\]|\.(\w+)|\[(\d+)\]")


@dataclass(frozen=True)
class Record:
    """A record: its first line, from 1; its text; and its fields, or why it has none."""

    line: int
    raw: str
    fields: Sequence[str | None] | LoadError


def plain(content: bytes, options: Mapping[str, str]) -> bytes:
    """Return a file's content, decompressed. Raises Failure for a damaged one."""
    try:
        if "gzip" in options:
            return gzip.decompress(content)
        if "bzip2" in options:
            return bz2.decompress(content)
        if "zstd" in options:
            import pyarrow as pa

            with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
                return bytes(stream.read())
    except (OSError, EOFError, ValueError) as error:
        raise Failure("XX000", f"compressed file could not be read: {error}") from None
    return content


def read_csv(content: bytes, options: Mapping[str, str], columns: int) -> Iterator[Record]:
    """Return the records after IGNOREHEADER lines. A blank line is a record of one empty field."""
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    lines = text.splitlines(keepends=True)
    skipped = int(options.get("ignoreheader", 0))
    rest = io.StringIO("".join(lines[skipped:]), newline="")
    reader = csv.reader(
        rest, delimiter=options.get("delimiter", ","), quotechar=options.get("quote", '"'), strict=True
    )
    started = skipped
    while True:
        try:
            fields: Sequence[str] | LoadError = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fields = LoadError(1216, f"Invalid quote formatting for CSV: {error}")
        line, started = started + 1, skipped + reader.line_num
        raw = "".join(lines[line - 1 : started]).rstrip("\r\n")
        if not isinstance(fields, LoadError):
            if not fields and "ignoreblanklines" in options:
                continue
            fields = _counted(fields or [""], columns, raw, options)
        yield Record(line, raw, fields)


def _counted(
    fields: Sequence[str], columns: int, raw: str, options: Mapping[str, str]
) -> Sequence[str] | LoadError:
    if len(raw.encode("utf-8", "surrogateescape")) > MAX_ROW_BYTES:
        return LoadError(1216, "Input line is too long")
    if len(fields) > columns:
        return LoadError(1202, "Extra column(s) found")
    if len(fields) < columns:
        if "fillrecord" in options:
            return [*fields, *[""] * (columns - len(fields))]
        return LoadError(1214, "Delimiter not found")
    return fields


def read_json(content: bytes, paths: Sequence[str]) -> Iterator[Record]:
    """Return the consecutive objects, read by jsonpaths; invalid JSON ends the file with one rejected record."""
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    steps = [_steps(path) for path in paths]
    decoder = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_Number)
    position = line = 0
    while True:
        blank = _BLANK.match(text, position)
        start = blank.end() if blank else position
        line += text.count("\n", position, start)
        if start == len(text):
            return
        try:
            value, position = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            end = text.find("\n", start)
            position = len(text) if end < 0 else end
            yield Record(line + 1, text[start:position], LoadError(1216, "Invalid JSON object"))
            continue
        raw = text[start:position]
        yield Record(line + 1, raw, [_shown(_found(value, path)) for path in steps])
        line += raw.count("\n")


class _Number(str):
    """A number with its original text."""


def _steps(path: str) -> list[str | int]:
    found = [name or other or int(index) for name, other, index in _STEP.findall(path)]
    if not path.startswith("$") or not found:
        raise Failure("XX000", f"Invalid JSONPath format: {path}")
    return found


def _found(value: Any, steps: Sequence[str | int]) -> Any:
    for step in steps:
        if isinstance(step, int) and isinstance(value, list):
            value = value[step] if step < len(value) else None
        elif isinstance(value, dict):
            value = value.get(str(step))
        else:
            return None
    return value


def _shown(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


def read_parquet(content: bytes, columns: int, key: str) -> Iterator[Record]:
    """Return the rows, columns by position.

    Raises Failure for a damaged file, a compression that the guide does not list (copy-usage_notes-copy-from-columnar), or
    another number of columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(io.BytesIO(content), coerce_int96_timestamp_unit="us") as file:
            _check_codecs(file.metadata, key)
            raw = _raw_timestamps(file.schema)
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise Failure("XX000", f"Spectrum Scan Error: File {key} could not be read: {error}") from None
    if table.num_columns != columns:
        raise Failure("XX000", f"Spectrum Scan Error: Unmatched number of columns between table and file. Table columns: {columns}, Data columns: {table.num_columns}, File name: {key}")  # fmt: skip
    for number, row in enumerate(zip(*(_values(column, name in raw) for name, column in zip(table.column_names, table.columns, strict=True)), strict=True), 1):  # fmt: skip
        yield Record(number, "", row)


def _check_codecs(metadata: Any, key: str) -> None:
    """Raise Failure for pages with a compression that the guide does not list for columnar files."""
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if column.compression not in COLUMNAR_CODECS:
                raise Failure(
                    "XX000", f"Spectrum Scan Error: File {key}: unsupported codec {column.compression}"
                )


def _raw_timestamps(schema: Any) -> set[str]:
    """Return the columns whose timestamps are read as numbers (apache/arrow#38000, dask/fastparquet#432).

    They have 64 bits, and no ConvertedType states the unit.
    """
    columns = [schema.column(number) for number in range(len(schema))]
    return {
        column.path
        for column in columns
        if column.physical_type == "INT64"
        and str(column.logical_type.type) == "TIMESTAMP"
        and column.converted_type not in ("TIMESTAMP_MICROS", "TIMESTAMP_MILLIS")
    }


def _values(column: Any, raw: bool) -> list[str | None]:
    if raw:
        import pyarrow as pa

        numbers = column.cast(pa.int64()).to_pylist()
        return [None if number is None else _misread(number) for number in numbers]
    return [None if value is None else _plain(value) for value in column.to_pylist()]


def _misread(number: int) -> str:
    """Return the timestamp that COPY reads from a number of microseconds: it counts milliseconds, beyond Python's years."""
    days, rest = divmod(number, 86_400_000)
    cycles, day = divmod(days, 146_097)  # days of 400 years
    timestamp = datetime(1970, 1, 1) + timedelta(days=day, milliseconds=rest)
    return Typed(f"{timestamp.year + 400 * cycles}{timestamp.isoformat(' ')[4:]}")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.replace(tzinfo=None).isoformat(" ") if hasattr(value, "hour") else str(value)
