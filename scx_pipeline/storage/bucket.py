"""The bucket: listing its objects, and bringing some of them to local files for a reader.
Which objects a month needs, and what is in them, is decided elsewhere."""

from __future__ import annotations

import io
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from scx_pipeline.errors import BucketError, SourceFileError
from scx_pipeline.storage.compression import (
    DEFAULT_LIMITS,
    HEAD_BYTES,
    UnpackedLimits,
    check_encoding,
    check_head,
    check_unpacked,
    decompressed,
    unpacking,
)
from scx_pipeline.storage.compression import suffix_of as suffix_of
from scx_pipeline.storage.etags import EtagTrust, is_same
from scx_pipeline.storage.listing import EPOCH, in_order, list_folder, list_store, shown
from scx_pipeline.storage.listing import ObjectInfo as ObjectInfo
from scx_pipeline.storage.s3 import RETRY_SECONDS, Retries, list_exactly, open_s3, reason_of
from scx_pipeline.storage.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from obstore.store import ObjectStore

FETCH_WORKERS = 16  # the measured knee for small objects on two cores
READ_PIECE = 64  # objects that a worker reads in a row: a task each would cost more than reading one
MAX_DOCUMENT_BYTES = 16 << 20
_TOO_LARGE = "{uri}: the document is larger than 16 MiB; write its objects one a line, and declare the format json_lines"

_MISREAD = frozenset("*?[]{}=")  # in a path: patterns to DuckDB, or columns
_log = logging.getLogger(__name__)

Wanted = TypeVar("Wanted")
Result = TypeVar("Result")


@dataclass(eq=False)
class LocalFile:
    """An object at a local path whose name is safe for any reader, whatever its key is.

    `suffix` tells how it is compressed, and `unpacked` how large it may become. The path may be the bucket's own file: a
    reader that needs it otherwise writes a copy at `aside`, and sets `path` to it.
    """

    object: ObjectInfo
    path: Path
    suffix: str
    aside: Path
    unpacked: UnpackedLimits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class Document:
    """A small object brought to memory, decompressed."""

    object: ObjectInfo
    content: bytes


@dataclass(frozen=True)
class BucketOptions:
    """What a bucket's reader may do: how far a compressed object is unpacked, and how long a busy store is asked again."""

    unpacked: UnpackedLimits = DEFAULT_LIMITS
    retry_seconds: float = RETRY_SECONDS


DEFAULT_OPTIONS = BucketOptions()


