"""Writes an object to the bucket in chunks, optionally compressed, and inserts lines into blocks of lines.

The content and the key of an object do not belong here.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from obstore.store import ObjectStore

Chunk = bytes | memoryview


def write_object(store: ObjectStore, key: str, chunks: Iterable[Chunk], compression: str = "none") -> int:
    """Stream the chunks into one object and return its stored size in bytes.

    If the chunks fail, no object is created and an earlier object of that key stays.

    Args:
        store: The store to write to.
        key: The key of the object.
        chunks: The content.
        compression: "none", "gzip" or "zstd".
    """
    import obstore

    size = 0
    with obstore.open_writer(store, key) as writer:
        for chunk in _COMPRESSORS[compression](chunks):
            writer.write(chunk)
            size += len(chunk)
    return size


def insert_lines(lines: Any, extra: Iterable[tuple[int, str]]) -> Iterator[Chunk]:
    """Yield the bytes of an Arrow array of lines, with extra lines before the given positions, which must be sorted."""
    import numpy as np

    offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset : lines.offset + len(lines) + 1]
    content = memoryview(lines.buffers()[2]).cast("B")
    start = int(offsets[0])
    for position, line in extra:
        end = int(offsets[position])
        yield content[start:end]
        yield line.encode()
        start = end
    yield content[start : int(offsets[-1])]


def share(amount: int, total: int, first: int, count: int) -> range:
    """Return which of `amount` items belong to a block of a log: all blocks together have each exactly once.

    Args:
        amount: The number of items, spread evenly over the log.
        total: The number of rows of the log.
        first: The number of the block's first row.
        count: The number of the block's rows.
    """
    return range(amount * first // total, amount * (first + count) // total)


def _gzip(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    # zlib writes no time and no file name to the gzip header, so equal input gives equal bytes.
    compressor = zlib.compressobj(level=1, wbits=31)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _zstd(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    import pyarrow as pa

    buffer = _ChunkBuffer()
    stream = pa.CompressedOutputStream(buffer, "zstd")
    for chunk in chunks:
        stream.write(chunk)
        yield buffer.take()
    stream.close()
    yield buffer.take()


_COMPRESSORS: dict[str, Callable[[Iterable[Chunk]], Iterator[Chunk]]] = {
    "none": iter,
    "gzip": _gzip,
    "zstd": _zstd,
}


class _ChunkBuffer(io.RawIOBase):
    """A file whose content can be taken while it is written; closing it loses nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        chunk = bytes(data)
        self._content += chunk
        return len(chunk)

    def take(self) -> bytes:
        content, self._content = bytes(self._content), bytearray()
        return content
