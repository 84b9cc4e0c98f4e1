"""Objects that were fetched: as local files, or as documents in memory; and the checks of their first bytes.

Which objects are fetched is decided by the caller.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from scx_pipeline.errors import SourceFileError
from scx_pipeline.storage.compression import (
    DEFAULT_LIMITS,
    HEAD_BYTES,
    UnpackedLimits,
    check_decompressed_head,
    check_encoding,
    check_stored_head,
    compression_suffix,
    decompress,
    open_decompressed,
    translate_reading_errors,
)
from scx_pipeline.storage.object_info import ObjectInfo

MAX_DOCUMENT_BYTES = 16 << 20


@dataclass(eq=False)
class LocalFile:
    """An object at a local path whose name is safe for any reader, whatever its key is.

    `suffix` says how it is compressed, and `unpacked` how large it may become. The path may be the bucket's own file: a
    reader that needs different bytes writes a copy at `copy_path`, and sets `path` to it.
    """

    object: ObjectInfo
    path: Path
    suffix: str
    copy_path: Path
    unpacked: UnpackedLimits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A small object in memory, decompressed; or why it cannot be read as a document."""

    object: ObjectInfo
    content: bytes
    error: SourceFileError | None = None


@contextmanager
def open_local_file(file: LocalFile, uri: str) -> Iterator[IO[bytes]]:
    """Open a file and decompress it.

    Raises SourceFileError if it is damaged or too large, and BucketError if the system does not let it be read.
    """
    with translate_reading_errors(uri), open_decompressed(file.path, file.unpacked) as stream:
        yield stream


def is_readable(file: LocalFile) -> bool:
    """Return whether DuckDB's readers can decompress the file."""
    return file.suffix in ("", ".gz", ".zst")


def check_content(file: LocalFile, uri: str) -> bytes:
    """Return a text file's first bytes, decompressed. Raises SourceFileError if they are not what its name says.

    The file may be compressed otherwise, an archive, or of another format.
    """
    with translate_reading_errors(uri), file.path.open("rb", buffering=0) as stream:
        head = stream.read(HEAD_BYTES)
    check_stored_head(head, file.suffix, uri)
    if file.suffix:
        with translate_reading_errors(uri), open_decompressed(file.path) as plain:
            head = plain.read(HEAD_BYTES)
        check_decompressed_head(head, file.suffix, uri)
    return head


def create_document(item: ObjectInfo, content: bytes, uri: str) -> Document:
    """Decompress an object as its key says. Raises SourceFileError if it is damaged, too large or not UTF-8 text."""
    suffix = compression_suffix(item.key)
    check_stored_head(content[:HEAD_BYTES], suffix, uri)
    if suffix:
        with (
            translate_reading_errors(uri),
            decompress(io.BytesIO(content), suffix) as stream,
        ):
            content = stream.read(MAX_DOCUMENT_BYTES + 1)
        check_decompressed_head(content[:HEAD_BYTES], suffix, uri)
    check_encoding(content[:HEAD_BYTES], uri)
    check_document_size(len(content), uri)
    return Document(item, content)


def check_document_size(size: int, uri: str) -> None:
    """Raise SourceFileError if a document has too many bytes to be read into memory."""
    if size > MAX_DOCUMENT_BYTES:
        raise SourceFileError(
            f"{uri}: the document is larger than 16 MiB; write its objects one a line, and declare the format json_lines"
        )
