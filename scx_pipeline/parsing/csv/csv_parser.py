"""Stage CSV files, and find the rejected records of a file with line, column, reason and raw text.

Files with the same header are read by one scan; files that the scan may misread are read record by record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from scx_pipeline.errors import SourceFileError
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.model.reserved_names import internal_column
from scx_pipeline.parsing.csv import csv_header
from scx_pipeline.parsing.csv.byte_scan import (
    RecordCount,
    count_records,
    count_records_by_pattern,
    locate_records,
)
from scx_pipeline.parsing.csv.csv_header import FILE_INDEX, Header
from scx_pipeline.parsing.csv.dialect_texts import DialectTexts
from scx_pipeline.parsing.csv.exact_reader import ExactReader, RecordBatch
from scx_pipeline.parsing.csv.plain_copy import needs_plain_copy, write_plain_copy
from scx_pipeline.parsing.csv.record_scanner import RecordScanner
from scx_pipeline.parsing.parser import UNKNOWN_REASON, Parser, RowsOutOfRange, UndeclaredFields, registered
from scx_pipeline.parsing.records import RAW_LIMIT
from scx_pipeline.parsing.row_markers import IS_REJECTED, belongs_to, marker_expression
from scx_pipeline.storage.compression import check_encoding
from scx_pipeline.storage.local_file import LocalFile, check_content, is_readable, open_local_file
from scx_pipeline.warehouse.sql_text import names

MAX_SHORT_RECORDS = 1000  # of a file that is scanned: the scan keeps something of each in memory
COUNT_THREADS = 2
RECORDS, LINE = internal_column("records"), internal_column("line")


@dataclass(frozen=True)
class CountedFile:
    """A file's header, and what was counted in its bytes."""

    header: Header
    count: RecordCount

    @property
    def can_be_scanned(self) -> bool:
        """Whether the scan reads the file correctly.

        It omits short records, but accepts long ones whose extra values are empty.
        """
        return (
            self.count.is_plain
            and not self.count.long_records
            and self.count.short_records <= MAX_SHORT_RECORDS
        )

    @property
    def records(self) -> int:
        """The records after the header, if the file is plain."""
        return self.count.records - self.header.is_record