@dataclass(frozen=True)
class Bucket:
    """A folder or an S3 bucket (with an optional prefix); keys are taken literally.

    `notify` gets a line where the bucket makes us wait, or is not as buckets are.
    """

    url: str
    store: ObjectStore = field(repr=False)
    folder: Path | None = None
    options: BucketOptions = DEFAULT_OPTIONS
    notify: Callable[[str], None] = field(default=_log.warning, repr=False)
    trust: EtagTrust = field(default_factory=EtagTrust, repr=False)

    def uri(self, key: str) -> str:
        """The full address of a key, for people and links."""
        return f"{self.url.rstrip('/')}/{shown(key)}"

    def list_objects(self, prefix: str) -> list[ObjectInfo]:
        """Every object under the prefix, all listing pages, ordered by key; folder markers are left out.

        Raises BucketError when the bucket is absent, unreachable or refuses the listing.
        """
        try:
            if self.folder is not None:
                return in_order(list_folder(self.folder, prefix, self.notify))
            return in_order(self._ask(lambda: list_store(self.store, prefix, self._list_exactly)))
        except Exception as error:
            raise BucketError(f"cannot list {self.uri(prefix)}: {reason_of(error)}") from error

    def _list_exactly(self, prefix: str) -> Iterator[dict[str, Any]]:
        parts = urlsplit(self.url)
        own = parts.path.strip("/")
        base = f"{own}/" if own else ""
        below = f"{prefix.strip('/')}/" if prefix else ""
        for item in list_exactly(parts.netloc, base + below):
            yield item | {"path": item["path"].removeprefix(base)}

    def _ask(self, ask: Callable[[], Result]) -> Result:
        return self._retries.run(ask)

    @cached_property
    def _retries(self) -> Retries:
        return Retries(self.options.retry_seconds, self.notify)

    @contextmanager
    def fetch(self, batches: Sequence[Sequence[ObjectInfo]]) -> Iterator[Iterator[list[LocalFile]]]:
        """Bring batches of objects to local files, one batch ahead of the reader.

        A local folder's files are read where they are, or through a link where a reader would misread the name. What
        was brought is gone when the next batch is asked for. Raises BucketError naming the key when an object is
        missing, refused, or was overwritten since the listing.
        """
        self._check_readable(batches)
        with temporary_folder() as spool, ThreadPoolExecutor(1) as ahead:
            yield self._fetch_ahead(batches, spool, ahead)

    @contextmanager
    def read(self, batches: Sequence[Sequence[ObjectInfo]]) -> Iterator[Iterator[list[Document]]]:
        """Bring batches of small objects to memory, many at a time and one batch ahead of the reader.

        Raises BucketError as `fetch` does, and SourceFileError for a compressed object that is damaged.
        """
        self._check_readable(batches)
        with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(FETCH_WORKERS) as pool:
            yield _one_ahead(ahead, lambda batch: self._read_batch(batch, pool), batches)

    def heads(self, objects: Sequence[ObjectInfo], size: int) -> list[bytes]:
        """The first bytes of objects, none of which is empty, many at a time. Raises BucketError as `fetch` does."""
        return self._parts(objects, (0, size))

    def tails(self, objects: Sequence[ObjectInfo], size: int) -> list[bytes]:
        """The same of their last bytes."""
        return self._parts(objects, {"suffix": size})

    def _check_readable(self, batches: Sequence[Sequence[ObjectInfo]]) -> None:
        """Refuse objects whose keys or entries cannot be read, before anything is."""
        for item in (item for batch in batches for item in batch if item.refused):
            raise BucketError(f"cannot read {self.uri(item.key)}: {item.refused}")
        if self.folder is None:
            self.trust.report([item for batch in batches for item in batch], self.notify)

    def _parts(self, objects: Sequence[ObjectInfo], part: Any) -> list[bytes]:
        self._check_readable([objects])
        with ThreadPoolExecutor(FETCH_WORKERS) as pool:
            return list(pool.map(lambda item: self._read_remote(item, range=part), objects))

    def changed(self, objects: Sequence[ObjectInfo]) -> ObjectInfo | None:
        """The first of these objects that is not there any more, or is another now."""

        def is_unchanged(item: ObjectInfo) -> bool:
            with self._reading(item):
                try:
                    return self._is_listed(item, self._ask(lambda: self.store.head(item.key)))
                except FileNotFoundError:
                    return False

        with ThreadPoolExecutor(FETCH_WORKERS) as pool:
            return next(
                (
                    item
                    for item, same in zip(objects, pool.map(is_unchanged, objects), strict=True)
                    if not same
                ),
                None,
            )

    def _read_batch(self, objects: Sequence[ObjectInfo], pool: ThreadPoolExecutor) -> list[Document]:
        pieces = [objects[start : start + READ_PIECE] for start in range(0, len(objects), READ_PIECE)]
        return [document for piece in pool.map(self._read_piece, pieces) for document in piece]

    def _read_piece(self, objects: Sequence[ObjectInfo]) -> list[Document]:
        for item in objects:
            if item.size > MAX_DOCUMENT_BYTES:
                raise SourceFileError(_TOO_LARGE.format(uri=self.uri(item.key)))
        read = self._read_local if self.folder is not None else self._read_remote
        return [
            Document(item, _plain(read(item), self.uri(item.key), suffix_of(item.key))) for item in objects
        ]

    def _read_local(self, item: ObjectInfo) -> bytes:
        assert self.folder is not None
        try:
            # A Path for each of some hundred thousand keys would cost more than reading them.
            with open(f"{self.folder}/{item.key}", "rb", buffering=0) as file:  # noqa: PTH123
                content = file.read(item.size + 1)
                found = os.fstat(file.fileno())
        except OSError as error:
            raise BucketError(f"cannot read {self.uri(item.key)}: {error.strerror}; run again") from error
        if len(content) != item.size or _is_another(found, item):
            raise BucketError(f"{self.uri(item.key)} was overwritten after the listing; run again")
        return content

    def _read_remote(self, item: ObjectInfo, **part: Any) -> bytes:
        options: Any = part

        def get() -> bytes:
            result = self.store.get(item.key, options=options)
            self._check_listed(item, result.meta)
            return bytes(result.bytes())

        with self._reading(item):
            content = self._ask(get)
        if not part and len(content) != item.size:
            raise BucketError(f"cannot read {self.uri(item.key)}: it ended early; run again")
        return content

    def _check_listed(self, item: ObjectInfo, meta: Mapping[str, Any]) -> None:
        # No If-Match is sent: not every store takes one, and the answer says of itself what it is.
        if not self._is_listed(item, meta):
            raise BucketError("it was overwritten after the listing; run again")

    def _is_listed(self, item: ObjectInfo, meta: Mapping[str, Any]) -> bool:
        """Whether an answer is about the object that was listed."""
        return is_same(item, meta) or self.trust.is_same_after_all(self.store, item, meta, self.notify)

    @contextmanager
    def _reading(self, item: ObjectInfo) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise BucketError(f"cannot read {self.uri(item.key)}: {reason_of(error)}") from error

    def _fetch_ahead(
        self, batches: Sequence[Sequence[ObjectInfo]], spool: Path, ahead: ThreadPoolExecutor
    ) -> Iterator[list[LocalFile]]:
        numbered = list(enumerate(batches))
        fetched = _one_ahead(ahead, lambda item: self._fetch_batch(item[1], spool / str(item[0])), numbered)
        for number, files in enumerate(fetched):
            yield files
            for file in files:
                self._check_unchanged(file)
            shutil.rmtree(spool / str(number))

    def _fetch_batch(self, objects: Sequence[ObjectInfo], folder: Path) -> list[LocalFile]:
        folder.mkdir()
        targets = []
        for number, item in enumerate(objects):
            suffix, name = suffix_of(item.key), f"{folder}/{number:06d}"
            targets.append(
                LocalFile(item, Path(name + suffix), suffix, Path(f"{name}.plain"), self.options.unpacked)
            )
        if self.folder is not None:
            for target in targets:
                self._point_to(target, f"{self.folder}/{target.object.key}")
        else:
            with ThreadPoolExecutor(FETCH_WORKERS) as pool:
                list(pool.map(self._download, targets))
        return targets

    def _point_to(self, target: LocalFile, own: str) -> None:
        if not os.path.exists(own):  # noqa: PTH110  (there may be tens of thousands)
            raise BucketError(f"{self.uri(target.object.key)} went away after the listing; run again")
        if target.suffix or _MISREAD.intersection(own):
            target.path.symlink_to(own)
        else:
            target.path = Path(own)

    def _download(self, target: LocalFile) -> None:
        def get() -> None:
            result = self.store.get(target.object.key)
            self._check_listed(target.object, result.meta)
            with open(target.path, "wb", opener=_private) as file:
                for chunk in result.stream(min_chunk_size=4 << 20):
                    file.write(chunk)

        with self._reading(target.object):
            self._ask(get)
        if target.path.stat().st_size != target.object.size:
            raise BucketError(f"cannot read {self.uri(target.object.key)}: it ended early; run again")

    def _check_unchanged(self, file: LocalFile) -> None:
        """A folder has no If-Match, so a file that was overwritten while it was read is noticed afterwards."""
        if self.folder is None:
            return
        try:
            found = os.stat(f"{self.folder}/{file.object.key}")  # noqa: PTH116  (there may be tens of thousands)
        except OSError as error:
            raise BucketError(
                f"{self.uri(file.object.key)} went away while it was read; run again"
            ) from error
        if _is_another(found, file.object):
            raise BucketError(f"{self.uri(file.object.key)} was overwritten while it was read; run again")


