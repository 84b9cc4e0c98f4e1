"""New files take the place of older ones: all of an unload's or none, whenever it is broken off.
How the files came about is in `unload`.

An unload writes below `_unload/<run>/`, where no reader looks. When all is there, it writes down what is to go where (the
journal), moves it, and then removes what is older. An unload that was killed before its journal has changed nothing; one
that was killed after it is gone on with by whoever comes next. As a file's name begins with its run's, and later runs have
greater names, only older files are ever removed: two unloads at a time leave the later one's files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.layout import UNLOADING, folder_of, month_of_key, place_of, run_of
from scx_pipeline.lake.place import Place
from scx_pipeline.spec import Month, Span

BEGUN, JOURNAL = "begun", "journal.json"


@dataclass(frozen=True)
class Journal:
    """What an unload is to change: files to be moved, and of each table the months that they stand for, None for all."""

    run: str
    files: tuple[str, ...]  # keys relative to the run's own folder
    tables: Mapping[str, tuple[Month, Month] | None]

    def moves(self) -> dict[str, str]:
        return {f"{folder_of(self.run)}{key}": place_of(self.run, key) for key in self.files}

    def replaces(self, table: str, key: str) -> bool:
        """Whether a file of a table, by its key within the table's folder, is one that this unload replaces."""
        if not key.endswith(".parquet") or run_of(key) >= self.run:
            return False
        ends, month = self.tables[table], month_of_key(key)
        return ends is None or (month is not None and month in Span(*ends))

    def as_bytes(self) -> bytes:
        tables = {name: ends and [str(ends[0]), str(ends[1])] for name, ends in self.tables.items()}
        return json.dumps({"run": self.run, "tables": tables, "files": self.files}, indent=0).encode()

    @classmethod
    def parse(cls, content: bytes) -> Journal:
        found = json.loads(content)
        tables = {
            name: (Month.parse(ends[0]), Month.parse(ends[1])) if ends else None
            for name, ends in found["tables"].items()
        }
        return cls(found["run"], tuple(found["files"]), tables)


def begin(place: Place, run: str) -> None:
    """Say that a run has begun; it is the first thing that is written, and fails where nothing can be."""
    place.write(f"{folder_of(run)}{BEGUN}", b"")


def publish(place: Place, journal: Journal) -> None:
    """Put a run's files in their places, and remove the older ones. Raises LakeError where a later run came between."""
    # A later run that takes this one for dead removes its mark first: where that still stands, all that was listed did.
    if not _is_alive(place, journal.run):
        raise _overtaken(place)
    place.write(f"{folder_of(journal.run)}{JOURNAL}", journal.as_bytes())
    try:
        moved = _move(place, journal)
    except BaseException:
        _take_back(place, journal)
        raise
    if not _finish(place, journal, moved):
        raise _overtaken(place)


def _is_alive(place: Place, run: str) -> bool:
    return place.read(f"{folder_of(run)}{BEGUN}") is not None


def _move(place: Place, journal: Journal) -> bool:
    """Move all files to their places; whether they are all there."""
    moves = journal.moves()
    return all(place.each(lambda source: place.move(source, moves[source]), list(moves)))


def _take_back(place: Place, journal: Journal) -> None:
    """Undo moves, unless another run has read the journal, and goes on with it."""
    with suppress(LakeError):  # then the journal stands, or files of no use: the next unload sees to both
        place.remove([f"{folder_of(journal.run)}{JOURNAL}"])
        if _is_alive(place, journal.run):
            place.remove(list(journal.moves().values()))


def _finish(place: Place, journal: Journal, moved: bool) -> bool:
    """Remove what a run's files replace, or those files, where not all of them could be moved; whether they stand."""
    if moved:
        for table in journal.tables:
            place.remove([f"{table}/{key}" for key in _within(place, table) if journal.replaces(table, key)])
    else:
        place.remove(list(journal.moves().values()))
    forget(place, journal.run)
    return moved


def _within(place: Place, table: str) -> list[str]:
    return [key.removeprefix(f"{table}/") for key in place.list(f"{table}/")]


def forget(place: Place, run: str) -> None:
    """Remove what a run has not moved: its mark first, its journal last."""
    folder = folder_of(run)
    place.remove([f"{folder}{BEGUN}"])
    place.remove([key for key in place.list(folder) if key != f"{folder}{JOURNAL}"])
    place.remove([f"{folder}{JOURNAL}"])
    place.remove_folder(folder)


def give_up(place: Place, run: str, notify: Callable[[str], None]) -> None:
    """Leave nothing of a run that failed, unless files may be in their places already: the next one goes on with those."""
    try:
        if place.read(f"{folder_of(run)}{JOURNAL}") is None:
            forget(place, run)
        else:
            notify(f"the next unload into {place.url} goes on where this one was broken off")
    except LakeError as error:
        notify(f"{error}; the next unload removes what is left")


def tidy(place: Place, notify: Callable[[str], None]) -> None:
    """Go on with what earlier runs have left, or remove it."""
    for run in sorted({key.split("/")[1] for key in place.list(f"{UNLOADING}/")}):
        place.remove([f"{folder_of(run)}{BEGUN}"])
        written = place.read(f"{folder_of(run)}{JOURNAL}")
        if written is None:
            notify(f"removing what an unload that was broken off left in {place.url}/{folder_of(run)}")
            forget(place, run)
        else:
            notify(f"going on with an unload that was broken off: {place.url}/{folder_of(run)}")
            journal = Journal.parse(written)
            _finish(place, journal, _move(place, journal))


def _overtaken(place: Place) -> LakeError:
    return LakeError(
        f"{place.url}: another unload began after this one and takes its place; nothing was changed by this one"
    )
