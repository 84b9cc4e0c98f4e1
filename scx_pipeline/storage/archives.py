"""Decompress bzip2, and the only file of a zip archive, strictly: damaged or additional data is an error.

Other compressions, and what a file's first bytes are, belong to another module.
"""

from __future__ import annotations

import bz2
import io
import sys
import zipfile
from pathlib import Path
from typing import IO

from scx_pipeline.errors import SourceFileError

CHUNK_BYTES = 1 << 20
_ENCRYPTED = 1  # the bit of a member of a zip archive


class ArchiveError(SourceFileError):
    """An archive does not have one readable file; the caller adds the archive's name."""


class Bzip2Stream(io.BufferedIOBase):
    """Decompresses all streams of a file. Raises OSError or EOFError for a damaged one, where Python's own ignores the rest."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source, self._decompressor, self._rest = source, bz2.BZ2Decompressor(), b""

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        found: list[bytes] = []
        missing = sys.maxsize if size is None or size < 0 else size
        while missing and (part := self._read_some(missing)):
            found.append(part)
            missing -= len(part)
        return b"".join(found)

    def _read_some(self, size: int) -> bytes:
        """Return at least one byte, or nothing at the end of the last stream."""
        while True:
            if self._decompressor.eof:
                self._rest = self._decompressor.unused_data or self._source.read(CHUNK_BYTES)
                if not self._rest:
                    return b""
                self._decompressor = bz2.BZ2Decompressor()
            elif self._decompressor.needs_input:
                self._rest = self._source.read(CHUNK_BYTES)
                if not self._rest:
                    raise EOFError("the file ends within a stream")
            part, self._rest = self._decompressor.decompress(self._rest, min(size, CHUNK_BYTES)), b""
            if part:
                return part

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def open_member(source: Path | IO[bytes]) -> IO[bytes]:
    """Open the only file of a zip archive. Raises ArchiveError if it has none or several, or cannot be opened."""
    try:
        archive = zipfile.ZipFile(source)
        # What macOS adds to archives is not data.
        members = [
            item
            for item in archive.infolist()
            if not item.is_dir() and not item.filename.startswith("__MACOSX/")
        ]
        first = min((item.header_offset for item in archive.infolist()), default=0)
        if len(members) != 1:
            raise ArchiveError(
                f"the archive has {len(members):,} files, and only one can be read: extract them, and upload each"
            )
        if first:
            raise ArchiveError(
                "the archive has other data before its first file: create it again, and upload it"
            )
        if members[0].flag_bits & _ENCRYPTED:
            raise ArchiveError("the archive is encrypted: extract its file, and upload that")
        return archive.open(members[0])
    except UnicodeDecodeError:
        raise ArchiveError("the name of the archive's file is not valid: create the archive again") from None
    except NotImplementedError:
        raise ArchiveError(
            "the archive's file is compressed in a way that cannot be read: create it with deflate, bzip2 or LZMA"
        ) from None
