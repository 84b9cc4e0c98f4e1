"""A verification: the manifest of a star's lake compared with what is there, file by file, and the keys of its tables.
What counts as wrong is in `findings` and `keys`; it only reads, and takes no turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scx_pipeline.engine.objects import Bucket, ObjectInfo
from scx_pipeline.engine.sql import CompiledStar
from scx_pipeline.errors import LakeError
from scx_pipeline.lake.findings import (
    Finding,
    absent,
    miscounted,
    misplaced,
    misread,
    of_file,
    strays,
    tables_in,
)
from scx_pipeline.lake.keys import KeyCheck
from scx_pipeline.lake.manifest import DataFile, Manifest, read_manifest
from scx_pipeline.lake.place import Place
from scx_pipeline.lake.status import standing_lake
from scx_pipeline.warehouse.base import Limits

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

FOOTERS = 256  # that are read between two words on how far it is

Listed = tuple[str, DataFile]  # by the folder of a table


@dataclass(frozen=True)
class Verified:
    """What a verification has read, and what it found."""

    url: str
    number: int  # of the manifest
    files: int
    rows: int  # of the tables
    findings: Sequence[Finding]

    def as_json(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "number": self.number,
            "files": self.files,
            "rows": self.rows,
            "findings": [item.as_json() for item in self.findings],
        }


@dataclass(frozen=True)
class Verifier:
    """What a verification is of: a star, and how much memory it may take."""

    compiled: CompiledStar
    limits: Limits
    progress: Callable[[str], None] = lambda message: None

    def run(self, url: str) -> Verified:
        """Compare the star's lake at a URL with its manifest.

        Raises LakeError where there is no lake, it cannot be read, or it was written meanwhile in a way that shows.
        """
        star = self.compiled.star
        place, manifest = standing_lake(url, star.name)
        findings = list(self._findings(place, manifest))
        if findings and read_manifest(place, star.name).number != manifest.number:
            raise LakeError(f"{place.url} was written while it was verified: run it again")
        files = sum(map(len, manifest.files.values()))
        rows = sum(item.rows for table in star.tables for item in manifest.of(table.name))
        return Verified(place.url, manifest.number, files, rows, findings)

    def _findings(self, place: Place, manifest: Manifest) -> Iterator[Finding]:
        self.progress("listing")
        bucket = Bucket(place.url, place.store, place.folder)
        infos = {info.key: info for info in bucket.list_objects("")}
        sizes = {key: info.size for key, info in infos.items()}
        tables = tables_in(self.compiled)
        broken = list(absent(manifest, sizes))
        yield from broken
        yield from strays(manifest, sizes, tables)
        for folder, table in tables.items():
            yield from misplaced(folder, table, manifest.of(folder))
        yield from miscounted(self.compiled.star, manifest)
        absentees = {item.file for item in broken}
        there = [
            (folder, item)
            for folder, items in manifest.files.items()
            for item in items
            if item.key not in absentees
        ]
        for finding in self._footers(place, there):
            broken.append(finding)
            yield finding
        yield from self._keys(bucket, infos, manifest, {item.file for item in broken})

    def _footers(self, place: Place, listed: Sequence[Listed]) -> Iterator[Finding]:
        tables = tables_in(self.compiled)
        for start in range(0, len(listed), FOOTERS):
            self.progress(f"footers: {start:,} of {len(listed):,} files")
            part = listed[start : start + FOOTERS]
            footers = place.each(lambda key: _footer(place, key), [item.key for _, item in part])
            for (folder, item), footer in zip(part, footers, strict=True):
                if isinstance(footer, LakeError):
                    yield of_file(folder, item, f"the file cannot be read: {footer.__cause__}")
                else:
                    yield from misread(folder, tables.get(folder), item, footer)

    def _keys(
        self, bucket: Bucket, infos: Mapping[str, ObjectInfo], manifest: Manifest, broken: set[str]
    ) -> list[Finding]:
        """The findings on keys, in the files that nothing else is wrong with."""
        star = self.compiled.star
        sound = {
            table.name: [item for item in manifest.of(table.name) if item.key not in broken]
            for table in star.tables
        }
        damaged = {name for name, items in sound.items() if len(items) < len(manifest.of(name))}
        return KeyCheck(star, bucket, sound, infos, self.limits, self.progress, damaged).run()


def _footer(place: Place, key: str) -> FileMetaData | LakeError:
    try:
        return place.footer(key)
    except LakeError as error:
        return error
