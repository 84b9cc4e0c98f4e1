"""Find where the records of a CSV file begin and end, by its bytes alone and without parsing values.

A block of bytes is compared with each significant character, and the results are packed into bitmaps: the prefix parity
of the quotes shows which bytes are inside quoted values. That is exact for every file whose quotes enclose values; files
with other quotes are recognised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, TypeAlias

from scx_pipeline.model.dialect import DEFAULT_DIALECT, Dialect
from scx_pipeline.parsing.csv.bitmaps import (
    bit_positions,
    clear_bits_after,
    counts_before,
    last_bit,
    prefix_parity,
    shift_bits,
    to_bitmap,
)
from scx_pipeline.parsing.records import BOM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words: TypeAlias = NDArray[np.uint64]
    Numbers: TypeAlias = NDArray[np.int64]


BLOCK_BYTES = 1 << 20  # fits into a processor's cache


@dataclass(frozen=True)
class RecordBounds:
    """Consecutive records: the offsets of their first bytes and after their line ends, and their numbers of values."""

    starts: Numbers
    ends: Numbers
    values: Numbers


class RecordScanner:
    """Finds the records of one file. Its other attributes are complete when `scan` has ended."""

    def __init__(self, newline: bytes, dialect: Dialect = DEFAULT_DIALECT) -> None:
        self.newline, self.delimiter, self.quote = newline, ord(dialect.delimiter), dialect.quote.encode()
        self.position = self.start = 0  # after the last block, and of its incomplete record
        self.separators = 0  # of the incomplete record so far
        self.has_stray_quotes = self.has_mixed_line_ends = False
        self.inside = 0  # whether the last block ended inside a quoted value
        self.limit = 1  # whether its last byte was a separator, a line end or a quote, or there was none
        self.closed = 0  # whether its last byte was a closing quote
        self.returned = 0  # whether its last byte was a carriage return outside quoted values
        self.lines = 1  # at most: a line end of two bytes may count as two

    def scan(self, stream: IO[bytes]) -> Iterator[tuple[bytes, RecordBounds]]:
        """Yield each block of the file with the records that end in it."""
        import numpy as np

        for block in read_blocks(stream):
            yield block, self._find(block)
        if self.position > self.start:  # a last record without a line end
            yield (
                b"",
                RecordBounds(
                    *(np.array([fact]) for fact in (self.start, self.position, self.separators + 1))
                ),
            )

    def _find(self, block: bytes) -> RecordBounds:
        import numpy as np

        separators, line_ends = self._outside(block)
        places = bit_positions(line_ends, len(block))
        before = counts_before(separators, places)
        values = np.diff(before, prepend=-self.separators) + 1
        self.separators = int(np.bitwise_count(separators).sum()) - int(
            before[-1] if len(before) else -self.separators
        )
        ends = places + (self.position + 1)
        starts = np.concatenate(([self.start], ends))[:-1]
        self.position += len(block)
        self.start = int(ends[-1]) if len(ends) else self.start
        some = ends - starts > len(self.newline)
        return (
            RecordBounds(starts, ends, values)
            if some.all()
            else RecordBounds(starts[some], ends[some], values[some])
        )

    def _outside(self, block: bytes) -> tuple[Words, Words]:
        """Return bitmaps of the separators outside quoted values, and of the last bytes of line ends there."""
        import numpy as np

        data = np.frombuffer(block, np.uint8)
        delimiters, feeds = to_bitmap(data == self.delimiter), to_bitmap(data == 0x0A)
        returns = to_bitmap(data == 0x0D) if b"\r" in block else np.zeros_like(feeds)
        self.lines += int(np.bitwise_count(feeds).sum()) + int(np.bitwise_count(returns).sum())
        if self.quote and (self.inside or self.closed or self.quote in block):
            out_of_range = ~self._quoted(
                to_bitmap(data == self.quote[0]), delimiters | feeds | returns, len(block)
            )
            delimiters, feeds, returns = (
                delimiters & out_of_range,
                feeds & out_of_range,
                returns & out_of_range,
            )
        else:
            self.limit = last_bit(delimiters | feeds | returns, len(block))
        after_return = clear_bits_after(shift_bits(returns, self.returned), len(block))
        self.returned = last_bit(returns, len(block))
        ends, others = {
            b"\n": (feeds, returns),
            b"\r": (returns, feeds),
            b"\r\n": (feeds, feeds ^ after_return),
        }[self.newline]
        self.has_mixed_line_ends = self.has_mixed_line_ends or bool(others.any())
        return delimiters, ends

    def _quoted(self, quotes: Words, others: Words, size: int) -> Words:
        """Return a bitmap of the bytes inside quoted values, opening quotes included, and record stray quotes."""
        inside = prefix_parity(quotes, self.inside)
        limits, closing = others | quotes, quotes & ~inside
        opened_late = quotes & inside & ~shift_bits(limits, self.limit)
        goes_on = clear_bits_after(shift_bits(closing, self.closed), size) & ~limits
        self.has_stray_quotes = self.has_stray_quotes or bool(opened_late.any()) or bool(goes_on.any())
        self.inside, self.limit, self.closed = (last_bit(bits, size) for bits in (inside, limits, closing))
        return inside


def read_blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file in blocks of equal size, except for the last one, without a byte order mark."""
    block = stream.read(len(BOM)).removeprefix(BOM)
    while True:
        while len(block) < BLOCK_BYTES and (more := stream.read(BLOCK_BYTES - len(block))):
            block += more
        if not block:
            return
        yield block
        block = b""
