"""Source objects into a staging table's slice: parse, quarantine, sort out other months, keep the newest of a key.
Every row of every object is accounted for; gates and what is made from the staging rows live elsewhere."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scx_pipeline.engine import csvfile
from scx_pipeline.engine.objects import Bucket, LocalFile
from scx_pipeline.engine.records import Found, Record, find_records, line_of, open_plain
from scx_pipeline.engine.select import SelectedObject, split_batches
from scx_pipeline.errors import SourceFileError
from scx_pipeline.spec import Column, Month, Source, Span, Table
from scx_pipeline.warehouse.base import Landing, in_span, moment, month_of, names, quote
from scx_pipeline.warehouse.duckdb import surely_unique

REMOTE_BATCH_BYTES = 512 << 20  # of objects fetched at a time: bounds the disk that a remote bucket takes
MAX_NAMED_KEYS = 5


@dataclass(frozen=True)
class Rejected:
    """A row that was not loaded: where it is, which column is wrong and why, and its raw text."""

    key: str
    line: int | None
    column: str | None
    reason: str
    raw: str


@dataclass
class ObjectCount:
    """What became of an object's rows: read = loaded + rejected + deduplicated + filtered."""

    object: SelectedObject
    read: int = 0
    loaded: int = 0
    rejected: int = 0
    deduplicated: int = 0
    filtered: int = 0  # rows of months outside the span

    @property
    def balanced(self) -> bool:
        return self.read == self.loaded + self.rejected + self.deduplicated + self.filtered


@dataclass(frozen=True)
class DoubledKey:
    """A key that stands in two months of the span."""

    key: tuple[object, ...]
    months: tuple[Month, Month]


@dataclass
class Ingested:
    """What an ingestion did, per object, and what it refused."""

    table: Table
    counts: list[ObjectCount] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    doubled: list[DoubledKey] = field(default_factory=list)
    superseded: str | None = (
        None  # the table, on the landing's connection, of the keys of which only the newest row stays
    )

    def total(self, name: str) -> int:
        """The sum of one of the counts over all objects."""
        return sum(getattr(count, name) for count in self.counts)


@dataclass(frozen=True)
class Ingestion:
    """Everything one staging table's load needs to know."""

    bucket: Bucket
    source: Source
    table: Table
    span: Span
    months: Span  # that the star may hold at all: rows outside are refused
    progress: Callable[[str], None] = lambda message: None

    def run(self, objects: Sequence[SelectedObject], landing: Landing) -> Ingested:
        """Read the objects, once each, into the landing; its `finish` is left to do.

        Raises SourceFileError where a file cannot be read as declared, and BucketError where it cannot be fetched.
        """
        ingested = Ingested(self.table)
        reader = _Reader(self, landing, ingested)
        batches = split_batches(objects, self._batch_bytes(landing))
        done, total = 0, sum(item.info.size for item in objects)
        with self.bucket.fetch([[item.info for item in batch] for batch in batches]) as fetched:
            for batch, files in zip(batches, fetched, strict=True):
                reader.read(batch, files)
                landing.flush()
                done += sum(item.info.size for item in batch)
                self.progress(
                    f"read {len(ingested.counts):,} of {len(objects):,} objects, {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
                )
        ingested.superseded = reader.find_doubled()
        return ingested

    def _batch_bytes(self, landing: Landing) -> int:
        remote = REMOTE_BATCH_BYTES if self.bucket.folder is None else sys.maxsize
        return min(remote, landing.batch_bytes or sys.maxsize)


