"""Files with many rejected rows: the first are stored and all are counted, in every format."""

from __future__ import annotations

import gzip
import io
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scx_pipeline.errors import CheckFailedError
from scx_pipeline_tests.support.load_env import LIMITS
from scx_pipeline_tests.support.small_star import SmallStarEnv, small_star

BAD = 3000


def csv_file() -> bytes:
    return b"id,n\n" + b"1,2\nx,2\n" * BAD


def json_lines() -> bytes:
    return b'{"id": 1, "n": 2}\n{"id": "x", "n": 2}\n' * BAD


def json_document() -> bytes:
    return b"[" + b",".join([b'{"id": 1, "n": 2}', b'{"id": "x", "n": 2}'] * BAD) + b"]"


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"id": pa.array([1, 1 << 40] * BAD), "n": pa.array([2] * 2 * BAD)}), out)
    return out.getvalue()


@pytest.mark.parametrize(
    "make", [csv_file, json_lines, json_document, parquet], ids=lambda make: make.__name__
)
def test_the_first_rejected_rows_of_a_file_are_stored_and_all_are_counted(
    make: object, tmp_path: Path
) -> None:
    assert callable(make)
    kind = {"csv_file": "csv", "json_document": "json"}.get(make.__name__, make.__name__)
    columns = [{"name": "id", "type": "integer"}, {"name": "n", "type": "integer"}]
    (tmp_path / "bucket").mkdir()
    load_urls = ((tmp_path / "bucket").as_uri(), f"duckdb://{tmp_path}/dev.duckdb")
    table = SmallStarEnv(*load_urls, small_star(tmp_path, kind, columns, max_stored_rejects=50))
    report = table.load(x=make())
    assert (report.read, report.loaded, report.rejected) == (2 * BAD, BAD, BAD)
    rejected = table.rejected()
    assert len(rejected) == 50
    assert {row[2] for row in rejected} == {"id"}
    assert rejected == sorted(rejected, key=lambda row: row[1])
    assert rejected[0][1] <= 3


@pytest.mark.parametrize(
    ("later", "read"),
    [({"b_csv": b"id,n\n1,2\n"}, 100), ({"b_csv_gz": gzip.compress(b"id,n\n1,2\n")}, 101), ({}, 100)],
    ids=["too few to help", "of an unknown number of rows", "none"],
)
def test_later_files_are_read_only_if_their_rows_could_bring_the_rejected_share_below_the_limit(
    later: dict[str, bytes], read: int, tmp_path: Path
) -> None:
    columns = [{"name": "id", "type": "integer"}, {"name": "n", "type": "integer"}]
    (tmp_path / "bucket").mkdir()
    load_urls = ((tmp_path / "bucket").as_uri(), f"duckdb://{tmp_path}/dev.duckdb")
    table = SmallStarEnv(
        *load_urls, small_star(tmp_path, "csv", columns, reject_limit=0.05), replace(LIMITS, batch_files=1)
    )
    with pytest.raises(CheckFailedError, match=f"100 of {read} rows were rejected") as caught:
        table.load(a_csv=b"id,n\n" + b"x,2\n" * 100, **later)
    assert ("reading stopped early" in str(caught.value)) == ("b_csv" in later)
