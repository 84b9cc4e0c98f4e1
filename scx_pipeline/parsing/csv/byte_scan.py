"""The records of a CSV file, counted and located by its bytes alone, independently of the reader that parses them.

A block of bytes is compared with each character that matters, and the results are packed into bits: the prefix parity of
the quotes' bits tells which bytes are inside of a quoted value. That is exact for every file whose quotes enclose values;
files with other quotes are recognised, and left to the exact reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, TypeAlias

from scx_pipeline.parsing.records import BOM, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words: TypeAlias = NDArray[np.uint64]
    Numbers: TypeAlias = NDArray[np.int64]

BLOCK = 1 << 20  # bytes that are looked at together: few enough for a processor's cache
MAX_RECORD_BYTES = 4 << 20  # Redshift's row limit, the line end excluded

FIELD = rb'(?:"[^"]*+(?:""[^"]*+)*+"[^,\r\n]*+|[^",\r\n][^,\r\n]*+|)'
_RECORD = re.compile(rb"%b(?:,%b)*+(\r\n|\n|\r)" % (FIELD, FIELD))


@dataclass(frozen=True)
class RecordCount:
    """What the bytes of a file say about its records. The header is one; blank lines are none.

    If the file has stray quotes (in an unquoted value, or followed by more of the value) or line ends of several kinds
    (`mixed`), the parity of quotes does not tell where records end, and the other facts but `lines` do not count.
    """

    records: int
    short: int  # records that have fewer values than the header
    surplus: int  # records that have more
    stray: bool
    mixed: bool
    unclosed: int | None  # the offset of the record in which a quote is never closed
    too_long: int | None  # the offset of the first record of more than MAX_RECORD_BYTES
    lines: int  # at most: a line end of two bytes may count as two

    @property
    def most(self) -> int:
        """The most records that any reader finds in the file."""
        return self.lines if self.stray or self.mixed else self.records

    @property
    def plain(self) -> bool:
        """Whether every reader of CSV finds the same records in the file."""
        return not (self.stray or self.mixed) and self.unclosed is None and self.too_long is None


def count_records(stream: IO[bytes], newline: bytes, values: int) -> RecordCount:
    """Count the records of a file in one pass over its bytes.

    Args:
        stream: The file, decompressed.
        newline: What its lines end with.
        values: How many values its header has.
    """
    import numpy as np

    scanner, records, short, surplus, too_long = _Scanner(newline), 0, 0, 0, None
    for block, found in scanner.scan(stream):
        records += len(found.ends)
        short += int(np.count_nonzero(found.values < values))
        surplus += int(np.count_nonzero(found.values > values))
        # A record is longer than a block only if it began in an earlier one.
        if too_long is None and len(found.ends) and found.ends[0] - found.starts[0] > MAX_RECORD_BYTES:
            length = int(found.ends[0] - found.starts[0]) - (len(newline) if block else 0)
            too_long = int(found.starts[0]) if length > MAX_RECORD_BYTES else None
    mixed = scanner.mixed or (newline == b"\r\n" and bool(scanner.returned))
    unclosed = scanner.start if scanner.inside else None
    return RecordCount(records, short, surplus, scanner.stray, mixed, unclosed, too_long, scanner.lines)


def count_records_by_pattern(stream: IO[bytes]) -> int:
    """Count the records of any file of CSV as Python's csv module cuts them, by a regular expression.

    That is right for stray quotes and mixed line ends too, and a tenth as fast as `count_records`. Memory is bounded by
    the longest record.
    """
    count, rest = 0, b""
    for block in _blocks(stream):
        rest, end = rest + block, 0
        limit = len(rest) - rest.endswith(b"\r")
        # Not by finditer, which would try a record that is cut from each of its bytes on.
        while match := _RECORD.match(rest, end, limit):
            count += match.start() != match.start(1)
            end = match.end()
        rest = rest[end:]
    return count + bool(rest.strip(b"\r\n"))


@dataclass(frozen=True)
class Located:
    """A record that was asked for: by its number among those that have as many values as the header, or as a misfit."""

    number: int | None
    record: Record


def locate_records(
    stream: IO[bytes], newline: bytes, values: int, wanted: Sequence[int], misfits: int
) -> Iterator[Located]:
    """Find records of a plain file, in their order.

    Args:
        stream: The file, decompressed.
        newline: What its lines end with.
        values: How many values its header has.
        wanted: The numbers of records that have as many values as the header (from 0, sorted), the header excluded.
        misfits: How many of the others are wanted, from the first on.
    """
    import numpy as np

    fitting, numbers = -1, np.array(wanted, np.int64)
    for part in _parts(_Scanner(newline), stream):
        fits = part.values == values
        order = np.cumsum(fits) + (fitting - 1)  # the number of each fitting record
        chosen = np.isin(order, numbers) & fits
        others = np.flatnonzero(~fits)[:misfits]
        misfits -= len(others)
        chosen[others] = True
        for place in np.flatnonzero(chosen).tolist():
            yield Located(int(order[place]) if fits[place] else None, part.record(place))
        fitting += int(np.count_nonzero(fits))


def count_lines(data: bytes, size: int) -> int:
    """How many lines end in the first bytes of a text, whatever its line ends are."""
    returns = data.count(b"\r", 0, size)
    pairs = data.count(b"\r\n", 0, size) if returns else 0
    return data.count(b"\n", 0, size) + returns - pairs


@dataclass(frozen=True)
class _Found:
    """Records that follow each other: the offsets of their first bytes, those behind their line ends, and their values."""

    starts: Numbers
    ends: Numbers
    values: Numbers


class _Scanner:
    """Finds the records of one file. What it notes of the file is complete once `scan` has ended."""

    def __init__(self, newline: bytes) -> None:
        self.newline = newline
        self.position = self.start = 0  # behind the last block, and of the record that it cuts
        self.separators = 0  # of that record so far
        self.stray = self.mixed = False
        self.inside = 0  # whether the last block ended inside of a quoted value
        self.limit = 1  # whether its last byte was a separator, a line end or a quote, or there was none
        self.closed = 0  # whether its last byte was a quote that closes
        self.returned = 0  # whether its last byte was a carriage return outside of quoted values
        self.lines = 1  # at most, as `RecordCount.lines`

    def scan(self, stream: IO[bytes]) -> Iterator[tuple[bytes, _Found]]:
        """Each block of the file, and the records that end in it."""
        import numpy as np

        for block in _blocks(stream):
            yield block, self._find(block)
        if self.position > self.start:  # a last record without a line end
            yield (
                b"",
                _Found(*(np.array([fact]) for fact in (self.start, self.position, self.separators + 1))),
            )

    def _find(self, block: bytes) -> _Found:
        import numpy as np

        separators, line_ends = self._outside(block)
        places = _positions(line_ends, len(block))
        before = _counts_before(separators, places)
        values = np.diff(before, prepend=-self.separators) + 1
        self.separators = int(np.bitwise_count(separators).sum()) - int(
            before[-1] if len(before) else -self.separators
        )
        ends = places + (self.position + 1)
        starts = np.concatenate(([self.start], ends))[:-1]
        self.position += len(block)
        self.start = int(ends[-1]) if len(ends) else self.start
        some = ends - starts > len(self.newline)
        return _Found(starts, ends, values) if some.all() else _Found(starts[some], ends[some], values[some])

    def _outside(self, block: bytes) -> tuple[Words, Words]:
        """The separators outside of quoted values, and the last bytes of line ends there, as bits."""
        import numpy as np

        data = np.frombuffer(block, np.uint8)
        commas, feeds = _bits(data == 0x2C), _bits(data == 0x0A)
        returns = _bits(data == 0x0D) if b"\r" in block else np.zeros_like(feeds)
        self.lines += int(np.bitwise_count(feeds).sum()) + int(np.bitwise_count(returns).sum())
        if self.inside or self.closed or b'"' in block:
            outside = ~self._quoted(_bits(data == 0x22), commas | feeds | returns, len(block))
            commas, feeds, returns = commas & outside, feeds & outside, returns & outside
        else:
            self.limit = _last_bit(commas | feeds | returns, len(block))
        after_return = _within(_shifted(returns, self.returned), len(block))
        self.returned = _last_bit(returns, len(block))
        ends, others = {
            b"\n": (feeds, returns),
            b"\r": (returns, feeds),
            b"\r\n": (feeds, feeds ^ after_return),
        }[self.newline]
        self.mixed = self.mixed or bool(others.any())
        return commas, ends

    def _quoted(self, quotes: Words, others: Words, size: int) -> Words:
        """Which bytes are inside of quoted values, their opening quotes included; notes stray quotes."""
        inside = _prefix_parity(quotes, self.inside)
        limits, closing = others | quotes, quotes & ~inside
        opened_late = quotes & inside & ~_shifted(limits, self.limit)
        goes_on = _within(_shifted(closing, self.closed), size) & ~limits
        self.stray = self.stray or bool(opened_late.any()) or bool(goes_on.any())
        self.inside, self.limit, self.closed = (_last_bit(bits, size) for bits in (inside, limits, closing))
        return inside


@dataclass(frozen=True)
class _Part:
    """Records that follow each other, with the bytes from the first one's start on, and the line that it begins on."""

    data: bytes
    line: int
    offset: int
    found: _Found

    @property
    def values(self) -> Numbers:
        return self.found.values

    def record(self, place: int) -> Record:
        first, behind = (int(bounds[place]) - self.offset for bounds in (self.found.starts, self.found.ends))
        text = self.data[first:behind].decode("utf-8", "replace")
        return Record(self.line + count_lines(self.data, first), text.rstrip("\r\n"))


