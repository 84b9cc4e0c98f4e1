"""The status of a star's lake by month: rows, files, run and time of the build, and whether it matches its source objects.

Only reads: no write lock is taken, and no folder is created.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import BucketError, LakeError
from scx_pipeline.lake.format.lake_store import LakeStore, find_lake_store
from scx_pipeline.lake.format.layout import HISTORY_FOLDER, WRITING_FOLDER
from scx_pipeline.lake.format.manifest import DataFile, Manifest, PartitionState, read_manifest
from scx_pipeline.loading.changes import list_selection
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.star import Star
from scx_pipeline.planning.changed_months import changed_months, unpartitioned_change
from scx_pipeline.planning.selection import Selection
from scx_pipeline.storage.bucket import open_bucket

# Shown instead of a month.
ALL_MONTHS = "all months"  # of the partitioned tables, with SCD type 1 tables, whose files belong to no month
NO_MONTHS = "unpartitioned"
CURRENT, CHANGED, STALE = "current", "changed", "stale"
_LAKE_REASONS = {"not loaded yet": "not built"}  # reasons of a change that read differently for a lake

State = tuple[str, str]  # and its reason


@dataclass(frozen=True)
class PartitionStatus:
    """What the lake holds of a month, of all months, or of the unpartitioned tables."""

    month: str
    rows: Mapping[str, int]  # by table
    files: int
    bytes: int
    run: str = ""
    written_at: str = ""  # UTC, ISO 8601
    state: str = ""  # empty: unknown, or not a month
    reason: str = ""


@dataclass(frozen=True)
class UnfinishedRun:
    """The unpublished files of a run."""

    run: str
    files: int
    bytes: int


@dataclass(frozen=True)
class LakeStatus:
    """What a star's lake holds, and which runs have unpublished files in it."""

    url: str
    number: int  # of the manifest
    run: str  # the run that committed last
    writer: str | None  # the run that holds the write lock
    tables: Sequence[str]
    partitions: Sequence[PartitionStatus]
    files: int
    bytes: int
    unfinished_runs: Sequence[UnfinishedRun]
    bucket_error: str  # why the bucket could not be listed; empty if it was

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def empty_lake_message(star: str, url: str) -> str:
    """Return the message for a lake that has no data of a star."""
    return (
        f"{url.rstrip('/')} has no data of {star} yet: run `scx lake build {star}`, "
        f"or `scx lake unload {star}` to copy it from the warehouse"
    )


def open_existing_lake(url: str, star: str) -> tuple[LakeStore, Manifest]:
    """Open a star's folder in the lake at a URL and read its manifest. Raises LakeError if there is none."""
    store = find_lake_store(url, star)
    manifest = read_manifest(store, star) if store else Manifest(star)
    if store is None or not manifest.number:
        raise LakeError(empty_lake_message(star, url))
    return store, manifest


def read_status(compiled: CompiledStar, lake: str, bucket: str) -> LakeStatus | None:
    """Read the status of a star's lake and compare it with its source bucket.

    Args:
        compiled: The star.
        lake: The lake's URL.
        bucket: The bucket's URL. If it cannot be listed, the status says so and only stale months are marked.

    Returns:
        The status; None if the star has no manifest in the lake.

    Raises:
        LakeError: The lake cannot be read.
    """
    star = compiled.star
    store = find_lake_store(lake, star.name)
    if store is None:
        return None
    manifest = read_manifest(store, star.name)
    if not manifest.number:
        return None
    unfinished = _unfinished_runs(store.list(f"{WRITING_FOLDER}/"))
    try:
        selection, bucket_error = list_selection(star, open_bucket(bucket)), ""
        states = compare_states(compiled, manifest, selection)
    except BucketError as error:
        states = {month: (STALE, reason) for month, (reason, _) in manifest.stale.items()}
        bucket_error = str(error)
    files = [item for items in manifest.files.values() for item in items]
    return LakeStatus(
        store.url, manifest.number, manifest.run, manifest.writer, [table.name for table in star.tables],
        list_partitions(star, manifest, states), len(files), _bytes(files), unfinished, bucket_error,
    )  # fmt: skip


def compare_states(
    compiled: CompiledStar, manifest: Manifest, selection: Selection
) -> Mapping[Month | None, State]:
    """Return whether each published or due month is what a full build would produce; None: the unpartitioned tables."""
    states: dict[Month | None, State] = dict.fromkeys(manifest.months, (CURRENT, ""))
    for month, (reason, _) in manifest.stale.items():
        states[month] = (STALE, reason)
    for item in changed_months(selection, compiled.star.months(), manifest.month_states, compiled.version):
        states[item.month] = _changed(item.reason)
    if selection.unpartitioned_sources:
        built = manifest.unpartitioned.state if manifest.unpartitioned else None
        change = unpartitioned_change(selection, built, compiled.unpartitioned_version)
        states[None] = _changed(change) if change else (CURRENT, "")
    return states


def _changed(reason: str) -> State:
    return CHANGED, _LAKE_REASONS.get(reason, reason)


def list_partitions(
    star: Star, manifest: Manifest, states: Mapping[Month | None, State]
) -> list[PartitionStatus]:
    """Return the status of each month in order, then of what belongs to no single month."""
    by_month: dict[Month | None, list[DataFile]] = defaultdict(list)
    for items in manifest.files.values():
        for item in items:
            by_month[item.month].append(item)
    months = sorted({*manifest.months, *filter(None, states), *filter(None, by_month)})
    partitions = [
        _partition(str(month), manifest.months.get(month), by_month[month], states.get(month, ("", "")))
        for month in months
    ]
    if star.monthly_tables:
        partitions.append(_all_months(star, manifest))
    if star.unpartitioned_tables:
        files = [item for table in star.unpartitioned_tables for item in manifest.select_files(table.name)]
        partitions.append(_partition(NO_MONTHS, manifest.unpartitioned, files, states.get(None, ("", ""))))
    return partitions


def _partition(
    name: str, built: PartitionState | None, files: Sequence[DataFile], state: State
) -> PartitionStatus:
    if built is None:
        return PartitionStatus(name, {}, len(files), _bytes(files), "", "", *state)
    return PartitionStatus(name, built.rows, len(files), _bytes(files), built.run, built.written_at, *state)


def _all_months(star: Star, manifest: Manifest) -> PartitionStatus:
    """Return the totals of the partitioned tables."""
    unpartitioned = {table.name for table in star.unpartitioned_tables}
    files = [
        item
        for folder, items in manifest.files.items()
        if folder not in unpartitioned and not folder.startswith(f"{HISTORY_FOLDER}/")
        for item in items
    ]
    monthly = {table.name: manifest.select_files(table.name) for table in star.monthly_tables}
    rows = {name: sum(item.rows for item in items) for name, items in monthly.items()}
    return PartitionStatus(ALL_MONTHS, rows, len(files), _bytes(files))


def _bytes(files: Iterable[DataFile]) -> int:
    return sum(item.bytes for item in files)


def _unfinished_runs(listed: Mapping[str, int]) -> list[UnfinishedRun]:
    sizes: dict[str, list[int]] = defaultdict(list)
    for key, size in listed.items():
        sizes[key.split("/")[1]].append(size)
    return [UnfinishedRun(run, len(items), sum(items)) for run, items in sorted(sizes.items())]
