"""Where a CSV file's records are: the raw text and the line of a few records, found by their number.
Only dirty files come here; what makes a record bad is decided elsewhere."""

from __future__ import annotations

import csv
import gzip
import io
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

csv.field_size_limit(64 << 20)
CHUNK = 16 << 20
RAW_LIMIT = 10_000  # characters of a bad record that are kept: enough to see it, too few to fill a disk


@dataclass(frozen=True)
class Record:
    """A record of a file: its number (0 is the header), the line it starts on (from 1) and its raw text."""

    number: int
    line: int
    raw: str

    def fields(self) -> list[str]:
        """The record's values, unquoted."""
        return next(csv.reader(io.StringIO(self.raw, newline="")), [])


def open_plain(path: Path) -> IO[bytes]:
    """The file's bytes, decompressed; the suffix tells how."""
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".zst":
        import pyarrow as pa

        return pa.input_stream(str(path), compression="zstd")  # type: ignore[no-any-return]
    return path.open("rb")


@dataclass(frozen=True)
class Found:
    """The records asked for: by their number among the parsed ones, and by the position of a refused one."""

    header: list[str]
    parsed: dict[int, Record]
    refused: dict[int, Record]


def find_records(path: Path, parsed: Iterable[int], refused: Iterable[int], total: int) -> Found:
    """Find records by their number among those the parser took (from 0), and by the positions of those it refused.

    A refused record's position is a byte offset at its start, or at line ends just before it. `total` is how many
    records the file has, the header excluded: it tells whether the file was cut as the parser did. Where no way of
    cutting agrees with it, nothing is found.
    """
    wanted, positions = sorted(set(parsed)), sorted(set(refused))
    for split in (_split_by_quotes, _split_by_csv):
        bounds = split(path)
        if len(bounds) == total + 1:
            return _pick(path, bounds, wanted, positions)
    return Found([], {}, {})


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
                if chunk.endswith(b"\r") and position + len(chunk) < offset:
                    chunk += file.read(1)  # so that \r\n is never cut in two
                line += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
                position += len(chunk)
            lines[offset] = line
    return lines


def _pick(path: Path, bounds: list[tuple[int, int]], wanted: list[int], positions: list[int]) -> Found:
    starts = [start for start, _ in bounds]
    refused = {position: bisect_left(starts, position) for position in positions}
    taken = sorted(set(range(1, len(bounds))) - set(refused.values())) if wanted else []
    numbers = {number: taken[number] for number in wanted}
    records = _read(path, bounds, sorted({0, *refused.values(), *numbers.values()}))
    return Found(
        [name.strip().removeprefix("\ufeff") for name in records[0].fields()],
        {number: records[record] for number, record in numbers.items()},
        {position: records[record] for position, record in refused.items()},
    )


def _read(path: Path, bounds: list[tuple[int, int]], numbers: list[int]) -> dict[int, Record]:
    lines = line_of(path, [bounds[number][0] for number in numbers])
    records = {}
    with open_plain(path) as file:
        position = 0
        for number in numbers:
            start, end = bounds[number]
            _skip(file, start - position)
            raw = file.read(end - start)
            position = end
            text = raw[: RAW_LIMIT * 4].decode("utf-8", "replace").rstrip("\r\n")[:RAW_LIMIT]
            records[number] = Record(number, lines[start], text)
    return records


def _skip(file: IO[bytes], count: int) -> None:
    """Read on, since not every decompressor can seek."""
    while count > 0 and (chunk := file.read(min(count, CHUNK))):
        count -= len(chunk)


def _split_by_quotes(path: Path) -> list[tuple[int, int]]:
    """Cut at the line ends that an even number of quotes precedes: right for every file without stray quotes."""
    import numpy as np

    ends: list[int] = []
    position, odd, previous = 0, 0, 0
    with open_plain(path) as file:
        for chunk in _chunks(file):
            data = np.frombuffer(chunk, dtype=np.uint8)
            quotes = (np.cumsum(data == 0x22) + odd) & 1
            is_cr = data == 0x0D
            followed = np.append(data[1:] == 0x0A, False)
            line_end = ((data == 0x0A) | (is_cr & ~followed)) & (quotes == 0)
            ends += (np.flatnonzero(line_end) + 1 + position).tolist()
            odd = int(quotes[-1])
            position += len(chunk)
            previous = chunk[-1]
    if position and (not ends or ends[-1] != position) and previous != 0:
        ends.append(position)
    return _without_blanks(path, ends)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        if chunk.endswith(b"\r"):
            chunk += file.read(1)
        yield chunk


def _without_blanks(path: Path, ends: list[int]) -> list[tuple[int, int]]:
    """Pair starts with ends, leaving out the blank lines, which the parser does not count as records."""
    bounds = list(zip([0, *ends[:-1]], ends, strict=True))
    if all(end - start > 2 for start, end in bounds):
        return bounds
    kept, position = [], 0
    with open_plain(path) as file:
        for start, end in bounds:
            if end - start <= 2:
                _skip(file, start - position)
                position = end
                if not file.read(end - start).strip(b"\r\n"):
                    continue
            kept.append((start, end))
    return kept


def _split_by_csv(path: Path) -> list[tuple[int, int]]:
    """Cut as Python's own csv reader does: slower, and right where quotes stand inside unquoted values."""
    position = 0
    bounds: list[tuple[int, int]] = []

    def lines(file: IO[bytes]) -> Iterator[str]:
        nonlocal position
        for line in file:
            position += len(line)
            yield line.decode("utf-8", "replace")

    with open_plain(path) as file:
        start = 0
        for row in csv.reader(lines(file)):
            if row:
                bounds.append((start, position))
            start = position
    return bounds
