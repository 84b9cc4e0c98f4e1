"""CSV files into a landing, and the bad records of a file with line, column, reason and raw text.
What a header must be is in `csvfile`, how texts are typed in `values`, where a record stands in `records`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from scx_pipeline.engine import csvfile, values
from scx_pipeline.engine.objects import LocalFile
from scx_pipeline.engine.parsing import (
    UNKNOWN_REASON,
    Outside,
    Parser,
    Refused,
    Strangers,
    check_compressed,
    marked,
)
from scx_pipeline.engine.records import Found, Record, find_records, line_of
from scx_pipeline.errors import SourceFileError
from scx_pipeline.warehouse.base import names, quote


class CsvParser(Parser[LocalFile]):
    """Reads CSV files with a header; those with the same header are read by one scan."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.scans = 0
        self.headers: dict[str, csvfile.Header | None] = {}  # by path
        # Records that DuckDB refused, by the number of their file: position → column, reason, raw text.
        self.refused: dict[int, dict[int, tuple[str | None, str, str]]] = {}

    def groups(self, files: Sequence[LocalFile]) -> Sequence[Sequence[int]]:
        groups: dict[object, list[int]] = {}
        self.headers.clear()
        for index, file in enumerate(files):
            check_compressed(file, self.uri(file.object))
            header = csvfile.read_header(file, self.uri(file.object), self.table)
            self.headers[str(file.path)] = header
            groups.setdefault((header, file.suffix) if header else None, []).append(index)
        return list(groups.values())

    def land(self, first: int, files: Sequence[LocalFile]) -> Mapping[int, int]:
        header = self.headers[str(files[0].path)]
        if header is None:  # files without any content
            return {}
        self._note_strangers(first, files, header)
        self.scans += 1
        rejects = f"_rejects{self.scans}"
        self._insert(csvfile.scan(files, header, rejects), first, files)
        self._collect(rejects, first, files)
        self.con.execute(f"DROP TABLE {rejects}; DROP TABLE {rejects}_scan")
        return {number: len(found) for number, found in self.refused.items() if number >= first}

    def _note_strangers(self, first: int, files: Sequence[LocalFile], header: csvfile.Header) -> None:
        unknown = tuple(name for name in header.columns if name not in self.table.column_names)
        if unknown:
            self.strangers |= {first + index: Strangers(unknown) for index in range(len(files))}

    def _insert(self, scan: str, first: int, files: Sequence[LocalFile]) -> None:
        import duckdb

        columns = self.table.columns
        # A bad row keeps its place, marked by a negative object number, so that its record can be found by counting.
        number = marked(values.violations(columns), f"{first} + file_index::INTEGER")
        rows = values.typed_rows(scan, columns, "file_index", self.source.null_texts)
        try:
            self.landing.add(f"SELECT {names(self.table.column_names)}, {number} FROM ({rows})")
        except duckdb.Error as error:
            raise self._unreadable(error, files) from error

    def _collect(self, rejects: str, base: int, files: Sequence[LocalFile]) -> None:
        """Note what the scan refused."""
        # A record has an error for each value that it lacks: the first one tells how many it has, and the others hide
        # nothing, since what makes a whole file doubtful comes before them.
        first = "error_type::VARCHAR IN ('MISSING COLUMNS', 'TOO MANY COLUMNS'), column_idx"
        for index, position, column, kind, message, raw in self.con.execute(
            "SELECT DISTINCT ON (file_id, line_byte_position) file_id, line_byte_position - 1, column_name,"
            f" error_type::VARCHAR, error_message, csv_line FROM {rejects} ORDER BY file_id, line_byte_position, {first}"
        ).fetchall():
            reason = self._refusal(kind, message, raw or "", files[index], position)
            # A value that is missing has no column of its own to blame.
            blamed = column if kind == "UNQUOTED VALUE" else None
            self.refused.setdefault(base + index, {})[position] = (blamed, reason, raw or "")

    def explain(self, number: int, file: LocalFile, records: int, outside: Outside | None) -> list[Refused]:
        bad = [row for row, _ in self._places(number, "_object < 0")]
        misplaced = dict(self._places(number, f"_object >= 0 AND {outside.condition}")) if outside else {}
        refused = self.refused.get(number, {})
        found = find_records(file.path, [*bad, *misplaced], refused, records)
        told = self._explain(found, bad)
        rows = [_refused(found.parsed.get(row), *told.get(row, (None, UNKNOWN_REASON))) for row in bad]
        for row, time in misplaced.items():
            assert outside is not None
            rows.append(_refused(found.parsed.get(row), self.table.moment, outside.tell(time)))
        for position, (column, reason, raw) in refused.items():
            rows.append(_refused(found.refused.get(position), column, reason, raw))
        return rows

    def _places(self, number: int, condition: str) -> list[tuple[int, datetime]]:
        """The rows of a file that meet a condition: their number among its parsed ones, and a good one's event time."""
        rows = self.landing.rows
        time = (
            f"CASE WHEN _object >= 0 THEN {quote(self.table.event_time)} END"
            if self.table.event_time
            else "NULL"
        )
        of_file = f"_object IN ({number}, {-1 - number})"
        return self.con.execute(
            f"SELECT rowid - (SELECT min(rowid) FROM {rows} WHERE {of_file}), {time} FROM {rows} WHERE {of_file} AND {condition}"
        ).fetchall()

    def _explain(self, found: Found, bad: Sequence[int]) -> dict[int, tuple[str | None, str]]:
        """Which column of a bad row is wrong and why: the same conditions that refused it, one by one."""
        records = {row: found.parsed[row] for row in bad if row in found.parsed}
        if not records:
            return {}
        header = found.header
        texts: dict[str, list[Any]] = {name: [] for name in header} | {"_n": list(records)}
        for record in records.values():
            fields = record.fields() + [""] * len(header)
            for name, value in zip(header, fields, strict=False):
                texts[name].append(value or None)
        source = ", ".join(
            f"unnest(?::{'INTEGER' if name == '_n' else 'VARCHAR'}[]) AS {quote(name)}" for name in texts
        )
        rules = values.violations(self.table.columns)
        rows = values.typed_rows(f"(SELECT {source})", self.table.columns, "_n", self.source.null_texts)
        explained = self.con.execute(
            values.first_violations(rows, self.table.columns, rules, "_n"), list(texts.values())
        ).fetchall()
        return {row: (rules[rule][1], values.told(rules[rule][2], value)) for row, rule, value in explained}

    def _refusal(self, kind: str, message: str, raw: str, file: LocalFile, position: int) -> str:
        """The reason of a record that the parser refused; SourceFileError where it makes the whole file doubtful."""
        uri = self.uri(file.object)
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

    def _unreadable(self, error: Exception, files: Sequence[LocalFile]) -> Exception:
        """A clear error where the parser's message is about a file, else the parser's error itself."""
        text = str(error)
        for file in files:
            if str(file.path) in text:
                uri = self.uri(file.object)
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
        if any(file.suffix for file in files) and ("GZIP" in text or "frame" in text.lower()):
            keys = ", ".join(file.object.key for file in files[:3])
            return SourceFileError(f"a compressed file among {keys} is damaged or cut off; upload it again")
        return error


def _refused(record: Record | None, column: str | None, reason: str, raw: str = "") -> Refused:
    return Refused(
        record.line if record else None, column, reason, record.raw if record else raw.strip("\r\n")
    )


def _spans_lines(raw: str) -> bool:
    """Whether a quote swallowed the lines after it; the parser says no more of it than of text after a closing quote."""
    return not raw or any(end in raw.strip("\r\n") for end in "\r\n")


def _line(file: LocalFile, position: int) -> int:
    return line_of(file.path, [position])[position]
