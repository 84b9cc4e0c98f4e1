"""Source objects into a staging table's slice: parse, quarantine, sort out other months, keep the newest of a key.
Every row of every object is accounted for; gates and what is made from the staging rows live elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from scx_pipeline.history.ingest_result import DoubledKey, Ingested, ObjectCount, bounds_of
from scx_pipeline.loading.progress import Pace
from scx_pipeline.loading.server_copy import ObjectCopies
from scx_pipeline.model.star import Month, Source, Span, Table
from scx_pipeline.parsing.csv.csv_parser import CsvParser
from scx_pipeline.parsing.json.json_parser import JsonLinesParser, JsonParser
from scx_pipeline.parsing.parquet.parquet_parser import ParquetParser
from scx_pipeline.parsing.parser import Outside, Parser
from scx_pipeline.parsing.values import MICROSECONDS
from scx_pipeline.planning.selection import SelectedObject, split_batches
from scx_pipeline.storage.bucket import Bucket, ObjectInfo, suffix_of
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import surely_unique
from scx_pipeline.warehouse.protocol import OBJECT, Landing, inside, moment, month_of, names, quote

REMOTE_BATCH_BYTES = 512 << 20  # of objects fetched at a time: bounds the disk that a remote bucket takes
DOCUMENTS, DOCUMENTS_BYTES = 20_000, 64 << 20  # brought to memory at a time, and as many again ahead
MAX_NAMED_KEYS = 5


@dataclass(frozen=True)
class Ingestion:
    """Everything one staging table's load needs to know."""

    bucket: Bucket
    source: Source
    table: Table
    span: Span | None  # None: the table has no months
    months: Span  # that the star may hold at all: rows outside are refused
    batch_files: int = 0  # read at a time; 0: as many as suits the landing
    # The keys and ETags of objects that had bad rows the last time.
    rejecting: Callable[[], Collection[tuple[str, str]]] = lambda: ()
    inspect: Callable[[Landing], None] = lambda landing: None  # called with each batch before its flush
    progress: Callable[[str], None] = lambda message: None

    def run(self, objects: Sequence[SelectedObject], landing: Landing) -> Ingested:
        """Read the objects, once each, into the landing; its `finish` is left to do.

        Raises SourceFileError where a file cannot be read as declared, and BucketError where it cannot be fetched.
        """
        ingested = Ingested(self.table)
        reader = _Reader(self, landing, ingested)
        copies = ObjectCopies(self, landing.reader, ingested)
        left = copies.run(objects)
        while True:
            self._parse(left, reader, landing)
            lost = reader.find_doubled()
            left = copies.take_back(lost)
            if not left:
                break
        take_lost(ingested, lost)
        ingested.counts = [
            count for number, count in enumerate(ingested.counts) if number not in copies.dropped
        ]
        return ingested

    def _parse(self, objects: Sequence[SelectedObject], reader: _Reader, landing: Landing) -> None:
        documents = self.source.format == "json"
        files_at_once = self.batch_files or landing.batch_files
        limits = (DOCUMENTS_BYTES, DOCUMENTS) if documents else (self._batch_bytes(landing), files_at_once)
        batches = split_batches(objects, *limits)
        pace = Pace(len(objects), sum(item.info.size for item in objects), self.progress)
        files_read = rows = size = 0
        bring: Any = self.bucket.read if documents else self.bucket.fetch
        with bring([[item.info for item in batch] for batch in batches]) as fetched:
            for number, (batch, files) in enumerate(zip(batches, fetched, strict=True), start=1):
                later = self._most_rows([item for part in batches[number:] for item in part])
                rows += reader.read(batch, files, None if later is None else rows + later)
                if reader.is_hopeless(later):
                    break
                self.inspect(landing)
                landing.flush()
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

    def _batch_bytes(self, landing: Landing) -> int:
        remote = REMOTE_BATCH_BYTES if self.bucket.folder is None else sys.maxsize
        return min(remote, landing.batch_bytes or sys.maxsize)


