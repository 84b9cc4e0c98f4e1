"""What a file's bytes are: plain text, compressed once, or a container that is not read; and its bytes, decompressed.
Which keys are read, and what the text of a file means, is decided elsewhere."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from scx_pipeline.errors import SourceFileError

if TYPE_CHECKING:
    from scx_pipeline.storage.bucket import LocalFile

HEAD_BYTES = 512  # tar's mark is at byte 257
CHUNK_BYTES = 1 << 20
RATIO_FROM_BYTES = 256 << 20  # what unpacks to less is harmless, whatever its ratio is
ENCODINGS = frozenset({"UTF-16", "UTF-32"})
NAMES = {".gz": "gzip", ".zst": "zstd"}

_SUFFIXES = {".gz": ".gz", ".gzip": ".gz", ".zst": ".zst", ".zstd": ".zst"}
_BEGINNINGS = {".gz": b"\x1f\x8b\x08", ".zst": b"\x28\xb5\x2f\xfd"}
_MARKS = {
    "gzip": r"\x1f\x8b\x08",
    "zstd": r"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18",  # the second: a frame that readers skip
    "bzip2": r"BZh[1-9](?:1AY&SY|\x17rE8P\x90)",
    "lz4": r"\x04\x22\x4d\x18|\x02\x21\x4c\x18",
    "snappy": r"\xff\x06\x00\x00sNaPpY",
    "xz": r"\xfd7zXZ\x00",
    "compress": r"\x1f[\x9d\xa0]",
    "zip": r"PK(?:\x03\x04|\x05\x06|\x07\x08)",
    "7-Zip": r"7z\xbc\xaf\x27\x1c",
    "RAR": r"Rar!\x1a\x07",
    "tar": r".{257}ustar(?:\x00|  \x00)",
    # What a text could begin with, too, is only a mark before a byte that no text has.
    "Parquet": r"PAR[1E](?=.*[\x00-\x08\x0e-\x1a])",
    "ORC": r"ORC(?=.*[\x00-\x08\x0e-\x1a])",
    "Avro": r"Obj\x01",
    "UTF-32": r"\xff\xfe\x00\x00|\x00\x00\xfe\xff",
    # Without a byte order mark: every second byte is a NUL, as of Latin letters.
    "UTF-16": r"\xff\xfe|\xfe\xff|(?:[^\x00]\x00){2}|(?:\x00[^\x00]){2}",
}
_KNOWN = re.compile("|".join(f"({mark})" for mark in _MARKS.values()).encode("latin-1"), re.DOTALL)
_DECOMPRESS = "decompress it, or compress it by gzip (.gz) or zstd (.zst), and upload it again"
_ADVICE = {
    **{
        name: f"compressed by {name}, which is not supported: {_DECOMPRESS}"
        for name in ("bzip2", "lz4", "snappy", "xz", "compress")
    },
    **{
        name: f"a {name} archive, which is not read: extract its files, and upload those"
        for name in ("7-Zip", "RAR", "tar")
    },
    "zip": "a zip archive (or a workbook), which is not read: extract its files (or save it as CSV), and upload those",
    **{
        name: f"{name}, not text: correct the source's format or patterns, or remove the file"
        for name in ("Parquet", "ORC", "Avro")
    },
}


class CompressionLimitError(SourceFileError):
    """A compressed file unpacks to more than is allowed; the message names the setting, and its caller the file."""


@dataclass(frozen=True, slots=True)
class UnpackedLimits:
    """How large a compressed file may become: in bytes, and as a multiple of its own size."""

    size: int = 20_000_000_000
    ratio: int = 1_000

    def check(self, unpacked: int, packed: int | None) -> None:
        """Raise CompressionLimitError where so many bytes are too many; `packed` is the compressed file's size."""
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


DEFAULT_LIMITS = UnpackedLimits()
_UNITS = {"K": 1, "M": 2, "G": 3, "T": 4}
NO_LIMITS = UnpackedLimits(size=1 << 62, ratio=1 << 62)  # for what was read within the limits before


def bytes_of(size: str) -> int:
    """How many bytes a size is that is written as 20GB or 20 GiB."""
    number, unit, binary = re.fullmatch(r"([\d.]+)\s*([KMGT])(i?)B", size).groups()  # type: ignore[union-attr]
    return int(float(number) * (1024 if binary else 1000) ** _UNITS[unit])


def suffix_of(key: str) -> str:
    """How an object is compressed, by its key: .gz, .zst or nothing."""
    return _SUFFIXES.get(Path(key).suffix.lower(), "")


