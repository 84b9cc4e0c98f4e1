"""Count the lines and records of a JSON lines file by its bytes, independently of the reader.

Nothing is parsed; the reader's rows are compared with this count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from scx_pipeline.parsing.records import BOM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK_BYTES = 1 << 18  # fits into a processor's cache while it is scanned several times
MAX_LINE_BYTES = 16 << 20
BLANK = b" \t\n\v\f\r"  # a line of only these bytes is blank


@dataclass
class LineCounts:
    """The numbers of bytes, of lines (a last one without a line end included), and of records: lines that are not blank.

    `names` counts the quotes before a colon, `spaced_colons` the blanks before one, where names are not counted.
    `too_long` is the number of the first line that exceeds the limit; nothing after it was counted.
    """

    size: int = 0
    lines: int = 0
    records: int = 0
    names: int = 0
    spaced_colons: int = 0
    ends_with_line_end: bool = True
    longest: int = 0  # bytes of the longest line, if it exceeds a chunk
    too_long: int | None = None


def count_lines(stream: IO[bytes]) -> LineCounts:
    """Count the lines and records of a stream, in the memory of one chunk."""
    return _LineCounter().run(stream)


@dataclass
class _LineCounter:
    """Counts chunk by chunk, each with the preceding byte."""

    found: LineCounts = field(default_factory=LineCounts)
    start: int = 0  # of the current line
    blank: bool = False  # whether the current line has only blanks so far

    def run(self, stream: IO[bytes]) -> LineCounts:
        import numpy as np

        buffer = bytearray(CHUNK_BYTES + 1)
        buffer[0] = ord("\n")
        codes = np.frombuffer(buffer, np.uint8)
        pairs = (codes[:-1].view(np.uint16), codes[1:].view(np.uint16))
        name, apart = np.frombuffer(b'": :', np.uint16)
        found = self.found
        while found.too_long is None and (size := stream.readinto(memoryview(buffer)[1:])):  # type: ignore[attr-defined]
            buffer[size + 1 :] = bytes(CHUNK_BYTES - size)
            if not found.size and buffer.startswith(BOM, 1):  # not part of a record
                buffer[1 : 1 + len(BOM)] = b" " * len(BOM)
            self._count_lines(codes[: size + 1])
            for part in pairs:
                found.names += int(np.count_nonzero(part == name))
                found.spaced_colons += int(np.count_nonzero(part == apart))
            buffer[0] = buffer[size]
        found.ends_with_line_end = buffer[0] == ord("\n")
        return found

    def _count_lines(self, codes: NDArray[np.uint8]) -> None:
        """Count the lines and records that begin in a chunk, and measure the lines that end in it."""
        import numpy as np

        before, chunk = codes[:-1], codes[1:]
        starts = np.flatnonzero(before == ord("\n"))
        found, end = self.found, self.found.size + len(chunk) - int(chunk[-1] == ord("\n"))
        if len(starts):
            end = found.size + int(starts[0]) - 1
        if end - self.start > CHUNK_BYTES:
            found.longest = max(found.longest, end - self.start)
        if end - self.start > MAX_LINE_BYTES:
            found.too_long = max(found.lines, 1)
            return
        self._count_records(chunk, starts)
        if len(starts):
            self.start = found.size + int(starts[-1])
        found.lines += len(starts)
        found.size += len(chunk)

    def _count_records(self, chunk: NDArray[np.uint8], starts: NDArray[np.int64]) -> None:
        """Count the lines that are not blank; nearly all show that by their first byte."""
        import numpy as np

        if not self.blank and not _is_blank(chunk[starts]).any():
            self.found.records += len(starts)
            return
        filled = ~_is_blank(chunk)
        first = int(starts[0]) if len(starts) else len(chunk)
        if self.blank and filled[:first].any():
            self.found.records += 1
            self.blank = False
        if len(starts):
            counts = np.add.reduceat(filled, starts, dtype=np.int64)
            self.found.records += int(np.count_nonzero(counts))
            self.blank = not counts[-1]


def _is_blank(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (codes == 32) | ((codes >= 9) & (codes <= 13))  # type: ignore[no-any-return]