@dataclass(frozen=True)
class _Landed:
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

    def __init__(self, ingestion: Ingestion, landing: Landing, ingested: Ingested) -> None:
        self.job, self.landing, self.ingested = ingestion, landing, ingested
        self.con, self.table = landing.con, ingestion.table
        parser = _PARSERS[ingestion.source.format]
        self.parser: Parser[Any] = parser(ingestion.source, ingestion.table, landing, ingestion.uri)
        self.inside = inside(self.table, ingestion.span)

    def read(self, batch: Sequence[SelectedObject], files: Sequence[Any], others: int | None) -> int:
        """Land one batch: the rows that may stand stay in the landing's table, all others are counted and leave it.

        How many rows there were. `others` is the most that other batches have.
        """
        self.parser.others = others
        first = len(self.ingested.counts)
        numbered: dict[int, Any] = {}
        refused: dict[int, int] = {}
        for group in self.parser.groups(files):
            base = len(self.ingested.counts)
            self.ingested.counts += [ObjectCount(batch[index]) for index in group]
            numbered |= {base + offset: files[index] for offset, index in enumerate(group)}
            refused |= self.parser.land(base, [files[index] for index in group])
        self._settle(first, numbered, refused)
        self._take_strangers()
        return sum(count.read for count in self.ingested.counts[first:])

    def is_hopeless(self, later: int | None) -> bool:
        """Whether too many rows were rejected already, though there may be so many rows later; then nothing more is read."""
        if later is not None:
            rows = self.ingested.total("read") + later
            rejected = self.ingested.total("rejected")
            self.ingested.ended_early = rejected > self.job.source.reject_limit * rows and later > 0
        self.ingested.ended_early = self.ingested.ended_early or self.parser.ended_early
        return self.ingested.ended_early

    def _settle(self, first: int, files: Mapping[int, Any], refused: Mapping[int, int]) -> None:
        """Count what landed, and quarantine bad and misplaced rows."""
        counts = self.ingested.counts
        landed = self._look(first)
        for number in {*landed, *refused}:
            found = landed.get(number, _Landed())
            counts[number].read = self.parser.counts.get(number, found.rows + refused.get(number, 0))
            counts[number].loaded, counts[number].filtered = found.loaded, found.filtered
        bad = {number for number, found in landed.items() if found.bad}
        misplaced = {number for number, found in landed.items() if self._is_misplaced(number, found)}
        for number in sorted({*bad, *misplaced, *(number for number, rows in refused.items() if rows)}):
            outside = self._outside(number) if number in misplaced else None
            out = self.parser.explain(number, files[number], counts[number].read, outside)
            counts[number].rejected = len(out)
            self.ingested.store(counts[number], out)
        if bad:
            self.landing.remove("_object < 0")
        for number in misplaced:
            self.landing.remove(f"_object = {number} AND {self._outside(number).condition}")
            left = self._look(number, number).get(number, _Landed())
            counts[number].loaded, counts[number].filtered = left.loaded, left.filtered
        for number in {*landed, *refused}:
            if counts[number].rejected == self.parser.limit:  # of more rows, only so many are explained
                rows = landed.get(number, _Landed()).rows + refused.get(number, 0)
                counts[number].rejected = rows - counts[number].loaded - counts[number].filtered

    def _take_strangers(self) -> None:
        for number, strangers in self.parser.strangers.items():
            self.ingested.strangers.append((self.ingested.counts[number].object.info.key, strangers))
        self.parser.strangers.clear()

    def _look(self, first: int, last: int = sys.maxsize) -> dict[int, _Landed]:
        """What landed of the objects with these numbers, by number, in one scan."""
        time = quote(self.table.moment) if not self.table.whole else "NULL::TIMESTAMP"
        found = self.con.execute(
            f"SELECT _object, count(*), count(*) FILTER ({self.inside}), min({time}), max({time}) FROM {self.landing.rows}"
            f" WHERE _object BETWEEN {first} AND {last} OR _object BETWEEN {-1 - last} AND {-1 - first} GROUP BY 1"
        ).fetchall()
        bad = {-1 - mark: rows for mark, rows, *_ in found if mark < 0}
        good = {mark: facts for mark, *facts in found if mark >= 0}
        return {number: _Landed(bad.get(number, 0), *good.get(number, ())) for number in {*bad, *good}}

    def _is_misplaced(self, number: int, found: _Landed) -> bool:
        """Whether rows of the object have an event time that no load of it may take."""
        if found.first is None or found.last is None:
            return False
        bounds = self._bounds(number)
        return found.first < bounds.start or found.last >= bounds.end

    def _outside(self, number: int) -> Outside:
        bounds, time = self._bounds(number), quote(self.table.moment)
        condition = f"({time} < {moment(bounds.start)} OR {time} >= {moment(bounds.end)})"
        return Outside(condition, lambda found: self._misplacement(number, found))

    def _bounds(self, number: int) -> Span:
        return bounds_of(self.ingested.counts[number].object, self.job.months)

    def _misplacement(self, number: int, time: datetime) -> str:
        months, named = self.job.months, self.ingested.counts[number].object.months
        if Month.of(time) < months.first:
            return f"{time} is before the star's first month, {months.first}{self._hint(time)}"
        if Month.of(time) > months.last:
            return f"{time} is in the future{self._hint(time)}"
        return f"{time} is outside the months that the key names, {named}"

    def _hint(self, time: datetime) -> str:
        """What the moment would be in another unit, if that makes sense of it."""
        unit = self.table.column(self.table.moment).unit
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

    def find_doubled(self) -> dict[int, int]:
        """See `find_doubled`."""
        self.ingested.superseded = None
        columns = [self.table.column(name) for name in self.table.key]
        if not columns:
            return {}
        whole = self.landing.gather()
        landed = f"(SELECT * FROM {whole} WHERE {self.inside}) AS landed"
        if whole == self.landing.rows and surely_unique(self.con, landed, columns):
            return {}
        return find_doubled(self.ingested, self.landing, landed)


