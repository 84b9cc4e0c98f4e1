"""A verification: the manifest of a star's lake compared with what is there, file by file, and the keys of its tables.
What counts as wrong is in `findings` and `keys`; it only reads, and takes no turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.manifest import Manifest, read_manifest
from scx_pipeline.lake.inspect.findings import (
    Finding,
    absent,
    miscounted,
    misplaced,
    misread,
    of_file,
    reshaped,
    strays,
    tables_in,
)
from scx_pipeline.lake.inspect.key_check import KeyCheck
from scx_pipeline.lake.inspect.lake_status import standing_lake
from scx_pipeline.storage.bucket import Bucket, ObjectInfo
from scx_pipeline.warehouse.capabilities import Limits

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

FOOTERS = 256  # that are read between two words on how far it is


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
        findings = list(_Verification(self, place, manifest).run())
        if findings and read_manifest(place, star.name).number != manifest.number:
            raise LakeError(f"{place.url} was written while it was verified: run it again")
        files = sum(map(len, manifest.files.values()))
        rows = sum(item.rows for table in star.tables for item in manifest.of(table.name))
        return Verified(place.url, manifest.number, files, rows, findings)


class _Verification:
    """A verification while it runs."""

    def __init__(self, verifier: Verifier, place: LakeStore, manifest: Manifest) -> None:
        self.star, self.limits, self.progress = verifier.compiled.star, verifier.limits, verifier.progress
        self.place, self.manifest = place, manifest
        self.bucket = Bucket(place.url, place.store, place.folder)
        self.tables = tables_in(verifier.compiled)
        self.broken: set[str] = set()  # keys of files of which no values are read

    def run(self) -> Iterator[Finding]:
        """What is wrong, from what is quickly seen to what all files are read for."""
        self.progress("listing")
        infos = {info.key: info for info in self.bucket.list_objects("")}
        for finding in self._listed({key: info.size for key, info in infos.items()}):
            self.broken.add(finding.file)
            yield finding
        for finding in self._footers():
            self.broken.add(finding.file)
            yield finding
        yield from self._keys(infos)

    def _listed(self, sizes: Mapping[str, int]) -> Iterator[Finding]:
        """What the listing and the manifest alone tell."""
        yield from absent(self.manifest, sizes)
        yield from strays(self.manifest, sizes, self.tables)
        for finding in list(reshaped(self.manifest, self.tables)):
            del self.tables[finding.table]
            yield finding
        for folder, table in self.tables.items():
            yield from misplaced(folder, table, self.manifest.of(folder))
        yield from miscounted(self.star, self.manifest)

    def _footers(self) -> Iterator[Finding]:
        listed = [(folder, item) for folder, items in self.manifest.files.items() for item in items]
        listed = [(folder, item) for folder, item in listed if item.key not in self.broken]
        for start in range(0, len(listed), FOOTERS):
            self.progress(f"footers: {start:,} of {len(listed):,} files")
            part = listed[start : start + FOOTERS]
            footers = self.place.each(self._footer, [item.key for _, item in part])
            for (folder, item), footer in zip(part, footers, strict=True):
                if isinstance(footer, LakeError):
                    yield of_file(folder, item, f"the file cannot be read: {footer.__cause__}")
                else:
                    yield from misread(folder, self.tables.get(folder), item, footer)

    def _footer(self, key: str) -> FileMetaData | LakeError:
        try:
            return self.place.footer(key)
        except LakeError as error:
            return error

    def _keys(self, infos: Mapping[str, ObjectInfo]) -> list[Finding]:
        """The findings on keys, in the files that nothing else is wrong with."""
        listed = {table.name: self.manifest.of(table.name) for table in self.star.tables}
        sound = {
            name: [item for item in items if item.key not in self.broken] if name in self.tables else []
            for name, items in listed.items()
        }
        damaged = {name for name, items in sound.items() if len(items) < len(listed[name])}
        return KeyCheck(self.star, self.bucket, sound, infos, self.limits, self.progress, damaged).run()
