"""What stands in a star's lake, month by month: rows, files, by which run and when, and whether it is as its objects are.
It only reads: no turn is taken, and no folder is made. Whether the files are as the manifest says is found out in `verify`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import BucketError, LakeError
from scx_pipeline.lake.format.lake_store import LakeStore, find_lake_store
from scx_pipeline.lake.format.layout import ACCOUNTS, WRITING
from scx_pipeline.lake.format.manifest import DataFile, Manifest, PartitionState, read_manifest
from scx_pipeline.loading.changes import list_selection
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.star import Star
from scx_pipeline.planning.selection import Selection, changed_months, unpartitioned_change
from scx_pipeline.storage.bucket import open_bucket

ALL_MONTHS = (
    "all months"  # in the place of a month, of the tables that have months: those kept by key are in no month
)
NO_MONTHS = "without months"
CURRENT, CHANGED, STALE = "current", "changed", "stale"
NOT_BUILT = {"not loaded yet": "not built"}  # what the engine says of a warehouse, said of a lake

State = tuple[str, str]  # and why


@dataclass(frozen=True)
class Part:
    """What stands of a month, of all months, or of the tables without months."""

    month: str
    rows: Mapping[str, int]  # by table
    files: int
    bytes: int
    run: str = ""
    at: str = ""  # UTC, ISO 8601
    state: str = ""  # nothing: not known, or of no month
    why: str = ""


@dataclass(frozen=True)
class Left:
    """What lies below `_writing/` of a run."""

    run: str
    files: int
    bytes: int


@dataclass(frozen=True)
class LakeStatus:
    """What stands in a star's lake, and what is written there now."""

    url: str
    number: int  # of the manifest
    run: str  # the one that committed last
    writer: str | None  # the one that has the turn
    tables: Sequence[str]
    parts: Sequence[Part]
    files: int
    bytes: int
    left: Sequence[Left]
    unlisted: str  # why the bucket could not be listed; nothing where it was

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def nothing_of(star: str, url: str) -> str:
    """What is said of a lake in which there is nothing of a star."""
    return (
        f"{url.rstrip('/')} has nothing of {star} yet: run `scx lake build {star}`, "
        f"or `scx lake unload {star}` to take it out of the warehouse"
    )


def standing_lake(url: str, star: str) -> tuple[LakeStore, Manifest]:
    """A star's folder in the lake of a URL, and the manifest that stands. Raises LakeError where there is none."""
    place = find_lake_store(url, star)
    manifest = read_manifest(place, star) if place else Manifest(star)
    if place is None or not manifest.number:
        raise LakeError(nothing_of(star, url))
    return place, manifest


def began(run: str) -> datetime:
    """When a run began (UTC), as its name says."""
    return datetime.strptime(run.partition("-")[0], "%Y%m%dT%H%M%S%f")


def read_status(compiled: CompiledStar, lake: str, bucket: str) -> LakeStatus | None:
    """The status of a star in the lake of a URL, compared with the bucket of another; nothing where it has no manifest.

    A bucket that cannot be listed is told in the status. Raises LakeError where the lake cannot be read.
    """
    star = compiled.star
    place = find_lake_store(lake, star.name)
    if place is None:
        return None
    manifest = read_manifest(place, star.name)
    if not manifest.number:
        return None
    left = _left(place.list(f"{WRITING}/"))
    try:
        states, unlisted = states_of(compiled, manifest, list_selection(star, open_bucket(bucket))), ""
    except BucketError as error:
        states, unlisted = {month: (STALE, why) for month, (why, _) in manifest.stale.items()}, str(error)
    files = [item for items in manifest.files.values() for item in items]
    return LakeStatus(
        place.url, manifest.number, manifest.run, manifest.writer, [table.name for table in star.tables],
        parts_of(star, manifest, states), len(files), _bytes(files), left, unlisted,
    )  # fmt: skip


def states_of(
    compiled: CompiledStar, manifest: Manifest, selection: Selection
) -> Mapping[Month | None, State]:
    """Whether each month that stands or is due is as a build from nothing would make it; None: the tables without months."""
    found: dict[Month | None, State] = dict.fromkeys(manifest.months, (CURRENT, ""))
    for month, (why, _) in manifest.stale.items():
        found[month] = (STALE, why)
    for item in changed_months(selection, compiled.star.months(), manifest.states, compiled.version):
        found[item.month] = (CHANGED, NOT_BUILT.get(item.reason, item.reason))
    if selection.unpartitioned:
        state = manifest.unpartitioned.state if manifest.unpartitioned else None
        reason = unpartitioned_change(selection, state, compiled.unpartitioned_version)
        found[None] = (CHANGED, NOT_BUILT.get(reason, reason)) if reason else (CURRENT, "")
    return found


def parts_of(star: Star, manifest: Manifest, states: Mapping[Month | None, State]) -> list[Part]:
    """What stands, part by part: months in order, then what is in no month."""
    by_month: dict[Month | None, list[DataFile]] = defaultdict(list)
    for items in manifest.files.values():
        for item in items:
            by_month[item.month].append(item)
    months = sorted({*manifest.months, *filter(None, states), *filter(None, by_month)})
    parts = [
        _part(str(month), manifest.months.get(month), by_month[month], states.get(month, ("", "")))
        for month in months
    ]
    if star.monthly:
        parts.append(_all_months(star, manifest))
    if star.unpartitioned:
        files = [item for table in star.unpartitioned for item in manifest.of(table.name)]
        parts.append(_part(NO_MONTHS, manifest.unpartitioned, files, states.get(None, ("", ""))))
    return parts


def _part(name: str, made: PartitionState | None, files: Sequence[DataFile], state: State) -> Part:
    if made is None:
        return Part(name, {}, len(files), _bytes(files), "", "", *state)
    return Part(name, made.rows, len(files), _bytes(files), made.run, made.at, *state)


def _all_months(star: Star, manifest: Manifest) -> Part:
    """All that stands of the tables with months."""
    without = {table.name for table in star.unpartitioned}
    files = [
        item
        for folder, items in manifest.files.items()
        if folder not in without and not folder.startswith(f"{ACCOUNTS}/")
        for item in items
    ]
    rows = {table.name: sum(item.rows for item in manifest.of(table.name)) for table in star.monthly}
    return Part(ALL_MONTHS, rows, len(files), _bytes(files))


def _bytes(files: Iterable[DataFile]) -> int:
    return sum(item.bytes for item in files)


def _left(listed: Mapping[str, int]) -> list[Left]:
    sizes: dict[str, list[int]] = defaultdict(list)
    for key, size in listed.items():
        sizes[key.split("/")[1]].append(size)
    return [Left(run, len(items), sum(items)) for run, items in sorted(sizes.items())]
