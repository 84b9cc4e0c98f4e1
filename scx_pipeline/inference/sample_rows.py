"""Read sample files into a table of texts, as the parsers read them.

What the texts mean is guessed elsewhere.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import SourceFileError
from scx_pipeline.inference.column_types import Field, Samples
from scx_pipeline.inference.csv_dialect import decode, guess_dialect, guess_encoding, read_names
from scx_pipeline.model.column import Column
from scx_pipeline.model.dialect import DEFAULT_DIALECT, Dialect
from scx_pipeline.model.reserved_names import RESERVED_COLUMNS, RESERVED_PREFIX, SYSTEM_COLUMNS
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.csv.csv_header import read_header, select_texts
from scx_pipeline.parsing.csv.plain_copy import needs_plain_copy, write_plain_copy
from scx_pipeline.parsing.parser import compression_name, path_list
from scx_pipeline.storage.compression import detect_format
from scx_pipeline.storage.local_file import LocalFile, is_readable, open_local_file
from scx_pipeline.warehouse.sql_text import quote, string_literal

if TYPE_CHECKING:
    import duckdb

TABLE, FILE = "samples", "file_number"
SAMPLE_BYTES = 64 << 20  # of a file that is looked at to guess its dialect
_LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l"}
)
_NUMBERS = {"BIGINT", "UBIGINT", "HUGEINT", "DOUBLE"}
_PARQUET_TYPES = {
    "TINYINT": "smallint", "SMALLINT": "smallint", "UTINYINT": "smallint", "INTEGER": "integer", "BIGINT": "bigint",
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


def guess_format(file: LocalFile) -> str:
    """Return the format of a sample file: csv, json_lines, json or parquet."""
    uri = file.object.key
    with open_local_file(file, uri) as stream:
        start = stream.read(1 << 20)
    if detect_format(start[:512]) == "Parquet":
        return "parquet"
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text.startswith((b"{", b"[")):
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
    return readers[kind](con, kind, files)


def _read_csv(con: duckdb.DuckDBPyConnection, kind: str, files: Sequence[LocalFile]) -> SampleRows:
    dialect, names = _guess_dialect(files[0])
    columns = [_text_column(f"c{place}", name) for place, name in enumerate(names)]
    table = Table(name="files", role="staging", source="files", description="", columns=tuple(columns))
    relations = []
    for number, file in enumerate(files):
        uri = file.object.key
        if needs_plain_copy(dialect) or not is_readable(file):
            write_plain_copy(file, uri, dialect)
        header = read_header(file, uri, table, dialect)
        if header:
            relations.append(
                f"SELECT *, {number} AS {FILE} FROM {select_texts([file], header, columns, (), dialect)}"
            )
    rows = _create(
        con,
        " UNION ALL ".join(relations)
        or f"SELECT {', '.join(f'NULL AS c{place}' for place in range(len(names)))}, 0 AS {FILE}",
    )
    identifiers = unique_identifiers(names)
    fields = [Field(name, identifiers[place], f"c{place}") for place, name in enumerate(names)]
    return SampleRows(kind, dialect, Samples(con, TABLE, fields, rows))


def _guess_dialect(file: LocalFile) -> tuple[Dialect, list[str]]:
    with open_local_file(file, file.object.key) as stream:
        start = stream.read(SAMPLE_BYTES)
    encoding = guess_encoding(start, is_whole=len(start) < SAMPLE_BYTES)
    text = decode(start, encoding)
    dialect = guess_dialect(text, encoding)
    if dialect is None:
        raise SourceFileError(
            f"{file.object.key}: no format fits the file: it is neither CSV, JSON nor Parquet"
        )
    return dialect, read_names(text, dialect)


def _text_column(name: str, field: str) -> Column:
    return Column(name=name, field=field, type="varchar(max)", description="")


def _read_parquet(con: duckdb.DuckDBPyConnection, kind: str, files: Sequence[LocalFile]) -> SampleRows:
    relation = f"read_parquet({path_list(files)})"
    described = con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    known = {name: _parquet_type(str(declared)) for name, declared, *_ in described}
    kept = {name: declared for name, declared in known.items() if declared is not None}
    selected = ", ".join(f"CAST({quote(name)} AS VARCHAR) AS c{place}" for place, name in enumerate(kept))
    parts = [
        f"SELECT {selected}, {number} AS {FILE} FROM read_parquet({path_list([file])})"
        for number, file in enumerate(files)
    ]
    rows = _create(con, " UNION ALL ".join(parts))
    identifiers = unique_identifiers(kept)
    fields = [
        Field(name, identifiers[place], f"c{place}", declared or None)
        for place, (name, declared) in enumerate(kept.items())
    ]
    omitted = [name for name, declared in known.items() if declared is None]
    return SampleRows(kind, DEFAULT_DIALECT, Samples(con, TABLE, fields, rows), omitted)


def _parquet_type(declared: str) -> str | None:
    """Return the neutral type of a Parquet column; empty for a text, None if no column can hold it."""
    if declared == "VARCHAR":
        return ""
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
    selected = ", ".join(
        f"json ->> {string_literal('$' + ''.join(f'.{json.dumps(name)}' for name in path))} AS c{place}"
        for place, path in enumerate(kept)
    )
    rows = _create(con, f"SELECT {selected or 'NULL AS c0'}, {FILE} FROM documents")
    names = [".".join(path) for path in kept]
    identifiers = unique_identifiers(names)
    fields = [
        Field(name, identifiers[place], f"c{place}", found or None)
        for place, (name, found) in enumerate(zip(names, kept.values(), strict=True))
    ]
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


def to_identifier(name: str) -> str:
    """Return a name that is valid on every engine: userId → user_id, Betrag in EUR → betrag_in_eur."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", spaced).encode("ascii", "ignore").decode()
    text = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:50]
    if not re.match(r"[a-z]", text):
        text = f"c_{text}".rstrip("_")
    taken = text in {*RESERVED_COLUMNS, *SYSTEM_COLUMNS} or text.startswith(RESERVED_PREFIX)
    return f"{text}_value" if taken else text


def unique_identifiers(names: Iterable[str]) -> list[str]:
    """Return an identifier for each name, with a number where two would be the same."""
    found: list[str] = []
    for name in names:
        base = to_identifier(name)
        candidate, number = base, 1
        while candidate in found:
            number += 1
            candidate = f"{base}_{number}"
        found.append(candidate)
    return found
