"""The reading of batches of files by a parser: staging their rows, counting them, and removing rejected ones.

Choosing the files of a batch does not belong here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scx_pipeline.errors import SourceFileError
from scx_pipeline.history.ingest_result import IngestResult, ObjectCount
from scx_pipeline.loading.ingest.duplicate_keys import find_duplicate_keys
from scx_pipeline.loading.ingest.event_time_bounds import EventTimeBounds
from scx_pipeline.loading.ingest.ingest_job import IngestJob
from scx_pipeline.loading.ingest.rejected_shares import RejectedShares
from scx_pipeline.model.source import Source
from scx_pipeline.parsing.csv.csv_parser import CsvParser
from scx_pipeline.parsing.json.json_document_parser import JsonDocumentParser
from scx_pipeline.parsing.json.json_lines_parser import JsonLinesParser
from scx_pipeline.parsing.parquet.parquet_parser import ParquetParser
from scx_pipeline.parsing.parser import Parser
from scx_pipeline.parsing.row_markers import belongs_to, rejected_marker
from scx_pipeline.planning.selection import SelectedObject
from scx_pipeline.warehouse.duckdb.key_bitmap import is_key_unique
from scx_pipeline.warehouse.sql_text import quote, scope_condition
from scx_pipeline.warehouse.staging_buffer import StagingBuffer

PARSERS: Mapping[str, type[Parser[Any]]] = {
    "csv": CsvParser,
    "json_lines": JsonLinesParser,
    "json": JsonDocumentParser,
    "parquet": ParquetParser,
}


def can_stream(sources: Iterable[Source]) -> bool:
    """Return whether the parsers of the sources' formats work with a streaming staging buffer."""
    return all(PARSERS[source.format].can_stream for source in sources)


@dataclass(frozen=True)
class StagedRows:
    """The counts of an object's staged rows, and the first and last event time of its good rows."""

    bad: int = 0
    good: int = 0
    in_scope: int = 0
    first: datetime | None = None
    last: datetime | None = None

    @property
    def total(self) -> int:
        return self.bad + self.good

    @property
    def filtered(self) -> int:
        """Good rows outside the load scope."""
        return self.good - self.in_scope


