"""List the objects of an object store, without the markers that some tools create for folders.

The objects' content is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from scx_pipeline.storage.object_info import NO_ETAG, ObjectInfo, unreadable_key_reason
from scx_pipeline.storage.object_store import REQUESTS_AT_ONCE
from scx_pipeline.storage.store_errors import describe_transient_error

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Store


def list_store(
    store: Store, prefix: str, list_any_keys: Callable[[str], Iterator[dict[str, Any]]]
) -> list[ObjectInfo]:
    """List every object below a prefix of a store.

    Args:
        store: The store.
        prefix: A folder's key, or an empty text for all objects.
        list_any_keys: A slower listing for stores with keys that obstore rejects.
    """
    from obstore.exceptions import InvalidPathError

    try:
        return _without_markers(store, _list(store, prefix))
    except InvalidPathError:
        return _plain_infos(list_any_keys(prefix))


def _plain_infos(listed: Iterator[dict[str, Any]]) -> list[ObjectInfo]:
    return [_info(item) for item in listed if not item["path"].endswith("/")]


def list_store_files(
    store: Store, folder: str, list_any_files: Callable[[str], Iterator[dict[str, Any]]]
) -> list[ObjectInfo]:
    """List the objects directly in a folder of a store, as `list_store` lists those below a prefix."""
    from obstore.exceptions import InvalidPathError

    try:
        top = store.list_with_delimiter(folder or None)
    except InvalidPathError:
        return _plain_infos(list_any_files(folder))
    return _without_markers(store, [*map(_info, top["objects"])], [*top["common_prefixes"]])


def _list(store: Store, prefix: str) -> list[ObjectInfo]:
    top = store.list_with_delimiter(prefix or None)
    # Folders are listed in parallel: within a folder, a page of the listing is needed to request the next one.
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        below = pool.map(lambda folder: _list_below(store, folder), top["common_prefixes"])
        return [info for part in ([*map(_info, top["objects"])], *below) for info in part]


def _list_below(store: Store, prefix: str) -> list[ObjectInfo]:
    return [_info(meta) for page in store.list(prefix=prefix, chunk_size=5000) for meta in page]


def _without_markers(
    store: Store, found: Sequence[ObjectInfo], other_folders: Iterable[str] = ()
) -> list[ObjectInfo]:
    """Drop empty entries that are not objects: the library removes the trailing slash from a folder marker's key."""
    empty = {info.key: info for info in found if not info.size}
    if not empty:
        return list(found)
    filled = {info.key for info in found if info.size}
    folders = {info.key[:place] for info in found for place in _slashes(info.key)}.union(other_folders)
    unsure = [info for key, info in empty.items() if key not in filled and key not in folders]
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        exist = pool.map(lambda info: _exists(store, info.key), unsure)
        kept = {info.key for info, exists in zip(unsure, exist, strict=True) if exists}
    return [info for info in found if info.size] + [empty[key] for key in sorted(kept)]


def _slashes(key: str) -> Iterator[int]:
    return (place for place, letter in enumerate(key) if letter == "/")


def _exists(store: Store, key: str) -> bool:
    try:
        store.head(key)
    except FileNotFoundError:
        return False
    except (
        Exception
    ) as error:  # an object that may not be read must not hide others: it fails when it is read
        if describe_transient_error(error):
            raise
    return True


def _info(meta: Any) -> ObjectInfo:
    etag = meta["e_tag"] or f"{NO_ETAG}{meta['last_modified'].isoformat()}"
    return ObjectInfo(
        meta["path"], meta["size"], etag, meta["last_modified"], unreadable_key_reason(meta["path"])
    )
