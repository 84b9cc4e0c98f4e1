"""Damage the files or the manifest of a lake, and verify it.

No tests belong here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import obstore
import pyarrow as pa
import pyarrow.parquet as pq

from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.manifest import DataFile, Manifest
from scx_pipeline.lake.inspect.findings import Finding
from scx_pipeline.lake.inspect.verify import Verifier, VerifyReport
from scx_pipeline.model.calendar import Month
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline_tests.support.lake.lake_env import Lake

APRIL = Month(2021, 4)
LIMITS = Limits("200MB", 1)


def verify(lake: Lake) -> VerifyReport:
    return Verifier(lake.load_env.compiled, LIMITS, lake.messages.append).run(lake.url)


def findings_of(lake: Lake) -> list[Finding]:
    return list(verify(lake).findings)


def file_of(lake: Lake, table: str, month: Month | None = APRIL) -> DataFile:
    return next(item for item in lake.manifest.select_files(table) if item.month == month)


def rewrite(lake: Lake, item: DataFile, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the rows of a file, and its size in the manifest."""
    content = bytes(obstore.get(lake.store.store, item.key).bytes())
    sink = io.BytesIO()
    pq.write_table(change(pq.ParquetFile(io.BytesIO(content)).read()), sink)
    lake.store.write(item.key, sink.getvalue())
    relist(lake, replace(item, bytes=len(sink.getvalue())))


def relist(lake: Lake, *items: DataFile) -> None:
    """Replace entries of the current manifest by their keys."""
    manifest, changed = lake.manifest, {item.key: item for item in items}
    files = {
        folder: tuple(changed.get(item.key, item) for item in listed)
        for folder, listed in manifest.files.items()
    }
    write(lake.store, replace(manifest, files=files))


def write(store: LakeStore, manifest: Manifest) -> None:
    store.write(manifest.key, manifest.as_bytes())


def single_finding(lake: Lake) -> Finding:
    """Return the only finding about a lake."""
    findings = findings_of(lake)
    assert len(findings) == 1, findings
    return findings[0]
