"""Objects under a URL, in a folder or in S3: list, read, write, create, move and remove them.

Every error names the object and the setting that its URL comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from scx_pipeline.error_translation import translate_errors
from scx_pipeline.errors import BucketError, PipelineError
from scx_pipeline.storage.object_info import printable_key
from scx_pipeline.storage.store_errors import describe_store_error

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Store

REQUESTS_AT_ONCE = 16  # the measured optimum for small objects on two cores
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ObjectStore:
    """A folder or an S3 prefix; keys are relative to its URL and are taken literally.

    Every method raises `error_type`, with the URL and the name of the setting, where the store refuses a request.
    """

    url: str
    store: Store = field(repr=False)
    folder: Path | None = None
    error_type: type[PipelineError] = field(default=BucketError, repr=False, kw_only=True)
    setting: str = field(default="", repr=False, kw_only=True)

    def uri(self, key: str) -> str:
        """Return the full address of a key, printable on one line."""
        return f"{self.url.rstrip('/')}/{printable_key(key)}"

    def list(self, prefix: str = "") -> dict[str, int]:
        """Return the sizes of the objects below a folder, by key."""
        with self.translating("list", prefix):
            listed = [item for page in self.store.list(prefix=prefix or None) for item in page]
        return {item["path"]: item["size"] for item in listed}

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes, or None if it does not exist."""
        with self.translating("read", key):
            try:
                return bytes(self.store.get(key).bytes())
            except FileNotFoundError:
                return None

    def write(self, key: str, content: bytes | Path) -> None:
        """Write an object from memory or from a file."""
        import obstore

        with self.translating("write", key):
            obstore.put(self.store, key, content)

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless it exists, and return whether it was written."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self.translating("write", key):
            try:
                obstore.put(self.store, key, content, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def move(self, source: str, target: str) -> bool:
        """Move an object, and return whether the target exists: the source may have been moved before."""
        with self.translating("write", target):
            try:
                self.store.rename(source, target, overwrite=True)
            except FileNotFoundError:
                return self._exists(target)
        return True

    def _exists(self, key: str) -> bool:
        try:
            self.store.head(key)
        except FileNotFoundError:
            return False
        return True

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects; those that do not exist count as removed."""
        self.each(self._remove, keys)

    def _remove(self, key: str) -> None:
        with self.translating("remove", key), suppress(FileNotFoundError):
            self.store.delete(key)

    @staticmethod
    def each(request: Callable[[Item], Result], items: Sequence[Item]) -> Sequence[Result]:
        """Make the same request for many items, several at a time."""
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            return [*pool.map(request, items)]

    def translating(self, action: str, key: str) -> AbstractContextManager[None]:
        """Translate the store's errors into `error_type`: "cannot {action} {key's URI} ({setting}): {reason}"."""
        setting = f" ({self.setting})" if self.setting else ""
        return translate_errors(
            lambda error: self.error_type(
                f"cannot {action} {self.uri(key)}{setting}: {describe_store_error(error)}"
            )
        )


def parse_s3_url(url: str, *names: str) -> tuple[str, str] | None:
    """Return the bucket and the prefix of an s3:// URL, with `names` appended to the prefix; None for other URLs."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        return None
    return parts.netloc, "/".join(filter(None, (parts.path.strip("/"), *names)))


def parse_file_url(url: str) -> Path | None:
    """Return the folder of a file:// URL of this machine; None for other URLs."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" and parts.netloc in ("", "localhost") else None
