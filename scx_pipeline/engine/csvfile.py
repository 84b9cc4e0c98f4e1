"""Reading CSV: the header of a file against the declared columns, and the SELECT that types every value strictly.
One parser for every engine; where rows go, and what a month is, is decided elsewhere."""

from __future__ import annotations

import csv
import difflib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from scx_pipeline.engine.objects import LocalFile
from scx_pipeline.engine.records import open_plain
from scx_pipeline.errors import SourceFileError
from scx_pipeline.spec import Column, Table

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
            start = stream.read(HEADER_BYTES).removeprefix(b"\xef\xbb\xbf")
    except (OSError, EOFError, zlib.error) as error:
        raise SourceFileError(f"{uri}: the file cannot be read ({error}); upload it again") from None
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
    paths = ", ".join(literal(str(file.path)) for file in files)
    columns = ", ".join(f"{quote(name)}: 'VARCHAR'" for name in header.columns)
    compression = {".gz": "gzip", ".zst": "zstd"}.get(files[0].path.suffix, "none")
    return (
        f"read_csv([{paths}], columns={{{columns}}}, header=true, auto_detect=false, delim=',', quote='\"', escape='\"',"
        f" new_line='{header.newline}', compression='{compression}', max_line_size={MAX_RECORD_BYTES},"
        f" store_rejects=true, rejects_table='{rejects}', rejects_scan='{rejects}_scan')"
    )


_MOMENT, _DAY = (
    "____-__-__ __:__:__",
    "____-__-__",
)  # the shapes that nearly all have: a look is cheaper than a pattern


def typed_rows(source: str, columns: Sequence[Column], others: str = "") -> str:
    """A SELECT of each column's value under its name, NULL where the text is none, and of its text under `text_of` it.

    Both stand side by side, so that a value is computed once for the row and for the rules that it must keep.
    `others` are more columns of `source` to pass on.
    """
    items = []
    for column in columns:
        name = quote(column.name)
        if column.max_bytes is None:
            items.append(f"{name} AS {text_of(column)}")
        items.append(f"{_value(column)} AS {name}")
    return f"SELECT {', '.join(items)}{f', {others}' if others else ''} FROM {source}"


def text_of(column: Column) -> str:
    """The name of a column's text in `typed_rows`; no declared name has a space."""
    return quote(column.name if column.max_bytes is not None else f"{column.name} text")


def _value(column: Column) -> str:
    name = quote(column.name)
    if column.max_bytes is not None:
        return name
    if column.type == "timestamp":
        # A value without an offset is UTC; one with an offset is converted, since a plain cast would drop the offset.
        zoned = f"(TRY_CAST({name} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
        return f"CASE WHEN {name} LIKE '{_MOMENT}' THEN TRY_CAST({name} AS TIMESTAMP) ELSE {zoned} END"
    return f"TRY_CAST({name} AS {column.type.upper()})"


def violations(columns: Sequence[Column]) -> list[tuple[str, str, str]]:
    """What must not be: (condition over `typed_rows`, column, reason), in the order in which reasons are told."""
    found = []
    for column in columns:
        text = text_of(column)
        if not column.nullable:
            found.append((f"{text} IS NULL", column.name, "is empty, and must not be"))
        found += [
            (f"({text} IS NOT NULL AND {bad})", column.name, reason) for bad, reason in _value_rules(column)
        ]
    return found


def _value_rules(column: Column) -> list[tuple[str, str]]:
    value, text = quote(column.name), text_of(column)
    if column.max_bytes is not None:
        return [
            (f"strlen({value}) > {column.max_bytes}", f"is longer than {column.max_bytes} bytes"),
            (f"contains({value}, chr(0))", "holds a NUL character"),
        ]
    if column.type in ("smallint", "integer", "bigint"):
        # A cast alone would take '2.7' as 3 and '1e3' as 1000; writing the number again is quicker than a pattern, and
        # what is a number and one byte long is a digit.
        wrong = (
            f"strlen({text}) > 1 AND {value}::VARCHAR <> {text}"
            f" AND NOT regexp_full_match({text}, ' *[+-]?[0-9]+ *')"
        )
    elif column.type in ("timestamp", "date"):
        # A cast alone would take 'infinity', 'epoch' and years before Christ, and drop the time of a date.
        shape = _MOMENT if column.type == "timestamp" else _DAY
        form = "^ *[0-9]{4}-" if column.type == "timestamp" else "^ *[0-9]{4}-[0-9]+-[0-9]+ *$"
        usual = f"{text} LIKE '{shape}' AND {value} >= TIMESTAMP '1000-01-01'"
        wrong = (
            f"{value} < TIMESTAMP '0001-01-01' OR {value} > TIMESTAMP '9999-12-31 23:59:59.999999'"
            f" OR CASE WHEN {usual} THEN FALSE ELSE NOT regexp_matches({text}, '{form}') END"
        )
    elif column.type == "double":
        return [
            (f"({value} IS NULL OR NOT isfinite({value}) OR contains({text}, '_'))", "is not a finite number")
        ]
    elif column.type.startswith("decimal"):
        wrong = f"contains({text}, '_')"
    else:
        wrong = "FALSE"
    return [(f"({value} IS NULL OR ({wrong}))", f"is not {_a(column.type)}")]


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def quote(name: str) -> str:
    """The identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as a SQL string."""
    return "'" + text.replace("'", "''") + "'"