def _parts(scanner: _Scanner, stream: IO[bytes]) -> Iterator[_Part]:
    data, offset, line = b"", 0, 1
    for block, found in scanner.scan(stream):
        data += block
        if len(found.ends):
            yield _Part(data, line, offset, found)
            behind = int(found.ends[-1]) - offset
            line += count_lines(data, behind)
            data, offset = data[behind:], offset + behind


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """The bytes of a file in blocks, of which only the last one is shorter; a byte order mark is left out."""
    block = stream.read(len(BOM)).removeprefix(BOM)
    while True:
        while len(block) < BLOCK and (more := stream.read(BLOCK - len(block))):
            block += more
        if not block:
            return
        yield block
        block = b""


def _bits(mask: NDArray[np.bool_]) -> Words:
    """A bit for each byte, the first one the lowest, in words of 64."""
    import numpy as np

    packed = np.packbits(mask, bitorder="little")
    return (np.pad(packed, (0, -len(packed) % 8)) if len(packed) % 8 else packed).view(np.uint64)


def _positions(bits: Words, size: int) -> Numbers:
    """The places of the bits that are set."""
    import numpy as np

    # Of booleans, they are found many times faster than of numbers.
    places: Numbers = np.flatnonzero(
        np.unpackbits(bits.view(np.uint8), count=size, bitorder="little").view(np.bool_)
    )
    return places


