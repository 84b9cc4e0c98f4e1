"""Count and locate the records of a CSV file by its bytes, independently of the reader that parses them.

Files with quotes that do not enclose values are only recognised: the exact reader parses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, TypeAlias

from scx_pipeline.model.dialect import Dialect
from scx_pipeline.parsing.csv.record_patterns import record_patterns
from scx_pipeline.parsing.csv.record_scanner import RecordBounds, RecordScanner, read_blocks
from scx_pipeline.parsing.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words: TypeAlias = NDArray[np.uint64]
    Numbers: TypeAlias = NDArray[np.int64]

MAX_RECORD_BYTES = 4 << 20  # Redshift's row limit, without the line end


@dataclass(frozen=True)
class RecordCount:
    """What the bytes of a file say about its records. The header is a record; blank lines are not.

    If the file has stray quotes (in an unquoted value, or followed by more of the value) or line ends of several kinds
    (mixed), the parity of quotes does not determine where records end, and only `lines` is valid.
    """

    records: int
    short_records: int  # records with fewer values than the header
    long_records: int  # records with more values than the header
    has_stray_quotes: bool
    has_mixed_line_ends: bool
    unclosed: int | None  # offset of the record in which a quote is never closed
    too_long: int | None  # offset of the first record of more than MAX_RECORD_BYTES
    lines: int  # at most: a line end of two bytes may count as two

    @property
    def max_records(self) -> int:
        """The most records that any reader can find in the file."""
        return self.lines if self.has_stray_quotes or self.has_mixed_line_ends else self.records

    @property
    def is_plain(self) -> bool:
        """Whether every CSV reader finds the same records in the file."""
        return (
            not (self.has_stray_quotes or self.has_mixed_line_ends)
            and self.unclosed is None
            and self.too_long is None
        )


def count_records(scanner: RecordScanner, stream: IO[bytes], values: int) -> RecordCount:
    """Count the records of a file in one pass over its bytes.

    Args:
        scanner: A scanner of the file's line end and dialect.
        stream: The file, decompressed.
        values: How many values its header has.
    """
    import numpy as np

    records, short, surplus, too_long, newline = 0, 0, 0, None, scanner.newline
    for block, found in scanner.scan(stream):
        records += len(found.ends)
        short += int(np.count_nonzero(found.values < values))
        surplus += int(np.count_nonzero(found.values > values))
        # A record is longer than a block only if it began in an earlier one.
        if too_long is None and len(found.ends) and found.ends[0] - found.starts[0] > MAX_RECORD_BYTES:
            length = int(found.ends[0] - found.starts[0]) - (len(newline) if block else 0)
            too_long = int(found.starts[0]) if length > MAX_RECORD_BYTES else None
    mixed = scanner.has_mixed_line_ends or (newline == b"\r\n" and bool(scanner.returned))
    unclosed = scanner.start if scanner.inside else None
    return RecordCount(
        records, short, surplus, scanner.has_stray_quotes, mixed, unclosed, too_long, scanner.lines
    )


def count_records_by_pattern(stream: IO[bytes], dialect: Dialect) -> int:
    """Count the records of any CSV file as Python's csv module splits them, by a regular expression.

    The header is one of them. This handles stray quotes and mixed line ends too, at a tenth of the speed of `count_records`. Memory is bounded by
    the longest record.
    """
    count, rest, record = 0, b"", record_patterns(dialect).record
    for block in read_blocks(stream):
        rest, end = rest + block, 0
        limit = len(rest) - rest.endswith(b"\r")
        # finditer would try to match an incomplete record from each of its bytes.
        while match := record.match(rest, end, limit):
            count += match.start() != match.start(1)
            end = match.end()
        rest = rest[end:]
    return count + bool(rest.strip(b"\r\n"))


def locate_records(
    scanner: RecordScanner, stream: IO[bytes], values: int, wanted: Sequence[int], misfits: int
) -> Iterator[Record]:
    """Find records of a file that is plain (`RecordCount.is_plain`), in their order.

    Args:
        scanner: A scanner of the file's line end and dialect.
        stream: The file, decompressed.
        values: How many values its header has.
        wanted: The numbers (from 0, sorted) of records that fit the header; the header itself, if it is one of them, is 0.
        misfits: How many of the records that do not fit the header are wanted.
    """
    import numpy as np

    fitting, numbers = 0, np.array(wanted, np.int64)
    for part in _located_blocks(scanner, stream):
        fits = part.values == values
        order = np.cumsum(fits) + (fitting - 1)  # the number of each fitting record
        chosen = np.isin(order, numbers) & fits
        others = np.flatnonzero(~fits)[:misfits]
        misfits -= len(others)
        chosen[others] = True
        for place in np.flatnonzero(chosen).tolist():
            yield part.record(place)
        fitting += int(np.count_nonzero(fits))


def count_line_ends(data: bytes, size: int) -> int:
    """Return how many lines end in the first bytes of a text, whatever its line ends are."""
    returns = data.count(b"\r", 0, size)
    pairs = data.count(b"\r\n", 0, size) if returns else 0
    return data.count(b"\n", 0, size) + returns - pairs


@dataclass(frozen=True)
class _LocatedBlock:
    """Consecutive records, with the bytes from the start of the first, and the line that it begins on."""

    data: bytes
    line: int
    offset: int
    found: RecordBounds

    @property
    def values(self) -> Numbers:
        return self.found.values

    def record(self, place: int) -> Record:
        first, behind = (int(bounds[place]) - self.offset for bounds in (self.found.starts, self.found.ends))
        text = self.data[first:behind].decode("utf-8", "replace")
        return Record(self.line + count_line_ends(self.data, first), text.rstrip("\r\n"))


def _located_blocks(scanner: RecordScanner, stream: IO[bytes]) -> Iterator[_LocatedBlock]:
    data, offset, line = b"", 0, 1
    for block, found in scanner.scan(stream):
        data += block
        if len(found.ends):
            yield _LocatedBlock(data, line, offset, found)
            behind = int(found.ends[-1]) - offset
            line += count_line_ends(data, behind)
            data, offset = data[behind:], offset + behind