def open_plain(path: Path, limits: UnpackedLimits = NO_LIMITS) -> IO[bytes]:
    """The file's bytes, decompressed; the suffix tells how. Reading raises CompressionLimitError beyond the limits."""
    return decompressed(path, path.suffix, limits)


def decompressed(source: Path | IO[bytes], suffix: str, limits: UnpackedLimits = NO_LIMITS) -> IO[bytes]:
    """The bytes of a file or stream, decompressed; the suffix tells how. Limits as with `open_plain`."""
    if suffix not in NAMES:
        return source.open("rb") if isinstance(source, Path) else source
    packed = source.stat().st_size if isinstance(source, Path) else None
    return cast("IO[bytes]", _Limited(_unpacking(source, suffix), packed, limits))


def _unpacking(source: Path | IO[bytes], suffix: str) -> IO[bytes]:
    if suffix == ".gz":
        return cast("IO[bytes]", gzip.open(source, "rb"))
    import pyarrow as pa

    return cast(
        "IO[bytes]", pa.input_stream(str(source) if isinstance(source, Path) else source, compression="zstd")
    )


class _Limited(io.BufferedIOBase):
    """Counts what is read of a decompressing stream, and ends the reading at the limits."""

    def __init__(self, stream: IO[bytes], packed: int | None, limits: UnpackedLimits) -> None:
        self._stream, self._packed, self._limits, self._read = stream, packed, limits, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        # All at once would be read before it is counted.
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


def detect(head: bytes) -> str:
    """What a file's first HEAD_BYTES show it to be, such as gzip, zip, Parquet or UTF-16; "" for text."""
    found = _KNOWN.match(head)
    return list(_MARKS)[cast("int", found.lastindex) - 1] if found else ""


def check_content(file: LocalFile, uri: str) -> None:
    """Refuse a file of text whose bytes are not what its name says: compressed, an archive, of another format or encoding.

    Reads the first bytes only. Raises SourceFileError that names the file, what it is, and what to do.
    """
    with file.path.open("rb", buffering=0) as stream:
        head = stream.read(HEAD_BYTES)
    check_head(head, file.suffix, uri)
    if file.suffix:
        with unpacking(uri), open_plain(file.path) as plain:
            head = plain.read(HEAD_BYTES)
        check_unpacked(head, file.suffix, uri)
    check_encoding(head, uri)


def check_head(head: bytes, suffix: str, uri: str) -> None:
    """Check a file's first bytes, as they are stored; `suffix` is how it is compressed by its name. Raises SourceFileError."""
    found = detect(head)
    if suffix and (found == NAMES[suffix] or _BEGINNINGS[suffix].startswith(head)):
        return
    _check_text(found, uri)
    if suffix:
        raise SourceFileError(
            f"{uri}: the file is not compressed, but its name ends in {suffix}: rename it, or compress it, and upload it again"
        )


def check_unpacked(start: bytes, suffix: str, uri: str) -> None:
    """Check a compressed file's first bytes, decompressed. Raises SourceFileError."""
    found, packing = detect(start), NAMES[suffix]
    if found in NAMES.values():
        raise SourceFileError(
            f"{uri}: the file is compressed twice, by {packing} and {found}: decompress it once, and upload it again"
        )
    _check_text(found, f"{uri}, inside {packing}")


@contextmanager
def unpacking(uri: str) -> Iterator[None]:
    """Raise what goes wrong while a compressed file is read as a SourceFileError that names the file."""
    try:
        yield
    except CompressionLimitError as error:
        raise SourceFileError(f"{uri}: {error}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise SourceFileError(
            f"{uri}: the compressed file is damaged or cut off ({error}); upload it again"
        ) from None


def check_encoding(start: bytes, uri: str) -> None:
    """Refuse a text of another encoding than UTF-8, by its first bytes. Raises SourceFileError."""
    found = detect(start)
    if found in ENCODINGS:
        raise SourceFileError(
            f"{uri}, line 1: not UTF-8 (it looks like {found}); convert the file and upload it again"
        )


def _check_text(found: str, where: str) -> None:
    if found in NAMES.values():
        suffix = next(suffix for suffix, name in NAMES.items() if name == found)
        raise SourceFileError(
            f"{where}: the file is compressed ({found}), but its name does not end in {suffix}: rename it, and upload it again"
        )
    if found in _ADVICE:
        raise SourceFileError(f"{where}: the file is {_ADVICE[found]}")
