"""Rows held as Arrow between a reader and a server: added, looked at by SQL, given away; in memory or in a file.
Where they come from and go to is tested with the Parquet files in pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scx_pipeline.model.column import Column
from scx_pipeline.storage.temporary_folder import LOCK
from scx_pipeline.warehouse import arrow_rows
from scx_pipeline.warehouse.arrow_rows import NAME, ArrowRowBuffer, open_arrow_buffer
from scx_pipeline.warehouse.capabilities import Limits

COLUMNS = [
    Column(name="n", type="integer", description=""),
    Column(name="name", type="varchar(8)", description=""),
]


@pytest.fixture(params=["memory", "file"])
def held(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArrowRowBuffer]:
    """No rows yet; once where they are few, and once where they are so many that they go to a file."""
    if request.param == "file":
        monkeypatch.setattr(arrow_rows, "MEMORY", 100)
    with open_arrow_buffer(Limits(), COLUMNS) as rows:
        yield rows


def standing(held: ArrowRowBuffer) -> list[tuple[object, ...]]:
    return held.con.execute(f"SELECT * FROM {NAME} ORDER BY ALL").fetchall()


def test_rows_are_added_and_seen_by_sql(held: ArrowRowBuffer) -> None:
    assert standing(held) == []
    assert held.add("SELECT 2, 'b'") == 1
    assert held.add("SELECT 1, 'a' UNION ALL SELECT 3, NULL") == 2
    assert standing(held) == [(1, "a"), (2, "b"), (3, None)]


def test_values_become_the_columns_types(held: ArrowRowBuffer) -> None:
    held.add("SELECT 1::UTINYINT, 7")
    assert held.select(["n", "name"], "TRUE").schema == pa.schema([("n", pa.int32()), ("name", pa.string())])


def test_only_rows_that_meet_a_condition_are_kept(held: ArrowRowBuffer) -> None:
    held.add("SELECT n, 'x' FROM range(20000) AS r(n)")
    held.keep("(n < 5) IS NOT TRUE")
    assert held.rows.num_rows == 19_995
    assert held.bounds("n") == (5, 19_999)


def test_of_no_values_there_are_no_bounds(held: ArrowRowBuffer) -> None:
    assert held.bounds("n") is None
    held.add("SELECT NULL, 'a'")
    assert held.bounds("n") is None
    held.add("SELECT 7, 'b'")
    assert held.bounds("n") == (7, 7)


def test_the_columns_without_a_null_are_known(held: ArrowRowBuffer) -> None:
    held.add("SELECT n, 'x' FROM range(1000) AS r(n)")
    assert held.full_columns() == ["n", "name"]
    held.add("SELECT 7, NULL")
    assert held.full_columns() == ["n"]


def test_what_was_given_away_stays_when_the_rows_are_cleared(held: ArrowRowBuffer) -> None:
    held.add("SELECT n, 'x' || n FROM range(10) AS r(n)")
    all_of_them, some = held.select(["name"], "n >= 0"), held.select(["n"], "n > 7")
    held.clear()
    held.add("SELECT 99, 'other'")
    assert all_of_them.column("name").to_pylist() == [f"x{n}" for n in range(10)]
    assert sorted(some.column("n").to_pylist()) == [8, 9]
    assert standing(held) == [(99, "other")]


def test_a_null_condition_is_not_met_by_all(held: ArrowRowBuffer) -> None:
    held.add("SELECT 1, NULL UNION ALL SELECT 2, 'b'")
    assert held.select(["n"], "name = 'b'").column("n").to_pylist() == [2]


def test_a_select_that_fails_half_way_adds_nothing(held: ArrowRowBuffer, tmp_path: Path) -> None:
    good, bad = tmp_path / "1.parquet", tmp_path / "2.parquet"
    for path in (good, bad):
        pq.write_table(pa.table({"n": pa.array(range(50_000), pa.int32()), "name": ["y" * 8] * 50_000}), path)
    content = bytearray(bad.read_bytes())
    content[100:20_000] = b"\xff" * 19_900
    bad.write_bytes(content)
    held.add("SELECT 1, 'a'")
    with pytest.raises(duckdb.Error, match=r"2\.parquet"):
        held.add(f"SELECT n, name FROM read_parquet(['{good}', '{bad}'])")
    assert standing(held) == [(1, "a")]


def test_too_little_memory_is_told_as_such() -> None:
    limits = Limits(memory="20MB")
    with open_arrow_buffer(limits, COLUMNS) as held, pytest.raises(duckdb.OutOfMemoryException):
        held.con.execute("SET temp_directory = ''")
        held.add("SELECT n, md5(n::VARCHAR) FROM range(3_000_000) AS r(n) ORDER BY 2")


def test_a_file_is_gone_once_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_rows, "MEMORY", 100)
    with open_arrow_buffer(Limits(), COLUMNS) as held:
        held.add("SELECT n, 'x' FROM range(50_000) AS r(n)")
        assert [file.name for file in held.folder.iterdir()] == [LOCK]
        assert held.con.execute(f"SELECT sum(n) FROM {arrow_rows.NAME}").fetchall() == [(sum(range(50_000)),)]
