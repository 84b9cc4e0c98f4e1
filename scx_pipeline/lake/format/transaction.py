"""Transactions on a star's lake: everything a run wrote becomes visible at once, or nothing does, even after a crash.

A run writes its files below `_writing/<run>/`, where no reader looks, then moves them to their final keys, which were never used
before. They become part of the tables when a manifest that lists them is created under the next number. An object store creates
an object only if none exists, so of two runs that commit the same number one succeeds and the other finds out. A run starts by
committing itself as the writer, which is the write lock: earlier runs can no longer commit, so their leftover files can be removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import (
    WRITING_FOLDER,
    LakeSchema,
    month_of_key,
    new_run_id,
    published_key,
    run_of_key,
    writing_folder,
)
from scx_pipeline.lake.format.manifest import MANIFEST_FOLDER, DataFile, Manifest, read_manifest
from scx_pipeline.model.calendar import MonthRange

KEPT_MANIFESTS = 3  # the latest; a reader that has just listed the manifests may still read an older one


@dataclass(frozen=True)
class LakeTransaction:
    """A run's write lock on a star's lake, valid until another run begins, and the manifest at its start."""

    store: LakeStore
    run: str
    before: Manifest

    @property
    def folder(self) -> str:
        """The key prefix under which the run writes, with a trailing slash."""
        return writing_folder(self.run)

    def url_of(self, table: str) -> str:
        """Return the URL, with a trailing slash, under which the run writes a table."""
        return f"{self.store.url}/{self.folder}{table}/"


@dataclass(frozen=True)
class NewFiles:
    """Files that replace all files of a table, or those of the scope's months. Keys are relative to the run's folder."""

    table: str  # the folder's name
    scope: MonthRange | None
    files: Sequence[DataFile]
    schema: LakeSchema


def begin_transaction(store: LakeStore, star: str, notify: Callable[[str], None]) -> LakeTransaction:
    """Take the write lock and remove the orphan files of earlier runs. Raises LakeError if the lake cannot be written."""
    while True:
        current = read_manifest(store, star)
        if current.star != star:
            raise LakeError(f"{store.url} is the lake of {current.star}: choose another folder for {star}")
        runs = [f"{current.writer or ''}/", f"{current.run}/"]
        run = new_run_id([*store.list(f"{WRITING_FOLDER}/"), *current.file_keys, *runs])
        locked = replace(current, number=current.number + 1, writer=run)
        if store.create(locked.key, locked.as_bytes()):
            break
    _remove_orphans(store, locked, notify)
    return LakeTransaction(store, run, locked)


def commit(transaction: LakeTransaction, new: Sequence[NewFiles], after: Manifest) -> Manifest:
    """Move a run's files to their final keys and publish a manifest that lists them.

    Args:
        transaction: The run's transaction.
        new: The files that the run wrote, by table.
        after: What the new manifest says about everything else.

    Returns:
        The published manifest.

    Raises:
        LakeError: Another run took the write lock, or a file cannot be moved. The lake is unchanged then.
    """
    store = transaction.store
    final_keys = {item.key: published_key(transaction.run, item.key) for part in new for item in part.files}
    if read_manifest(store, transaction.before.star).number != transaction.before.number:
        raise _lock_lost(store)
    manifest = _next_manifest(transaction, new, after, final_keys)
    try:
        moved = store.each(
            lambda key: store.move(transaction.folder + key, final_keys[key]), list(final_keys)
        )
        is_published = all(moved) and _create_manifest(store, manifest)
    except _UncertainCommitError:
        raise  # the moved files may be listed
    except BaseException:
        _remove_moved(store, final_keys)
        raise
    if not is_published:
        _remove_moved(store, final_keys)
        raise _lock_lost(store)
    _remove_replaced(store, new, manifest)
    _remove_run_folder(transaction)
    return manifest


class _UncertainCommitError(LakeError):
    """It is unknown whether the manifest was created."""


def _create_manifest(store: LakeStore, manifest: Manifest) -> bool:
    """Create the manifest and return whether it is current; it may exist although the store's response was lost."""
    content = manifest.as_bytes()
    try:
        return store.create(manifest.key, content) or store.read(manifest.key) == content
    except LakeError as error:
        try:
            if store.read(manifest.key) == content:
                return True
        except LakeError:
            raise _UncertainCommitError(
                f"{error}; the manifest may have been written anyway: check with `scx lake status`"
            ) from error
        raise


def _remove_moved(store: LakeStore, final_keys: Mapping[str, str]) -> None:
    with suppress(LakeError):  # the next run removes them
        store.remove(list(final_keys.values()))


def _next_manifest(
    transaction: LakeTransaction, new: Sequence[NewFiles], after: Manifest, final_keys: Mapping[str, str]
) -> Manifest:
    for part in new:
        files = [replace(item, key=final_keys[item.key]) for item in part.files]
        schemas = {**after.schemas, part.table: part.schema}
        after = replace(after, files=after.replace_files(part.table, part.scope, files), schemas=schemas)
    return replace(after, number=transaction.before.number + 1, writer=None, run=transaction.run)


def _remove_replaced(store: LakeStore, new: Sequence[NewFiles], manifest: Manifest) -> None:
    """Remove the replaced Parquet files, whichever engine wrote them: engines that read folders would count them twice."""
    listed = manifest.file_keys
    for part in new:
        keys = store.list(f"{part.table}/")
        store.remove([key for key in keys if key not in listed and _is_replaced(part, key)])
    store.remove(sorted(store.list(f"{MANIFEST_FOLDER}/"))[:-KEPT_MANIFESTS])


def _is_replaced(part: NewFiles, key: str) -> bool:
    if not key.endswith(".parquet"):
        return False
    return part.scope is None or month_of_key(key.removeprefix(f"{part.table}/")) in part.scope


def _remove_run_folder(transaction: LakeTransaction) -> None:
    transaction.store.remove_folder(transaction.folder)


def abort(transaction: LakeTransaction, notify: Callable[[str], None]) -> None:
    """Remove all files of a failed run; report a failure to remove them, since the next run removes them anyway."""
    try:
        _remove_run_folder(transaction)
    except LakeError as error:
        notify(f"{error}; the next run removes the remaining files")


def _remove_orphans(store: LakeStore, manifest: Manifest, notify: Callable[[str], None]) -> None:
    """Remove the files of earlier runs that were never moved, never published, or replaced since."""
    orphans = _find_orphans(store.list(), manifest)
    if orphans:
        notify(f"removing {len(orphans):,} orphan files of an interrupted run from {store.url}")
    folders = {writing_folder(key.split("/")[1]) for key in orphans if key.startswith(WRITING_FOLDER)}
    store.each(store.remove_folder, sorted(folders))
    store.remove([key for key in orphans if not key.startswith(WRITING_FOLDER)])


def _find_orphans(keys: Iterable[str], manifest: Manifest) -> list[str]:
    """Return the keys of files that a run wrote and the manifest does not list; files of other origin are left alone."""
    listed = manifest.file_keys
    return [
        key for key in keys if key.startswith(f"{WRITING_FOLDER}/") or (run_of_key(key) and key not in listed)
    ]


def _lock_lost(store: LakeStore) -> LakeError:
    return LakeError(
        f"{store.url}: another run started to write after this one and now holds the write lock; this run changed nothing"
    )
