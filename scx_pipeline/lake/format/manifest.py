"""The manifest of a star's lake: which files are its tables, which months stand, and what they were made from.
A manifest is never changed: a commit is the next one, under the next number. How one is committed is in `commit`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import Shape
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.planning.selection import MonthState

FORMAT = 1  # of what stands in a manifest
MANIFESTS = "_manifests"


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of a table: its key within the star's folder, how many rows and bytes, and the month it is of."""

    key: str
    rows: int
    bytes: int
    month: Month | None  # None: of a table that is not kept by month


@dataclass(frozen=True)
class PartitionState:
    """What a month, or the tables without months, were made from, by which run and when; and the rows by table."""

    state: MonthState
    run: str
    at: str  # UTC, ISO 8601
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What stands in the lake of a star."""

    star: str
    number: int = 0
    writer: str | None = None  # the run whose turn it is to commit; any other is too late
    run: str = ""  # the one that committed last
    months: Mapping[Month, PartitionState] = field(default_factory=dict)
    unpartitioned: PartitionState | None = None  # of the tables without months
    stale: Mapping[Month, tuple[str, str]] = field(default_factory=dict)  # why, and since which run
    files: Mapping[str, tuple[DataFile, ...]] = field(default_factory=dict)  # by the folder of a table
    shapes: Mapping[str, Shape] = field(default_factory=dict)  # the same

    @property
    def key(self) -> str:
        return f"{MANIFESTS}/{self.number:010d}.json"

    def of(self, table: str, scope: MonthRange | None = None) -> list[DataFile]:
        """A table's files: those of the span's months, or all."""
        return [item for item in self.files.get(table, ()) if scope is None or item.month in scope]

    def outside(self, table: str, scope: MonthRange) -> list[DataFile]:
        """A table's files of other months than the span's."""
        return [item for item in self.files.get(table, ()) if item.month not in scope]

    def replaced(
        self, table: str, scope: MonthRange | None, files: Iterable[DataFile]
    ) -> Mapping[str, tuple[DataFile, ...]]:
        """The files by table, once these have taken the place of a table's files of the span, or of all of it."""
        kept = self.outside(table, scope) if scope else []
        return {**self.files, table: tuple(sorted((*kept, *files), key=lambda item: item.key))}

    @property
    def states(self) -> Mapping[Month, MonthState]:
        """What the months that stand were made from."""
        return {month: made.state for month, made in self.months.items()}

    @property
    def keys(self) -> set[str]:
        """The keys of all that stands."""
        return {item.key for files in self.files.values() for item in files}

    def as_bytes(self) -> bytes:
        content: dict[str, Any] = {
            "format": FORMAT,
            "star": self.star,
            "number": self.number,
            "writer": self.writer,
            "run": self.run,
            "months": {str(month): _made_json(made) for month, made in sorted(self.months.items())},
            "whole": _made_json(self.unpartitioned) if self.unpartitioned else None,
            "stale": {str(month): list(why) for month, why in sorted(self.stale.items())},
            "shapes": {name: [list(column) for column in shape] for name, shape in self.shapes.items()},
            "tables": {
                name: [
                    {
                        "key": item.key,
                        "rows": item.rows,
                        "bytes": item.bytes,
                        "month": item.month and str(item.month),
                    }
                    for item in files
                ]
                for name, files in self.files.items()
            },
        }
        return json.dumps(content, indent=1).encode()

    @classmethod
    def parse(cls, content: bytes) -> Manifest:
        """Raises ValueError, KeyError or TypeError for what is no manifest of this format."""
        found = json.loads(content)
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']}, and this version reads {FORMAT}")
        return cls(
            found["star"],
            found["number"],
            found["writer"],
            found["run"],
            {Month.parse(month): _made(made) for month, made in found["months"].items()},
            _made(found["whole"]) if found["whole"] else None,
            {Month.parse(month): (why, run) for month, (why, run) in found["stale"].items()},
            {name: tuple(_file(item) for item in items) for name, items in found["tables"].items()},
            {
                name: tuple((item, kind, place) for item, kind, place in items)
                for name, items in found["shapes"].items()
            },
        )


def _made_json(made: PartitionState) -> dict[str, Any]:
    state = made.state
    return {
        "fingerprint": state.fingerprint,
        "code_version": state.code_version,
        "run": made.run,
        "at": made.at,
        "rows": dict(made.rows),
    }


def _made(found: Mapping[str, Any]) -> PartitionState:
    state = MonthState(found["fingerprint"], found["code_version"])
    return PartitionState(state, found["run"], found["at"], found["rows"])


def _file(found: Mapping[str, Any]) -> DataFile:
    month = Month.parse(found["month"]) if found["month"] else None
    return DataFile(found["key"], found["rows"], found["bytes"], month)


def read_manifest(place: LakeStore, star: str) -> Manifest:
    """The manifest that stands; an empty one of a star that was never written. Raises LakeError."""
    while True:
        keys = sorted(place.list(f"{MANIFESTS}/"))
        if not keys:
            return Manifest(star)
        content = place.read(keys[-1])
        if content is None:  # removed since, as later ones were committed
            continue
        try:
            return Manifest.parse(content)
        except (ValueError, KeyError, TypeError) as error:
            raise LakeError(
                f"{place.url}/{keys[-1]} is no manifest that this version reads ({error}); restore it, or build the lake anew elsewhere"
            ) from None