def _one_ahead(
    thread: ThreadPoolExecutor, make: Callable[[Wanted], Result], items: Sequence[Wanted]
) -> Iterator[Result]:
    """What `make` makes of each item, the next one in a thread while one is in use."""
    pending: Future[Result] | None = None
    for number, item in enumerate(items):
        current = (pending or thread.submit(make, item)).result()
        pending = thread.submit(make, items[number + 1]) if number + 1 < len(items) else None
        yield current


def _plain(content: bytes, uri: str, suffix: str) -> bytes:
    """An object's bytes, decompressed as its suffix says, to no more than a document may have."""
    check_head(content[:HEAD_BYTES], suffix, uri)
    if not suffix:
        check_encoding(content[:HEAD_BYTES], uri)
        return content
    with unpacking(uri), decompressed(io.BytesIO(content), suffix) as stream:
        plain = stream.read(MAX_DOCUMENT_BYTES + 1)
    check_unpacked(plain[:HEAD_BYTES], suffix, uri)
    check_encoding(plain[:HEAD_BYTES], uri)
    if len(plain) > MAX_DOCUMENT_BYTES:
        raise SourceFileError(_TOO_LARGE.format(uri=uri))
    return plain


def _is_another(found: os.stat_result, item: ObjectInfo) -> bool:
    """Whether a file is not the one that was listed."""
    return found.st_size != item.size or found.st_mtime_ns // 1000 != _microseconds(item.last_modified)


def _microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def _private(path: str, flags: int) -> int:
    """Open a file that its owner alone may read, whatever the process's mask is."""
    return os.open(path, flags, 0o600)


def create_bucket(url: str, options: BucketOptions = DEFAULT_OPTIONS) -> Bucket:
    """Open a bucket, making the folder of a `file:///` one that is not there yet."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        try:
            Path(unquote(parts.path)).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BucketError(f"cannot create the bucket {url}: {error.strerror}") from None
    return open_bucket(url, options)


def open_bucket(
    url: str, options: BucketOptions = DEFAULT_OPTIONS, notify: Callable[[str], None] = _log.warning
) -> Bucket:
    """Open `file:///folder` or `s3://bucket[/prefix]`; S3 credentials, region and endpoint are AWS's own settings."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        folder = Path(unquote(parts.path))
        return Bucket(url, _open_folder(folder), folder, options, notify)
    if parts.scheme == "s3" and parts.netloc:
        store = open_s3(parts.netloc, parts.path.strip("/"), own_retries=True)
        return Bucket(url, store, None, options, notify)
    raise BucketError(f"SCX_BUCKET_URL is {url!r}: write file:///folder or s3://bucket")


def _open_folder(folder: Path) -> ObjectStore:
    from obstore.store import LocalStore

    if not folder.is_dir():
        raise BucketError(f"the bucket {folder} is not a folder: create it, or set SCX_BUCKET_URL")
    return LocalStore(folder)
