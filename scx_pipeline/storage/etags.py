"""Whether what a store gives is what it listed: by ETag, or by size and time where its ETags do not tell.
When to ask, and what to do about another object, is decided elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import BucketError
from scx_pipeline.storage.listing import UNTAGGED, ObjectInfo

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_INSTEAD = "its size and the time it was last modified"
NO_ETAGS = f"the bucket's objects have no ETags: whether one has changed is decided by {_INSTEAD}"
WEAK_ETAGS = f"the bucket's ETags are weak: whether an object has changed is decided by {_INSTEAD} as well"
OTHER_ETAGS = (
    "the bucket gives an object a different ETag when it is read than when it is listed: whether one was overwritten after"
    f" the listing is decided by {_INSTEAD}"
)


def is_same(item: ObjectInfo, meta: Mapping[str, Any]) -> bool:
    """Whether an answer's ETag, size and time are the listed ones, as far as the ETag is one to rely on."""
    etag = item.etag
    if etag.startswith(UNTAGGED):
        return _is_like(item, meta)
    if etag.startswith("W/"):
        return _strong(etag) == _strong(meta["e_tag"]) and _is_like(item, meta)
    return bool(etag == meta["e_tag"])


def _strong(etag: str | None) -> str:
    return (etag or "").removeprefix("W/")


def _is_like(item: ObjectInfo, meta: Mapping[str, Any]) -> bool:
    """Whether size and time agree; an answer tells the time in seconds."""
    listed, told = item.last_modified, meta["last_modified"]
    return bool(item.size == meta["size"] and listed.replace(microsecond=0) == told.replace(microsecond=0))


@dataclass
class EtagTrust:
    """What is known of a bucket's ETags, and was reported of them."""

    unlike: bool = False  # whether another ETag is given when an object is read than when it is listed
    _reported: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def report(self, objects: Sequence[ObjectInfo], notify: Callable[[str], None]) -> None:
        """Report, once, that objects have no ETags or weak ones."""
        if any(item.etag.startswith(UNTAGGED) for item in objects):
            self._report(NO_ETAGS, notify)
        if any(item.etag.startswith("W/") for item in objects):
            self._report(WEAK_ETAGS, notify)

    def is_same_after_all(
        self, store: ObjectStore, item: ObjectInfo, meta: Mapping[str, Any], notify: Callable[[str], None]
    ) -> bool:
        """Whether an object with another ETag than the listed one is the listed one, as another listing shows.

        Raises BucketError where every listing has another ETag for it.
        """
        if item.etag.startswith(UNTAGGED) or not _is_like(item, meta):
            return False
        with self._lock:
            if self.unlike:
                return True
            listed = _list_again(store, item)
            if listed == item.etag:
                self.unlike = True
            elif listed is not None and listed != _list_again(store, item):
                raise BucketError(
                    "every listing shows a different ETag for it, so changes to it cannot be noticed: use a store"
                    " whose ETags are stable, or a copy"
                )
        if self.unlike:
            self._report(OTHER_ETAGS, notify)
        return self.unlike

    def _report(self, line: str, notify: Callable[[str], None]) -> None:
        if line not in self._reported:
            self._reported.add(line)
            notify(line)


def _list_again(store: ObjectStore, item: ObjectInfo) -> str | None:
    """An object's ETag in another listing; None where it is gone."""
    folder, _, _ = item.key.rpartition("/")
    for page in store.list(prefix=folder or None, offset=item.key[:-1]):
        for meta in page:
            if meta["path"] == item.key:
                return meta["e_tag"] or ""
            if meta["path"] > item.key:
                return None
    return None
