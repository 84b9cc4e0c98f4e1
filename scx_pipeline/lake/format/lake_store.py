"""A star's folder in the lake, as a store of keys: listed, moved within, and told of in one line where something is refused.
What the keys mean is in `layout`; when which is moved or removed, in `publish`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from scx_pipeline.errors import LakeError
from scx_pipeline.storage.s3 import open_s3, reason_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore
    from pyarrow.parquet import FileMetaData

FOOTER = 64 << 10  # bytes read at a time: nearly every file's end at once
WORKERS = 16  # requests at a time
Answer = TypeVar("Answer")
SAMPLE = "file:///folder or s3://bucket/prefix"


@dataclass(frozen=True)
class LakeStore:
    """A folder of the lake."""

    url: str  # without a / at its end
    store: ObjectStore = field(repr=False)
    folder: Path | None = None  # where it is one of a file system

    def list(self, prefix: str = "") -> dict[str, int]:
        """The keys under a folder, and their sizes."""
        with self._told("list", prefix):
            listed = [item for page in self.store.list(prefix=prefix or None) for item in page]
        return {item["path"]: item["size"] for item in listed}

    def write(self, key: str, content: bytes) -> None:
        import obstore

        with self._told("write", key):
            obstore.put(self.store, key, content)

    def create(self, key: str, content: bytes) -> bool:
        """Write an object where there is none; whether there was none."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._told("write", key):
            try:
                obstore.put(self.store, key, content, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def read(self, key: str) -> bytes | None:
        """An object's bytes; None where there is none."""
        with self._told("read", key):
            try:
                return bytes(self.store.get(key).bytes())
            except FileNotFoundError:
                return None

    def move(self, source: str, target: str) -> bool:
        """Move an object within the lake; whether it is at its new place, wherever it was before."""
        with self._told("write", target):
            try:
                self.store.rename(source, target, overwrite=True)
            except FileNotFoundError:  # moved before, or gone
                return self._stands(target)
        return True

    def _stands(self, key: str) -> bool:
        try:
            self.store.head(key)
        except FileNotFoundError:
            return False
        return True

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects; those that are gone already count as removed."""
        self.each(self._remove, keys)

    def _remove(self, key: str) -> None:
        with self._told("remove", key), suppress(FileNotFoundError):
            self.store.delete(key)

    def remove_folder(self, prefix: str) -> None:
        """Remove a folder with all that is in it; an object store has none without objects."""
        self.remove(list(self.list(prefix)))
        if self.folder is not None:
            shutil.rmtree(self.folder / prefix, ignore_errors=True)

    def footer(self, key: str) -> FileMetaData:
        """What stands at a Parquet file's end. Raises LakeError where it is none."""
        import io

        import pyarrow.parquet as pq

        with self._told("read", key):
            end = self._end(key, FOOTER)
            needed = int.from_bytes(end[-8:-4], "little") + 8
            return pq.read_metadata(io.BytesIO(end if needed <= len(end) else self._end(key, needed)))

    def _end(self, key: str, size: int) -> bytes:
        return bytes(self.store.get(key, options={"range": {"suffix": size}}).bytes())

    @staticmethod
    def each(work: Callable[[str], Answer], keys: Sequence[str]) -> Sequence[Answer]:
        """Do the same with many keys, some at a time."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(work, keys))

    @contextmanager
    def _told(self, what: str, key: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise LakeError(
                f"cannot {what} {self.url}/{key} (SCX_LAKE_URL or --lake): {reason_of(error)}"
            ) from error


def open_lake_store(url: str, name: str) -> LakeStore:
    """A folder of the lake at a URL. Raises LakeError where that is none."""
    parts = urlsplit(url)
    below = "/".join(item for item in (parts.path.strip("/"), name) if item)
    if parts.scheme == "s3" and parts.netloc:
        return LakeStore(f"s3://{parts.netloc}/{below}", open_s3(parts.netloc, below))
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        folder = Path(unquote(parts.path)) / name
        return LakeStore(f"file:///{below}", _open_folder(url, folder), folder)
    raise LakeError(f"SCX_LAKE_URL (or --lake) is {url!r}: write {SAMPLE}")


def find_lake_store(url: str, name: str) -> LakeStore | None:
    """The same for who only reads, and makes no folder: nothing where there is none. Raises LakeError."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path and not (Path(unquote(parts.path)) / name).is_dir():
        return None
    return open_lake_store(url, name)


def _open_folder(url: str, folder: Path) -> ObjectStore:
    from obstore.store import LocalStore

    try:
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder, automatic_cleanup=True)
    except Exception as error:
        reason = getattr(error, "strerror", None) or reason_of(error)
        raise LakeError(
            f"cannot make {folder}, in the lake {url} (SCX_LAKE_URL or --lake): {reason}"
        ) from None
