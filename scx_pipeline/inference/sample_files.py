"""Find the sample files that a user names, and the bucket that they are in.

Reading the files does not belong here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import glob
from pathlib import Path
from urllib.parse import urlsplit

from scx_pipeline.errors import BucketError
from scx_pipeline.storage.bucket import Bucket, open_bucket
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline.storage.object_store import parse_file_url

HIDDEN = (".", "_")  # what the names of files begin with that no pattern of a source matches
MAX_FILES, MAX_BYTES = 300, 512 << 20  # of the files that are read; the names of all of them count


@dataclass(frozen=True)
class SampleFiles:
    """The bucket of sample files, its URL, the files that are read, and the keys of all of them."""

    url: str
    bucket: Bucket
    objects: Sequence[ObjectInfo]
    keys: Sequence[str]


def find_sample_files(names: Sequence[str], bucket_url: str) -> SampleFiles:
    """Find the files that paths, folders, patterns or s3 URLs name, in one bucket.

    Args:
        names: The names.
        bucket_url: The bucket of the settings, which is preferred if all files are in it.

    Raises:
        BucketError: There are no such files, or they are in several buckets.
    """
    remote = [name for name in names if name.startswith("s3://")]
    if len(remote) not in (0, len(names)):
        raise BucketError("the files are on this machine and in S3: name files of one bucket")
    url, keys = (_find_remote if remote else _find_local)(names, bucket_url)
    bucket = open_bucket(url)
    chosen = set(keys)
    found = [item for item in bucket.list_objects(_common_folder(keys)) if item.key in chosen]
    readable = [item for item in found if not item.unreadable_reason]
    if not readable:
        raise BucketError(f"no files match {' '.join(names)}: name files, folders, or a pattern in quotes")
    return SampleFiles(url, bucket, _choose(readable), [item.key for item in readable])


def _find_local(names: Sequence[str], bucket_url: str) -> tuple[str, list[str]]:
    """Return the URL of the folder that has the files, and their keys."""
    paths = [path for name in names for path in _expand(name.removeprefix("file://"))]
    bucket = parse_file_url(bucket_url)
    if not paths:
        return Path.cwd().as_uri(), []
    if bucket is None or not all(path.is_relative_to(bucket) for path in paths):
        bucket = Path(os.path.commonpath([path.parent for path in paths]))
    return bucket.as_uri(), [path.relative_to(bucket).as_posix() for path in paths]


def _expand(name: str) -> list[Path]:
    path = Path(name).expanduser()
    # A name may have brackets.
    matching = [str(path)] if path.exists() else sorted(glob(str(path), recursive=True))  # noqa: PTH207
    found = [Path(os.path.abspath(item)) for item in matching]  # noqa: PTH100  (without the .. of a path)
    files = [item for path in found for item in ([path] if path.is_file() else sorted(path.rglob("*")))]
    return [path for path in dict.fromkeys(files) if path.is_file() and not path.name.startswith(HIDDEN)]


def _find_remote(names: Sequence[str], bucket_url: str) -> tuple[str, list[str]]:
    """Return the URL of the S3 bucket that has the objects, and their keys."""
    parts = [urlsplit(name) for name in names]
    buckets = {part.netloc for part in parts}
    if len(buckets) > 1:
        raise BucketError(
            f"the files are in several buckets ({', '.join(sorted(buckets))}): name files of one bucket"
        )
    root = f"s3://{buckets.pop()}"
    if bucket_url.startswith(root) and all(name.startswith(f"{bucket_url.rstrip('/')}/") for name in names):
        root = bucket_url.rstrip("/")
    keys: dict[str, None] = {}
    for name in names:
        pattern = name.removeprefix(root).strip("/")
        folder = re.split(r"[*?[]", pattern, maxsplit=1)[0].rpartition("/")[0]
        listed = [item.key for item in open_bucket(root).list_objects(f"{folder}/" if folder else "")]
        keys |= {
            key: None
            for key in listed
            if (not pattern or fnmatchcase(key, pattern) or key.startswith(f"{pattern}/"))
            and not key.rpartition("/")[2].startswith(HIDDEN)
        }
    return root, list(keys)


def _common_folder(keys: Sequence[str]) -> str:
    folder = os.path.commonpath([key.rpartition("/")[0] for key in keys]) if keys else ""
    return f"{folder}/" if folder else ""


def _choose(objects: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    """Return some of the objects, evenly spread, within the limits; at least one."""
    size = sum(item.size for item in objects)
    step = max(-(-len(objects) // MAX_FILES), -(-size // MAX_BYTES), 1)
    return list(objects[::step])