class CsvParser(Parser[LocalFile]):
    """Reads CSV files of one dialect; those with the same header are read by one scan.

    The number of rows that a scan gives for a file is compared with the count of records in the file's bytes. A file
    for which they differ is read again, record by record, and is invalid if they still differ.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.dialect = self.source.dialect
        self.texts = DialectTexts(self.table.columns, self.dialect)
        # Of the current batch; None for a file without content.
        self.counted: dict[LocalFile, CountedFile | None] = {}
        self.read_exactly: set[int] = set()  # the numbers of the files that were read record by record

    def _group_valid(self, files: Sequence[LocalFile]) -> Sequence[Sequence[int]]:
        self.counted = self.inspect_files(files, self._count, COUNT_THREADS)
        groups: dict[object, list[int]] = {}
        for index, file in enumerate(files):
            if file in self.rejected_files:
                continue
            found = self.counted[file]
            group = (
                (found.header, file.suffix) if found and found.can_be_scanned else index if found else None
            )
            groups.setdefault(group, []).append(index)
        return list(groups.values())

    def _count(self, file: LocalFile) -> CountedFile | None:
        uri = self.uri(file.object)
        head = check_content(file, uri)
        if self.dialect.is_utf8:
            check_encoding(head, uri, "declare its encoding in the source's dialect, or convert the file")
        if needs_plain_copy(self.dialect) or not is_readable(file):
            write_plain_copy(file, uri, self.dialect)
        header = csv_header.read_header(file, uri, self.table, self.dialect)
        with open_local_file(file, uri) as stream:  # read to its end even if there is nothing to count
            scanner = RecordScanner(header.line_end if header else b"\n", self.dialect)
            count = count_records(scanner, stream, len(header.columns) if header else 1)
        return CountedFile(header, count) if header else None

    def _stage_valid(self, first: int, files: Sequence[LocalFile]) -> Mapping[int, int]:
        counted = self.counted[files[0]]
        if counted is None:  # files without content
            return {}
        self._note_undeclared_fields(first, files, counted.header)
        numbered = {first + index: file for index, file in enumerate(files)}
        rejected = self._stage_scanned(first, numbered, counted.header) if counted.can_be_scanned else {}
        for number in numbered.keys() - rejected.keys():
            with self.rejecting(numbered[number]):
                rejected[number] = self._stage_exactly(number, numbered[number])
        return rejected

    def _note_undeclared_fields(self, first: int, files: Sequence[LocalFile], header: Header) -> None:
        declared = {column.field_name for column in self.table.columns}
        unknown = tuple(name for name in header.columns if name not in declared)
        if unknown:
            self.undeclared_fields |= {
                first + index: UndeclaredFields(unknown) for index in range(len(files))
            }

    def _stage_scanned(self, first: int, files: Mapping[int, LocalFile], header: Header) -> dict[int, int]:
        """Stage files by one scan, and return how many records of each were rejected.

        Files that were misread are not in the result.
        """
        import duckdb

        null_values = self.source.null_values
        scan = csv_header.select_texts(
            list(files.values()), header, self.table.columns, null_values, self.dialect
        )
        try:
            self._insert(scan, FILE_INDEX, f"{first} + {FILE_INDEX}", [text for text in null_values if text])
        except (duckdb.OutOfMemoryException, duckdb.InterruptException):
            raise
        except duckdb.Error:  # nothing was staged; the exact reader reports what is wrong with which file
            return {}
        staged = self.count_staged(first, first + len(files) - 1)
        rejected = {}
        for number, file in files.items():
            counted = self._counted(file)
            if staged.get(number, 0) == counted.records - counted.count.short_records:
                rejected[number], self.record_counts[number] = counted.count.short_records, counted.records
            elif number in staged:
                self.staging_buffer.remove(belongs_to(number, number))
        return rejected

    def _counted(self, file: LocalFile) -> CountedFile:
        counted = self.counted[file]
        assert counted is not None
        return counted

    def _insert(self, texts: str, others: str, number: str, null_values: Sequence[str]) -> int:
        """Stage the rows of a relation of texts under the number of their file, and return how many there were.

        A rejected row keeps its place, so that its record can be found by counting.
        """
        marker = marker_expression(self.texts.rules, number)
        rows = self.texts.select_typed(texts, others, null_values)
        return self.staging_buffer.add(f"SELECT {names(self.table.column_names)}, {marker} FROM ({rows})")

    def _stage_exactly(self, number: int, file: LocalFile) -> int:
        """Stage a file record by record, and return how many were rejected. Raises SourceFileError if counts differ."""
        self.read_exactly.add(number)
        staged = rejected = 0
        for batch in self._read_batches(file):
            rejected += len(batch.rejected)
            with self._registered(file, batch) as relation:
                staged += self._insert(relation, LINE, str(number), self.source.null_values)
            if self._exceeds_reject_limit(rejected):
                self.ended_early, self.record_counts[number] = True, staged + rejected
                return rejected
        counted = self.record_counts[number] = self._count_again(file)
        if staged + rejected != counted:
            raise SourceFileError(
                f"{self.uri(file.object)}: {staged + rejected:,} records were read, but {counted:,} were counted, so some of its"
                " rows would be wrong; write the file again, with every value in quotes"
            )
        return rejected

    def _exceeds_reject_limit(self, rejected: int) -> bool:
        """Return whether the rejected records of one file alone keep the load from being published.

        If the source rejects invalid files, the rest of the file decides: an invalid file is one rejected record.
        """
        if self.source.on_invalid_file == "reject":
            return False
        if self.max_other_records is None or rejected < self.max_rejects:
            return False
        in_batch = sum(found.count.max_records for found in self.counted.values() if found)
        return rejected > self.source.reject_limit * (self.max_other_records + in_batch)

    def _count_again(self, file: LocalFile) -> int:
        """Return how many records a file has, without its header, by a method that its quotes allow."""
        counted = self._counted(file)
        if counted.count.is_plain:
            return counted.records
        with open_local_file(file, self.uri(file.object)) as stream:
            return count_records_by_pattern(stream, self.dialect) - counted.header.is_record

    @contextmanager
    def _registered(self, file: LocalFile, batch: RecordBatch) -> Iterator[str]:
        """Register a relation of the records that fit the header: their texts by column, and their first lines."""
        import pyarrow as pa

        header = self._counted(file).header.columns
        places = {column.name: header.index(column.field_name) for column in self.table.columns}
        texts = {
            name: pa.array([row[place] for row in batch.rows], pa.string()) for name, place in places.items()
        }
        lines = pa.array([record.line for record in batch.records], pa.int64())
        with registered(self.con, RECORDS, pa.table({**texts, LINE.strip('"'): lines})) as relation:
            yield relation

    def _find_rejected_rows(
        self, number: int, file: LocalFile, records: int, out_of_range: RowsOutOfRange | None
    ) -> list[RejectedRow]:
        exactly, key = number in self.read_exactly, file.object.key
        found: list[RejectedRow] = []
        for batch in self._read_batches(file) if exactly else self._locate(number, file, out_of_range):
            explained = self._explain(file, batch, out_of_range)
            # Of a file that was scanned, only rejected records are located.
            unexplained = [] if exactly else [item for item in batch.records if item.line not in explained]
            found += batch.rejected
            found += explained.values()
            found += [
                RejectedRow(key, item.line, None, UNKNOWN_REASON, item.raw[:RAW_LIMIT])
                for item in unexplained
            ]
            if len(found) >= self.max_rejects:
                break
        return found[: self.max_rejects]

    def _explain(
        self, file: LocalFile, batch: RecordBatch, out_of_range: RowsOutOfRange | None
    ) -> dict[int, RejectedRow]:
        """Return the rejected rows by line, with the first rule that each breaks."""
        key = file.object.key
        with self._registered(file, batch) as relation:
            rows = self.texts.select_typed(relation, LINE, self.source.null_values)
            found = self._find_violations(rows, self.texts.rules, LINE, out_of_range, self.texts.written)
        raws = {record.line: record.raw[:RAW_LIMIT] for record in batch.records} if found else {}
        return {
            item.place: RejectedRow(key, item.place, item.column, item.reason, raws[item.place])
            for item in found
        }

    def _reader(self, file: LocalFile) -> ExactReader:
        return ExactReader(self._counted(file).header, self.dialect, file.object.key, self.uri(file.object))

    def _read_batches(self, file: LocalFile) -> Iterator[RecordBatch]:
        with open_local_file(file, self.uri(file.object)) as stream:
            yield from self._reader(file).read_batches(stream)

    def _locate(
        self, number: int, file: LocalFile, out_of_range: RowsOutOfRange | None
    ) -> Iterator[RecordBatch]:
        """Yield the records of a scanned file that do not fit the header, and those of its rejected rows."""
        header, key, reader = self._counted(file).header, file.object.key, self._reader(file)
        wanted = [place + header.is_record for place in self._rejected_positions(number, out_of_range)]
        scanner, batch = RecordScanner(header.line_end, self.dialect), RecordBatch(key)
        with open_local_file(file, self.uri(file.object)) as stream:
            for record in locate_records(scanner, stream, len(header.columns), wanted, self.max_rejects):
                reader.add(batch, record, reader.split_record(record.raw))
                if batch.is_full:
                    yield batch
                    batch = RecordBatch(key)
        yield batch

    def _rejected_positions(self, number: int, out_of_range: RowsOutOfRange | None) -> list[int]:
        """Return the positions of the first rejected rows of a scanned file among its staged rows."""
        rows, of_file = self.staging_buffer.rows, belongs_to(number, number)
        rejected = IS_REJECTED + (f" OR {out_of_range.condition}" if out_of_range else "")
        found = self.con.execute(
            f"SELECT rowid - (SELECT min(rowid) FROM {rows} WHERE {of_file}) FROM {rows}"
            f" WHERE {of_file} AND ({rejected}) ORDER BY 1 LIMIT {self.max_rejects}"
        ).fetchall()
        return [place for (place,) in found]
