"""Read CSV files record by record, as Python's csv module splits them, with the line and the raw text of each record.

This takes three times as long as the scan, and is for the few files that the scan may misread: with quotes inside
unquoted values, text after quoted values, or many records that do not fit the header.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from scx_pipeline.errors import SourceFileError
from scx_pipeline.model.dialect import Dialect
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.parsing.csv.byte_scan import MAX_RECORD_BYTES
from scx_pipeline.parsing.csv.csv_header import Header, escape_line_end
from scx_pipeline.parsing.csv.record_patterns import csv_options, record_patterns
from scx_pipeline.parsing.records import RAW_LIMIT, Record

BATCH_ROWS, BATCH_BYTES = 8192, 8 << 20
Values = Sequence[str | None]

csv.field_size_limit(2 * MAX_RECORD_BYTES)  # records are measured before the csv module reads their end


@dataclass
class RecordBatch:
    """Consecutive records: those that fit the header, with their values, and the rejected others."""

    key: str
    records: list[Record] = field(default_factory=list)
    rows: list[Values] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    size: int = 0

    def add(self, record: Record, values: Values) -> None:
        """Add a record that fits the header."""
        self.records.append(record)
        self.rows.append(values)
        self.size += len(record.raw)

    def reject(self, record: Record, reason: str, column: str | None = None) -> None:
        """Add a record that is rejected."""
        self.rejected.append(RejectedRow(self.key, record.line, column, reason, record.raw[:RAW_LIMIT]))

    @property
    def is_full(self) -> bool:
        """Whether the batch has enough records."""
        return len(self.records) + len(self.rejected) >= BATCH_ROWS or self.size >= BATCH_BYTES


class ExactReader:
    """Reads one file record by record.

    Args:
        header: Its header.
        dialect: Its dialect.
        key: The object's key, for rejected rows.
        uri: The object's address, for errors.
    """

    def __init__(self, header: Header, dialect: Dialect, key: str, uri: str) -> None:
        self.header, self.dialect, self.key, self.uri = header, dialect, key, uri
        self.patterns, self.options = record_patterns(dialect), csv_options(dialect)

    def read_batches(self, stream: IO[bytes]) -> Iterator[RecordBatch]:
        """Yield the records of the decompressed file after its header.

        Raises:
            SourceFileError: It is ambiguous where a record ends: a quote is never closed, a record is too long, line ends
                are mixed, or bytes are not UTF-8. The message names the line.
        """
        batch = RecordBatch(self.key)
        for record, values in self._read_records(stream):
            self._classify(record, values, batch)
            if batch.is_full:
                yield batch
                batch = RecordBatch(self.key)
        yield batch

    def add(self, batch: RecordBatch, record: Record, values: Sequence[str]) -> None:
        """Add a record with enclosing quotes to the batch, as one that fits the header or as a rejected one."""
        width = len(self.header.columns)
        if len(values) == width:
            batch.add(record, self._with_nulls(record.raw, values))
            return
        expected = f"the header {width}" if self.header.is_record else f"the declaration {width}"
        batch.reject(record, f"has {len(values)} values, {expected}")

    def split_record(self, raw: str) -> list[str]:
        """Return the values of one record."""
        return next(csv.reader(io.StringIO(raw, newline=""), **self.options), [])

    def _with_nulls(self, raw: str, values: Sequence[str]) -> Values:
        """Return the values of a record, with None for values that are empty and not quoted."""
        if "" not in values:
            return values
        if not self.dialect.quote or self.dialect.quote not in raw:
            return [value or None for value in values]
        written = self.patterns.values.findall(raw)
        return [None if text == "" else value for text, value in zip(written, values, strict=False)]

    def _read_records(self, stream: IO[bytes]) -> Iterator[tuple[Record, list[str]]]:
        lines = _LineReader(stream, self.uri)
        is_header = self.header.is_record
        for values in csv.reader(lines, **self.options):
            record, line_end = lines.take_record()
            if line_end and line_end != self.header.line_end.decode() and not is_header:
                raise SourceFileError(
                    f"{self.uri}, line {record.line}: the record does not end as the header does, in {self.header.newline},"
                    f" but in {escape_line_end(line_end)}; write the file with line endings of one kind and upload it again"
                )
            if values and not is_header:  # a blank line has no values
                yield record, values
            is_header = is_header and not values

    def _classify(self, record: Record, values: Sequence[str], batch: RecordBatch) -> None:
        quote = self.dialect.quote
        if quote and quote in record.raw and not self.patterns.whole_record.fullmatch(record.raw):
            self._reject_quotes(record, batch)
        else:
            self.add(batch, record, values)

    def _reject_quotes(self, record: Record, batch: RecordBatch) -> None:
        """Reject a record with text after a quoted value.

        Raises SourceFileError if that value contains line breaks, as the lines may be other records.
        """
        raw, good = record.raw, self.patterns.good_values.match(record.raw)
        quoted = self.patterns.open_quote.match(raw, good.end()) if good else None
        assert good is not None
        assert quoted is not None
        if quoted.end() == len(raw):
            raise SourceFileError(
                f"{self.uri}, line {record.line}: a quote is opened and never closed; correct the file and upload it again"
            )
        if "\n" in quoted[0] or "\r" in quoted[0]:
            raise SourceFileError(
                f"{self.uri}, line {record.line}: a quote is opened and never closed, or is closed on a later line and"
                " followed by text, so the end of the record is ambiguous; correct the quotes and upload the file again"
            )
        columns, place = self.header.columns, len(self.patterns.values.findall(raw, 0, good.end())) - 1
        column = columns[place] if place < len(columns) else None
        batch.reject(record, "has text between a closing quote and the next delimiter", column)


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
