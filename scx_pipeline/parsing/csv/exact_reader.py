"""CSV files read record by record, as Python's csv module defines them, with the line and the raw text of each.

About a third as fast as the scan, and for the few files that the scan may not read right: with quotes inside of unquoted values,
text after a quoted one, or many records that do not fit the header.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from scx_pipeline.errors import SourceFileError
from scx_pipeline.parsing.csv.byte_scan import MAX_RECORD_BYTES
from scx_pipeline.parsing.csv.csv_header import Header, escaped
from scx_pipeline.parsing.parser import Refused
from scx_pipeline.parsing.records import RAW_LIMIT, Record

BATCH_ROWS, BATCH_BYTES = 8192, 8 << 20
Values = Sequence[str | None]

csv.field_size_limit(2 * MAX_RECORD_BYTES)  # a record is measured before csv sees the end of it

_VALUE = r'(?:"[^"]*+(?:""[^"]*+)*+"|[^",][^,]*+|)'
_RECORD = re.compile(rf"{_VALUE}(?:,{_VALUE})*+")
_VALUES = re.compile(rf"({_VALUE})(?:,|\Z)")
_GOOD_VALUES = re.compile(rf"(?:{_VALUE},)*+")
_OPEN_QUOTE = re.compile(r'"[^"]*+(?:""[^"]*+)*+')


@dataclass
class Batch:
    """Records that follow each other: those that fit the header, with their values, and why others do not."""

    records: list[Record] = field(default_factory=list)
    rows: list[Values] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    size: int = 0

    def add(self, record: Record, values: Sequence[str]) -> None:
        """Add a record that fits the header."""
        self.records.append(record)
        self.rows.append(_with_nulls(record.raw, values))
        self.size += len(record.raw)

    def refuse(self, record: Record, reason: str, column: str | None = None) -> None:
        """Add one that does not."""
        self.refused.append(Refused(record.line, column, reason, record.raw[:RAW_LIMIT]))

    @property
    def full(self) -> bool:
        """Whether it is time to go on with another one."""
        return len(self.records) + len(self.refused) >= BATCH_ROWS or self.size >= BATCH_BYTES


def read_batches(stream: IO[bytes], header: Header, uri: str) -> Iterator[Batch]:
    """Read the records of a file behind its header.

    Raises SourceFileError, with the line, for what leaves in doubt where records end: a quote that is opened and never
    closed, a record that is too long, line ends of several kinds, bytes that are not UTF-8.
    """
    batch = Batch()
    for record, values in _read_records(stream, header, uri):
        _sort(record, values, header, uri, batch)
        if batch.full:
            yield batch
            batch = Batch()
    yield batch


def _with_nulls(raw: str, values: Sequence[str]) -> Values:
    """The values of a record, None where there is nothing, not even quotes."""
    if "" not in values:
        return values
    if '"' not in raw:
        return [value or None for value in values]
    written = _VALUES.findall(raw)
    return [None if text == "" else value for text, value in zip(written, values, strict=False)]


def split(raw: str) -> list[str]:
    """The values of one record."""
    return next(csv.reader(io.StringIO(raw, newline="")), [])


def _read_records(stream: IO[bytes], header: Header, uri: str) -> Iterator[tuple[Record, list[str]]]:
    lines = _Lines(stream, uri)
    reader = csv.reader(lines)
    next(reader, None)  # the header
    lines.take()
    for values in reader:
        record, line_end = lines.take()
        if line_end and line_end != header.line_end.decode():
            raise SourceFileError(
                f"{uri}, line {record.line}: the record does not end as the header does, in {header.newline}, but in"
                f" {escaped(line_end)}; write the file with line endings of one kind and upload it again"
            )
        if values:  # a blank line has none
            yield record, values


class _Lines:
    """The lines of a file, which remembers those since the last `take`: the lines of one record."""

    def __init__(self, stream: IO[bytes], uri: str) -> None:
        self.text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
        self.uri = uri
        self.number = 0
        self.parts: list[str] = []
        self.size = 0

    def __iter__(self) -> Iterator[str]:
        while line := self.text.readline(MAX_RECORD_BYTES + 3):
            self.number += 1
            self.parts.append(line)
            self.size += len(line) if line.isascii() else self._encoded_size(line)
            if (
                self.size > MAX_RECORD_BYTES
                and len(line.rstrip("\r\n")) + self.size - len(line) > MAX_RECORD_BYTES
            ):
                raise SourceFileError(self._too_long())
            yield line

    def take(self) -> tuple[Record, str]:
        """The record whose last line was read, and its line end."""
        raw = "".join(self.parts)
        record = Record(self.first, raw.rstrip("\r\n"))
        line_end = self.parts[-1][len(self.parts[-1].rstrip("\r\n")) :] if self.parts else ""
        self.parts, self.size = [], 0
        return record, line_end

    @property
    def first(self) -> int:
        """The line that the record begins on."""
        return self.number - len(self.parts) + 1

    def _encoded_size(self, line: str) -> int:
        try:
            return len(line.encode())
        except UnicodeEncodeError:
            raise SourceFileError(
                f"{self.uri}, line {self.number}: not UTF-8; convert the file to UTF-8 and upload it again"
            ) from None

    def _too_long(self) -> str:
        what = f"{self.uri}, line {self.first}: the record is longer than {MAX_RECORD_BYTES:,} bytes"
        if len(self.parts) > 1:
            return (
                f"{what}, perhaps because a quote in it is never closed; correct the file and upload it again"
            )
        return f"{what}; correct the file and upload it again"


def _sort(record: Record, values: Sequence[str], header: Header, uri: str, batch: Batch) -> None:
    """Add a record to a batch, among those that fit the header or those that do not."""
    if '"' in record.raw and not _RECORD.fullmatch(record.raw):
        _refuse_quotes(record, header, uri, batch)
    elif len(values) != len(header.columns):
        batch.refuse(record, f"has {len(values)} values, the header {len(header.columns)}")
    else:
        batch.add(record, values)


def _refuse_quotes(record: Record, header: Header, uri: str, batch: Batch) -> None:
    """Refuse a record with text after a quoted value. Raises SourceFileError if that one has lines, which may be others' records."""
    raw, good = record.raw, _GOOD_VALUES.match(record.raw)
    quoted = _OPEN_QUOTE.match(raw, good.end()) if good else None
    assert good is not None
    assert quoted is not None
    if quoted.end() == len(raw):
        raise SourceFileError(
            f"{uri}, line {record.line}: a quote is opened and never closed; correct the file and upload it again"
        )
    if "\n" in quoted[0] or "\r" in quoted[0]:
        raise SourceFileError(
            f"{uri}, line {record.line}: a quote is opened and never closed, or is closed on a later line and followed by text, so"
            " where the record ends is in doubt; correct the quotes and upload the file again"
        )
    place = len(_VALUES.findall(raw, 0, good.end())) - 1
    column = header.columns[place] if place < len(header.columns) else None
    batch.refuse(record, "has text between a closing quote and the next comma", column)
