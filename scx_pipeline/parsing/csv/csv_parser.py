"""CSV files into a landing, and the bad records of a file with line, column, reason and raw text.
What a header must be is in `csvfile`, how texts are typed in `values`, how records are counted in `csvbytes`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from scx_pipeline.errors import SourceFileError
from scx_pipeline.model.reserved_names import internal
from scx_pipeline.parsing import values
from scx_pipeline.parsing.csv import csv_header, exact_reader
from scx_pipeline.parsing.csv.byte_scan import (
    RecordCount,
    count_records,
    count_records_by_pattern,
    locate_records,
)
from scx_pipeline.parsing.csv.csv_header import FILE, Header
from scx_pipeline.parsing.csv.exact_reader import Batch
from scx_pipeline.parsing.parser import (
    UNKNOWN_REASON,
    Outside,
    Parser,
    Refused,
    UndeclaredFields,
    decompressing,
    marked,
)
from scx_pipeline.parsing.records import RAW_LIMIT
from scx_pipeline.storage.bucket import LocalFile
from scx_pipeline.storage.compression import check_content
from scx_pipeline.warehouse.sql_text import names, quote

MAX_SHORT = 1000  # short records of a file that is scanned: the scan keeps something of each in memory
COUNTERS = 2  # files are counted by as many threads
Rule = tuple[str, str | None, str]
RECORDS, LINE = internal("records"), internal("line")


@dataclass(frozen=True)
class Counted:
    """A file's header, and what was counted in it; nothing of a file without any content."""

    header: Header
    count: RecordCount

    @property
    def scanned(self) -> bool:
        """Whether the scan may read the file. It leaves out short records, but takes a surplus of empty values for none."""
        return self.count.plain and not self.count.surplus and self.count.short <= MAX_SHORT


