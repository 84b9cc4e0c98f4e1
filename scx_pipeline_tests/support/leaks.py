"""Search for leaked secrets: in files, in SQLite databases, compressed values included, and in PostgreSQL tables.

Planting secrets belongs to the tests.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

import psycopg2

LocatedText = tuple[str, str]  # (location, text)


def spellings(secret: str) -> set[str]:
    """Return a secret as it is, and encoded as in URLs, JSON, Python and headers."""
    quoted = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    written = {json.dumps(secret)[1:-1], repr(secret)[1:-1], base64.b64encode(secret.encode()).decode()}
    return {secret, *quoted, *(text.lower() for text in quoted), *written}


def leaks(secrets: Iterable[str], texts: Iterable[LocatedText]) -> list[str]:
    """Return the locations of the secrets, without the secrets themselves, since pytest prints the result."""
    wanted = [(number, text) for number, secret in enumerate(secrets) for text in spellings(secret)]
    return [f"secret {number} in {where}" for where, text in texts for number, word in wanted if word in text]


def texts_below(folder: Path) -> Iterator[LocatedText]:
    """Yield the content of all files below a folder, and the values in SQLite databases."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        yield str(path.relative_to(folder)), content.decode("utf-8", "replace")
        if content.startswith(b"SQLite format 3"):
            yield from _values(path)


def _values(path: Path) -> Iterator[LocatedText]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=60)) as con:
        for (table,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in con.execute(f'SELECT * FROM "{table}"').fetchall():
                for value in row:
                    yield f"{path.name}, {table}", _text(value)


def _text(value: object) -> str:
    """Return a value as a text; Dagster compresses some."""
    if isinstance(value, bytes):
        with suppress(zlib.error):
            value = zlib.decompress(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def texts_of_tables(url: str) -> Iterator[LocatedText]:
    """Yield all rows of all tables of a PostgreSQL database."""
    with closing(psycopg2.connect(url)) as con, con.cursor() as run:
        run.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        for (table,) in run.fetchall():
            run.execute(f"SELECT CAST(t AS text) FROM {table} AS t")
            yield from ((table, row) for (row,) in run.fetchall())
