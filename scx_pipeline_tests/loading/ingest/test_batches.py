"""Files that are read in several batches give the same result as files read at once."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.store import MemoryStore

from scx_pipeline.loading.ingest import ingest_objects
from scx_pipeline.storage.bucket import Bucket
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline_tests.support.load_env import LIMITS
from scx_pipeline_tests.support.small_star import SmallStarEnv, small_star

COLUMNS = [{"name": "id", "type": "integer"}, {"name": "n", "type": "integer"}]


def csv(number: int) -> bytes:
    return f"id,n,more\n{number},2,3\nx,2,3\n{number},5,6\n".encode()


def json_lines(number: int) -> bytes:
    return (
        f'{{"id": {number}, "n": 2, "more": 3}}\n{{"id": "x", "n": 2}}\n{{"id": {number}, "n": 5}}\n'.encode()
    )


def json(number: int) -> bytes:
    return b"[" + json_lines(number).strip().replace(b"\n", b",") + b"]"


def parquet(number: int) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"id": [number, 1 << 40, number], "n": [2, 2, 5], "more": [3, 3, 3]}), out)
    return out.getvalue()


@pytest.mark.parametrize("make", [csv, json_lines, json, parquet], ids=lambda make: make.__name__)
def test_files_read_one_by_one_give_the_same_result_as_files_read_at_once(
    make: Callable[[int], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file has a bad row and an undeclared field."""
    found = []
    for at_once in (10, 1):
        folder = tmp_path / str(at_once)
        (folder / "bucket").mkdir(parents=True)
        monkeypatch.setattr(
            ingest_objects, "MAX_DOCUMENTS", at_once
        )  # JSON documents have a limit of their own
        load_urls = ((folder / "bucket").as_uri(), f"duckdb://{folder}/dev.duckdb")
        limits = replace(LIMITS, batch_files=at_once)
        table = SmallStarEnv(*load_urls, small_star(folder, make.__name__, COLUMNS), limits)
        report = table.load(**{f"{name}_x": make(number) for number, name in enumerate("abc")})
        assert (report.read, report.loaded, report.rejected) == (9, 6, 3)
        counts = table.state("objects", "object_key, rows_read, rows_loaded, rows_rejected")
        assert counts == [(f"in/{name}.x", 3, 2, 1) for name in "abc"]
        messages = [(check.name, check.message) for check in report.checks]
        assert (
            "declared_fields",
            "'more' is not declared, and was not loaded, in 3 files, such as in/a.x",
        ) in messages
        found.append((messages, table.values(), table.rejected()))
    assert found[0] == found[1]


@dataclass
class MemoryEnv(SmallStarEnv):
    """An environment with a remote bucket, so that objects are fetched."""

    store: MemoryStore = field(default_factory=MemoryStore)

    @property
    def bucket(self) -> Bucket:
        return Bucket("memory://bucket", self.store)


@pytest.mark.parametrize(("kind", "expected"), [(MemoryEnv, [2, 2, 1]), (SmallStarEnv, [5])])
def test_remote_objects_are_fetched_in_batches_of_limited_size_and_local_files_are_not_fetched(
    kind: type[SmallStarEnv], expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    fetch = Bucket.fetch_files

    def noting(bucket: Bucket, batches: Sequence[Sequence[ObjectInfo]]) -> Any:
        asked.append([len(batch) for batch in batches])
        return fetch(bucket, batches)

    content = b"id,n\n1,2\n"
    monkeypatch.setattr(Bucket, "fetch_files", noting)
    monkeypatch.setattr(ingest_objects, "REMOTE_BATCH_BYTES", 2 * len(content))
    (tmp_path / "bucket").mkdir()
    load_urls = ((tmp_path / "bucket").as_uri(), f"duckdb://{tmp_path}/dev.duckdb")
    table = kind(*load_urls, small_star(tmp_path, "csv", COLUMNS))
    assert table.load(**{f"{name}_csv": content for name in "abcde"}).loaded == 5
    assert asked == [expected]
