"""CSV files: the header of one against the declared columns, and the scan that splits several into texts.
How the texts are typed is in `values`; where rows go, and what is wrong with the bad ones, in `csvparser`."""

from __future__ import annotations

import csv
import difflib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from scx_pipeline.engine.objects import LocalFile
from scx_pipeline.engine.parsing import compression_of, paths_of
from scx_pipeline.engine.records import BOM, open_plain
from scx_pipeline.errors import SourceFileError
from scx_pipeline.spec import Table
from scx_pipeline.warehouse.base import quote

HEADER_BYTES = 64 << 10
MAX_RECORD_BYTES = 4 << 20  # Redshift's row limit


@dataclass(frozen=True)
class Header:
    """A file's header: its columns in order, and its line ending."""

    columns: tuple[str, ...]
    newline: str


def read_header(file: LocalFile, uri: str, table: Table) -> Header | None:
    """The file's header, checked against the declared columns; None for a file without any content.

    Raises SourceFileError for a column that is missing (with the nearest name), doubled or unnamed, for another
    encoding than UTF-8, and for a compressed file that is damaged.
    """
    try:
        with open_plain(file.path) as stream:
            start = stream.read(HEADER_BYTES).removeprefix(BOM)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceFileError(f"{uri}: the file cannot be read ({error}); upload it again") from None
    return header_in(start, uri, table)


def header_in(start: bytes, uri: str, table: Table) -> Header | None:
    """The header that a file begins with, as `read_header`; `start` has no byte order mark."""
    if not start.strip():
        return None
    line, newline = _first_line(start)
    if not line.strip():
        raise SourceFileError(f"{uri}, line 1 is empty; the header must stand there")
    try:
        columns = tuple(name.strip() for name in next(csv.reader([line.decode("utf-8")])))
    except UnicodeDecodeError:
        raise SourceFileError(
            f"{uri}, line 1: not UTF-8; convert the file to UTF-8 and upload it again"
        ) from None
    if "\0" in "".join(columns):
        raise SourceFileError(
            f"{uri}, line 1: not UTF-8 (it looks like UTF-16); convert the file and upload it again"
        )
    _check_columns(columns, uri, table)
    return Header(columns, newline)


def _first_line(start: bytes) -> tuple[bytes, str]:
    found = [
        (start.find(end), len(end), name)
        for end, name in ((b"\r\n", "\\r\\n"), (b"\n", "\\n"), (b"\r", "\\r"))
    ]
    position, _, newline = min(
        (item for item in found if item[0] >= 0), default=(len(start), 0, "\\n"), key=lambda i: (i[0], -i[1])
    )
    return start[:position], newline


def _check_columns(columns: Sequence[str], uri: str, table: Table) -> None:
    for number, name in enumerate(columns, start=1):
        if not name:
            raise SourceFileError(f"{uri}, line 1: the header's column {number} has no name; name it")
        if columns.count(name) > 1:
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


def scan(files: Sequence[LocalFile], header: Header, rejects: str) -> str:
    """The table function that reads the files, all values as text; refused records go to the table `rejects`."""
    columns = ", ".join(f"{quote(name)}: 'VARCHAR'" for name in header.columns)
    return (
        f"read_csv({paths_of(files)}, columns={{{columns}}}, header=true, auto_detect=false, delim=',', quote='\"', escape='\"',"
        f" new_line='{header.newline}', compression='{compression_of(files)}', max_line_size={MAX_RECORD_BYTES},"
        f" store_rejects=true, rejects_table='{rejects}', rejects_scan='{rejects}_scan')"
    )
