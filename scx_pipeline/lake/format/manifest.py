"""The manifest of a star's lake: the files of its tables, the published months, and the sources they were built from.

A manifest never changes: a commit creates the next one, under the next number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import LakeSchema
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.planning.changed_months import MonthState

FORMAT_VERSION = 1
MANIFEST_FOLDER = "_manifests"


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of a table: key within the star's folder, rows, bytes, and the month of its rows."""

    key: str
    rows: int
    bytes: int
    month: Month | None  # None: the table is not partitioned by month


@dataclass(frozen=True)
class PartitionState:
    """What a month, or the unpartitioned tables, were built from, by which run and when, with the row counts by table."""

    state: MonthState
    run: str
    written_at: str  # UTC, ISO 8601
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """One version of a star's lake."""

    star: str
    number: int = 0
    writer: str | None = None  # the run that holds the write lock; no other run can commit
    run: str = ""  # the run that committed last
    months: Mapping[Month, PartitionState] = field(default_factory=dict)
    unpartitioned: PartitionState | None = None
    stale: Mapping[Month, tuple[str, str]] = field(default_factory=dict)  # reason, and the run that found it
    files: Mapping[str, tuple[DataFile, ...]] = field(default_factory=dict)  # by folder of a table
    schemas: Mapping[str, LakeSchema] = field(default_factory=dict)  # by folder of a table

    @property
    def key(self) -> str:
        return f"{MANIFEST_FOLDER}/{self.number:010d}.json"

    def select_files(self, table: str, scope: MonthRange | None = None) -> list[DataFile]:
        """Return a table's files: those of the scope's months, or all."""
        return [item for item in self.files.get(table, ()) if scope is None or item.month in scope]

    def files_outside(self, table: str, scope: MonthRange) -> list[DataFile]:
        """Return a table's files of all months outside the scope."""
        return [item for item in self.files.get(table, ()) if item.month not in scope]

    def replace_files(
        self, table: str, scope: MonthRange | None, files: Iterable[DataFile]
    ) -> Mapping[str, tuple[DataFile, ...]]:
        """Return the files by table after `files` have replaced a table's files of the scope, or all of them."""
        kept = self.files_outside(table, scope) if scope else []
        return {**self.files, table: tuple(sorted((*kept, *files), key=lambda item: item.key))}

    @property
    def month_states(self) -> Mapping[Month, MonthState]:
        """What each published month was built from."""
        return {month: partition.state for month, partition in self.months.items()}

    @property
    def file_keys(self) -> set[str]:
        """The keys of all listed files."""
        return {item.key for files in self.files.values() for item in files}

    def as_bytes(self) -> bytes:
        content: dict[str, Any] = {
            "format": FORMAT_VERSION,
            "star": self.star,
            "number": self.number,
            "writer": self.writer,
            "run": self.run,
            "months": {str(month): _partition_json(state) for month, state in sorted(self.months.items())},
            "unpartitioned": _partition_json(self.unpartitioned) if self.unpartitioned else None,
            "stale": {str(month): list(reason) for month, reason in sorted(self.stale.items())},
            "schemas": {name: [list(column) for column in schema] for name, schema in self.schemas.items()},
            "tables": {name: [_file_json(item) for item in files] for name, files in self.files.items()},
        }
        return json.dumps(content, indent=1).encode()

    @classmethod
    def parse(cls, content: bytes) -> Manifest:
        """Parse a manifest. Raises ValueError, KeyError or TypeError if the content is not of this format."""
        found = json.loads(content)
        if found["format"] != FORMAT_VERSION:
            raise ValueError(f"its format is {found['format']}, but this version reads {FORMAT_VERSION}")
        return cls(
            found["star"],
            found["number"],
            found["writer"],
            found["run"],
            {Month.parse(month): _parse_partition(state) for month, state in found["months"].items()},
            _parse_partition(found["unpartitioned"]) if found["unpartitioned"] else None,
            {Month.parse(month): (reason, run) for month, (reason, run) in found["stale"].items()},
            {name: tuple(_parse_file(item) for item in items) for name, items in found["tables"].items()},
            {
                name: tuple((column, kind, location) for column, kind, location in items)
                for name, items in found["schemas"].items()
            },
        )


def _partition_json(partition: PartitionState) -> dict[str, Any]:
    return {
        "fingerprint": partition.state.fingerprint,
        "code_version": partition.state.code_version,
        "run": partition.run,
        "written_at": partition.written_at,
        "rows": dict(partition.rows),
    }


def _parse_partition(found: Mapping[str, Any]) -> PartitionState:
    state = MonthState(found["fingerprint"], found["code_version"])
    return PartitionState(state, found["run"], found["written_at"], found["rows"])


def _file_json(item: DataFile) -> dict[str, Any]:
    month = item.month and str(item.month)
    return {"key": item.key, "rows": item.rows, "bytes": item.bytes, "month": month}


def _parse_file(found: Mapping[str, Any]) -> DataFile:
    month = Month.parse(found["month"]) if found["month"] else None
    return DataFile(found["key"], found["rows"], found["bytes"], month)


def read_manifest(store: LakeStore, star: str) -> Manifest:
    """Read the current manifest; an empty one if the star was never written. Raises LakeError."""
    while True:
        keys = sorted(store.list(f"{MANIFEST_FOLDER}/"))
        if not keys:
            return Manifest(star)
        content = store.read(keys[-1])
        if content is None:  # later commits have removed it since
            continue
        try:
            return Manifest.parse(content)
        except (ValueError, KeyError, TypeError) as error:
            raise LakeError(
                f"{store.url}/{keys[-1]} is not a manifest that this version can read ({error}): "
                "restore it, or rebuild the lake in another folder"
            ) from None
