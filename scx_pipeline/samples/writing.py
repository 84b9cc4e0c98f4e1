"""How a generator puts an object into the bucket: in pieces, compressed on the way, whole or not at all.
What is in the object, and under which key, is the generator's business."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from obstore.store import ObjectStore

Piece = bytes | memoryview


def write_object(store: ObjectStore, key: str, pieces: Iterable[Piece], compression: str = "none") -> int:
    """Streams the pieces into one object ("none", "gzip" or "zstd") and returns its size as stored. If the
    pieces fail half way, no object appears and an earlier one of that key stays."""
    import obstore

    size = 0
    with obstore.open_writer(store, key) as writer:
        for piece in _COMPRESSORS[compression](pieces):
            writer.write(piece)
            size += len(piece)
    return size


def _gzip(pieces: Iterable[Piece]) -> Iterator[Piece]:
    # Through zlib: its gzip header holds no time of day and no file name, so equal input gives equal bytes.
    compressor = zlib.compressobj(level=1, wbits=31)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def _zstd(pieces: Iterable[Piece]) -> Iterator[Piece]:
    import pyarrow as pa

    held = _Held()
    stream = pa.CompressedOutputStream(held, "zstd")
    for piece in pieces:
        stream.write(piece)
        yield held.take()
    stream.close()
    yield held.take()


_COMPRESSORS: dict[str, Callable[[Iterable[Piece]], Iterator[Piece]]] = {
    "none": iter,
    "gzip": _gzip,
    "zstd": _zstd,
}


class _Held(io.RawIOBase):
    """A file that hands on what was written to it; closing it loses nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        piece = bytes(data)
        self._held += piece
        return len(piece)

    def take(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        return held
