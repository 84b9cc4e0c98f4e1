"""Decide whether a response is about the object that was listed: by ETag, or by size and time where ETags are unreliable.

How to react to a changed object is decided by the caller.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import BucketError
from scx_pipeline.storage.object_info import NO_ETAG, ObjectInfo

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Store

_FALLBACK = "its size and the time it was last modified"
NO_ETAGS = f"the bucket's objects have no ETags: whether one has changed is decided by {_FALLBACK}"
WEAK_ETAGS = f"the bucket's ETags are weak: whether an object has changed is decided by {_FALLBACK} as well"
OTHER_ETAGS = (
    "the bucket gives an object a different ETag when it is read than when it is listed: whether one was overwritten after"
    f" the listing is decided by {_FALLBACK}"
)


def matches_listing(item: ObjectInfo, meta: Mapping[str, Any]) -> bool:
    """Return whether a response has the ETag that was listed, or the size and time where the ETag is missing or weak."""
    etag = item.etag
    if etag.startswith(NO_ETAG):
        return _has_size_and_time(item, meta)
    if etag.startswith("W/"):
        return _strong(etag) == _strong(meta["e_tag"]) and _has_size_and_time(item, meta)
    return bool(etag == meta["e_tag"])


def _strong(etag: str | None) -> str:
    return (etag or "").removeprefix("W/")


def _has_size_and_time(item: ObjectInfo, meta: Mapping[str, Any]) -> bool:
    """Return whether size and time agree; a response gives the time in seconds."""
    listed, given = item.last_modified, meta["last_modified"]
    return bool(item.size == meta["size"] and listed.replace(microsecond=0) == given.replace(microsecond=0))


@dataclass
class EtagPolicy:
    """What is known about a bucket's ETags; each peculiarity is reported once."""

    differ_on_read: bool = False  # whether reading an object gives another ETag than listing it
    _reported: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def report(self, objects: Sequence[ObjectInfo], notify: Callable[[str], None]) -> None:
        """Report objects without ETags and objects with weak ones."""
        if any(item.etag.startswith(NO_ETAG) for item in objects):
            self._report(NO_ETAGS, notify)
        if any(item.etag.startswith("W/") for item in objects):
            self._report(WEAK_ETAGS, notify)

    def matches_second_listing(
        self, store: Store, item: ObjectInfo, meta: Mapping[str, Any], notify: Callable[[str], None]
    ) -> bool:
        """List an object with an unexpected ETag again, and return whether it is the listed one nevertheless.

        Raises BucketError if every listing gives it another ETag.
        """
        if item.etag.startswith(NO_ETAG) or not _has_size_and_time(item, meta):
            return False
        with self._lock:
            if self.differ_on_read:
                return True
            listed = _list_again(store, item)
            if listed == item.etag:
                self.differ_on_read = True
            elif listed is not None and listed != _list_again(store, item):
                raise BucketError(
                    "every listing shows a different ETag for it, so changes to it cannot be noticed: use a store"
                    " whose ETags are stable, or copy the objects to one"
                )
        if self.differ_on_read:
            self._report(OTHER_ETAGS, notify)
        return self.differ_on_read

    def _report(self, line: str, notify: Callable[[str], None]) -> None:
        if line not in self._reported:
            self._reported.add(line)
            notify(line)


def _list_again(store: Store, item: ObjectInfo) -> str | None:
    """Return an object's ETag in another listing, or None if it is gone."""
    folder, _, _ = item.key.rpartition("/")
    for page in store.list(prefix=folder or None, offset=item.key[:-1]):
        for meta in page:
            if meta["path"] == item.key:
                return meta["e_tag"] or ""
            if meta["path"] > item.key:
                return None
    return None
