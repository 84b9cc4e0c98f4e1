"""The bucket of source objects: list them, fetch them to local files or memory, and notice changes meanwhile.

Which objects a month needs, and what they contain, is decided in other packages.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from scx_pipeline.errors import BucketError, SourceFileError
from scx_pipeline.settings import redact
from scx_pipeline.storage.compression import DEFAULT_LIMITS, UnpackedLimits, compression_suffix
from scx_pipeline.storage.etags import EtagPolicy, matches_listing
from scx_pipeline.storage.folder import check_unchanged, list_folder, list_folder_files, read_file
from scx_pipeline.storage.listing import list_store, list_store_files
from scx_pipeline.storage.local_file import Document, LocalFile, check_document_size, create_document
from scx_pipeline.storage.object_info import ObjectInfo, sort_objects
from scx_pipeline.storage.object_store import REQUESTS_AT_ONCE, ObjectStore, parse_file_url, parse_s3_url
from scx_pipeline.storage.retries import RETRY_SECONDS, Retries
from scx_pipeline.storage.s3 import AS_CONFIGURED, S3Access, list_any_keys, open_s3
from scx_pipeline.storage.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Store


OBJECTS_PER_TASK = 64  # a task for each object would cost more than reading it

_GLOB_CHARACTERS = frozenset("*?[]{}=")  # DuckDB takes paths with them for patterns, or for partition columns
_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class BucketOptions:
    """How far compressed objects are unpacked, for how many seconds a busy store is asked again, and how S3 is reached."""

    unpacked: UnpackedLimits = DEFAULT_LIMITS
    retry_seconds: float = RETRY_SECONDS
    access: S3Access = AS_CONFIGURED


DEFAULT_OPTIONS = BucketOptions()


@dataclass(frozen=True)
class Bucket(ObjectStore):
    """A folder or an S3 bucket (with an optional prefix) of source objects.

    `notify` receives a line when the bucket makes the load wait, or has unusual ETags or links.
    """

    options: BucketOptions = DEFAULT_OPTIONS
    notify: Callable[[str], None] = field(default=_log.warning, repr=False)
    etags: EtagPolicy = field(default_factory=EtagPolicy, repr=False)
    others: dict[object, Bucket] = field(default_factory=dict, repr=False)  # of sources, by location

    def list_objects(self, prefix: str) -> list[ObjectInfo]:
        """Return every object below the prefix, ordered by key, without folder markers.

        Raises BucketError if the bucket is missing, unreachable or refuses the listing.
        """
        with self.translating("list", prefix):
            if self.folder is not None:
                return sort_objects(list_folder(self.folder, prefix, self.notify))
            return sort_objects(
                self._retries.run(partial(list_store, self.store, prefix, self._list_any_keys))
            )

    def list_files(self, folder: str) -> list[ObjectInfo]:
        """Return the objects directly in a folder of the bucket, as `list_objects` returns those below it."""
        with self.translating("list", folder):
            if self.folder is not None:
                return sort_objects(list_folder_files(self.folder, folder))
            list_any = partial(self._list_any_keys, delimiter="/")
            return sort_objects(self._retries.run(partial(list_store_files, self.store, folder, list_any)))

    def _list_any_keys(self, prefix: str, delimiter: str = "") -> Iterator[dict[str, Any]]:
        parts = urlsplit(self.url)
        base = f"{parts.path.strip('/')}/".lstrip("/")
        below = f"{prefix.strip('/')}/" if prefix else ""
        for item in list_any_keys(parts.netloc, base + below, delimiter, self.options.access):
            yield item | {"path": item["path"].removeprefix(base)}

    @cached_property
    def _retries(self) -> Retries:
        return Retries(self.options.retry_seconds, self.notify)

    @contextmanager
    def fetch_files(self, batches: Sequence[Sequence[ObjectInfo]]) -> Iterator[Iterator[list[LocalFile]]]:
        """Fetch batches of objects to local files, one batch ahead of the reader.

        A local folder's files are read in place, or through a link where a reader would misread the name. The files of
        a batch are removed when the next batch is requested.

        Raises:
            BucketError: An object is missing, refused, or was overwritten since the listing.
        """
        self._check_readable(batches)
        with temporary_folder() as spool, ThreadPoolExecutor(1) as ahead:
            yield self._fetch_ahead(batches, spool, ahead)

    @contextmanager
    def read_documents(self, batches: Sequence[Sequence[ObjectInfo]]) -> Iterator[Iterator[list[Document]]]:
        """Read batches of small objects into memory, several at a time and one batch ahead of the reader.

        A document has an error if its object is damaged or too large.

        Raises:
            BucketError: An object is missing, refused, or was overwritten since the listing.
        """
        self._check_readable(batches)
        with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            yield _prefetch(ahead, lambda batch: self._read_batch(batch, pool), batches)

    def read_heads(self, objects: Sequence[ObjectInfo], size: int) -> list[bytes]:
        """Return the first bytes of objects, none of which is empty. Raises BucketError as `fetch_files` does."""
        return self._read_ranges(objects, (0, size))

    def read_tails(self, objects: Sequence[ObjectInfo], size: int) -> list[bytes]:
        """Return the last bytes of objects, as `read_heads` returns the first."""
        return self._read_ranges(objects, {"suffix": size})

    def find_changed(self, objects: Sequence[ObjectInfo]) -> ObjectInfo | None:
        """Return the first of these objects that was removed or overwritten since the listing."""

        def is_unchanged(item: ObjectInfo) -> bool:
            with self.translating("read", item.key):
                try:
                    return self._is_listed(item, self._retries.run(lambda: self.store.head(item.key)))
                except FileNotFoundError:
                    return False

        unchanged = self.each(is_unchanged, objects)
        return next((item for item, same in zip(objects, unchanged, strict=True) if not same), None)

    def _check_readable(self, batches: Sequence[Sequence[ObjectInfo]]) -> None:
        """Raise BucketError for objects that cannot be read, before any object is."""
        objects = [item for batch in batches for item in batch]
        for item in objects:
            if item.unreadable_reason:
                raise BucketError(f"cannot read {self.uri(item.key)}: {item.unreadable_reason}")
        if self.folder is None:
            self.etags.report(objects, self.notify)

    def _read_ranges(self, objects: Sequence[ObjectInfo], part: Any) -> list[bytes]:
        self._check_readable([objects])
        return [*self.each(lambda item: self._read_remote(item, range=part), objects)]

    def _read_batch(self, objects: Sequence[ObjectInfo], pool: ThreadPoolExecutor) -> list[Document]:
        starts = range(0, len(objects), OBJECTS_PER_TASK)
        tasks = [objects[start : start + OBJECTS_PER_TASK] for start in starts]
        read = pool.map(lambda part: [self._read_document(item) for item in part], tasks)
        return [document for part in read for document in part]

    def _read_document(self, item: ObjectInfo) -> Document:
        uri = self.uri(item.key)
        try:
            check_document_size(item.size, uri)
            return create_document(item, self._read_object(item), uri)
        except SourceFileError as error:
            return Document(item, b"", error)

    def _read_object(self, item: ObjectInfo) -> bytes:
        if self.folder is not None:
            return read_file(f"{self.folder}/{item.key}", item, self.uri(item.key))
        return self._read_remote(item)

    def _read_remote(self, item: ObjectInfo, **part: Any) -> bytes:
        options: Any = part

        def get() -> bytes:
            result = self.store.get(item.key, options=options)
            self._check_listed(item, result.meta)
            return bytes(result.bytes())

        with self.translating("read", item.key):
            content = self._retries.run(get)
        if not part:
            self._check_size(len(content), item)
        return content

    def _check_listed(self, item: ObjectInfo, meta: Mapping[str, Any]) -> None:
        # The response itself identifies the object: not every store supports If-Match.
        if not self._is_listed(item, meta):
            raise BucketError("it was overwritten after the listing; run again")

    def _is_listed(self, item: ObjectInfo, meta: Mapping[str, Any]) -> bool:
        """Return whether a response is about the object that was listed."""
        return matches_listing(item, meta) or self.etags.matches_second_listing(
            self.store, item, meta, self.notify
        )

    def _check_size(self, size: int, item: ObjectInfo) -> None:
        if size != item.size:
            raise BucketError(f"cannot read {self.uri(item.key)}: only a part of it was received; run again")

    def _fetch_ahead(
        self, batches: Sequence[Sequence[ObjectInfo]], spool: Path, ahead: ThreadPoolExecutor
    ) -> Iterator[list[LocalFile]]:
        numbered = list(enumerate(batches))
        fetched = _prefetch(ahead, lambda item: self._fetch_batch(item[1], spool / str(item[0])), numbered)
        for number, files in enumerate(fetched):
            yield files
            for file in files if self.folder is not None else ():
                key = file.object.key
                check_unchanged(f"{self.folder}/{key}", file.object, self.uri(key))
            shutil.rmtree(spool / str(number))

    def _fetch_batch(self, objects: Sequence[ObjectInfo], folder: Path) -> list[LocalFile]:
        folder.mkdir()
        files = []
        for number, item in enumerate(objects):
            suffix, name = compression_suffix(item.key), f"{folder}/{number:06d}"
            files.append(
                LocalFile(item, Path(name + suffix), suffix, Path(f"{name}.plain"), self.options.unpacked)
            )
        if self.folder is not None:
            for file in files:
                self._point_to(file, f"{self.folder}/{file.object.key}")
        else:
            self.each(self._download, files)
        return files

    def _point_to(self, file: LocalFile, source: str) -> None:
        if not os.path.exists(source):  # noqa: PTH110  (there may be tens of thousands)
            raise BucketError(f"{self.uri(file.object.key)} was removed after the listing; run again")
        if file.suffix or _GLOB_CHARACTERS.intersection(source):
            file.path.symlink_to(source)
        else:
            file.path = Path(source)

    def _download(self, file: LocalFile) -> None:
        def get() -> None:
            result = self.store.get(file.object.key)
            self._check_listed(file.object, result.meta)
            with open(file.path, "wb", opener=_create_private) as target:
                for chunk in result.stream(min_chunk_size=4 << 20):
                    target.write(chunk)

        with self.translating("read", file.object.key):
            self._retries.run(get)
        self._check_size(file.path.stat().st_size, file.object)


def _prefetch(
    thread: ThreadPoolExecutor, load: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[Result]:
    """Yield what `load` returns for each item; a thread loads the next item while one is in use."""
    pending: Future[Result] | None = None
    for number, item in enumerate(items):
        current = (pending or thread.submit(load, item)).result()
        pending = thread.submit(load, items[number + 1]) if number + 1 < len(items) else None
        yield current


def _create_private(path: str, flags: int) -> int:
    """Open a file that only its owner can read, whatever the process's umask is."""
    return os.open(path, flags, 0o600)


def create_bucket(url: str, options: BucketOptions = DEFAULT_OPTIONS) -> Bucket:
    """Open a bucket, and create the folder of a `file:///` URL if it does not exist."""
    if folder := parse_file_url(url):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BucketError(f"cannot create the bucket {url}: {error.strerror}") from None
    return open_bucket(url, options)


def open_bucket(
    url: str, options: BucketOptions = DEFAULT_OPTIONS, notify: Callable[[str], None] = _log.warning
) -> Bucket:
    """Open `file:///folder` or `s3://bucket[/prefix]`; S3 credentials, region and endpoint are AWS's own settings."""
    if folder := parse_file_url(url):
        return Bucket(url, _open_folder(folder), folder, options, notify)
    if location := parse_s3_url(url):
        return Bucket(url, open_s3(*location, True, options.access), None, options, notify)
    raise BucketError(f"SCX_BUCKET_URL is {redact(url)!r}: write file:///folder or s3://bucket")


def _open_folder(folder: Path) -> Store:
    from obstore.store import LocalStore

    if not folder.is_dir():
        raise BucketError(f"the bucket {folder} is not a folder: create it, or set SCX_BUCKET_URL")
    return LocalStore(folder)