class _Reader:
    """Parses batches into the landing, and keeps the keys of all of them in the table `_keys`."""

    def __init__(self, ingestion: Ingestion, landing: Landing, ingested: Ingested) -> None:
        self.job, self.landing, self.ingested = ingestion, landing, ingested
        self.con, self.table = landing.con, ingestion.table
        self.scans = 0
        table = self.table
        kept = dict.fromkeys((*table.key, *table.latest_by, table.event_time))
        self.key_columns = tuple(kept)
        types = [f"{quote(name)} {_duckdb_type(table.column(name))}" for name in self.key_columns]
        self.con.execute(f"CREATE OR REPLACE TEMPORARY TABLE _keys ({', '.join(types)}, _object INTEGER)")

    def read(self, batch: Sequence[SelectedObject], files: Sequence[LocalFile]) -> None:
        """Land one batch: the rows that may stand stay in the landing's table, all others are counted and leave it."""
        first = len(self.ingested.counts)
        paths: dict[int, LocalFile] = {}
        refused: dict[int, set[int]] = {}
        reasons: dict[tuple[int, int], tuple[str | None, str, str]] = {}
        for header, members in self._by_header(batch, files).items():
            base = len(self.ingested.counts)
            for offset, (item, file) in enumerate(members):
                self.ingested.counts.append(ObjectCount(item))
                paths[base + offset] = file
            if header is not None:
                self._scan(header, base, [file for _, file in members], refused, reasons)
        self._settle(first, paths, refused, reasons)

    def _by_header(
        self, batch: Sequence[SelectedObject], files: Sequence[LocalFile]
    ) -> dict[tuple[csvfile.Header, str] | None, list[tuple[SelectedObject, LocalFile]]]:
        groups: dict[tuple[csvfile.Header, str] | None, list[tuple[SelectedObject, LocalFile]]] = {}
        for item, file in zip(batch, files, strict=True):
            _check_compressed(file, self._uri(item))
            header = csvfile.read_header(file, self._uri(item), self.table)
            group = (header, file.path.suffix) if header else None
            groups.setdefault(group, []).append((item, file))
        return groups

    def _scan(
        self,
        header: tuple[csvfile.Header, str],
        base: int,
        files: Sequence[LocalFile],
        refused: dict[int, set[int]],
        reasons: dict[tuple[int, int], tuple[str | None, str, str]],
    ) -> None:
        """Parse files of the same header in one scan; what the parser refuses is noted by its position."""
        import duckdb

        self.scans += 1
        rejects = f"_rejects{self.scans}"
        columns = self.table.columns
        values = names([column.name for column in columns])
        bad = " OR ".join(condition for condition, _, _ in csvfile.violations(columns)) or "FALSE"
        # A bad row keeps its place, marked by a negative object number, so that its record can be found by counting.
        number = (
            f"CASE WHEN {bad} THEN -1 - ({base} + file_index::INTEGER) ELSE {base} + file_index::INTEGER END"
        )
        rows = csvfile.typed_rows(csvfile.scan(files, header[0], rejects), columns, "file_index")
        try:
            self.con.execute(f"INSERT INTO {self.landing.rows} SELECT {values}, {number} FROM ({rows})")
        except duckdb.Error as error:
            raise self._unreadable(error, base, files) from error
        # A record has an error for each value that it lacks: the first one tells how many it has, and the others hide
        # nothing, since what makes a whole file doubtful comes before them.
        first = "error_type::VARCHAR IN ('MISSING COLUMNS', 'TOO MANY COLUMNS'), column_idx"
        for index, position, column, kind, message, raw in self.con.execute(
            "SELECT DISTINCT ON (file_id, line_byte_position) file_id, line_byte_position - 1, column_name,"
            f" error_type::VARCHAR, error_message, csv_line FROM {rejects} ORDER BY file_id, line_byte_position, {first}"
        ).fetchall():
            reason = self._refusal(kind, message, raw or "", base + index, files[index], position)
            refused.setdefault(base + index, set()).add(position)
            # A value that is missing has no column of its own to blame.
            blamed = column if kind == "UNQUOTED VALUE" else None
            reasons[base + index, position] = (blamed, reason, raw or "")
        self.con.execute(f"DROP TABLE {rejects}; DROP TABLE {rejects}_scan")

    def _settle(
        self,
        first: int,
        paths: dict[int, LocalFile],
        refused: dict[int, set[int]],
        reasons: dict[tuple[int, int], tuple[str | None, str, str]],
    ) -> None:
        """Count what landed, quarantine bad and misplaced rows, and note the keys of those that stay."""
        rows = self.landing.rows
        bad = self._count_parsed(first, refused)
        misplaced = self._find_misplaced(first)
        for number in sorted({*bad, *misplaced, *refused}):
            self._quarantine(
                number,
                paths[number],
                bad.get(number, []),
                misplaced.get(number, {}),
                refused.get(number, set()),
                reasons,
            )
        if bad:
            self.con.execute(f"DELETE FROM {rows} WHERE _object < 0")
        time, inside = quote(self.table.event_time), in_span(self.table.event_time, self.job.span)
        for number in misplaced:
            bounds = self._bounds(number)
            self.con.execute(
                f"DELETE FROM {rows} WHERE _object = {number} AND ({time} < {moment(bounds.start)} OR {time} >= {moment(bounds.end)})"
            )
        for number, loaded, filtered in self.con.execute(
            f"SELECT _object, count(*) FILTER ({inside}), count(*) FILTER (NOT {inside}) FROM {rows} WHERE _object >= {first} GROUP BY 1"
        ).fetchall():
            self.ingested.counts[number].loaded, self.ingested.counts[number].filtered = loaded, filtered
        if self.table.key:
            self.con.execute(
                f"INSERT INTO _keys SELECT {names(self.key_columns)}, _object FROM {rows} WHERE _object >= {first} AND {inside}"
            )

    def _count_parsed(self, first: int, refused: dict[int, set[int]]) -> dict[int, list[int]]:
        """Set how many rows each object has; of the bad ones, their numbers among the object's parsed rows."""
        number = "CASE WHEN _object < 0 THEN -1 - _object ELSE _object END"
        parsed = self.con.execute(
            f"SELECT {number} AS n, count(*), count(*) FILTER (_object < 0), min(rowid) FROM {self.landing.rows}"
            f" WHERE _object >= {first} OR _object <= {-1 - first} GROUP BY n"
        ).fetchall()
        for index in range(first, len(self.ingested.counts)):
            self.ingested.counts[index].read = len(refused.get(index, ()))
        starts = {}
        for index, count, bad, start in parsed:
            self.ingested.counts[index].read += count
            if bad:
                starts[index] = start
        found: dict[int, list[int]] = {}
        if starts:
            for index, row in self.con.execute(
                f"SELECT -1 - _object, rowid FROM {self.landing.rows} WHERE _object <= {-1 - first}"
            ).fetchall():
                found.setdefault(index, []).append(row - starts[index])
        return found

    def _find_misplaced(self, first: int) -> dict[int, dict[int, datetime]]:
        """Rows whose event time no load of their object may take: {object: {number among its parsed rows: time}}."""
        time, rows = quote(self.table.event_time), self.landing.rows
        found: dict[int, dict[int, datetime]] = {}
        for number, low, high in self.con.execute(
            f"SELECT _object, min({time}), max({time}) FROM {rows} WHERE _object >= {first} GROUP BY 1"
        ).fetchall():
            bounds = self._bounds(number)
            if low >= bounds.start and high < bounds.end:
                continue
            found[number] = dict(
                self.con.execute(
                    f"SELECT rowid - (SELECT min(rowid) FROM {rows} WHERE _object IN ({number}, {-1 - number})), {time} FROM {rows}"
                    f" WHERE _object = {number} AND ({time} < {moment(bounds.start)} OR {time} >= {moment(bounds.end)})"
                ).fetchall()
            )
        return found

    def _bounds(self, number: int) -> Span:
        """The months that rows of the object may belong to."""
        named, months = self.ingested.counts[number].object.months, self.job.months
        if named is None:
            return months
        first, last = max(named.first, months.first), min(named.last, months.last)
        return Span(first, last) if first <= last else Span(named.first, named.first)

    def _quarantine(
        self,
        number: int,
        file: LocalFile,
        bad: list[int],
        misplaced: dict[int, datetime],
        refused: set[int],
        reasons: dict[tuple[int, int], tuple[str | None, str, str]],
    ) -> None:
        """Keep the object's bad rows with line, column, reason and raw text."""
        count = self.ingested.counts[number]
        found = find_records(file.path, [*bad, *misplaced], refused, count.read)
        told = self._explain(found, bad)
        rejected = [self._rejected(count, found.parsed.get(row), *told.get(row, _UNKNOWN)) for row in bad]
        rejected += [
            self._rejected(
                count, found.parsed.get(row), self.table.event_time, self._misplacement(number, time)
            )
            for row, time in misplaced.items()
        ]
        for position in refused:
            column, reason, raw = reasons[number, position]
            record = found.refused.get(position)
            rejected.append(self._rejected(count, record, column, reason, raw))
        count.rejected = len(rejected)
        self.ingested.rejected += sorted(rejected, key=lambda row: row.line or 0)

    @staticmethod
    def _rejected(
        count: ObjectCount, record: Record | None, column: str | None, reason: str, raw: str = ""
    ) -> Rejected:
        text = record.raw if record else raw.strip("\r\n")
        return Rejected(
            count.object.info.key, record.line if record else None, column, reason, text.replace("\0", "\\0")
        )

    def _explain(self, found: Found, bad: Sequence[int]) -> dict[int, tuple[str | None, str]]:
        """Which column of a bad row is wrong and why: the same conditions that refused it, one by one."""
        records = {row: found.parsed[row] for row in bad if row in found.parsed}
        if not records:
            return {}
        header = found.header
        values: dict[str, list[Any]] = {name: [] for name in header} | {"_n": list(records)}
        for record in records.values():
            fields = record.fields() + [""] * len(header)
            for name, value in zip(header, fields, strict=False):
                values[name].append(value or None)
        source = ", ".join(
            f"unnest(?::{'INTEGER' if name == '_n' else 'VARCHAR'}[]) AS {quote(name)}" for name in values
        )
        rules = csvfile.violations(self.table.columns)
        whens = " ".join(f"WHEN {condition} THEN {index}" for index, (condition, _, _) in enumerate(rules))
        texts = {column.name: csvfile.text_of(column) for column in self.table.columns}
        shown = " ".join(
            f"WHEN {index} THEN left({texts[column]}, 80)" for index, (_, column, _) in enumerate(rules)
        )
        rows = csvfile.typed_rows(f"(SELECT {source})", self.table.columns, "_n")
        explained = self.con.execute(
            f"SELECT _n, rule, CASE rule {shown} END FROM (SELECT *, CASE {whens} END AS rule FROM ({rows})) WHERE rule IS NOT NULL",
            list(values.values()),
        ).fetchall()
        return {
            row: (rules[rule][1], f"{value!r} {rules[rule][2]}" if value is not None else rules[rule][2])
            for row, rule, value in explained
        }

    def _misplacement(self, number: int, time: datetime) -> str:
        months, named = self.job.months, self.ingested.counts[number].object.months
        if Month.of(time) < months.first:
            return f"{time} is before the star's first month, {months.first}"
        if Month.of(time) > months.last:
            return f"{time} is in the future"
        return f"{time} is outside the months that the key names, {named}"

    def find_doubled(self) -> str | None:
        """Count the rows that lose to a newer one of their key; the table of those keys, None where there are none.

        A key that stands in two months, or twice where the table has no `latest_by`, is noted as doubled instead.
        """
        columns = [self.table.column(name) for name in self.table.key]
        if not columns or surely_unique(self.con, "_keys", columns):
            return None
        key, month = names(self.table.key), month_of(self.table.event_time)
        self.con.execute(
            f"CREATE OR REPLACE TEMPORARY TABLE _doubled AS SELECT {key}, min({month}) AS _first, max({month}) AS _last"
            f" FROM _keys GROUP BY {key} HAVING count(*) > 1"
        )
        refused = "_first <> _last" if self.table.latest_by else "TRUE"
        for *values, first, last in self.con.execute(
            f"SELECT {key}, _first, _last FROM _doubled WHERE {refused} ORDER BY ALL LIMIT {MAX_NAMED_KEYS}"
        ).fetchall():
            self.ingested.doubled.append(DoubledKey(tuple(values), (Month.of(first), Month.of(last))))
        order = ", ".join(f"{quote(name)} DESC NULLS LAST" for name in self.table.latest_by)
        for number, lost in self.con.execute(
            f"SELECT _object, count(*) FROM (SELECT _object, row_number() OVER (PARTITION BY {key} ORDER BY {order + ', ' if order else ''}_object) AS n"
            f" FROM _keys SEMI JOIN _doubled USING ({key})) WHERE n > 1 GROUP BY 1"
        ).fetchall():
            self.ingested.counts[number].deduplicated = lost
            self.ingested.counts[number].loaded -= lost
        return "_doubled" if self.ingested.total("deduplicated") else None

    def _refusal(self, kind: str, message: str, raw: str, number: int, file: LocalFile, position: int) -> str:
        """The reason of a record that the parser refused; SourceFileError where it makes the whole file doubtful."""
        uri = self._uri(self.ingested.counts[number].object)
        if kind == "INVALID ENCODING":
            raise SourceFileError(
                f"{uri}, line {_line(file, position)}: not UTF-8; convert the file to UTF-8 and upload it again"
            )
        if kind == "UNQUOTED VALUE" and _spans_lines(raw):
            raise SourceFileError(
                f"{uri}, line {_line(file, position)}: a quote is opened and never closed; mend the file"
            )
        if kind == "LINE SIZE OVER MAXIMUM":
            raise SourceFileError(
                f"{uri}, line {_line(file, position)}: the record is longer than {csvfile.MAX_RECORD_BYTES:,} bytes; mend the file"
            )
        if kind in ("MISSING COLUMNS", "TOO MANY COLUMNS"):
            found = message.rsplit("Found:", 1)[-1].strip()
            return f"has {found} values, the header {message.split('Columns:')[-1].split()[0]}"
        if kind == "UNQUOTED VALUE":
            return (
                "has a quote that is never closed"
                if raw.count('"') % 2
                else "has text between a closing quote and the next comma"
            )
        return message.strip()

    def _unreadable(self, error: Exception, base: int, files: Sequence[LocalFile]) -> Exception:
        """A clear error where the parser's message is about a file, else the parser's error itself."""
        text = str(error)
        for offset, file in enumerate(files):
            if str(file.path) in text:
                uri = self._uri(self.ingested.counts[base + offset].object)
                if "GZIP" in text or "zstd" in text.lower() or "frame" in text:
                    return SourceFileError(
                        f"{uri}: the compressed file is damaged or cut off; upload it again"
                    )
                if "state machine" in text:
                    return SourceFileError(
                        f"{uri}: the file mixes line endings; write all of them as \\n or all as \\r\\n"
                    )
                return SourceFileError(
                    f"{uri}: {text.splitlines()[0].replace(str(file.path), file.object.key)}"
                )
        if any(file.path.suffix for file in files) and ("GZIP" in text or "frame" in text.lower()):
            keys = ", ".join(file.object.key for file in files[:3])
            return SourceFileError(f"a compressed file among {keys} is damaged or cut off; upload it again")
        return error

    def _uri(self, item: SelectedObject) -> str:
        return self.job.bucket.uri(item.info.key)


_UNKNOWN = (None, "a value is not of its column's type")


def _check_compressed(file: LocalFile, uri: str) -> None:
    """Read a compressed file to its end: DuckDB takes a zstd file that was cut off, or a wrong gzip checksum, as it is."""
    if not file.path.suffix:
        return
    try:
        with open_plain(file.path) as stream:
            while stream.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise SourceFileError(
            f"{uri}: the compressed file is damaged or cut off ({error}); upload it again"
        ) from None


def _spans_lines(raw: str) -> bool:
    """Whether a quote swallowed the lines after it; the parser says no more of it than of text after a closing quote."""
    return not raw or any(end in raw.strip("\r\n") for end in "\r\n")


def _line(file: LocalFile, position: int) -> int:
    return line_of(file.path, [position])[position]


def _duckdb_type(column: Column) -> str:
    return "VARCHAR" if column.max_bytes is not None else column.type.upper()
