"""Verifies a star's lake: compares its manifest with its files, and checks the keys of its tables.

Only reads; the write lock is not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.manifest import Manifest, read_manifest
from scx_pipeline.lake.inspect.findings import (
    Finding,
    check_footer,
    file_finding,
    find_changed_schemas,
    find_files_in_wrong_folders,
    find_missing_files,
    find_orphan_files,
    find_wrong_row_counts,
    tables_by_folder,
)
from scx_pipeline.lake.inspect.key_check import KeyCheck
from scx_pipeline.lake.inspect.lake_status import open_existing_lake
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline.warehouse.capabilities import Limits

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

FOOTERS = 256  # footers read between two progress messages


@dataclass(frozen=True)
class VerifyReport:
    """The size of a verified lake, and the findings."""

    url: str
    number: int  # of the manifest
    files: int
    rows: int  # of the tables
    findings: Sequence[Finding]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Verifier:
    """Verifies a star's lake within memory limits."""

    compiled: CompiledStar
    limits: Limits
    progress: Callable[[str], None] = lambda message: None

    def run(self, url: str) -> VerifyReport:
        """Compare the star's lake at a URL with its manifest.

        Raises LakeError if there is no lake, it cannot be read, or a commit during the verification caused findings.
        """
        star = self.compiled.star
        store, manifest = open_existing_lake(url, star.name)
        findings = list(_Verification(self, store, manifest).run())
        if findings and read_manifest(store, star.name).number != manifest.number:
            raise LakeError(f"{store.url} was written while it was verified: run the verification again")
        files = sum(map(len, manifest.files.values()))
        rows = sum(item.rows for table in star.tables for item in manifest.select_files(table.name))
        return VerifyReport(store.url, manifest.number, files, rows, findings)


class _Verification:
    """One verification of one version of a lake."""

    def __init__(self, verifier: Verifier, store: LakeStore, manifest: Manifest) -> None:
        self.star, self.limits, self.progress = verifier.compiled.star, verifier.limits, verifier.progress
        self.store, self.manifest = store, manifest
        self.bucket = Bucket(store.url, store.store, store.folder)
        self.tables = tables_by_folder(verifier.compiled)
        self.unreadable: set[str] = set()  # keys of files whose values are not read

    def run(self) -> Iterator[Finding]:
        """Yield findings, from cheap checks to those that read all files."""
        self.progress("listing")
        infos = {info.key: info for info in self.bucket.list_objects("")}
        for finding in self._check_listing({key: info.size for key, info in infos.items()}):
            self.unreadable.add(finding.file)
            yield finding
        for finding in self._check_footers():
            self.unreadable.add(finding.file)
            yield finding
        yield from self._check_keys(infos)

    def _check_listing(self, sizes: Mapping[str, int]) -> Iterator[Finding]:
        """Yield the findings of the listing and the manifest alone."""
        yield from find_missing_files(self.manifest, sizes)
        yield from find_orphan_files(self.manifest, sizes, self.tables)
        for finding in list(find_changed_schemas(self.manifest, self.tables)):
            del self.tables[finding.table]
            yield finding
        for folder, table in self.tables.items():
            yield from find_files_in_wrong_folders(folder, table, self.manifest.select_files(folder))
        yield from find_wrong_row_counts(self.star, self.manifest)

    def _check_footers(self) -> Iterator[Finding]:
        listed = [(folder, item) for folder, items in self.manifest.files.items() for item in items]
        listed = [(folder, item) for folder, item in listed if item.key not in self.unreadable]
        for start in range(0, len(listed), FOOTERS):
            self.progress(f"footers: {start:,} of {len(listed):,} files")
            part = listed[start : start + FOOTERS]
            footers = self.store.each(self._read_footer, [item.key for _, item in part])
            for (folder, item), footer in zip(part, footers, strict=True):
                if isinstance(footer, LakeError):
                    yield file_finding(folder, item, f"the file cannot be read: {footer.__cause__}")
                else:
                    yield from check_footer(folder, self.tables.get(folder), item, footer)

    def _read_footer(self, key: str) -> FileMetaData | LakeError:
        try:
            return self.store.footer(key)
        except LakeError as error:
            return error

    def _check_keys(self, infos: Mapping[str, ObjectInfo]) -> list[Finding]:
        """Return the findings on keys, from files without other findings."""
        listed = {table.name: self.manifest.select_files(table.name) for table in self.star.tables}
        readable = {
            name: [item for item in items if item.key not in self.unreadable] if name in self.tables else []
            for name, items in listed.items()
        }
        damaged = {name for name, items in readable.items() if len(items) < len(listed[name])}
        return KeyCheck(self.star, self.bucket, readable, infos, self.limits, self.progress, damaged).run()
