"""JSON files into a landing: one object a line, or one document a file; and the bad records with line, column and reason.
Which fields are taken, and what a record must not be, is in `jsonfile`; how texts are typed in `values`."""

from __future__ import annotations

import json
import os
import re
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scx_pipeline.errors import SourceFileError
from scx_pipeline.parsing.json import field_map
from scx_pipeline.parsing.json.field_map import FieldMap, element_starts, element_texts, has_long_number
from scx_pipeline.parsing.json.line_scan import BLANK, MAX_LINE_BYTES, Lines, count_lines
from scx_pipeline.parsing.json.uniform_lines import RegularFiles
from scx_pipeline.parsing.parser import (
    UNKNOWN_REASON,
    Brought,
    Outside,
    Parser,
    Refused,
    UndeclaredFields,
    compression_of,
    decompressing,
    in_any_order,
    marked,
    paths_of,
)
from scx_pipeline.parsing.records import BOM, RAW_LIMIT
from scx_pipeline.parsing.values import IN_CALENDAR, first_violations, literal, told
from scx_pipeline.storage.bucket import Document, LocalFile
from scx_pipeline.storage.compression import check_content, open_plain
from scx_pipeline.warehouse.sql_text import names, quote

# Of DuckDB's scan: it reads a line of so many bytes in any case. A file with long lines is read alone and through smaller
# buffers, so that few of these come at a time: JSON takes several times its size while it is taken apart.
BUFFER_BYTES = MAX_LINE_BYTES
SLACK = 1 << 10  # bytes that a buffer has more than the longest line
ODD = 1 << 30  # added to the number of an odd record's file until its fields were looked at
KEPT_BYTES = (
    64 << 10
)  # of a bad record, while it is found out what is wrong: a longer one is no JSON, without more
DOCUMENTS = "_documents"

Place = tuple[int | None, str]  # the line that a record begins on, and its raw text


class _JsonParser(Parser[Brought]):
    """What JSON records have in common, wherever they come from: a relation of (number, json)."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.fields = FieldMap(self.source, self.table)

    def _insert(self, records: str) -> None:
        """Land the records, each under its number, and note which fields were not asked for."""
        number = field_map.NUMBER
        good = f"CASE WHEN {field_map.ODD} THEN {number} + {ODD} ELSE {number} END"
        mark = marked(self.fields.rules, number, good)
        columns = names(self.table.column_names)
        with in_any_order(self.con):
            self.staging_buffer.add(f"SELECT {columns}, {mark} FROM ({self.fields.typed(records)})")
        self._note_undeclared_fields(records)

    def _note_undeclared_fields(self, records: str) -> None:
        rows = self.staging_buffer.rows
        odd = f"SELECT DISTINCT _object - {ODD} FROM {rows} WHERE _object >= {ODD}"
        if not self.con.execute(f"{odd} LIMIT 1").fetchall():
            return
        found: dict[int, list[str]] = defaultdict(list)
        of_odd = f"(SELECT * FROM {records} WHERE number IN ({odd}) AND json_type(json) = 'OBJECT')"
        for number, field in self.con.execute(self.fields.fields(of_odd)).fetchall():
            found[number].append(field)
        for number, present in found.items():
            unknown = [name for name in present if name not in self.fields.declared]
            absent = [name for name in self.fields.declared if name not in present]
            if unknown or absent:
                self.undeclared_fields[number] = UndeclaredFields(tuple(unknown), tuple(absent))
        self.con.execute(f"UPDATE {rows} SET _object = _object - {ODD} WHERE _object >= {ODD}")

    def explain(self, number: int, file: Brought, records: int, outside: Outside | None) -> list[Refused]:
        rules = list(self.fields.rules)
        if outside:
            rules.append((f"COALESCE({outside.condition}, FALSE)", self.table.event_time_column, ""))
        # Python has no other years, and a bad row may be of any.
        event = quote(self.table.event_time or "")
        time = f"CASE WHEN {event} {IN_CALENDAR} THEN {event} END" if self.table.event_time else "NULL"
        found = self.con.execute(
            first_violations(
                self.fields.typed(self._numbered(file)),
                self.table.columns,
                rules,
                f"{field_map.NUMBER}, {time}",
                self.fields.written,
            )
            + f" ORDER BY 1 LIMIT {self.limit}"
        ).fetchall()
        places = self._places(file, {row for row, *_ in found}, records)
        refused = []
        for row, moment, rule, value in found:
            line, raw = places.get(row, (None, ""))
            _, column, reason = rules[rule]
            if rule == 0:
                reason = (_mistake(raw) if len(raw) < KEPT_BYTES else None) or reason
            elif outside and rule == len(rules) - 1:
                reason = outside.tell(moment)
            else:
                reason = told(reason, value)
            refused.append(Refused(line, column, reason or UNKNOWN_REASON, raw[:RAW_LIMIT]))
        return refused

    @abstractmethod
    def _numbered(self, file: Brought) -> str:
        """The relation of one file's records, numbered from 1."""

    @abstractmethod
    def _places(self, file: Brought, wanted: Collection[int], records: int) -> dict[int, Place]:
        """Where records of a file are, by their numbers; those of a file that cannot be cut into as many are left out."""


