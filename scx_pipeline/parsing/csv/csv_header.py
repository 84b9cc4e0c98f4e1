"""Read the header of a CSV file and check it against the declared columns; select texts from files by their header.

Casting the texts and rejecting rows belongs to other modules.
"""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO

from scx_pipeline.errors import SourceFileError
from scx_pipeline.model.column import Column
from scx_pipeline.model.dialect import DEFAULT_DIALECT, Dialect
from scx_pipeline.model.reserved_names import internal_column
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.csv.byte_scan import MAX_RECORD_BYTES, count_line_ends
from scx_pipeline.parsing.csv.plain_copy import needs_plain_copy
from scx_pipeline.parsing.csv.record_patterns import csv_options, record_patterns
from scx_pipeline.parsing.parser import compression_name, path_list
from scx_pipeline.parsing.records import BOM
from scx_pipeline.storage.local_file import LocalFile, open_local_file
from scx_pipeline.warehouse.sql_text import quote, string_literal

HEADER_BYTES = 64 << 10  # read first; few headers are longer
# A buffer must hold a few of the longest records. Larger buffers are not faster, and decompression takes several.
BUFFER_BYTES = 4 * MAX_RECORD_BYTES
COMMON_DELIMITERS = (",", ";", "\t", "|")
FILE_INDEX = internal_column("file")  # the index of a row's file in a scan, from 0


@dataclass(frozen=True)
class Header:
    """The names of a file's values in order, its line ending, and where its first record is."""

    columns: tuple[str, ...]
    newline: str
    skipped_lines: int = 0  # blank lines before the first record
    is_record: bool = True  # whether the first record names the columns

    @property
    def line_end(self) -> bytes:
        """The line ending as bytes."""
        return {"\\n": b"\n", "\\r\\n": b"\r\n", "\\r": b"\r"}[self.newline]


def read_header(file: LocalFile, uri: str, table: Table, dialect: Dialect = DEFAULT_DIALECT) -> Header | None:
    """Return the file's header, checked against the declared columns; None for a file without content.

    Raises SourceFileError for a missing column (with the closest name), a duplicate or unnamed one, an encoding other
    than UTF-8, or a damaged compressed file.
    """
    with open_local_file(file, uri) as stream:
        start = stream.read(HEADER_BYTES)
        if len(start) == HEADER_BYTES and not _has_line_end(start, dialect):
            start += stream.read(MAX_RECORD_BYTES)
        # Any number of blank lines before a header is an error; a file of blank lines has no content.
        while not _strip(start.removeprefix(BOM), dialect) and (more := stream.read(HEADER_BYTES)):
            start = (start if needs_plain_copy(dialect) else b"\n") + more
    return parse_header(start.removeprefix(BOM), uri, table, dialect)


def parse_header(start: bytes, uri: str, table: Table, dialect: Dialect = DEFAULT_DIALECT) -> Header | None:
    """Return the header in a file's first bytes, as `read_header` does; `start` has no byte order mark."""
    if not _strip(start, dialect):
        return None
    skipped, newline = 0, b"\n"
    if needs_plain_copy(dialect):  # whose first lines may have been skipped
        content = start.lstrip(b"\r\n")
        blank = start[: len(start) - len(content)]
        skipped, start = count_line_ends(blank, len(blank)), content
        newline = b"\r\n" if blank.endswith(b"\r\n") else blank[-1:] or newline
    match, number = record_patterns(dialect).first_record.match(start), skipped + 1
    where = f"{uri}, line {number}"
    if match is None:
        raise SourceFileError(
            f"{where}: a quote is opened in the header and never closed; correct the file and upload it again"
        )
    line, newline = match[1], match[2] or newline
    if not _strip(line, dialect):
        raise SourceFileError(
            f"{uri}, line 1 is empty; remove the blank lines before the header and upload the file again"
        )
    if dialect.header is not True:
        names = dialect.header or tuple(column.field_name for column in table.columns)
        return Header(names, escape_line_end(newline.decode()), skipped, is_record=False)
    columns = _split_header(line, where, dialect)
    _check_columns(columns, where, table, dialect)
    return Header(columns, escape_line_end(newline.decode()), skipped)


def _strip(start: bytes, dialect: Dialect) -> bytes:
    """Return bytes without blank ends; without a header, blanks may be values."""
    return start.strip() if dialect.header is True else start.strip(b"\r\n")