def _counts_before(bits: Words, places: Numbers) -> Numbers:
    """How many bits are set before each of these places."""
    import numpy as np

    counts = np.bitwise_count(bits)
    words = places >> 6
    below = bits[words] & ((np.uint64(1) << (places & 63).astype(np.uint64)) - np.uint64(1))
    found: Numbers = (np.cumsum(counts, dtype=np.int64) - counts)[words] + np.bitwise_count(below)
    return found


def _shifted(bits: Words, before: int) -> Words:
    """The bits one place on; `before` is the one that comes in."""
    import numpy as np

    moved = bits << np.uint64(1)
    moved[1:] |= bits[:-1] >> np.uint64(63)
    moved[0] |= np.uint64(before)
    return moved


def _within(bits: Words, size: int) -> Words:
    """The bits without those behind the end of a block."""
    import numpy as np

    if size % 64:
        bits[-1] &= np.uint64((1 << size % 64) - 1)
    return bits


def _last_bit(bits: Words, size: int) -> int:
    return int(bits[-1]) >> ((size - 1) % 64) & 1


def _prefix_parity(bits: Words, before: int) -> Words:
    """For each bit, whether it and those before it are odd in number; `before` is the parity of earlier blocks."""
    import numpy as np

    parity = bits.copy()
    for width in (1, 2, 4, 8, 16, 32):
        parity ^= parity << np.uint64(width)
    words = np.bitwise_xor.accumulate(parity >> np.uint64(63))
    carried = np.empty_like(words)
    carried[0], carried[1:] = before, words[:-1] ^ np.uint64(before)
    parity ^= np.uint64(0) - carried
    return parity