class BatchReader:
    """Stages batches of a source's files with a parser, and counts and rejects their rows."""

    def __init__(self, job: IngestJob, buffer: StagingBuffer, ingest_result: IngestResult) -> None:
        self.job, self.staging_buffer, self.ingest_result = job, buffer, ingest_result
        self.con, self.table = buffer.con, job.table
        self.parser: Parser[Any] = PARSERS[job.source.format](job.source, job.table, buffer, job.uri)
        self.scope_sql = scope_condition(self.table, job.scope)
        self.rejected_shares = RejectedShares(job.scope)
        self.unreadable: list[SourceFileError] = []  # of objects that cannot be read as declared

    def read(self, batch: Sequence[SelectedObject], files: Sequence[Any], other_rows: int | None) -> int:
        """Stage a batch: good rows stay in the staging buffer, all others are counted and removed.

        Args:
            other_rows: the most rows that the other batches have; None if unknown.

        Returns:
            The number of rows read.
        """
        self.parser.max_other_records = other_rows
        first = len(self.ingest_result.counts)
        numbered: dict[int, Any] = {}
        unstaged: dict[int, int] = {}
        for group in self.parser.group_files(files):
            base = len(self.ingest_result.counts)
            self.ingest_result.counts += [ObjectCount(batch[index]) for index in group]
            numbered |= {base + offset: files[index] for offset, index in enumerate(group)}
            unstaged |= self.parser.stage(base, [files[index] for index in group])
        self._count_rows(first, numbered, unstaged)
        self._collect_undeclared_fields()
        counts = self.ingest_result.counts[first:]
        self.rejected_shares.add(counts)
        return sum(count.read for count in counts)

    @property
    def counts(self) -> list[ObjectCount]:
        """The counts of the source's objects that were read so far."""
        return [count for count in self.ingest_result.counts if count.object.source == self.job.source.name]

    def must_stop(self, later_rows: int | None) -> bool:
        """Return whether too many rows of every month were rejected, even if all `later_rows` are good."""
        self.ingest_result.ended_early |= self.parser.ended_early
        if not later_rows:
            return False
        shares, limit = self.rejected_shares, self.job.source.reject_limit
        is_hopeless = all(shares.exceeds(month, limit, later_rows) for month in shares.months)
        self.ingest_result.ended_early |= is_hopeless
        return is_hopeless

    def _count_rows(self, first: int, files: Mapping[int, Any], unstaged: Mapping[int, int]) -> None:
        """Count the rows of the objects numbered from `first`, and reject bad rows and rows out of range.

        `unstaged` has the number of rows by object that the parser rejected without staging them.
        """
        counts = self.ingest_result.counts
        staged = self._count_staged(first)
        for number in {*staged, *unstaged}:
            found = staged.get(number, StagedRows())
            counts[number].read = self.parser.record_counts.get(number, found.total + unstaged.get(number, 0))
            counts[number].loaded, counts[number].filtered = found.in_scope, found.filtered
        bad = {number for number, found in staged.items() if found.bad}
        out_of_range = {
            number
            for number, found in staged.items()
            if not self._bounds(number).contains(found.first, found.last)
        }
        for number in sorted({*bad, *out_of_range, *(number for number, rows in unstaged.items() if rows)}):
            rule = self._bounds(number).out_of_range if number in out_of_range else None
            rejected = self.parser.find_rejected(number, files[number], counts[number].read, rule)
            counts[number].rejected = len(rejected)
            self.ingest_result.store(self.job.source.name, rejected)
        self._remove_rejected(bool(bad), out_of_range)
        for number in {*staged, *unstaged}:
            if (
                counts[number].rejected == self.parser.max_rejects
            ):  # The parser explains no more rows than that.
                rows = staged.get(number, StagedRows()).total + unstaged.get(number, 0)
                counts[number].rejected = rows - counts[number].loaded - counts[number].filtered

    def _remove_rejected(self, has_bad: bool, out_of_range: set[int]) -> None:
        """Remove bad rows and rows out of range from the buffer, and count again what is left of the latter's objects."""
        counts = self.ingest_result.counts
        if has_bad:
            self.staging_buffer.remove("_object < 0")
        for number in out_of_range:
            condition = self._bounds(number).out_of_range.condition
            self.staging_buffer.remove(f"_object = {number} AND {condition}")
            left = self._count_staged(number, number).get(number, StagedRows())
            counts[number].loaded, counts[number].filtered = left.in_scope, left.filtered

    def _collect_undeclared_fields(self) -> None:
        for number, undeclared_fields in self.parser.undeclared_fields.items():
            self.ingest_result.undeclared_fields.append(
                (self.ingest_result.counts[number].object.info.key, undeclared_fields)
            )
        self.parser.undeclared_fields.clear()

    def _count_staged(self, first: int, last: int = sys.maxsize) -> dict[int, StagedRows]:
        """Count the staged rows of the objects with these numbers, in one scan."""
        time = quote(self.table.event_time_column) if not self.table.is_unpartitioned else "NULL::TIMESTAMP"
        found = self.con.execute(
            f"SELECT _object, count(*), count(*) FILTER ({self.scope_sql}), min({time}), max({time}) FROM {self.staging_buffer.rows}"
            f" WHERE {belongs_to(first, last)} GROUP BY 1"
        ).fetchall()
        bad = {rejected_marker(mark): rows for mark, rows, *_ in found if mark < 0}
        good = {mark: facts for mark, *facts in found if mark >= 0}
        return {number: StagedRows(bad.get(number, 0), *good.get(number, ())) for number in {*bad, *good}}

    def _bounds(self, number: int) -> EventTimeBounds:
        return EventTimeBounds(self.job, self.ingest_result.counts[number].object)

    def find_duplicate_keys(self) -> dict[int, int]:
        """Find the duplicate keys of all staged rows; return the number of deduplicated rows by object number."""
        self.ingest_result.duplicate_keys_table = None
        columns = [self.table.column(name) for name in self.table.key]
        if not columns:
            return {}
        gathered = self.staging_buffer.consolidate()
        staged = f"(SELECT * FROM {gathered} WHERE {self.scope_sql}) AS staged"
        if gathered == self.staging_buffer.rows and is_key_unique(self.con, staged, columns):
            return {}
        return find_duplicate_keys(self.ingest_result, self.staging_buffer, staged)
