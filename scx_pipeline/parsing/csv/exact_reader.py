"""Read CSV files record by record, as Python's csv module splits them, with the line and the raw text of each record.

This takes three times as long as the scan, and is for the few files that the scan may misread: with quotes inside
unquoted values, text after quoted values, or many records that do not fit the header.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from scx_pipeline.errors import SourceFileError
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.parsing.csv.byte_scan import MAX_RECORD_BYTES
from scx_pipeline.parsing.csv.csv_header import Header, escape_line_end
from scx_pipeline.parsing.records import RAW_LIMIT, Record

BATCH_ROWS, BATCH_BYTES = 8192, 8 << 20
Values = Sequence[str | None]

csv.field_size_limit(2 * MAX_RECORD_BYTES)  # records are measured before the csv module reads their end

_VALUE = r'(?:"[^"]*+(?:""[^"]*+)*+"|[^",][^,]*+|)'
_RECORD = re.compile(rf"{_VALUE}(?:,{_VALUE})*+")
_VALUES = re.compile(rf"({_VALUE})(?:,|\Z)")
_GOOD_VALUES = re.compile(rf"(?:{_VALUE},)*+")
_OPEN_QUOTE = re.compile(r'"[^"]*+(?:""[^"]*+)*+')


@dataclass
class RecordBatch:
    """Consecutive records: those that fit the header, with their values, and the rejected others."""

    key: str
    records: list[Record] = field(default_factory=list)
    rows: list[Values] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    size: int = 0

    def add(self, record: Record, values: Sequence[str]) -> None:
        """Add a record that fits the header."""
        self.records.append(record)
        self.rows.append(_with_nulls(record.raw, values))
        self.size += len(record.raw)

    def reject(self, record: Record, reason: str, column: str | None = None) -> None:
        """Add a record that is rejected."""
        self.rejected.append(RejectedRow(self.key, record.line, column, reason, record.raw[:RAW_LIMIT]))

    @property
    def is_full(self) -> bool:
        """Whether the batch has enough records."""
        return len(self.records) + len(self.rejected) >= BATCH_ROWS or self.size >= BATCH_BYTES


def read_record_batches(stream: IO[bytes], header: Header, key: str, uri: str) -> Iterator[RecordBatch]:
    """Yield the records of a file after its header.

    Args:
        stream: The file, decompressed.
        header: Its header.
        key: The object's key, for rejected rows.
        uri: The object's address, for errors.

    Raises:
        SourceFileError: It is ambiguous where a record ends: a quote is never closed, a record is too long, line ends
            are mixed, or bytes are not UTF-8. The message names the line.
    """
    batch = RecordBatch(key)
    for record, values in _read_records(stream, header, uri):
        _classify(record, values, header, uri, batch)
        if batch.is_full:
            yield batch
            batch = RecordBatch(key)
    yield batch


def _with_nulls(raw: str, values: Sequence[str]) -> Values:
    """Return the values of a record, with None for values that are empty and not quoted."""
    if "" not in values:
        return values
    if '"' not in raw:
        return [value or None for value in values]
    written = _VALUES.findall(raw)
    return [None if text == "" else value for text, value in zip(written, values, strict=False)]


def split_record(raw: str) -> list[str]:
    """Return the values of one record."""
    return next(csv.reader(io.StringIO(raw, newline="")), [])


def _read_records(stream: IO[bytes], header: Header, uri: str) -> Iterator[tuple[Record, list[str]]]:
    lines = _LineReader(stream, uri)
    reader = csv.reader(lines)
    next(reader, None)  # the header
    lines.take_record()
    for values in reader:
        record, line_end = lines.take_record()
        if line_end and line_end != header.line_end.decode():
            raise SourceFileError(
                f"{uri}, line {record.line}: the record does not end as the header does, in {header.newline}, but in"
                f" {escape_line_end(line_end)}; write the file with line endings of one kind and upload it again"
            )
        if values:  # a blank line has no values
            yield record, values


class _LineReader:
    """Iterates over the lines of a file, and remembers the lines of the current record."""

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

    def take_record(self) -> tuple[Record, str]:
        """Return the record whose last line was read, and its line end."""
        raw = "".join(self.parts)
        record = Record(self.first, raw.rstrip("\r\n"))
        line_end = self.parts[-1][len(self.parts[-1].rstrip("\r\n")) :] if self.parts else ""
        self.parts, self.size = [], 0
        return record, line_end

    @property
    def first(self) -> int:
        """The line that the current record begins on."""
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


def _classify(record: Record, values: Sequence[str], header: Header, uri: str, batch: RecordBatch) -> None:
    """Add a record to the batch, as one that fits the header or as a rejected one."""
    if '"' in record.raw and not _RECORD.fullmatch(record.raw):
        _reject_quotes(record, header, uri, batch)
    elif len(values) != len(header.columns):
        batch.reject(record, f"has {len(values)} values, the header {len(header.columns)}")
    else:
        batch.add(record, values)


def _reject_quotes(record: Record, header: Header, uri: str, batch: RecordBatch) -> None:
    """Reject a record with text after a quoted value.

    Raises SourceFileError if that value contains line breaks, as the lines may be other records.
    """
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
            " the end of the record is ambiguous; correct the quotes and upload the file again"
        )
    place = len(_VALUES.findall(raw, 0, good.end())) - 1
    column = header.columns[place] if place < len(header.columns) else None
    batch.reject(record, "has text between a closing quote and the next comma", column)
