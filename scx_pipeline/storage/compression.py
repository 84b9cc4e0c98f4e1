"""Recognise what a file's first bytes are, refuse what cannot be read as text, and decompress gzip, zstd, bzip2 and zip.

What the text means is decided by the parsers.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import zipfile
import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from scx_pipeline.error_translation import translate_errors
from scx_pipeline.errors import BucketError, PipelineError, SourceFileError
from scx_pipeline.storage.archives import CHUNK_BYTES, ArchiveError, Bzip2Stream, open_member

HEAD_BYTES = 512  # tar's magic number is at byte 257
RATIO_FROM_BYTES = 256 << 20  # below this size, any ratio is harmless
ENCODINGS = frozenset({"UTF-16", "UTF-32"})
NAMES = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".zip": "zip"}

_SUFFIXES = {**{suffix: suffix for suffix in NAMES}, ".gzip": ".gz", ".zstd": ".zst", ".bzip2": ".bz2"}
_MAGIC_NUMBERS = {".gz": b"\x1f\x8b\x08", ".zst": b"\x28\xb5\x2f\xfd", ".bz2": b"BZh", ".zip": b"PK\x03\x04"}
_PATTERNS = {
    "gzip": r"\x1f\x8b\x08",
    "zstd": r"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18",  # the second: a skippable frame
    "bzip2": r"BZh[1-9](?:1AY&SY|\x17rE8P\x90)",
    "lz4": r"\x04\x22\x4d\x18|\x02\x21\x4c\x18",
    "snappy": r"\xff\x06\x00\x00sNaPpY",
    "xz": r"\xfd7zXZ\x00",
    "compress": r"\x1f[\x9d\xa0]",
    "zip": r"PK(?:\x03\x04|\x05\x06|\x07\x08)",
    "7-Zip": r"7z\xbc\xaf\x27\x1c",
    "RAR": r"Rar!\x1a\x07",
    "tar": r".{257}ustar(?:\x00|  \x00)",
    # A text may begin with these letters, so a byte that no text contains must follow.
    "Parquet": r"PAR[1E](?=.*[\x00-\x08\x0e-\x1a])",
    "ORC": r"ORC(?=.*[\x00-\x08\x0e-\x1a])",
    "Avro": r"Obj\x01",
    "UTF-32": r"\xff\xfe\x00\x00|\x00\x00\xfe\xff",
    # Without a byte order mark: every second byte is NUL, as in Latin letters.
    "UTF-16": r"\xff\xfe|\xfe\xff|(?:[^\x00]\x00){2}|(?:\x00[^\x00]){2}",
}
_PATTERN = re.compile("|".join(f"({pattern})" for pattern in _PATTERNS.values()).encode("latin-1"), re.DOTALL)
_DECOMPRESS = (
    "decompress it, or compress it with gzip (.gz), zstd (.zst) or bzip2 (.bz2), and upload it again"
)
_ADVICE = {
    "zip": "a zip archive or a workbook: rename an archive of one file so that its name ends in .zip; save a workbook as CSV and upload that",
    **{
        name: f"compressed with {name}, which is not supported: {_DECOMPRESS}"
        for name in ("lz4", "snappy", "xz", "compress")
    },
    **{
        name: f"a {name} archive, which is not supported: extract its files, and upload those"
        for name in ("7-Zip", "RAR", "tar")
    },
    **{
        name: f"{name}, not text: correct the source's format or patterns, or remove the file"
        for name in ("Parquet", "ORC", "Avro")
    },
}


class CompressionLimitError(SourceFileError):
    """A compressed file unpacks to more than is allowed; the message names the setting, the caller adds the file."""


@dataclass(frozen=True, slots=True)
class UnpackedLimits:
    """How large a compressed file may become: in bytes, and as a multiple of its compressed size."""

    size: int = 20_000_000_000
    ratio: int = 1_000

    def check(self, unpacked: int, packed: int | None) -> None:
        """Raise CompressionLimitError if a file of `packed` bytes has unpacked to too many."""
        if unpacked > self.size:
            raise CompressionLimitError(
                f"the compressed file unpacks to more than {self.size:,} bytes: raise SCX_MAX_UNPACKED_SIZE if it"
                " should be that large, or split the file"
            )
        if packed is not None and unpacked > RATIO_FROM_BYTES and unpacked > packed * self.ratio:
            raise CompressionLimitError(
                f"the compressed file unpacks to more than {self.ratio:,} times its {packed:,} bytes: raise"
                " SCX_MAX_UNPACKED_RATIO if it should be that large, or remove the file"
            )


_READING_ERRORS = (
    CompressionLimitError, ArchiveError, OSError, EOFError, zlib.error, zipfile.BadZipFile, lzma.LZMAError,
)  # fmt: skip
DEFAULT_LIMITS = UnpackedLimits()
_UNITS = {"K": 1, "M": 2, "G": 3, "T": 4}
NO_LIMITS = UnpackedLimits(size=1 << 62, ratio=1 << 62)  # for files that were read within the limits before


def parse_size(size: str) -> int:
    """Return the bytes of a size such as 20GB or 20 GiB."""
    number, unit, binary = re.fullmatch(r"([\d.]+)\s*([KMGT])(i?)B", size).groups()  # type: ignore[union-attr]
    return int(float(number) * (1024 if binary else 1000) ** _UNITS[unit])


def compression_suffix(key: str) -> str:
    """Return how an object is compressed, by its key: .gz, .zst, .bz2, .zip or an empty text."""
    return _SUFFIXES.get(Path(key).suffix.lower(), "")


def open_decompressed(path: Path, limits: UnpackedLimits = NO_LIMITS) -> IO[bytes]:
    """Open a file and decompress it as its suffix says. Reading raises CompressionLimitError beyond the limits."""
    return decompress(path, path.suffix, limits)


def decompress(source: Path | IO[bytes], suffix: str, limits: UnpackedLimits = NO_LIMITS) -> IO[bytes]:
    """Decompress a file or a stream as the suffix says. Reading raises CompressionLimitError beyond the limits."""
    if suffix not in NAMES:
        return source.open("rb") if isinstance(source, Path) else source
    packed = source.stat().st_size if isinstance(source, Path) else None
    return cast("IO[bytes]", _LimitedStream(_open_codec(source, suffix), packed, limits))


def _open_codec(source: Path | IO[bytes], suffix: str) -> IO[bytes]:
    if suffix == ".gz":
        return cast("IO[bytes]", gzip.open(source, "rb"))
    if suffix == ".bz2":
        return cast("IO[bytes]", Bzip2Stream(source.open("rb") if isinstance(source, Path) else source))
    if suffix == ".zip":
        return open_member(source)
    import pyarrow as pa

    return cast(
        "IO[bytes]", pa.input_stream(str(source) if isinstance(source, Path) else source, compression="zstd")
    )


class _LimitedStream(io.BufferedIOBase):
    """Counts the bytes read from a decompressing stream, and raises at the limits."""

    def __init__(self, stream: IO[bytes], packed: int | None, limits: UnpackedLimits) -> None:
        self._stream, self._packed, self._limits, self._read = stream, packed, limits, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        # Reading everything at once would exceed the limits before the bytes are counted.
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(CHUNK_BYTES), b""))
        content = self._stream.read(size)
        self._read += len(content)
        self._limits.check(self._read, self._packed)
        return content

    def read1(self, size: int = CHUNK_BYTES, /) -> bytes:
        return self.read(size if size >= 0 else CHUNK_BYTES)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def detect_format(head: bytes) -> str:
    """Return what a file's first HEAD_BYTES are, such as gzip, zip, Parquet or UTF-16; an empty text for plain text."""
    found = _PATTERN.match(head)
    return list(_PATTERNS)[cast("int", found.lastindex) - 1] if found else ""