class Asked(Protocol):
    """Where landed rows can be asked."""

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query; its rows."""

    def note(self, name: str, select: str) -> None:
        """Make a temporary table of what a SELECT gives, in place of one of the same name."""


def find_doubled(ingested: Ingested, asked: Asked, landed: str) -> dict[int, int]:
    """Count the rows that lose to a newer one of their key, by number; their keys are in the table `superseded`.

    A key that stands in two months, or twice where the table has no `latest_by`, is noted as doubled instead.
    """
    table = ingested.table
    key, doubled = names(table.key), quote(f"_doubled_{table.name}")
    month = "CAST(NULL AS TIMESTAMP)" if table.whole else month_of(table.moment)
    asked.note(
        doubled,
        f"SELECT {key}, MIN({month}) AS _first, MAX({month}) AS _last FROM {landed} GROUP BY {key} HAVING COUNT(*) > 1",
    )
    refused = "_first <> _last" if table.latest_by else "TRUE"
    found = asked.ask(f"SELECT * FROM {doubled} WHERE {refused} ORDER BY {key} LIMIT {MAX_NAMED_KEYS}")
    ingested.doubled = [
        DoubledKey(tuple(values), None if first is None else (Month.of(first), Month.of(last)))
        for *values, first, last in found
    ]
    lost = _lost(table, asked, landed, doubled)
    ingested.superseded = doubled if lost else None
    return lost


def _lost(table: Table, asked: Asked, landed: str, doubled: str) -> dict[int, int]:
    """How many rows of each object lose to a newer one."""
    key = names(table.key)
    order = ", ".join([*(f"{quote(name)} DESC NULLS LAST" for name in table.latest_by), quote(OBJECT.name)])
    return dict(
        asked.ask(
            f"SELECT number, COUNT(*) FROM (SELECT {quote(OBJECT.name)} AS number,"
            f" ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {order}) AS n"
            f" FROM {landed} WHERE ({key}) IN (SELECT {key} FROM {doubled})) AS numbered WHERE n > 1 GROUP BY number"
        )
    )


def take_lost(ingested: Ingested, lost: Mapping[int, int]) -> None:
    """Count rows that lost to newer ones of their keys as deduplicated, by the numbers of their objects."""
    for number, rows in lost.items():
        ingested.counts[number].deduplicated = rows
        ingested.counts[number].loaded -= rows


def may_pass(source: Source) -> bool:
    """Whether rows of the source can do with a landing that they only pass through."""
    return _PARSERS[source.format].passing


_PARSERS: Mapping[str, type[Parser[Any]]] = {
    "csv": CsvParser,
    "json_lines": JsonLinesParser,
    "json": JsonParser,
    "parquet": ParquetParser,
}
_YEAR_3000 = 32_503_680_000
