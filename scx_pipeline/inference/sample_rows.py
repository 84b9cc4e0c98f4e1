"""Read sample files into a table of texts, as the parsers read them.

What the texts mean is guessed elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence, Sized
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scx_pipeline.error_translation import translate_errors
from scx_pipeline.errors import PipelineError, SourceFileError
from scx_pipeline.inference.csv_dialect import (
    DialectGuess,
    guess_dialect,
    iterate_decoded,
    likely_encodings,
)
from scx_pipeline.inference.identifiers import unique_identifiers
from scx_pipeline.inference.samples import TEXT, Field, Samples
from scx_pipeline.model.column import Column
from scx_pipeline.model.dialect import DEFAULT_DIALECT, Dialect
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.csv.csv_header import read_header, select_texts
from scx_pipeline.parsing.csv.plain_copy import needs_plain_copy, write_plain_copy
from scx_pipeline.parsing.parser import compression_name, path_list
from scx_pipeline.parsing.records import BOM
from scx_pipeline.storage.compression import detect_format
from scx_pipeline.storage.local_file import LocalFile, is_readable, open_local_file
from scx_pipeline.warehouse.sql_text import quote, string_literal

if TYPE_CHECKING:
    import duckdb

COMPARED_FILES = 5  # whose dialects must be the same
TABLE, FILE = "samples", "file_number"
SAMPLE_BYTES = 8 << 20  # of a file that is looked at to guess its dialect
_NUMBERS = {"BIGINT", "UBIGINT", "HUGEINT", "DOUBLE"}
_PARQUET_TYPES = {
    "TINYINT": "smallint", "SMALLINT": "smallint", "UTINYINT": "smallint", "USMALLINT": "integer", "UINTEGER": "bigint", "INTEGER": "integer", "BIGINT": "bigint",
    "FLOAT": "double", "DOUBLE": "double", "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp", "TIMESTAMP_NS": "timestamp", "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_S": "timestamp",
}  # fmt: skip


@dataclass(frozen=True)
class SampleRows:
    """The rows of sample files, their format and dialect, and fields that cannot become columns."""

    format: str
    dialect: Dialect
    samples: Samples
    omitted: Sequence[str] = ()
    share: float = 1.0  # of the records, those that have as many values as most


def guess_format(file: LocalFile) -> str:
    """Return the format of a sample file: csv, json_lines, json or parquet."""
    with open_local_file(file, file.object.key) as stream:
        start = stream.read(1 << 20)
    if detect_format(start[:512]) == "Parquet":
        return "parquet"
    text = start.removeprefix(BOM).lstrip()
    if not re.match(rb"\{|\[\s*[\[{\]]", text):  # a line of a log may begin with a bracket, too
        return "csv"
    try:
        return "json_lines" if isinstance(json.loads(text.split(b"\n", 1)[0]), dict) else "json"
    except ValueError:
        return "json"


def read_samples(con: duckdb.DuckDBPyConnection, files: Sequence[LocalFile]) -> SampleRows:
    """Read sample files of one format into the table `samples`.

    Raises SourceFileError for files that are not of one format, or that no format fits.
    """
    kinds = {guess_format(file): file for file in files}
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise SourceFileError(
            f"{first.object.key} looks like {one}, and {second.object.key} like {other}: name files of one format"
        )
    [kind] = kinds
    readers = {"csv": _read_csv, "parquet": _read_parquet, "json": _read_json, "json_lines": _read_json}
    with _translating_errors(kind, files):
        return readers[kind](con, kind, files)


def _translating_errors(kind: str, files: Sequence[LocalFile]) -> AbstractContextManager[None]:
    import duckdb

    def translate(error: Exception) -> PipelineError:
        names = f"{files[0].object.key}{' and the other files' if len(files) > 1 else ''}"
        return SourceFileError(f"{names}: cannot be read as {kind}: {str(error).splitlines()[0]}")

    return translate_errors(translate, duckdb.Error)


def _read_csv(con: duckdb.DuckDBPyConnection, kind: str, files: Sequence[LocalFile]) -> SampleRows:
    found = _guess_common_dialect(files)
    dialect, names = found.dialect, found.names
    others: dict[str, None] = {}
    columns = [_text_column(f"c{place}", name) for place, name in enumerate(names)]
    table = Table(name="files", role="staging", source="files", description="", columns=tuple(columns))
    relations = []
    for number, file in enumerate(files):
        uri = file.object.key
        if needs_plain_copy(dialect) or not is_readable(file):
            write_plain_copy(file, uri, dialect)
        header = read_header(file, uri, table, dialect)
        if header:
            others |= {name: None for name in header.columns if name not in names}
            texts = select_texts([file], header, columns, (), dialect)
            relations.append(f"SELECT *, {number} AS {FILE} FROM {texts}")
    empty = ", ".join(f"NULL AS c{place}" for place in range(len(names)))
    rows = _create(con, " UNION ALL ".join(relations) or f"SELECT {empty}, 0 AS {FILE} WHERE FALSE")
    samples = Samples(con, TABLE, _fields(dict.fromkeys(names)), rows)
    return SampleRows(kind, dialect, samples, list(others), found.share)


def _guess_common_dialect(files: Sequence[LocalFile]) -> DialectGuess:
    """Guess from the first files, which must be written in the same way. Raises SourceFileError."""
    found: dict[str, DialectGuess] = {}
    for file in files:
        with open_local_file(file, file.object.key) as stream:
            is_empty = not stream.read(1 << 16).strip()
        if not is_empty:
            found[file.object.key] = _guess_dialect(file)
        if len(found) == COMPARED_FILES:
            break
    if not found:
        raise SourceFileError(f"{files[0].object.key}: the file is empty: name a file with rows")
    (first, guess), *rest = found.items()
    footer = guess.dialect.skip_footer
    for key, other in rest:
        for what in ("delimiter", "encoding", "header", "skip_lines"):
            one, two = getattr(guess.dialect, what), getattr(other.dialect, what)
            if one != two and (
                what != "encoding" or "utf-8" not in (one, two) or not _is_ascii(files, first, key)
            ):
                raise SourceFileError(
                    f"{first} and {key} look differently written ({what}: {one!r} and {two!r}): name files of one system"
                )
        footer = min(footer, other.dialect.skip_footer)
    return replace(guess, dialect=guess.dialect.model_copy(update={"skip_footer": footer}))


def _is_ascii(files: Sequence[LocalFile], *keys: str) -> bool:
    """Return whether one of the files has no other characters, so that its encoding may be the other's."""
    for file in files:
        if file.object.key in keys:
            with open_local_file(file, file.object.key) as stream:
                if all(block.isascii() for block in iter(lambda stream=stream: stream.read(1 << 20), b"")):  # type: ignore[misc]
                    return True
    return False


