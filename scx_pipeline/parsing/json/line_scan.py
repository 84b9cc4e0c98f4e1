"""What a file of lines looks like by its bytes alone: how many lines and records it has, and whether one is too long.
The count is independent of the reader, whose rows are compared with it; nothing is parsed here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from scx_pipeline.parsing.records import BOM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK = 1 << 18  # bytes that stay in a processor's cache while they are looked at several times
MAX_LINE_BYTES = 16 << 20
BLANK = b" \t\n\v\f\r"  # bytes of which a line may have any number and still be blank


@dataclass
class Lines:
    """What was counted: bytes, lines (a last one without an end is one too), and records, the lines that are not blank.

    `names` is how often a quote stands before a colon, `apart` a blank, where a name would not be counted. `too_long`
    is the number of the first line of more bytes than one may have; nothing after it was counted.
    """

    size: int = 0
    lines: int = 0
    records: int = 0
    names: int = 0
    apart: int = 0
    ended: bool = True  # whether the last line has an end
    longest: int = 0  # bytes of the longest line, if it has more than a chunk
    too_long: int | None = None


def count_lines(stream: IO[bytes]) -> Lines:
    """Count what a stream holds, in as little memory as one chunk takes."""
    return _Counter().run(stream)


@dataclass
class _Counter:
    """Counts chunk by chunk, each with the byte before it."""

    found: Lines = field(default_factory=Lines)
    start: int = 0  # of the line that goes on
    blank: bool = False  # whether there are only blanks in the line that goes on

    def run(self, stream: IO[bytes]) -> Lines:
        import numpy as np

        buffer = bytearray(CHUNK + 1)
        buffer[0] = ord("\n")
        codes = np.frombuffer(buffer, np.uint8)
        pairs = (codes[:-1].view(np.uint16), codes[1:].view(np.uint16))
        name, apart = np.frombuffer(b'": :', np.uint16)
        found = self.found
        while found.too_long is None and (size := stream.readinto(memoryview(buffer)[1:])):  # type: ignore[attr-defined]
            buffer[size + 1 :] = bytes(CHUNK - size)
            if not found.size and buffer.startswith(BOM, 1):  # which belongs to no record
                buffer[1 : 1 + len(BOM)] = b" " * len(BOM)
            self._take_lines(codes[: size + 1])
            for part in pairs:
                found.names += int(np.count_nonzero(part == name))
                found.apart += int(np.count_nonzero(part == apart))
            buffer[0] = buffer[size]
        found.ended = buffer[0] == ord("\n")
        return found

    def _take_lines(self, codes: NDArray[np.uint8]) -> None:
        """Count the lines and records that begin in a chunk, and look how long the lines are that end in it."""
        import numpy as np

        before, chunk = codes[:-1], codes[1:]
        starts = np.flatnonzero(before == ord("\n"))
        found, end = self.found, self.found.size + len(chunk) - int(chunk[-1] == ord("\n"))
        if len(starts):
            end = found.size + int(starts[0]) - 1
        if end - self.start > CHUNK:
            found.longest = max(found.longest, end - self.start)
        if end - self.start > MAX_LINE_BYTES:
            found.too_long = max(found.lines, 1)
            return
        self._take_records(chunk, starts)
        if len(starts):
            self.start = found.size + int(starts[-1])
        found.lines += len(starts)
        found.size += len(chunk)

    def _take_records(self, chunk: NDArray[np.uint8], starts: NDArray[np.int64]) -> None:
        """Count the lines that are not blank. A line that begins with something else is none: nearly all do."""
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
