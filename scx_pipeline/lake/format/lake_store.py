"""A star's folder in the lake: an object store whose errors name SCX_LAKE_URL.

What the keys mean, and when objects are moved or removed, is decided by the modules of the format.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from scx_pipeline.errors import LakeError, PipelineError
from scx_pipeline.settings import redact
from scx_pipeline.storage.object_store import ObjectStore, parse_file_url, parse_s3_url
from scx_pipeline.storage.s3 import open_s3
from scx_pipeline.storage.store_errors import describe_store_error

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Store
    from pyarrow.parquet import FileMetaData

FOOTER = 64 << 10  # bytes read at a time: nearly every file's end at once
SETTING = "SCX_LAKE_URL or --lake"
SAMPLE = "file:///folder or s3://bucket/prefix"


@dataclass(frozen=True)
class LakeStore(ObjectStore):
    """A star's folder in the lake."""

    error_type: type[PipelineError] = field(default=LakeError, repr=False, kw_only=True)
    setting: str = field(default=SETTING, repr=False, kw_only=True)

    def remove_folder(self, prefix: str) -> None:
        """Remove a folder and its content; an object store has no folders without objects."""
        self.remove([*self.list(prefix)])
        if self.folder is not None:
            shutil.rmtree(self.folder / prefix, ignore_errors=True)

    def footer(self, key: str) -> FileMetaData:
        """Return the metadata of a Parquet file. Raises LakeError if it has none."""
        import io

        import pyarrow.parquet as pq

        with self.translating("read", key):
            end = self._end(key, FOOTER)
            needed = int.from_bytes(end[-8:-4], "little") + 8
            return pq.read_metadata(io.BytesIO(end if needed <= len(end) else self._end(key, needed)))

    def _end(self, key: str, size: int) -> bytes:
        return bytes(self.store.get(key, options={"range": {"suffix": size}}).bytes())


def open_lake_store(url: str, name: str) -> LakeStore:
    """Open a folder of the lake, and create it if it does not exist. Raises LakeError if the URL is invalid."""
    if location := parse_s3_url(url, name):
        bucket, prefix = location
        return LakeStore(f"s3://{bucket}/{prefix}", open_s3(bucket, prefix))
    root = parse_file_url(url)
    if root is not None and root != Path():
        below = "/".join(filter(None, (urlsplit(url).path.strip("/"), name)))
        return LakeStore(f"file:///{below}", _open_folder(url, root / name), root / name)
    raise LakeError(f"SCX_LAKE_URL (or --lake) is {redact(url)!r}: write {SAMPLE}")


def find_lake_store(url: str, name: str) -> LakeStore | None:
    """Open a folder of the lake for reading, or return None if it does not exist. Raises LakeError."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path and not (Path(unquote(parts.path)) / name).is_dir():
        return None
    return open_lake_store(url, name)


def _open_folder(url: str, folder: Path) -> Store:
    from obstore.store import LocalStore

    try:
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder, automatic_cleanup=True)
    except Exception as error:
        reason = getattr(error, "strerror", None) or describe_store_error(error)
        raise LakeError(
            f"cannot create {folder}, in the lake {url} (SCX_LAKE_URL or --lake): {reason}"
        ) from None