def _guess_dialect(file: LocalFile) -> DialectGuess:
    """Guess from the file's first bytes; the encoding, from all of them. Raises SourceFileError."""
    uri = file.object.key
    with open_local_file(file, uri) as stream:
        start = stream.read(SAMPLE_BYTES)
    is_whole = len(start) < SAMPLE_BYTES
    for encoding in likely_encodings(start):
        try:
            text = "".join(
                iterate_decoded(iter([start]), encoding) if is_whole else _read_text(file, encoding)
            )
        except UnicodeDecodeError:
            continue
        text = text.removeprefix("\ufeff")
        whole_lines = text if is_whole else text[: text.rfind("\n") + 1]
        if "\0" not in text and (found := guess_dialect(whole_lines, encoding, is_whole=is_whole)):
            return found
        break
    raise SourceFileError(f"{uri}: no format fits the file: it is neither CSV, JSON nor Parquet")


def _read_text(file: LocalFile, encoding: str) -> str:
    """Return the first characters of a file, all of which are of the encoding. Raises UnicodeDecodeError."""
    text = ""
    with open_local_file(file, file.object.key) as stream:
        for part in iterate_decoded(iter(lambda: stream.read(1 << 20), b""), encoding):
            text += part if len(text) < SAMPLE_BYTES else ""
    return text


def _text_column(name: str, field: str) -> Column:
    return Column(name=name, field=field or None, type="varchar(max)", description="")