def check_stored_head(head: bytes, suffix: str, uri: str) -> None:
    """Raise SourceFileError if a file's first stored bytes are not text, or not compressed as its suffix says."""
    found = detect_format(head)
    if suffix and (found == NAMES[suffix] or _MAGIC_NUMBERS[suffix].startswith(head)):
        return
    _check_text(found, uri)
    if suffix:
        raise SourceFileError(
            f"{uri}: the file is not compressed, but its name ends in {suffix}: rename it, or compress it, and upload it again"
        )


def check_decompressed_head(start: bytes, suffix: str, uri: str) -> None:
    """Raise SourceFileError if a compressed file's first bytes are not text after decompression."""
    found, packing = detect_format(start), NAMES[suffix]
    if found in NAMES.values():
        raise SourceFileError(
            f"{uri}: the file is compressed twice, with {packing} and {found}: decompress it once, and upload it again"
        )
    _check_text(found, f"{uri}, inside {packing}")


def translate_reading_errors(uri: str) -> AbstractContextManager[None]:
    """Translate errors of reading a file: SourceFileError if its content is damaged, BucketError for the system's errors."""

    def translate(error: Exception) -> PipelineError:
        if isinstance(error, OSError) and error.strerror:  # no decompressor sets it
            return BucketError(
                f"cannot read {uri}: {error.strerror}; restore the file, or let this user read it"
            )
        if isinstance(error, CompressionLimitError | ArchiveError):
            return SourceFileError(f"{uri}: {error}")
        return SourceFileError(
            f"{uri}: the compressed file is damaged or truncated ({error}); upload it again"
        )

    return translate_errors(translate, *_READING_ERRORS, with_cause=False)


def check_encoding(start: bytes, uri: str, advice: str = "convert the file") -> None:
    """Raise SourceFileError if the first bytes of a text are of another encoding than UTF-8."""
    found = detect_format(start)
    if found in ENCODINGS:
        raise SourceFileError(
            f"{uri}, line 1: not UTF-8 (it looks like {found}); {advice} and upload it again"
        )


def _check_text(found: str, where: str) -> None:
    if found in _ADVICE:
        raise SourceFileError(f"{where}: the file is {_ADVICE[found]}")
    if found in NAMES.values():
        suffix = next(suffix for suffix, name in NAMES.items() if name == found)
        raise SourceFileError(
            f"{where}: the file is compressed ({found}), but its name does not end in {suffix}: rename it, and upload it again"
        )
