"""Files of a folder as objects: list them, read them, and notice changes since the listing.

Which files are read is decided by the caller.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from scx_pipeline.errors import BucketError
from scx_pipeline.storage.object_info import EPOCH, ObjectInfo, printable_key, unreadable_key_reason


def list_folder(folder: Path, prefix: str, notify: Callable[[str], None]) -> Iterator[ObjectInfo]:
    """List every file below a prefix of a folder; links are followed.

    A prefix that does not exist has no files. Raises OSError where that is unknown: the folder itself is missing or may
    not be opened, or a link on the way points to nothing, such as a disk that is not mounted.
    """
    start = _folder_of_prefix(folder, prefix)
    if start is None:
        return
    os.scandir(start).close()
    left = [(start, prefix.strip("/") and f"{prefix.strip('/')}/", frozenset[tuple[int, int]]())]
    while left:
        path, key, parents = left.pop()
        try:
            # Path objects for some hundred thousand entries would cost more than the whole listing.
            status = os.stat(path)  # noqa: PTH116
            entries = list(os.scandir(path))
        except OSError as error:
            yield _unreadable(
                key, f"the folder cannot be opened: {error.strerror}; let this user read it, or move it away"
            )
            continue
        inside = parents | {(status.st_dev, status.st_ino)}
        for entry in entries:
            found = _inspect(entry, key)
            if not isinstance(found, os.stat_result):
                yield from found
            elif S_ISREG(found.st_mode):
                yield _object_of(key + entry.name, found)
            elif S_ISDIR(found.st_mode) and (found.st_dev, found.st_ino) not in inside:
                left.append((entry.path, f"{key}{entry.name}/", inside))
            elif S_ISDIR(found.st_mode):
                notify(
                    f"{printable_key(key + entry.name)} is a link to a folder that contains it: it is not followed"
                )


def list_folder_files(folder: Path, prefix: str) -> Iterator[ObjectInfo]:
    """List the files directly in a prefix of a folder, as `list_folder` lists those below it."""
    start = _folder_of_prefix(folder, prefix)
    key = prefix.strip("/") and f"{prefix.strip('/')}/"
    for entry in os.scandir(start) if start else ():
        found = _inspect(entry, key)
        if not isinstance(found, os.stat_result):
            yield from found
        elif S_ISREG(found.st_mode):
            yield _object_of(key + entry.name, found)


def _inspect(entry: os.DirEntry[str], key: str) -> os.stat_result | list[ObjectInfo]:
    """Return an entry's status, or the unreadable objects to list in its place."""
    try:
        return entry.stat()
    except FileNotFoundError:
        if not entry.is_symlink():  # removed meanwhile
            return []
        reason = "it is a link to nothing: restore its target, or remove it"
        # The target may have been a file or a folder.
        return [_unreadable(name, reason) for name in (key + entry.name, f"{key}{entry.name}/")]
    except OSError as error:
        reason = f"it cannot be inspected: {error.strerror}; let this user read it, or move it away"
        return [_unreadable(key + entry.name, reason)]


def _folder_of_prefix(folder: Path, prefix: str) -> str | None:
    """Return the path of a prefix in a folder, or None if it does not exist. Raises OSError where that is unknown."""
    path = str(folder)
    os.stat(path)  # noqa: PTH116
    for name in filter(None, prefix.split("/")):
        path = f"{path}/{name}"
        try:
            os.lstat(path)
        except FileNotFoundError:
            return None
        if not S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    return path


def _object_of(key: str, status: os.stat_result) -> ObjectInfo:
    modified = status.st_mtime_ns // 1000
    # The format of the object_store library, so that earlier fingerprints stay valid.
    etag = f'"{status.st_ino:x}-{max(0, modified):x}-{status.st_size:x}"'
    time = EPOCH + timedelta(microseconds=modified)
    return ObjectInfo(key, status.st_size, etag, time, unreadable_key_reason(key))


def _unreadable(key: str, reason: str) -> ObjectInfo:
    return ObjectInfo(key, 0, "", EPOCH, reason)


def read_file(path: str, item: ObjectInfo, uri: str) -> bytes:
    """Return a file's bytes. Raises BucketError if it is not the file that was listed."""
    try:
        # Path objects for some hundred thousand keys would cost more than reading the files.
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            content = file.read(item.size + 1)
            status = os.fstat(file.fileno())
    except OSError as error:
        raise BucketError(f"cannot read {uri}: {error.strerror}; run again") from error
    if len(content) != item.size or _has_changed(status, item):
        raise BucketError(f"{uri} was overwritten after the listing; run again")
    return content


def check_unchanged(path: str, item: ObjectInfo, uri: str) -> None:
    """Raise BucketError if a file was overwritten or removed while it was read: a folder has no If-Match."""
    try:
        status = os.stat(path)  # noqa: PTH116  (there may be tens of thousands)
    except OSError as error:
        raise BucketError(f"{uri} was removed while it was read; run again") from error
    if _has_changed(status, item):
        raise BucketError(f"{uri} was overwritten while it was read; run again")


def _has_changed(status: os.stat_result, item: ObjectInfo) -> bool:
    listed = (item.last_modified - EPOCH) // timedelta(microseconds=1)
    return status.st_size != item.size or status.st_mtime_ns // 1000 != listed
