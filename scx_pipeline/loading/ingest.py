"""Source objects into a staging table's slice: parse, quarantine, sort out other months, keep the newest of a key.
Every row of every object is accounted for; gates and what is made from the staging rows live elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from scx_pipeline.history.ingest_result import DuplicateKey, IngestResult, ObjectCount, bounds_of
from scx_pipeline.loading.progress import ProgressReporter
from scx_pipeline.loading.server_copy import ServerCopy
from scx_pipeline.model.calendar import LoadScope, Month, MonthRange
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.csv.csv_parser import CsvParser
from scx_pipeline.parsing.json.json_parser import JsonLinesParser, JsonParser
from scx_pipeline.parsing.parquet.parquet_parser import ParquetParser
from scx_pipeline.parsing.parser import Outside, Parser
from scx_pipeline.parsing.values import MICROSECONDS
from scx_pipeline.planning.selection import SelectedObject, split_batches
from scx_pipeline.storage.bucket import Bucket, ObjectInfo, suffix_of
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import surely_unique
from scx_pipeline.warehouse.sql_text import in_scope, month_of, names, quote, timestamp_literal
from scx_pipeline.warehouse.staging_buffer import OBJECT, StagingBuffer

REMOTE_BATCH_BYTES = 512 << 20  # of objects fetched at a time: bounds the disk that a remote bucket takes
DOCUMENTS, DOCUMENTS_BYTES = 20_000, 64 << 20  # brought to memory at a time, and as many again ahead
MAX_NAMED_KEYS = 5


@dataclass(frozen=True)
class IngestJob:
    """Everything one staging table's load needs to know."""

    bucket: Bucket
    source: Source
    table: Table
    scope: LoadScope
    months: MonthRange  # that the star may hold at all: rows outside are refused
    batch_files: int = 0  # read at a time; 0: as many as suits the landing
    # The keys and ETags of objects that had bad rows the last time.
    rejecting: Callable[[], Collection[tuple[str, str]]] = lambda: ()
    inspect: Callable[[StagingBuffer], None] = lambda staging_buffer: (
        None
    )  # called with each batch before its flush
    progress: Callable[[str], None] = lambda message: None

    def run(self, objects: Sequence[SelectedObject], buffer: StagingBuffer) -> IngestResult:
        """Read the objects, once each, into the landing; its `finish` is left to do.

        Raises SourceFileError where a file cannot be read as declared, and BucketError where it cannot be fetched.
        """
        ingest_result = IngestResult(self.table)
        reader = _Reader(self, buffer, ingest_result)
        copies = ServerCopy(self, buffer.reader, ingest_result)
        left = copies.run(objects)
        while True:
            self._parse(left, reader, buffer)
            lost = reader.find_duplicate_keys()
            left = copies.discard(lost)
            if not left:
                break
        count_deduplicated(ingest_result, lost)
        ingest_result.counts = [
            count for number, count in enumerate(ingest_result.counts) if number not in copies.dropped
        ]
        return ingest_result

    def _parse(self, objects: Sequence[SelectedObject], reader: _Reader, buffer: StagingBuffer) -> None:
        documents = self.source.format == "json"
        files_at_once = self.batch_files or buffer.batch_files
        limits = (DOCUMENTS_BYTES, DOCUMENTS) if documents else (self._batch_bytes(buffer), files_at_once)
        batches = split_batches(objects, *limits)
        pace = ProgressReporter(len(objects), sum(item.info.size for item in objects), self.progress)
        files_read = rows = size = 0
        bring: Any = self.bucket.read if documents else self.bucket.fetch
        with bring([[item.info for item in batch] for batch in batches]) as fetched:
            for number, (batch, files) in enumerate(zip(batches, fetched, strict=True), start=1):
                later = self._most_rows([item for part in batches[number:] for item in part])
                rows += reader.read(batch, files, None if later is None else rows + later)
                if reader.is_hopeless(later):
                    break
                self.inspect(buffer)
                buffer.flush()
                files_read += len(batch)
                size += sum(item.info.size for item in batch)
                pace.at(files_read, rows, size)

    def _most_rows(self, objects: Sequence[SelectedObject]) -> int | None:
        """The most rows that objects may have; None where their sizes do not tell."""
        # A separator or a line end for each value; two brackets and a line end.
        least = {"csv": len(self.table.columns), "json_lines": 3}.get(self.source.format)
        if objects and (least is None or any(suffix_of(item.info.key) for item in objects)):
            return None
        return sum(item.info.size // (least or 1) + 1 for item in objects)

    def uri(self, item: ObjectInfo) -> str:
        """The object's full address."""
        return self.bucket.uri(item.key)

    def _batch_bytes(self, buffer: StagingBuffer) -> int:
        remote = REMOTE_BATCH_BYTES if self.bucket.folder is None else sys.maxsize
        return min(remote, buffer.batch_bytes or sys.maxsize)


@dataclass(frozen=True)
class _StagedBatch:
    """What landed of an object: its bad rows and its good ones; of the good, those of the span, and the first and last
    event time."""

    bad: int = 0
    good: int = 0
    loaded: int = 0
    first: datetime | None = None
    last: datetime | None = None

    @property
    def rows(self) -> int:
        return self.bad + self.good

    @property
    def filtered(self) -> int:
        """Good rows of other months."""
        return self.good - self.loaded


class _Reader:
    """Lands batches by a parser, settles what may stay, and finds the keys that stand twice in the end."""

    def __init__(self, ingestion: IngestJob, buffer: StagingBuffer, ingest_result: IngestResult) -> None:
        self.job, self.staging_buffer, self.ingest_result = ingestion, buffer, ingest_result
        self.con, self.table = buffer.con, ingestion.table
        parser = _PARSERS[ingestion.source.format]
        self.parser: Parser[Any] = parser(ingestion.source, ingestion.table, buffer, ingestion.uri)
        self.in_scope = in_scope(self.table, ingestion.scope)

    def read(self, batch: Sequence[SelectedObject], files: Sequence[Any], others: int | None) -> int:
        """Land one batch: the rows that may stand stay in the landing's table, all others are counted and leave it.

        How many rows there were. `others` is the most that other batches have.
        """
        self.parser.others = others
        first = len(self.ingest_result.counts)
        numbered: dict[int, Any] = {}
        refused: dict[int, int] = {}
        for group in self.parser.groups(files):
            base = len(self.ingest_result.counts)
            self.ingest_result.counts += [ObjectCount(batch[index]) for index in group]
            numbered |= {base + offset: files[index] for offset, index in enumerate(group)}
            refused |= self.parser.stage(base, [files[index] for index in group])
        self._settle(first, numbered, refused)
        self._collect_undeclared_fields()
        return sum(count.read for count in self.ingest_result.counts[first:])

    def is_hopeless(self, later: int | None) -> bool:
        """Whether too many rows were rejected already, though there may be so many rows later; then nothing more is read."""
        if later is not None:
            rows = self.ingest_result.total("read") + later
            rejected = self.ingest_result.total("rejected")
            self.ingest_result.ended_early = rejected > self.job.source.reject_limit * rows and later > 0
        self.ingest_result.ended_early = self.ingest_result.ended_early or self.parser.ended_early
        return self.ingest_result.ended_early

    def _settle(self, first: int, files: Mapping[int, Any], refused: Mapping[int, int]) -> None:
        """Count what landed, and quarantine bad and misplaced rows."""
        counts = self.ingest_result.counts
        landed = self._look(first)
        for number in {*landed, *refused}:
            found = landed.get(number, _StagedBatch())
            counts[number].read = self.parser.counts.get(number, found.rows + refused.get(number, 0))
            counts[number].loaded, counts[number].filtered = found.loaded, found.filtered
        bad = {number for number, found in landed.items() if found.bad}
        misplaced = {number for number, found in landed.items() if self._is_misplaced(number, found)}
        for number in sorted({*bad, *misplaced, *(number for number, rows in refused.items() if rows)}):
            outside = self._outside(number) if number in misplaced else None
            out = self.parser.explain(number, files[number], counts[number].read, outside)
            counts[number].rejected = len(out)
            self.ingest_result.store(counts[number], out)
        if bad:
            self.staging_buffer.remove("_object < 0")
        for number in misplaced:
            self.staging_buffer.remove(f"_object = {number} AND {self._outside(number).condition}")
            left = self._look(number, number).get(number, _StagedBatch())
            counts[number].loaded, counts[number].filtered = left.loaded, left.filtered
        for number in {*landed, *refused}:
            if counts[number].rejected == self.parser.limit:  # of more rows, only so many are explained
                rows = landed.get(number, _StagedBatch()).rows + refused.get(number, 0)
                counts[number].rejected = rows - counts[number].loaded - counts[number].filtered

    def _collect_undeclared_fields(self) -> None:
        for number, undeclared_fields in self.parser.undeclared_fields.items():
            self.ingest_result.undeclared_fields.append(
                (self.ingest_result.counts[number].object.info.key, undeclared_fields)
            )
        self.parser.undeclared_fields.clear()

    def _look(self, first: int, last: int = sys.maxsize) -> dict[int, _StagedBatch]:
        """What landed of the objects with these numbers, by number, in one scan."""
        time = quote(self.table.event_time_column) if not self.table.unpartitioned else "NULL::TIMESTAMP"
        found = self.con.execute(
            f"SELECT _object, count(*), count(*) FILTER ({self.in_scope}), min({time}), max({time}) FROM {self.staging_buffer.rows}"
            f" WHERE _object BETWEEN {first} AND {last} OR _object BETWEEN {-1 - last} AND {-1 - first} GROUP BY 1"
        ).fetchall()
        bad = {-1 - mark: rows for mark, rows, *_ in found if mark < 0}
        good = {mark: facts for mark, *facts in found if mark >= 0}
        return {number: _StagedBatch(bad.get(number, 0), *good.get(number, ())) for number in {*bad, *good}}

    def _is_misplaced(self, number: int, found: _StagedBatch) -> bool:
        """Whether rows of the object have an event time that no load of it may take."""
        if found.first is None or found.last is None:
            return False
        bounds = self._bounds(number)
        return found.first < bounds.start or found.last >= bounds.end

    def _outside(self, number: int) -> Outside:
        bounds, time = self._bounds(number), quote(self.table.event_time_column)
        condition = (
            f"({time} < {timestamp_literal(bounds.start)} OR {time} >= {timestamp_literal(bounds.end)})"
        )
        return Outside(condition, lambda found: self._misplacement(number, found))

    def _bounds(self, number: int) -> MonthRange:
        return bounds_of(self.ingest_result.counts[number].object, self.job.months)

    def _misplacement(self, number: int, time: datetime) -> str:
        months, named = self.job.months, self.ingest_result.counts[number].object.months
        if Month.of(time) < months.first:
            return f"{time} is before the star's first month, {months.first}{self._hint(time)}"
        if Month.of(time) > months.last:
            return f"{time} is in the future{self._hint(time)}"
        return f"{time} is outside the months that the key names, {named}"

    def _hint(self, time: datetime) -> str:
        """What the moment would be in another unit, if that makes sense of it."""
        unit = self.table.column(self.table.event_time_column).unit
        count = (time - datetime(1970, 1, 1)) / timedelta(microseconds=1)
        for other, power in MICROSECONDS.items():
            if unit is not None and other != unit:
                seconds = count * 10.0 ** (power - MICROSECONDS[unit]) / 1e6
                if (
                    0 <= seconds < _YEAR_3000
                    and Month.of(datetime.fromtimestamp(seconds, UTC)) in self.job.months
                ):
                    return f"; in {other} it would be {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
        return ""

    def find_duplicate_keys(self) -> dict[int, int]:
        """See `find_duplicate_keys`."""
        self.ingest_result.superseded = None
        columns = [self.table.column(name) for name in self.table.key]
        if not columns:
            return {}
        unpartitioned = self.staging_buffer.gather()
        landed = f"(SELECT * FROM {unpartitioned} WHERE {self.in_scope}) AS landed"
        if unpartitioned == self.staging_buffer.rows and surely_unique(self.con, landed, columns):
            return {}
        return find_duplicate_keys(self.ingest_result, self.staging_buffer, landed)


class Queryable(Protocol):
    """Where landed rows can be asked."""

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query; its rows."""

    def note(self, name: str, select: str) -> None:
        """Make a temporary table of what a SELECT gives, in place of one of the same name."""


def find_duplicate_keys(ingest_result: IngestResult, asked: Queryable, landed: str) -> dict[int, int]:
    """Count the rows that lose to a newer one of their key, by number; their keys are in the table `superseded`.

    A key that stands in two months, or twice where the table has no `sequence_by`, is noted as doubled instead.
    """
    table = ingest_result.table
    key, duplicate_keys = names(table.key), quote(f"_doubled_{table.name}")
    month = "CAST(NULL AS TIMESTAMP)" if table.unpartitioned else month_of(table.event_time_column)
    asked.note(
        duplicate_keys,
        f"SELECT {key}, MIN({month}) AS _first, MAX({month}) AS _last FROM {landed} GROUP BY {key} HAVING COUNT(*) > 1",
    )
    refused = "_first <> _last" if table.sequence_by else "TRUE"
    found = asked.ask(f"SELECT * FROM {duplicate_keys} WHERE {refused} ORDER BY {key} LIMIT {MAX_NAMED_KEYS}")
    ingest_result.duplicate_keys = [
        DuplicateKey(tuple(values), None if first is None else (Month.of(first), Month.of(last)))
        for *values, first, last in found
    ]
    lost = _lost(table, asked, landed, duplicate_keys)
    ingest_result.superseded = duplicate_keys if lost else None
    return lost


def _lost(table: Table, asked: Queryable, landed: str, duplicate_keys: str) -> dict[int, int]:
    """How many rows of each object lose to a newer one."""
    key = names(table.key)
    order = ", ".join([*(f"{quote(name)} DESC NULLS LAST" for name in table.sequence_by), quote(OBJECT.name)])
    return dict(
        asked.ask(
            f"SELECT number, COUNT(*) FROM (SELECT {quote(OBJECT.name)} AS number,"
            f" ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {order}) AS n"
            f" FROM {landed} WHERE ({key}) IN (SELECT {key} FROM {duplicate_keys})) AS numbered WHERE n > 1 GROUP BY number"
        )
    )


def count_deduplicated(ingest_result: IngestResult, lost: Mapping[int, int]) -> None:
    """Count rows that lost to newer ones of their keys as deduplicated, by the numbers of their objects."""
    for number, rows in lost.items():
        ingest_result.counts[number].deduplicated = rows
        ingest_result.counts[number].loaded -= rows


def may_pass(source: Source) -> bool:
    """Whether rows of the source can do with a landing that they only pass through."""
    return _PARSERS[source.format].can_stream


_PARSERS: Mapping[str, type[Parser[Any]]] = {
    "csv": CsvParser,
    "json_lines": JsonLinesParser,
    "json": JsonParser,
    "parquet": ParquetParser,
}
_YEAR_3000 = 32_503_680_000
