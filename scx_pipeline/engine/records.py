"""Where a CSV file's records are: the raw text and the line of a few records, found by their number.
Only dirty files come here; what makes a record bad is decided elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from scx_pipeline.engine.compression import decompressed as decompressed
from scx_pipeline.engine.compression import open_plain as open_plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Positions: TypeAlias = NDArray[np.int64]

csv.field_size_limit(64 << 20)
BOM = b"\xef\xbb\xbf"  # a byte order mark, which some writers put at a file's start
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
    for starts, ends in _splits(path):
        found = _pick(path, starts, ends, wanted, positions) if len(starts) == total + 1 else None
        if found is not None:
            return found
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
                while chunk.endswith(b"\r") and position + len(chunk) < offset and (more := file.read(1)):
                    chunk += more  # so that \r\n is never cut in two
                line += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
                position += len(chunk)
            lines[offset] = line
    return lines


def _splits(path: Path) -> Iterator[tuple[Positions, Positions]]:
    """The ways to cut the file, the likeliest first."""
    starts, ends, stray = _split_by_quotes(path)
    if not stray:
        yield starts, ends
    yield _split_by_csv(path)
    if stray:
        yield starts, ends


def _pick(
    path: Path, starts: Positions, ends: Positions, wanted: list[int], positions: list[int]
) -> Found | None:
    """The records asked for; None where the refused ones are not a record each, so that the file was cut wrongly."""
    import numpy as np

    refused = dict(zip(positions, np.searchsorted(starts, positions).tolist(), strict=True))
    if len(set(refused.values()) - {0, len(starts)}) < len(positions):
        return None
    taken = np.setdiff1d(np.arange(1, len(starts)), list(refused.values()))
    numbers = dict(zip(wanted, taken[wanted].tolist() if wanted else [], strict=True))
    chosen = sorted({0, *refused.values(), *numbers.values()})
    records = _read(path, [(number, int(starts[number]), int(ends[number])) for number in chosen])
    return Found(
        [name.strip() for name in replace(records[0], raw=records[0].raw.removeprefix("\ufeff")).fields()],
        {number: records[record] for number, record in numbers.items()},
        {position: records[record] for position, record in refused.items()},
    )


def _read(path: Path, bounds: list[tuple[int, int, int]]) -> dict[int, Record]:
    lines = line_of(path, [start for _, start, _ in bounds])
    records = {}
    with open_plain(path) as file:
        position = 0
        for number, start, end in bounds:
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


def _split_by_quotes(path: Path) -> tuple[Positions, Positions, bool]:
    """Cut at the line ends that an even number of quotes precedes: right for every file without stray quotes.

    Also tells whether there are any: quotes that open, but stand neither at a value's start nor after another quote.
    """
    import numpy as np

    found, position, quotes, last, stray = [], 0, 0, b"", False
    with open_plain(path) as file:
        for chunk in _chunks(file):
            data = np.frombuffer(chunk, dtype=np.uint8)
            marks = np.flatnonzero(data == 0x22)
            line_ends = np.flatnonzero(data == 0x0A)
            if b"\r" in chunk:
                returns = np.flatnonzero(data == 0x0D)
                line_ends = np.union1d(line_ends, returns[np.append(data, 0)[returns + 1] != 0x0A])
            even = (np.searchsorted(marks, line_ends) + quotes) % 2 == 0
            found.append(line_ends[even] + (position + 1))
            stray = stray or _has_stray(chunk, marks[quotes % 2 :: 2], last)
            quotes += len(marks)
            position += len(chunk)
            last = chunk[-1:]
    if last not in (b"", b"\n", b"\r"):
        found.append(np.array([position]))
    ends = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
    return *_without_blanks(path, ends), stray


def _has_stray(chunk: bytes, opening: Positions, last: bytes) -> bool:
    """Whether a quote that opens stands where none may; `last` is the byte before the chunk."""
    import numpy as np

    before = np.frombuffer(chunk, dtype=np.uint8)[opening - 1]
    if not last:
        before = before[opening != (3 if chunk.startswith(BOM) else 0)]
    elif 0 in opening[:1]:
        before[0] = last[0]
    return bool(before.tobytes().strip(b',"\r\n'))


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        while chunk.endswith(b"\r") and (more := file.read(1)):  # so that \r\n is never cut in two
            chunk += more
        yield chunk


def _without_blanks(path: Path, ends: Positions) -> tuple[Positions, Positions]:
    """Add the starts, and leave out the blank lines, which the parser does not count as records."""
    import numpy as np

    starts = np.append(0, ends[:-1])
    blank = []
    with open_plain(path) as file:
        position = 0
        for number in np.flatnonzero(ends - starts <= 2).tolist():
            _skip(file, int(starts[number]) - position)
            position = int(ends[number])
            if not file.read(position - int(starts[number])).strip(b"\r\n"):
                blank.append(number)
    return np.delete(starts, blank), np.delete(ends, blank)


def _split_by_csv(path: Path) -> tuple[Positions, Positions]:
    """Cut as Python's own csv reader does: slower, and right where quotes stand inside unquoted values."""
    import numpy as np

    position = 0
    starts, ends = [], []

    def lines(file: IO[bytes]) -> Iterator[str]:
        nonlocal position
        # A character a byte, since positions are counted; csv looks at none but ASCII ones.
        for line in io.TextIOWrapper(file, "latin-1", newline=""):
            position += len(line)
            yield line

    with (
        open_plain(path) as file,
        suppress(csv.Error),
    ):  # a value longer than the limit: the total will not agree
        start = 0
        for row in csv.reader(lines(file)):
            if row:
                starts.append(start)
                ends.append(position)
            start = position
    return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)
