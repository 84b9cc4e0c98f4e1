"""Good files of every format, and files of each kind that cannot be read as declared, with what their error says.

Files with bad rows do not belong here.
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scx_pipeline_tests.support.load_env import LIMITS, compress
from scx_pipeline_tests.support.small_star import SmallStarEnv, small_star

COLUMNS = [{"name": "id", "type": "integer", "nullable": False}, {"name": "v", "type": "varchar(max)"}]
GOOD_ROWS = 3


@dataclass(frozen=True)
class InvalidFile:
    """A file that cannot be read as declared: the end of its name, its content, and a part of the error."""

    suffix: str
    content: bytes
    reason: str


def csv_file(first: int, rows: int = GOOD_ROWS) -> bytes:
    lines = (f"{number},v{number}\n" for number in range(first, first + rows))
    return ("id,v\n" + "".join(lines)).encode()


def json_lines_file(first: int, rows: int = GOOD_ROWS) -> bytes:
    lines = (f'{{"id": {number}, "v": "v{number}"}}\n' for number in range(first, first + rows))
    return "".join(lines).encode()


def json_file(first: int, rows: int = GOOD_ROWS) -> bytes:
    return b"[" + json_lines_file(first, rows).strip().replace(b"\n", b",") + b"]"


def parquet_file(first: int, rows: int = GOOD_ROWS, **others: pa.Array) -> bytes:
    numbers, out = range(first, first + rows), io.BytesIO()
    columns = {"id": pa.array(numbers, pa.int32()), "v": pa.array([f"v{number}" for number in numbers])}
    pq.write_table(pa.table(columns | others), out, compression="none")
    return out.getvalue()


MAKERS = {"csv": csv_file, "json_lines": json_lines_file, "json": json_file, "parquet": parquet_file}


def half(content: bytes, suffix: str) -> bytes:
    packed = compress(content, suffix)
    return packed[: len(packed) // 2]


def _of_any_text(kind: str) -> dict[str, InvalidFile]:
    """Return the invalid files that a text format has in common with the others."""
    make = MAKERS[kind]
    text, long = make(900), make(900, 5000)
    damaged = "the compressed file is damaged or truncated"
    return {
        "half a gzip": InvalidFile("x.gz", half(long, ".gz"), damaged),
        "a gzip without its end": InvalidFile("x.gz", gzip.compress(text)[:-4], damaged),
        "half a zstd": InvalidFile("x.zst", half(long, ".zst"), damaged),
        "no gzip": InvalidFile("x.gz", text, "is not compressed, but its name ends in .gz"),
        "a hidden gzip": InvalidFile("x", gzip.compress(text), "is compressed (gzip), but its name does not"),
        "a gzip of a gzip": InvalidFile("x.gz", gzip.compress(gzip.compress(text)), "is compressed twice"),
        "a zip": InvalidFile("x", b"PK\x03\x04" + bytes(99), "is a zip archive"),
        "a zip in a gzip": InvalidFile("x.gz", gzip.compress(b"PK\x03\x04" + bytes(99)), "is compressed twice, with gzip and zip"),
        "Parquet": InvalidFile("x", parquet_file(900), "is Parquet, not text"),
        "UTF-16": InvalidFile("x", text.decode().encode("utf-16"), "line 1: not UTF-8"),
    }  # fmt: skip


LATIN = csv_file(900).replace(b"v901", b"v\xe4")
INVALID_FILES: dict[str, dict[str, InvalidFile]] = {
    "csv": _of_any_text("csv")
    | {
        "a missing column": InvalidFile("x", b"id,w\n900,a\n", "line 1: the column 'v' of t is missing"),
        "a duplicate column": InvalidFile("x", b"id,v,v\n900,a,b\n", "line 1: the header has the column 'v' twice"),
        "an unnamed column": InvalidFile("x", b"id,v,\n900,a,b\n", "line 1: the header's column 3 has no name"),
        "an empty first line": InvalidFile("x", b"\n" + csv_file(900), "line 1 is empty"),
        "an open quote in the header": InvalidFile("x", b'id,"v\n900,a\n', "line 1: a quote is opened in the header"),
        "a NUL in the header": InvalidFile("x", b"id,v,a\0b\n900,a,b\n", "line 1: holds a NUL character"),
        "Latin-1": InvalidFile("x", LATIN, "line 3: not UTF-8"),
        "Latin-1 in a gzip": InvalidFile("x.gz", gzip.compress(LATIN), "line 3: not UTF-8"),
        "an open quote": InvalidFile("x", csv_file(900) + b'903,"open\n', "line 5: a quote is opened and never closed"),
        "an open quote after many rows": InvalidFile("x", csv_file(900, rows=20_000) + b'903,"open\n', "line 20002: a quote"),
        "an open quote after bad rows": InvalidFile("x", b"id,v\n" + b"x,y,z\n" * 20_000 + b'903,"open\n', "line 20002: a quote"),
        "mixed line ends": InvalidFile("x", csv_file(900) + b"903,a\r\n904,b\n", "line 5: the record does not end as the header"),
        "a record without end": InvalidFile("x", csv_file(900) + b"903," + b"x" * (5 << 20), "longer than 4,194,304 bytes"),
    },
    "json_lines": _of_any_text("json_lines")
    | {
        "a line without end": InvalidFile("x", json_lines_file(900) + b'"' + b"x" * (17 << 20), "line 4: a line is longer"),
        "a NUL": InvalidFile("x", b"{\0" + json_lines_file(900), "line 1: holds a NUL character"),
    },
    "json": _of_any_text("json")
    | {
        "too large": InvalidFile("x", b"[" + b" " * (17 << 20) + b"]", "the document is larger than 16 MiB"),
        "too large inside": InvalidFile("x.gz", gzip.compress(b" " * (17 << 20)), "the document is larger than 16 MiB"),
    },
    "parquet": {
        "no Parquet": InvalidFile("x", csv_file(900) * 9, "cannot be read: "),
        "no bytes": InvalidFile("x", b"", "cannot be read: "),
        "half a file": InvalidFile("x", parquet_file(900)[:-200], "cannot be read: "),
        "a damaged page": InvalidFile("x", parquet_file(900)[:20] + b"\xff" * 60 + parquet_file(900)[80:], "cannot be read: "),
        "a gzip": InvalidFile("x.gz", gzip.compress(parquet_file(900)), "is compressed as a whole"),
        "another type": InvalidFile("x", parquet_file(900, id=pa.array(["a"] * GOOD_ROWS)), "which cannot be read as"),
    },
}  # fmt: skip
CASES = [(kind, what) for kind, files in INVALID_FILES.items() for what in files]


def open_small_env(folder: Path, kind: str, batch_files: int = 0, **source: object) -> SmallStarEnv:
    """Return an environment of a folder and a DuckDB file, whose source has this format."""
    (folder / "bucket").mkdir(parents=True, exist_ok=True)
    urls = ((folder / "bucket").as_uri(), f"duckdb://{folder}/dev.duckdb")
    star = small_star(folder, kind, COLUMNS, **source)
    return SmallStarEnv(*urls, star, replace(LIMITS, batch_files=batch_files))
