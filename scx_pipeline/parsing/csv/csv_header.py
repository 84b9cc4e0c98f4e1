"""Read the header of a CSV file and check it against the declared columns; select texts from files by their header.

Casting the texts and rejecting rows belongs to other modules.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO

from scx_pipeline.errors import SourceFileError
from scx_pipeline.model.reserved_names import internal_column
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.csv.byte_scan import FIELD, MAX_RECORD_BYTES
from scx_pipeline.parsing.parser import compression_name, path_list
from scx_pipeline.parsing.records import BOM
from scx_pipeline.storage.local_file import LocalFile, open_local_file
from scx_pipeline.warehouse.sql_text import quote

HEADER_BYTES = 64 << 10  # read first; few headers are longer
# A buffer must hold a few of the longest records. Larger buffers are not faster, and decompression takes several.
BUFFER_BYTES = 4 * MAX_RECORD_BYTES
FILE_INDEX = internal_column("file")  # the index of a row's file in a scan, from 0

_HEADER = re.compile(rb"(%b(?:,%b)*+)(\r\n|\n|\r|\Z)" % (FIELD, FIELD))


@dataclass(frozen=True)
class Header:
    """A file's header: its columns in order, and its line ending."""

    columns: tuple[str, ...]
    newline: str

    @property
    def line_end(self) -> bytes:
        """The line ending as bytes."""
        return {"\\n": b"\n", "\\r\\n": b"\r\n", "\\r": b"\r"}[self.newline]


def read_header(file: LocalFile, uri: str, table: Table) -> Header | None:
    """Return the file's header, checked against the declared columns; None for a file without content.

    Raises SourceFileError for a missing column (with the closest name), a duplicate or unnamed one, an encoding other
    than UTF-8, or a damaged compressed file.
    """
    with open_local_file(file, uri) as stream:
        start = stream.read(HEADER_BYTES)
        if len(start) == HEADER_BYTES and not _has_line_end(start):
            start += stream.read(MAX_RECORD_BYTES)
        # Any number of blank lines before a header is an error; a file of blank lines has no content.
        while not start.removeprefix(BOM).strip() and (more := stream.read(HEADER_BYTES)):
            start = b"\n" + more
    return parse_header(start.removeprefix(BOM), uri, table)


def parse_header(start: bytes, uri: str, table: Table) -> Header | None:
    """Return the header in a file's first bytes, as `read_header` does; `start` has no byte order mark."""
    if not start.strip():
        return None
    match = _HEADER.match(start)
    if match is None:
        raise SourceFileError(
            f"{uri}, line 1: a quote is opened in the header and never closed; correct the file and upload it again"
        )
    line, newline = match[1], match[2] or b"\n"
    if not line.strip():
        raise SourceFileError(
            f"{uri}, line 1 is empty; remove the blank lines before the header and upload the file again"
        )
    try:
        columns = tuple(name.strip() for name in next(csv.reader(StringIO(line.decode("utf-8"), newline=""))))
    except UnicodeDecodeError:
        raise SourceFileError(
            f"{uri}, line 1: not UTF-8; convert the file to UTF-8 and upload it again"
        ) from None
    if "\0" in "".join(columns):
        raise SourceFileError(
            f"{uri}, line 1: holds a NUL character, so it is not UTF-8 text; convert the file and upload it again"
        )
    _check_columns(columns, uri, table)
    return Header(columns, escape_line_end(newline.decode()))


def escape_line_end(line_end: str) -> str:
    """Return a line end in its printable form, which DuckDB takes as well."""
    return line_end.replace("\r", "\\r").replace("\n", "\\n")


def _has_line_end(start: bytes) -> bool:
    """Whether the header ends before these bytes do."""
    match = _HEADER.match(start)
    return match is not None and match.end() < len(start)


def _check_columns(columns: Sequence[str], uri: str, table: Table) -> None:
    for number, name in enumerate(columns, start=1):
        if not name:
            raise SourceFileError(
                f"{uri}, line 1: the header's column {number} has no name; name it, or remove the extra comma"
            )
        if name in columns[: number - 1]:
            raise SourceFileError(
                f"{uri}, line 1: the header has the column {name!r} twice; rename one of them"
            )
    missing = [name for name in table.column_names if name not in columns]
    if missing:
        unknown = [name for name in columns if name not in table.column_names]
        near = difflib.get_close_matches(missing[0], unknown, n=1, cutoff=0.5)
        hint = (
            f"; the header has {near[0]!r}, is it that one?"
            if near
            else f"; the header has: {', '.join(columns)}"
        )
        raise SourceFileError(f"{uri}, line 1: the column {missing[0]!r} of {table.name} is missing{hint}")


def select_texts(
    files: Sequence[LocalFile], header: Header, columns: Sequence[str], null_values: Sequence[str] = ()
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
    chosen = ", ".join(f"r.c{header.columns.index(name)} AS {quote(name)}" for name in columns)
    # A blank line would be a record with one empty value.
    some = " WHERE r.c0 IS NOT NULL" if len(header.columns) == 1 else ""
    return (
        f"(SELECT {chosen}, r.file_index::INTEGER AS {FILE_INDEX} FROM read_csv({path_list(files)}, columns={{{read}}}, header=true,"
        f" auto_detect=false, delim=',', quote='\"', escape='\"', new_line='{header.newline}', compression='{compression_name(files)}',"
        f" max_line_size={MAX_RECORD_BYTES + HEADER_BYTES}, buffer_size={BUFFER_BYTES}, ignore_errors=true,"
        f" allow_quoted_nulls={str('' in null_values).lower()},"
        f" parallel=false) AS r{some})"
    )
