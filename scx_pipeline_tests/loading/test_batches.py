"""Files that are read in several batches are counted, quarantined and told as if they were read at once.
How objects are cut into batches is in planning/test_selection.py; many rejected rows are in test_many_rejects.py."""

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

from scx_pipeline.loading import ingest
from scx_pipeline.storage.bucket import Bucket, ObjectInfo
from scx_pipeline_tests.support.load_env import LIMITS
from scx_pipeline_tests.support.small_star import SmallWorld, small_star

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
def test_files_that_are_read_one_by_one_give_what_they_give_at_once(
    make: Callable[[int], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a row that is refused, and a field that is not declared."""
    found = []
    for at_once in (10, 1):
        folder = tmp_path / str(at_once)
        (folder / "bucket").mkdir(parents=True)
        monkeypatch.setattr(ingest, "DOCUMENTS", at_once)  # JSON documents have a limit of their own
        place = ((folder / "bucket").as_uri(), f"duckdb://{folder}/dev.duckdb")
        limits = replace(LIMITS, batch_files=at_once)
        table = SmallWorld(*place, small_star(folder, make.__name__, COLUMNS), limits)
        report = table.load(**{f"{name}_x": make(number) for number, name in enumerate("abc")})
        assert (report.read, report.loaded, report.rejected) == (9, 6, 3)
        counts = table.state("objects", "object_key, rows_read, rows_loaded, rows_rejected")
        assert counts == [(f"in/{name}.x", 3, 2, 1) for name in "abc"]
        told = [(check.name, check.message) for check in report.checks]
        assert (
            "declared_fields",
            "'more' is not declared, and was not loaded, in 3 files, such as in/a.x",
        ) in told
        found.append((told, table.values(), table.rejected()))
    assert found[0] == found[1]


@dataclass
class MemoryWorld(SmallWorld):
    """A world whose bucket is no folder, so that objects are fetched."""

    store: MemoryStore = field(default_factory=MemoryStore)

    @property
    def bucket(self) -> Bucket:
        return Bucket("memory://bucket", self.store)


@pytest.mark.parametrize(("kind", "expected"), [(MemoryWorld, [2, 2, 1]), (SmallWorld, [5])])
def test_no_more_is_fetched_at_a_time_than_a_disk_has_room_for_and_a_folder_is_read_where_it_is(
    kind: type[SmallWorld], expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    fetch = Bucket.fetch

    def noting(bucket: Bucket, batches: Sequence[Sequence[ObjectInfo]]) -> Any:
        asked.append([len(batch) for batch in batches])
        return fetch(bucket, batches)

    content = b"id,n\n1,2\n"
    monkeypatch.setattr(Bucket, "fetch", noting)
    monkeypatch.setattr(ingest, "REMOTE_BATCH_BYTES", 2 * len(content))
    (tmp_path / "bucket").mkdir()
    place = ((tmp_path / "bucket").as_uri(), f"duckdb://{tmp_path}/dev.duckdb")
    table = kind(*place, small_star(tmp_path, "csv", COLUMNS))
    assert table.load(**{f"{name}_csv": content for name in "abcde"}).loaded == 5
    assert asked == [expected]
