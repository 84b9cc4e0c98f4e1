"""Places in text files: a record's line and raw text, the line of an offset, and files opened decompressed."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

BOM = b"\xef\xbb\xbf"  # a byte order mark, which some writers put at a file's start
CHUNK = 16 << 20
RAW_LIMIT = 10_000  # characters of a bad record that are kept: enough to see it, too few to fill a disk


@dataclass(frozen=True)
class Record:
    """A record of a file: the line it starts on (from 1), and its raw text."""

    line: int
    raw: str


def open_plain(path: Path) -> IO[bytes]:
    """The file's bytes, decompressed; the suffix tells how."""
    return decompressed(path, path.suffix)


def decompressed(source: Path | IO[bytes], suffix: str) -> IO[bytes]:
    """The bytes of a file or stream, decompressed; the suffix tells how."""
    if suffix == ".gz":
        return cast("IO[bytes]", gzip.open(source, "rb"))
    if suffix == ".zst":
        import pyarrow as pa

        return pa.input_stream(str(source) if isinstance(source, Path) else source, compression="zstd")  # type: ignore[no-any-return]
    return source.open("rb") if isinstance(source, Path) else source


def line_of(path: Path, offsets: Iterable[int]) -> dict[int, int]:
    """The line (from 1) that each byte offset of the plain text is on, whatever the line endings are."""
    lines: dict[int, int] = {}
    line, position = 1, 0
    with open_plain(path) as file:
        for offset in sorted(set(offsets)):
            while position < offset:
                chunk = file.read(min(CHUNK, offset - position))
                if not chunk:
                    break
                while chunk.endswith(b"\r") and position + len(chunk) < offset and (more := file.read(1)):
                    chunk += more  # so that \r\n is never cut in two
                line += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
                position += len(chunk)
            lines[offset] = line
    return lines