def _read_parquet(con: duckdb.DuckDBPyConnection, kind: str, files: Sequence[LocalFile]) -> SampleRows:
    known: dict[str, str | None] = {}
    for file in files:
        described = con.execute(f"DESCRIBE SELECT * FROM read_parquet({path_list([file])})").fetchall()
        columns = {name: _parquet_type(str(declared)) for name, declared, *_ in described}
        if known and columns != known:
            raise SourceFileError(
                f"{file.object.key} has other columns than {files[0].object.key}: name files with the same columns"
            )
        known = columns
    kept = {name: declared for name, declared in known.items() if declared is not None}
    _check_some(kept, files[0])
    selected = ", ".join(f"CAST({quote(name)} AS VARCHAR) AS c{place}" for place, name in enumerate(kept))
    parts = [
        f"SELECT {selected}, {number} AS {FILE} FROM read_parquet({path_list([file])})"
        for number, file in enumerate(files)
    ]
    rows = _create(con, " UNION ALL ".join(parts))
    omitted = [name for name in known if name not in kept]
    return SampleRows(kind, DEFAULT_DIALECT, Samples(con, TABLE, _fields(kept), rows), omitted)


def _fields(kinds: Mapping[str, str | None]) -> list[Field]:
    """Return the fields of these names and kinds, whose texts are in the columns c0, c1 …"""
    identifiers = unique_identifiers(kinds)
    return [
        Field(name, identifiers[place], f"c{place}", kind or None)
        for place, (name, kind) in enumerate(kinds.items())
    ]


def _check_some(kept: Sized, file: LocalFile) -> None:
    if not kept:
        raise SourceFileError(f"{file.object.key}: no column can hold any of its fields: name other files")


def _parquet_type(declared: str) -> str | None:
    """Return the neutral type of a Parquet column; None if no column can hold it."""
    if declared == "VARCHAR":
        return TEXT
    if declared.startswith("DECIMAL"):
        return declared.lower()
    return _PARQUET_TYPES.get(declared)


def _read_json(con: duckdb.DuckDBPyConnection, kind: str, files: Sequence[LocalFile]) -> SampleRows:
    shape = "newline_delimited" if kind == "json_lines" else "auto"
    parts = [
        f"SELECT json, {number} AS {FILE} FROM read_json_objects({path_list([file])}, format='{shape}', compression='{compression_name([file])}')"
        for number, file in enumerate(map(_readable, files))
    ]
    con.execute(f"CREATE OR REPLACE TABLE documents AS {' UNION ALL '.join(parts)}")
    [(structure,)] = con.execute("SELECT json_group_structure(json) FROM documents").fetchall()
    leaves = dict(_leaves((), json.loads(structure or "{}")))
    kept = {path: found for path, found in leaves.items() if found is not None and _can_be_path(path)}
    _check_some(kept, files[0])
    selected = ", ".join(
        f"json ->> {string_literal('$' + ''.join(f'.{json.dumps(name, ensure_ascii=False)}' for name in path))} AS c{place}"
        for place, path in enumerate(kept)
    )
    rows = _create(con, f"SELECT {selected}, {FILE} FROM documents")
    fields = _fields({".".join(path): found for path, found in kept.items()})
    omitted = [".".join(path) for path in leaves if path not in kept]
    return SampleRows(kind, DEFAULT_DIALECT, Samples(con, TABLE, fields, rows), omitted)


def _readable(file: LocalFile) -> LocalFile:
    """Return the file, decompressed if DuckDB's reader cannot do that."""
    if not is_readable(file):
        write_plain_copy(file, file.object.key, DEFAULT_DIALECT)
    return file


def _leaves(path: tuple[str, ...], structure: Any) -> Iterable[tuple[tuple[str, ...], str | None]]:
    """Yield the values of records by path, each with its kind: empty for a text, None if no column can hold it."""
    if isinstance(structure, dict) and structure:
        for name, inner in structure.items():
            yield from _leaves((*path, name), inner)
        return
    kind = structure if isinstance(structure, str) else "list"
    yield path, "number" if kind in _NUMBERS else {"VARCHAR": "", "BOOLEAN": "boolean"}.get(kind)


def _can_be_path(path: Sequence[str]) -> bool:
    return all(name and not set(name) & set('."\\*') for name in path)


def _create(con: duckdb.DuckDBPyConnection, select: str) -> int:
    con.execute(f"CREATE OR REPLACE TABLE {TABLE} AS {select}")
    [(rows,)] = con.execute(f"SELECT count(*) FROM {TABLE}").fetchall()
    return int(rows)