class JsonLinesParser(_JsonParser[LocalFile]):
    """Reads files of one object a line; blank lines count as none.

    Regular files are read at once, by DuckDB's read_json; of all others, each record is asked what it has. Both give
    the same rows and refuse the same records; regular ones take two thirds of the time.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        texts = {column.field_path[0] for column in self.table.columns if column.max_bytes is not None}
        fields = [column.field_path[0] for column in self.table.columns]
        self.regular = RegularFiles(self.con, fields, texts, self.fields.not_regular)
        self.counted: dict[Path, Lines] = {}  # of the batch that is being read
        self.uniform: set[Path] = set()  # of these, the regular ones

    def groups(self, files: Sequence[LocalFile]) -> Sequence[Sequence[int]]:
        groups: dict[object, list[int]] = {}
        self.counted.clear()
        self.uniform.clear()
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # more would wait for each other
            counted = list(pool.map(self._count, files))
        for index, (file, lines) in enumerate(zip(files, counted, strict=True)):
            _prepare(file, lines, self.uri(file.object))
            self.counted[file.path] = lines  # now that the path is the one which is read
            groups.setdefault(index if lines.longest else file.suffix, []).append(index)
        return [part for group in groups.values() for part in self._split(files, group) if part]

    def _count(self, file: LocalFile) -> Lines:
        """Count a file's lines and records by its bytes. Raises SourceFileError where a line is too long."""
        uri = self.uri(file.object)
        check_content(file, uri)
        with decompressing(file, uri) as stream:
            lines = count_lines(stream)
        if lines.too_long is not None:
            raise SourceFileError(
                f"{uri}, line {lines.too_long}: a line is longer than {MAX_LINE_BYTES >> 20} MiB; write one object a line,"
                " and upload the file again"
            )
        return lines

    def _split(self, files: Sequence[LocalFile], group: Sequence[int]) -> tuple[list[int], list[int]]:
        """The regular files of a group, and the others."""
        some = [files[index] for index in group]
        found = self.fields.can_be_regular and self.regular.find(
            some, [self.counted[file.path] for file in some]
        )
        regular = [group[place] for place in sorted(found or ())]
        self.uniform |= {files[index].path for index in regular}
        return regular, [index for index in group if index not in set(regular)]

    def stage(self, first: int, files: Sequence[LocalFile]) -> Mapping[int, int]:
        import duckdb

        try:
            if files[0].path in self.uniform:
                self._land_regular(first, files)
            else:
                self._insert(
                    f"(SELECT {first} + file_index::INTEGER AS number, json FROM {self._scan(files)})"
                )
        except duckdb.Error as error:
            raise self._unreadable(error, files) from error
        self._check_counts(first, files)
        return {}

    def _land_regular(self, first: int, files: Sequence[LocalFile]) -> None:
        fields = ", ".join(f"{literal(column.field_path[0])}: 'VARCHAR'" for column in self.table.columns)
        number = f"{first} + file_index::INTEGER AS {field_map.NUMBER}"
        records = f"(SELECT {self.fields.regular_fields}, {number} FROM {self._scan(files, fields)})"
        with in_any_order(self.con):
            self.staging_buffer.add(
                f"SELECT {names(self.table.column_names)}, {marked(self.fields.regular_rules, field_map.NUMBER)}"
                f" FROM ({self.fields.regular(records)})"
            )

    def _check_counts(self, first: int, files: Sequence[LocalFile]) -> None:
        """Raise SourceFileError unless of each file as many records landed as its bytes have."""
        landed = self.staged(first, first + len(files) - 1)
        for number, file in enumerate(files, start=first):
            counted, read = self.counted[file.path].records, landed.get(number, 0)
            if counted != read:
                raise SourceFileError(
                    f"{self.uri(file.object)}: {counted:,} records were counted, but {read:,} were read, so nothing is loaded;"
                    " load again if the file was changed meanwhile, or else split it into smaller files"
                )
            self.counts[number] = counted

    def _numbered(self, file: LocalFile) -> str:
        return f"(SELECT row_number() OVER () AS number, json FROM {self._scan([file])})"

    def _scan(self, files: Sequence[LocalFile], fields: str = "") -> str:
        """A scan of the records: each as JSON, or of these fields' values where they are named."""
        reader, columns = ("read_json", f" columns={{{fields}}},") if fields else ("read_json_objects", "")
        longest = self.counted[files[0].path].longest
        return (
            f"{reader}({paths_of(files)},{columns} format='newline_delimited', ignore_errors=true, compression='{compression_of(files)}',"
            f" maximum_object_size={longest + SLACK if longest else BUFFER_BYTES})"
        )

    def _places(self, file: LocalFile, wanted: Collection[int], records: int) -> dict[int, Place]:
        places: dict[int, Place] = {}
        count = 0
        with open_plain(file.path) as stream:
            for line, raw in enumerate(_lines(stream), start=1):
                if raw.strip(BLANK):
                    count += 1
                    if count in wanted:
                        places[count] = (line, raw[:KEPT_BYTES].decode("utf-8", "replace").rstrip("\r\n"))
        return places if count == records else {}

    def _unreadable(self, error: Exception, files: Sequence[LocalFile]) -> Exception:
        """A clear error where DuckDB's is about a file, else DuckDB's own."""
        text = str(error)
        for file in files:
            if f'"{file.path}"' in text:
                what = text.splitlines()[0].replace(str(file.path), file.object.key)
                return SourceFileError(f"{self.uri(file.object)}: {what}; correct or remove the file")
        return error


