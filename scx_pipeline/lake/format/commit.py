"""A run's turn to write a star's lake: all of what it wrote becomes visible at once, or nothing, whenever it is broken off.
What is written is decided in `build` and `unload`; what a manifest holds, in `manifest`.

Files are written below `_writing/<run>/`, where no reader looks, moved to their places under names that were never used
before, and become the tables when a manifest that lists them is created under the next number. An object store creates an
object only where there is none, so of two runs one has the number, and the other finds out. A run begins by committing
itself as the writer: whoever wrote before is too late from then on, so what is found of it may be removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import WRITING, Shape, folder_of, month_of_key, new_run, place_of, run_of
from scx_pipeline.lake.format.manifest import MANIFESTS, DataFile, Manifest, read_manifest
from scx_pipeline.model.calendar import Month, MonthRange

KEPT_MANIFESTS = 3  # the latest ones: a reader that has listed them may still be about to read one


@dataclass(frozen=True)
class LakeTransaction:
    """A run's right to commit to a star's lake, as long as no other run has begun; what stood when it began."""

    place: LakeStore
    run: str
    before: Manifest

    @property
    def folder(self) -> str:
        """Where the run writes, as a key with a / at its end."""
        return folder_of(self.run)

    def url_of(self, table: str) -> str:
        """Where the run writes a table, as a URL with a / at its end."""
        return f"{self.place.url}/{self.folder}{table}/"


@dataclass(frozen=True)
class NewFiles:
    """What takes the place of a table's files: of all of them, or of those of the span. Keys are within the run's folder."""

    table: str  # the folder's name
    scope: MonthRange | None
    files: Sequence[DataFile]
    shape: Shape


def begin(place: LakeStore, star: str, notify: Callable[[str], None]) -> LakeTransaction:
    """Take the turn, and remove what runs before have left. Raises LakeError where the lake cannot be written."""
    while True:
        standing = read_manifest(place, star)
        if standing.star != star:
            raise LakeError(f"{place.url} is the lake of {standing.star}: choose another folder for {star}")
        run = new_run(
            [*place.list(f"{WRITING}/"), *standing.keys, f"{standing.writer or ''}/", f"{standing.run}/"]
        )
        mine = replace(standing, number=standing.number + 1, writer=run)
        if place.create(mine.key, mine.as_bytes()):
            break
    _tidy(place, mine, notify)
    return LakeTransaction(place, run, mine)


def commit(transaction: LakeTransaction, new: Sequence[NewFiles], after: Manifest) -> Manifest:
    """Put a run's files in their places and make them the tables; `after` is what else shall stand.

    The manifest that stands then. Raises LakeError where another run came between, or a file cannot be moved; the lake is
    as it was then.
    """
    place = transaction.place
    moved = {item.key: place_of(transaction.run, item.key) for part in new for item in part.files}
    _check_turn(transaction)
    made = _listed(transaction, new, after, moved)
    try:
        found = place.each(lambda key: place.move(transaction.folder + key, moved[key]), list(moved))
        is_published = all(found) and _create(place, made)
    except _UnknownError:
        raise  # they may be listed
    except BaseException:
        _take_back(place, moved)
        raise
    if not is_published:
        _take_back(place, moved)
        raise _overtaken(place)
    _remove_replaced(place, new, made)
    forget(transaction)
    return made


class _UnknownError(LakeError):
    """Whether a manifest was created could not be found out."""


def _create(place: LakeStore, made: Manifest) -> bool:
    """Create the manifest; whether it is this run's that stands under the number, as an answer may be lost on its way."""
    content = made.as_bytes()
    try:
        return place.create(made.key, content) or place.read(made.key) == content
    except LakeError as error:
        try:
            if place.read(made.key) == content:
                return True
        except LakeError:
            raise _UnknownError(
                f"{error}; it may have been written all the same: see scx lake status"
            ) from error
        raise


def _take_back(place: LakeStore, moved: Mapping[str, str]) -> None:
    with suppress(LakeError):  # the next run removes them
        place.remove(list(moved.values()))


def _listed(
    transaction: LakeTransaction, new: Sequence[NewFiles], after: Manifest, moved: Mapping[str, str]
) -> Manifest:
    for part in new:
        files = [replace(item, key=moved[item.key]) for item in part.files]
        shapes = {**after.shapes, part.table: part.shape}
        after = replace(after, files=after.replaced(part.table, part.scope, files), shapes=shapes)
    return replace(after, number=transaction.before.number + 1, writer=None, run=transaction.run)


def _check_turn(transaction: LakeTransaction) -> None:
    if read_manifest(transaction.place, transaction.before.star).number != transaction.before.number:
        raise _overtaken(transaction.place)


def _remove_replaced(place: LakeStore, new: Sequence[NewFiles], made: Manifest) -> None:
    """Remove Parquet files in the folders of what was replaced, whoever wrote them: a reader of folders would count them."""
    standing = made.keys
    for part in new:
        listed = place.list(f"{part.table}/")
        place.remove([key for key in listed if key not in standing and _is_replaced(part, key)])
    numbers = sorted(place.list(f"{MANIFESTS}/"))
    place.remove(numbers[:-KEPT_MANIFESTS])


def _is_replaced(part: NewFiles, key: str) -> bool:
    if not key.endswith(".parquet"):
        return False
    return part.scope is None or _month(part.table, key) in part.scope


def _month(table: str, key: str) -> Month | None:
    return month_of_key(key.removeprefix(f"{table}/"))


def forget(transaction: LakeTransaction) -> None:
    """Remove what a run has not moved."""
    transaction.place.remove_folder(transaction.folder)


def give_up(transaction: LakeTransaction, notify: Callable[[str], None]) -> None:
    """Leave nothing of a run that failed."""
    try:
        forget(transaction)
    except LakeError as error:
        notify(f"{error}; the next run removes what is left")


def _tidy(place: LakeStore, mine: Manifest, notify: Callable[[str], None]) -> None:
    """Remove what earlier runs have left: what they had not moved, what they never made visible, and what they replaced."""
    left = _strays(place.list(), mine)
    if left:
        notify(f"removing {len(left):,} files that a run which was broken off left in {place.url}")
    place.each(
        place.remove_folder,
        sorted({"/".join(key.split("/")[:2]) + "/" for key in left if key.startswith(WRITING)}),
    )
    place.remove([key for key in left if not key.startswith(WRITING)])


def _strays(keys: Iterable[str], mine: Manifest) -> list[str]:
    """The keys of runs' files that are not listed; what others put there stays."""
    standing = mine.keys
    return [key for key in keys if key.startswith(f"{WRITING}/") or (run_of(key) and key not in standing)]


def _overtaken(place: LakeStore) -> LakeError:
    return LakeError(
        f"{place.url}: another run began to write after this one and takes its place; nothing was changed by this one"
    )