class CsvParser(Parser[LocalFile]):
    """Reads CSV files with a header; those with the same header are read by one scan.

    What a scan brings of a file is compared with what was counted in the file's bytes. A file that differs is read
    again, record by record, and refused where that differs as well.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.counted: dict[str, Counted | None] = {}  # by path
        self.exact: set[int] = set()  # the numbers of the files that were read record by record

    def groups(self, files: Sequence[LocalFile]) -> Sequence[Sequence[int]]:
        with ThreadPoolExecutor(COUNTERS) as pool:
            counted = list(pool.map(self._count, files))
        self.counted = {str(file.path): found for file, found in zip(files, counted, strict=True)}
        groups: dict[object, list[int]] = {}
        for index, (file, found) in enumerate(zip(files, counted, strict=True)):
            alike = (found.header, file.suffix) if found and found.scanned else index if found else None
            groups.setdefault(alike, []).append(index)
        return list(groups.values())

    def _count(self, file: LocalFile) -> Counted | None:
        uri = self.uri(file.object)
        check_content(file, uri)
        header = csv_header.read_header(file, uri, self.table)
        with decompressing(file, uri) as stream:  # to its end, even if there is nothing to count
            count = count_records(
                stream, header.line_end if header else b"\n", len(header.columns) if header else 1
            )
        return Counted(header, count) if header else None

    def stage(self, first: int, files: Sequence[LocalFile]) -> Mapping[int, int]:
        counted = self.counted[str(files[0].path)]
        if counted is None:  # files without any content
            return {}
        self._note_undeclared_fields(first, files, counted.header)
        numbered = {first + index: file for index, file in enumerate(files)}
        refused = self._land_scanned(first, numbered, counted.header) if counted.scanned else {}
        for number in numbered.keys() - refused.keys():
            refused[number] = self._land_exactly(number, numbered[number])
        return refused

    def _note_undeclared_fields(self, first: int, files: Sequence[LocalFile], header: Header) -> None:
        unknown = tuple(name for name in header.columns if name not in self.table.column_names)
        if unknown:
            self.undeclared_fields |= {
                first + index: UndeclaredFields(unknown) for index in range(len(files))
            }

    def _land_scanned(self, first: int, files: Mapping[int, LocalFile], header: Header) -> dict[int, int]:
        """Land files by one scan; how many records of which were refused. Files that were not read right are left out."""
        import duckdb

        null_values = self.source.null_values
        scan = csv_header.scan(list(files.values()), header, self.table.column_names, null_values)
        try:
            self._insert(scan, FILE, f"{first} + {FILE}", [text for text in null_values if text])
        except (duckdb.OutOfMemoryException, duckdb.InterruptException):
            raise
        except duckdb.Error:  # nothing has landed; the exact reader says what is wrong with which file
            return {}
        landed = self.staged(first, first + len(files) - 1)
        refused = {}
        for number, file in files.items():
            count = self._counted(file).count
            if landed.get(number, 0) == count.records - 1 - count.short:
                refused[number], self.counts[number] = count.short, count.records - 1
            elif number in landed:
                self.staging_buffer.remove(f"_object IN ({number}, {-1 - number})")
        return refused

    def _counted(self, file: LocalFile) -> Counted:
        counted = self.counted[str(file.path)]
        assert counted is not None
        return counted

    def _insert(self, texts: str, others: str, number: str, null_values: Sequence[str]) -> int:
        """Land the rows of a relation of texts under the number of their file; how many.

        A bad row keeps its place, marked by a negative number, so that its record can be found by counting.
        """
        columns = self.table.columns
        mark = marked(values.violations(columns), number)
        rows = values.typed_rows(texts, columns, others, null_values)
        return self.staging_buffer.add(f"SELECT {names(self.table.column_names)}, {mark} FROM ({rows})")

    def _land_exactly(self, number: int, file: LocalFile) -> int:
        """Land a file record by record; how many were refused. Raises SourceFileError unless it is in order."""
        self.exact.add(number)
        landed = refused = 0
        for part in self._exact_parts(file):
            refused += len(part.refused)
            with self._registered(file, part) as relation:
                landed += self._insert(relation, LINE, str(number), self.source.null_values)
            if self._are_too_many(refused):
                self.ended_early, self.counts[number] = True, landed + refused
                return refused
        counted = self.counts[number] = self._count_again(file)
        if landed + refused != counted:
            raise SourceFileError(
                f"{self.uri(file.object)}: {landed + refused:,} records were read, but {counted:,} were counted, so some of its"
                " rows would be wrong; write the file again, with every value in quotes"
            )
        return refused

    def _are_too_many(self, refused: int) -> bool:
        """Whether the load cannot be published any more for the records of one file that were refused."""
        if self.others is None or refused < self.limit:
            return False
        most = self.others + sum(found.count.most for found in self.counted.values() if found)
        return refused > self.source.reject_limit * most

    def _count_again(self, file: LocalFile) -> int:
        """How many records a file has, its header excluded, counted in the way that suits it."""
        count = self._counted(file).count
        if count.plain:
            return count.records - 1
        with decompressing(file, self.uri(file.object)) as stream:
            return count_records_by_pattern(stream) - 1

    @contextmanager
    def _registered(self, file: LocalFile, part: Batch) -> Iterator[str]:
        """A relation of the records that fit the header: their texts by column, and the line that each begins on."""
        import pyarrow as pa

        columns = self._counted(file).header.columns
        places = [columns.index(name) for name in self.table.column_names]
        texts = {
            name: pa.array([row[place] for row in part.rows], pa.string())
            for name, place in zip(self.table.column_names, places, strict=True)
        }
        lines = pa.array([record.line for record in part.records], pa.int64())
        self.con.register(RECORDS.strip('"'), pa.table({**texts, LINE.strip('"'): lines}))
        try:
            yield RECORDS
        finally:
            self.con.unregister(RECORDS.strip('"'))

    def explain(self, number: int, file: LocalFile, records: int, outside: Outside | None) -> list[Refused]:
        exact = number in self.exact
        found: list[Refused] = []
        for part in self._exact_parts(file) if exact else self._scanned_parts(number, file, outside):
            explained = self._explain(file, part, outside)
            # Of a file that was scanned, all records that come here are bad.
            unknown = [] if exact else [item for item in part.records if item.line not in explained]
            found += part.refused
            found += explained.values()
            found += [Refused(item.line, None, UNKNOWN_REASON, item.raw[:RAW_LIMIT]) for item in unknown]
            if len(found) >= self.limit:
                break
        return found[: self.limit]

    def _explain(self, file: LocalFile, part: Batch, outside: Outside | None) -> dict[int, Refused]:
        """Which column of a bad row is wrong and why, by line: the same conditions that refused it, one by one."""
        columns = self.table.columns
        rules: list[Rule] = [*values.violations(columns)]
        time = "NULL"
        if outside:
            # Python has no other years, and a bad row may be of any.
            event = quote(self.table.event_time_column)
            time = f"CASE WHEN {event} {values.IN_CALENDAR} THEN {event} END"
            rules.append((f"COALESCE({outside.condition}, FALSE)", self.table.event_time_column, ""))
        with self._registered(file, part) as relation:
            rows = values.typed_rows(relation, columns, LINE, self.source.null_values)
            found = self.con.execute(
                values.first_violations(rows, columns, rules, f"{LINE}, {time}")
            ).fetchall()
        raws = {record.line: record.raw[:RAW_LIMIT] for record in part.records} if found else {}
        explained = {}
        for line, moment, rule, value in found:
            _, column, reason = rules[rule]
            reason = outside.tell(moment) if outside and not reason else values.told(reason, value)
            explained[line] = Refused(line, column, reason, raws[line])
        return explained

    def _exact_parts(self, file: LocalFile) -> Iterator[Batch]:
        counted, uri = self._counted(file), self.uri(file.object)
        with decompressing(file, uri) as stream:
            yield from exact_reader.read_batches(stream, counted.header, uri)

    def _scanned_parts(self, number: int, file: LocalFile, outside: Outside | None) -> Iterator[Batch]:
        """The misfits of a file that was scanned, and the records of its bad rows."""
        header = self._counted(file).header
        width, wanted, part = len(header.columns), self._places(number, outside), Batch()
        with decompressing(file, self.uri(file.object)) as stream:
            for found in locate_records(stream, header.line_end, width, wanted, self.limit):
                record, texts = found.record, exact_reader.split(found.record.raw)
                if found.number is None:
                    part.refuse(record, f"has {len(texts)} values, the header {width}")
                else:
                    part.add(record, texts)
                if part.full:
                    yield part
                    part = Batch()
        yield part

    def _places(self, number: int, outside: Outside | None) -> list[int]:
        """The first rows of a scanned file that stay out, by their number among those that landed."""
        rows = self.staging_buffer.rows
        of_file = f"_object IN ({number}, {-1 - number})"
        bad = "_object < 0" + (f" OR {outside.condition}" if outside else "")
        found = self.con.execute(
            f"SELECT rowid - (SELECT min(rowid) FROM {rows} WHERE {of_file}) FROM {rows}"
            f" WHERE {of_file} AND ({bad}) ORDER BY 1 LIMIT {self.limit}"
        ).fetchall()
        return [place for (place,) in found]