class JsonParser(_JsonParser[Document]):
    """Reads files of one document: an object, or an array of objects."""

    def groups(self, files: Sequence[Document]) -> Sequence[Sequence[int]]:
        return [range(len(files))] if files else []

    def stage(self, first: int, files: Sequence[Document]) -> Mapping[int, int]:
        with self._registered(first, files) as relation:
            self._insert(relation)
        return {}

    @contextmanager
    def _registered(self, first: int, files: Sequence[Document]) -> Iterator[str]:
        """The relation of the documents' records, each under the number of its document.

        DuckDB rewrites the elements of an array, and a number with as many digits as a double has: an array with
        longer ones is cut here, into its elements as they are written.
        """
        import pyarrow as pa

        texts = [_text(file) for file in files]
        present = [index for index, text in enumerate(texts) if text.strip()]
        documents = pa.table(
            {
                "number": pa.array([first + index for index in present], pa.int32()),
                "document": pa.array([texts[index] for index in present], pa.large_string()),
                "elements": pa.array(
                    [self._cut(texts[index]) for index in present], pa.list_(pa.large_string())
                ),
            }
        )
        self.con.register(DOCUMENTS, documents)
        try:
            yield (
                "(SELECT number, unnest(CASE WHEN j IS NULL THEN [NULL::JSON] WHEN json_type(j) <> 'ARRAY' THEN [j]"
                """ WHEN elements IS NULL THEN json_transform(j, '["JSON"]')::JSON[]"""
                # An array that was cut otherwise than DuckDB does it would be a bad record: it is never rounded.
                " ELSE COALESCE(CASE WHEN len(elements) = json_array_length(j) THEN TRY(elements::JSON[]) END, [NULL::JSON])"
                f" END) AS json FROM (SELECT number, TRY(document::JSON) AS j, elements FROM {DOCUMENTS}))"
            )
        finally:
            self.con.unregister(DOCUMENTS)

    def explain(self, number: int, file: Document, records: int, outside: Outside | None) -> list[Refused]:
        with self._registered(number, [file]) as relation:
            self._relation = relation
            return super().explain(number, file, records, outside)

    def _cut(self, text: str) -> list[str] | None:
        """The elements of an array with numbers that must be looked at as they are written; None for any other document."""
        if not self.fields.has_exact_numbers or text.lstrip()[:1] != "[" or not has_long_number(text):
            return None
        return element_texts(text)

    def _is_json(self, text: str) -> bool:
        return self.con.execute("SELECT json_valid(?)", [text]).fetchall() == [(True,)]

    def _numbered(self, file: Document) -> str:
        return f"(SELECT row_number() OVER () AS number, json FROM {self._relation})"

    def _places(self, file: Document, wanted: Collection[int], records: int) -> dict[int, Place]:
        text = _text(file)
        start = len(text) - len(text.lstrip())
        starts, closing = [start], " \t\r\n"
        if text[start : start + 1] == "[" and self._is_json(text):
            starts, closing = list(element_starts(text)), " \t\r\n,"
            text = text.rstrip().removesuffix("]")
        if len(starts) != records:
            return {}
        bounds = [*starts, len(text)]
        return {
            number: (
                text.count("\n", 0, bounds[number - 1]) + 1,
                text[bounds[number - 1] : bounds[number]].rstrip(closing),
            )
            for number in wanted
        }


def _prepare(file: LocalFile, lines: Lines, uri: str) -> None:
    """Refuse other encodings than UTF-8 that would make every line a bad one, and write aside what DuckDB would misread.

    It takes a byte order mark as a part of the first record, and a file of one byte for an empty one. It may lose or
    refuse the last record of a file as large as its buffer where no line end follows it.
    """
    with open_plain(file.path) as stream:
        start = stream.read(4)
    if b"\0" in start:
        raise SourceFileError(
            f"{uri}, line 1: holds a NUL character, so it is not UTF-8 text; convert the file and upload it again"
        )
    unended = not lines.ended and (lines.longest or lines.size == 1 or lines.size > BUFFER_BYTES - SLACK)
    if start.startswith(BOM) or unended:
        _write_aside(file, len(BOM) if start.startswith(BOM) else 0, b"\n" if unended else b"")


def _write_aside(file: LocalFile, skipped: int, end: bytes) -> None:
    """Write the file's plain text aside, without its first bytes and with others at its end."""
    import shutil

    with open_plain(file.path) as source, file.aside.open("wb") as target:
        source.read(skipped)
        shutil.copyfileobj(source, target, 1 << 20)
        target.write(end)
    file.path, file.suffix = file.aside, ""


def _lines(stream: Any) -> Iterator[bytes]:
    """The lines of a stream of any kind."""
    rest = b""
    while chunk := stream.read(1 << 20):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _text(file: Document) -> str:
    """The document's text; bytes that are not UTF-8 become what no JSON may have outside of a text."""
    content = file.content.removeprefix(BOM)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return "\x00" + content.decode("utf-8", "replace")


def _mistake(raw: str) -> str | None:
    """Why a text is no JSON, or no record, as a person would say it; None where Python's parser has nothing to say."""
    if "\ufffd" in raw:
        return "is not UTF-8"
    try:
        if not isinstance(json.loads(raw, parse_constant=_refuse), dict):
            return "is no object"
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:
        where = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        return f"is no JSON: {str(getattr(error, 'msg', error)).removesuffix(' at')}{where}"
    return "has half a surrogate pair" if re.search(r"\\u[dD][89a-fA-F]", raw) and not _pairs(raw) else None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _pairs(raw: str) -> bool:
    """Whether every surrogate that is written as an escape has its other half."""
    rest = re.sub(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}", "", raw)
    return re.search(r"\\u[dD][89a-fA-F]", rest) is None