def _split_header(line: bytes, where: str, dialect: Dialect) -> tuple[str, ...]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise SourceFileError(
            f"{where}: not UTF-8; declare the encoding in the source's dialect, or convert the file and upload it again"
        ) from None
    if "\0" in text:
        raise SourceFileError(
            f"{where}: holds a NUL character, so it is not UTF-8 text; convert the file and upload it again"
        )
    values = next(csv.reader(StringIO(text, newline=""), **csv_options(dialect)))
    return tuple(name.strip() for name in values)


def escape_line_end(line_end: str) -> str:
    """Return a line end in its printable form, which DuckDB takes as well."""
    return line_end.replace("\r", "\\r").replace("\n", "\\n")


def _has_line_end(start: bytes, dialect: Dialect) -> bool:
    """Whether the header ends before these bytes do."""
    content = start.lstrip(b"\r\n")
    match = record_patterns(dialect).first_record.match(content)
    return match is not None and match.end() < len(content)


def _check_columns(columns: Sequence[str], where: str, table: Table, dialect: Dialect) -> None:
    for number, name in enumerate(columns, start=1):
        if not name:
            raise SourceFileError(
                f"{where}: the header's column {number} has no name; name it, or remove the extra delimiter"
            )
        if name in columns[: number - 1]:
            raise SourceFileError(f"{where}: the header has the column {name!r} twice; rename one of them")
    declared = [column.field_name for column in table.columns]
    missing = [name for name in declared if name not in columns]
    if missing:
        raise SourceFileError(
            f"{where}: the column {missing[0]!r} of {table.name} is missing;"
            f" {_explain_missing(missing[0], columns, declared, dialect)}"
        )


def _explain_missing(missing: str, columns: Sequence[str], declared: Sequence[str], dialect: Dialect) -> str:
    """Return what the header has instead of a column, or how its values seem to be separated."""
    others = [mark for mark in COMMON_DELIMITERS if mark != dialect.delimiter]
    likely = max(others, key=columns[0].count)
    if len(columns) == 1 < len(declared) and likely in columns[0]:
        return (
            f"the header seems to be separated by {likely!r}: declare delimiter: {json.dumps(likely)} in the source's"
            " dialect"
        )
    near = difflib.get_close_matches(
        missing, [name for name in columns if name not in declared], n=1, cutoff=0.5
    )
    if near:
        return f"the header has {near[0]!r}, is it that one?"
    return f"the header has: {', '.join(columns)}"


def select_texts(
    files: Sequence[LocalFile],
    header: Header,
    columns: Sequence[Column],
    null_values: Sequence[str] = (),
    dialect: Dialect = DEFAULT_DIALECT,
) -> str:
    """Return a relation of these columns of the files, as texts, and of FILE_INDEX.

    An empty value without quotes is NULL; with quotes, it is NULL if `null_values` has the empty text. Other null values
    are kept.

    Records with another number of values than the header are omitted, and so are those that the reader cannot parse: the
    caller compares the number of rows with its own count. One thread reads a file from beginning to end, as several
    would have to guess where records begin.
    """
    # Named by their positions, as a header may contain any names.
    read = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(header.columns)))
    chosen = ", ".join(
        f"r.c{header.columns.index(column.field_name)} AS {quote(column.name)}" for column in columns
    )
    # A blank line would be a record with one empty value.
    some = " WHERE r.c0 IS NOT NULL" if len(header.columns) == 1 else ""
    mark = string_literal(dialect.quote)
    return (
        f"(SELECT {chosen}, r.file_index::INTEGER AS {FILE_INDEX} FROM read_csv({path_list(files)}, columns={{{read}}},"
        f" header={str(header.is_record).lower()}, skip={header.skipped_lines}, auto_detect=false,"
        f" delim={string_literal(dialect.delimiter)}, quote={mark}, escape={mark}, new_line='{header.newline}',"
        f" compression='{compression_name(files)}',"
        f" max_line_size={MAX_RECORD_BYTES + HEADER_BYTES}, buffer_size={BUFFER_BYTES}, ignore_errors=true,"
        f" allow_quoted_nulls={str('' in null_values).lower()},"
        f" parallel=false) AS r{some})"
    )
