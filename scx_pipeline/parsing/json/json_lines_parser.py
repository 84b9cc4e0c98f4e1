"""Stage JSON lines files: one object a line, in uniform files by a faster scan.

The rows are compared with a count of the lines that is independent of the reader.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from scx_pipeline.errors import SourceFileError
from scx_pipeline.parsing.json.field_sql import NUMBER
from scx_pipeline.parsing.json.json_records import (
    EXPLAINED_BYTES,
    JsonRecordParser,
    Location,
)
from scx_pipeline.parsing.json.line_scan import BLANK, MAX_LINE_BYTES, LineCounts, count_lines
from scx_pipeline.parsing.json.uniform_lines import UniformFileFinder
from scx_pipeline.parsing.parser import (
    compression_name,
    path_list,
    unordered_inserts,
)
from scx_pipeline.parsing.records import BOM
from scx_pipeline.parsing.row_markers import marker_expression
from scx_pipeline.storage.compression import check_encoding, open_decompressed
from scx_pipeline.storage.local_file import LocalFile, check_content, is_readable, open_local_file
from scx_pipeline.warehouse.sql_text import names, string_literal

# DuckDB's scan takes lines of this length in any case. A file with longer lines is read alone and through smaller
# buffers, as JSON takes several times its size while it is parsed.
BUFFER_BYTES = MAX_LINE_BYTES
BUFFER_MARGIN = 1 << 10  # bytes by which a buffer exceeds the longest line


class JsonLinesParser(JsonRecordParser[LocalFile]):
    """Reads files of one object a line; blank lines are not records.

    Uniform files are read by DuckDB's read_json; in all others, the fields of each record are inspected. Both give the
    same rows and reject the same records; uniform files take two thirds of the time.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        texts = {column.field_path[0] for column in self.table.columns if column.max_bytes is not None}
        fields = [column.field_path[0] for column in self.table.columns]
        self.finder = UniformFileFinder(self.con, fields, texts, self.fields.excluded_patterns)
        self.counted: dict[LocalFile, LineCounts] = {}  # of the current batch
        self.uniform: set[LocalFile] = set()  # the uniform ones among them

    def _group_valid(self, files: Sequence[LocalFile]) -> Sequence[Sequence[int]]:
        groups: dict[object, list[int]] = {}
        self.uniform.clear()
        # More threads would wait for each other.
        self.counted = self.inspect_files(files, self._count, min(4, os.cpu_count() or 1))
        for index, file in enumerate(files):
            if file in self.rejected_files:
                continue
            lines = self.counted[file]
            _prepare(file, lines)
            groups.setdefault(index if lines.longest else file.suffix, []).append(index)
        return [part for group in groups.values() for part in self._split(files, group) if part]

    def _count(self, file: LocalFile) -> LineCounts:
        """Count a file's lines and records by its bytes.

        Raises SourceFileError if a line is too long, or all lines would be rejected because of their encoding.
        """
        uri = self.uri(file.object)
        check_encoding(check_content(file, uri), uri)
        with open_local_file(file, uri) as stream:
            if b"\0" in stream.read(len(BOM) + 1):
                raise SourceFileError(
                    f"{uri}, line 1: holds a NUL character, so it is not UTF-8 text; convert the file and upload it again"
                )
        with open_local_file(file, uri) as stream:
            lines = count_lines(stream)
        if lines.too_long is not None:
            raise SourceFileError(
                f"{uri}, line {lines.too_long}: a line is longer than {MAX_LINE_BYTES >> 20} MiB; write one object a line,"
                " and upload the file again"
            )
        return lines

    def _split(self, files: Sequence[LocalFile], group: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the uniform files of a group, and the others."""
        some = [files[index] for index in group]
        found = self.fields.can_read_uniform and self.finder.find(some, [self.counted[file] for file in some])
        uniform = [group[place] for place in sorted(found or ())]
        self.uniform |= {files[index] for index in uniform}
        return uniform, [index for index in group if index not in set(uniform)]

    def _stage_valid(self, first: int, files: Sequence[LocalFile]) -> Mapping[int, int]:
        import duckdb

        try:
            if files[0] in self.uniform:
                self._stage_uniform(first, files)
            else:
                self._insert(
                    f"(SELECT {first} + file_index::INTEGER AS number, json FROM {self._scan(files)})"
                )
        except duckdb.Error as error:
            raise self._unreadable(error, files) from error
        self._check_counts(first, files)
        return {}

    def _stage_uniform(self, first: int, files: Sequence[LocalFile]) -> None:
        fields = ", ".join(
            f"{string_literal(column.field_path[0])}: 'VARCHAR'" for column in self.table.columns
        )
        number = f"{first} + file_index::INTEGER AS {NUMBER}"
        records = f"(SELECT {self.fields.uniform_fields}, {number} FROM {self._scan(files, fields)})"
        marker = marker_expression(self.fields.uniform_rules, NUMBER)
        with unordered_inserts(self.con):
            self.staging_buffer.add(
                f"SELECT {names(self.table.column_names)}, {marker}"
                f" FROM ({self.fields.select_uniform(records)})"
            )

    def _check_counts(self, first: int, files: Sequence[LocalFile]) -> None:
        """Reject files that gave another number of records than were counted in their bytes."""
        staged = self.count_staged(first, first + len(files) - 1)
        for number, file in enumerate(files, start=first):
            counted, read = self.counted[file].records, staged.get(number, 0)
            self.record_counts[number] = counted
            if counted != read:
                error = SourceFileError(
                    f"{self.uri(file.object)}: {counted:,} records were counted, but {read:,} were read, so nothing is loaded;"
                    " load again if the file was changed meanwhile; otherwise split it into smaller files"
                )
                self.reject_file(file, error)

    def _numbered_records(self, file: LocalFile) -> str:
        return f"(SELECT row_number() OVER () AS number, json FROM {self._scan([file])})"

    def _scan(self, files: Sequence[LocalFile], fields: str = "") -> str:
        """Return a scan of the records: as JSON, or as the values of these fields if any are given."""
        reader, columns = ("read_json", f" columns={{{fields}}},") if fields else ("read_json_objects", "")
        longest = self.counted[files[0]].longest
        return (
            f"{reader}({path_list(files)},{columns} format='newline_delimited', ignore_errors=true, compression='{compression_name(files)}',"
            f" maximum_object_size={longest + BUFFER_MARGIN if longest else BUFFER_BYTES})"
        )

    def _locate(self, file: LocalFile, wanted: Collection[int], records: int) -> dict[int, Location]:
        locations: dict[int, Location] = {}
        count = 0
        with open_decompressed(file.path) as stream:
            for line, raw in enumerate(_split_lines(stream), start=1):
                if raw.strip(BLANK):
                    count += 1
                    if count in wanted:
                        locations[count] = (
                            line,
                            raw[:EXPLAINED_BYTES].decode("utf-8", "replace").rstrip("\r\n"),
                        )
        return locations if count == records else {}

    def _unreadable(self, error: Exception, files: Sequence[LocalFile]) -> Exception:
        """Return SourceFileError if DuckDB's error names a file, and DuckDB's error otherwise."""
        text = str(error)
        for file in files:
            if f'"{file.path}"' in text:
                what = text.splitlines()[0].replace(str(file.path), file.object.key)
                return SourceFileError(
                    f"{self.uri(file.object)}: {what}; correct or remove the file", file.object.key
                )
        return error


def _prepare(file: LocalFile, lines: LineCounts) -> None:
    """Write a copy of a file that DuckDB would misread.

    DuckDB reads a byte order mark as a part of the first record, and takes a file of one byte for an empty one. It may
    lose or reject the last record of a file as large as its buffer if no line end follows it. It cannot decompress each
    kind of file.
    """
    with open_decompressed(file.path) as stream:
        start = stream.read(len(BOM))
    needs_line_end = not lines.ends_with_line_end and (
        lines.longest or lines.size == 1 or lines.size > BUFFER_BYTES - BUFFER_MARGIN
    )
    if start.startswith(BOM) or needs_line_end or not is_readable(file):
        _write_copy(file, len(BOM) if start.startswith(BOM) else 0, b"\n" if needs_line_end else b"")


def _write_copy(file: LocalFile, skipped: int, end: bytes) -> None:
    """Write a decompressed copy without the file's first bytes and with others at its end, to be read instead."""
    import shutil

    with open_decompressed(file.path) as source, file.copy_path.open("wb") as target:
        source.read(skipped)
        shutil.copyfileobj(source, target, 1 << 20)
        target.write(end)
    file.path, file.suffix = file.copy_path, ""


def _split_lines(stream: Any) -> Iterator[bytes]:
    """Yield the lines of a stream of any kind."""
    rest = b""
    while chunk := stream.read(1 << 20):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest
